"""Rewrites: what the origin is asked for, what is put back, and that no path leads out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.config import Site
from edge.http.message import Fields, Request
from edge.policy.rewrites import Escape, Rewritten, put_back, rewritten, towards
from edge.policy.traffic import TrafficRules
from tests.edge.policy.traffic_made import SHOP, traffic
from tests.edge.stage import make_request

COMMERCE = {"url": "https://127.0.0.1:2"}


def rules(*rewrites: dict[str, Any], **more: Any) -> TrafficRules:
    return traffic(rewrites=list(rewrites), **more)


def target(rule: dict[str, Any], asked: str, **more: Any) -> str | None:
    way = rewritten(make_request(asked, **more), rules(rule, commerce=COMMERCE))
    assert not isinstance(way, Escape)
    if way is None:
        return None
    return way.path if way.query is None else f"{way.path}?{way.query}"


@pytest.mark.parametrize(
    ("rule", "asked", "target_of_it"),
    [
        ({"path": "/media/*", "to": "/bucket/$1"}, "/media/a/b.webp?w=1", "/bucket/a/b.webp?w=1"),
        ({"path": "/media/*", "to": "/bucket/$1", "query": "drop"}, "/media/a?w=1", "/bucket/a"),
        (
            {"path": "/shop/*", "to": "/index.php?route=$1"},
            "/shop/a/b&admin=1",
            "/index.php?route=a/b%26admin%3D1",
        ),
        ({"path": "/shop/*", "to": "/index.php?route=$1"}, "/shop/a?x=1", "/index.php?route=a&x=1"),
        ({"regex": "/p/([0-9]+)", "to": "/product/$1.html"}, "/p/42", "/product/42.html"),
        ({"hosts": ["www.shop.test"], "to": "/www$path"}, "/a", None),
        ({"hosts": ["shop.test"], "to": "/shop$path"}, "/a", "/shop/a"),
        ({"path": "/x", "to": "/$host/$scheme"}, "/x", "/shop.test/http"),
        ({"path": "/media/*", "unless_paths": ["/media/live/*"], "to": "/b/$1"}, "/media/live/a", None),
        ({"to": "/app$path"}, "/commerce/checkout", None),
        ({"to": "/app$path"}, "/%63ommerce", None),
        ({"to": "/app$path"}, "/commercex", "/app/commercex"),
    ],
)
def test_what_the_origin_is_asked_for(rule: dict[str, Any], asked: str, target_of_it: str | None) -> None:
    assert target(rule, asked) == target_of_it


def test_the_first_rewrite_that_fits_holds() -> None:
    found = rules({"path": "/a/b/*", "to": "/1/$1"}, {"path": "/a/*", "to": "/2/$1"})
    assert [
        (way.number, way.path)
        for path in ("/a/b/c", "/a/c")
        if isinstance(way := rewritten(make_request(path), found), Rewritten)
    ] == [(0, "/1/c"), (1, "/2/c")]


@pytest.mark.parametrize(
    ("rule", "asked"),
    [
        ({"path": "/media/*", "to": "/bucket/$1"}, "/media/..%2f..%2fsecret"),
        ({"path": "/media/*", "to": "/bucket/$1"}, "/media/a%5c..%5csecret"),
        ({"path": "/m*", "to": "/bucket/$1"}, "/m.."),
        ({"path": "/m*/x", "to": "/bucket/$1/x"}, "/m../x"),
        ({"path": "/api/*", "to": "/$1"}, "/api/commerce/checkout"),
    ],
)
def test_a_path_that_would_lead_out_of_what_is_named_goes_nowhere(rule: dict[str, Any], asked: str) -> None:
    found = rules(rule, commerce=COMMERCE)
    assert isinstance(rewritten(make_request(asked), found), Escape)
    assert isinstance(towards(make_request(asked), make_request(asked), found), Escape)


@given(st.lists(st.sampled_from(["..", ".", "%2e%2E", "%2f", "%5C", "\\", "/", ";", "a", "%00"]), max_size=8))
def test_whatever_is_asked_the_origin_is_asked_below_what_the_rule_names(parts: list[str]) -> None:
    way = rewritten(make_request("/media/" + "".join(parts)), rules({"path": "/media/*", "to": "/bucket/$1"}))
    if isinstance(way, Rewritten):
        depth = 0
        text = way.path.replace("%2F", "/").replace("%5C", "/")
        for segment in text.removeprefix("/bucket").split("/"):
            depth += {"..": -1, ".": 0}.get(segment, 1)
            assert depth >= 0
        assert way.path.startswith("/bucket/")


def test_host_and_path_change_and_what_else_the_origin_is_told_does_not() -> None:
    asked = make_request("/media/a", {"Host": "shop.test", "Accept": "*/*"})
    sent = towards(asked, asked, rules({"path": "/media/*", "to": "/b/$1", "host": "files.internal"}))
    assert isinstance(sent, Request)
    assert (sent.path, sent.host, sent.fields.all("host")) == ("/b/a", "shop.test", ("files.internal",))
    assert sent.fields.get("accept") == "*/*"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("/bucket/b", "/media/b"),
        ("/bucket/b?x=1#y", "/media/b?x=1#y"),
        ("/bucketb", "/bucketb"),
        ("b", "b"),
        ("http://files.internal/bucket/b", "https://shop.test/media/b"),
        ("http://files.internal/other", "https://shop.test/other"),
        ("https://shop.test/bucket/b", "https://shop.test/media/b"),
        ("https://partner.test/bucket/b", "https://partner.test/bucket/b"),
        ("//files.internal/bucket/b", "https://shop.test/media/b"),
        ("http://[bad/bucket", "http://[bad/bucket"),
    ],
)
def test_locations_are_put_back_into_the_visitors_terms(said: str, shown: str) -> None:
    found = rules({"path": "/media/*", "to": "/bucket/$1", "host": "files.internal"})
    asked = make_request("/media/a", scheme="https")
    fields = Fields([("Location", said), ("Content-Location", said), ("Link", said)])
    assert put_back(fields, asked, found).lines == (
        ("Location", shown), ("Content-Location", shown), ("Link", said),
    )  # fmt: skip
    assert put_back(fields, make_request("/elsewhere"), found) is not None
    assert put_back(fields, make_request("/elsewhere"), found).get("location") == said


def test_where_no_path_can_be_made_of_the_origins_locations_stay() -> None:
    found = rules({"path": "/shop/*", "to": "/index.php?route=$1"})
    fields = Fields([("Location", "/index.php?route=b")])
    assert put_back(fields, make_request("/shop/a"), found) == fields


@pytest.mark.parametrize(
    ("rule", "field", "expected"),
    [
        ({"path": "/a", "to": "https://x.test/b"}, "rewrites.0.to", "without host"),
        ({"path": "/a", "to": "/b#c"}, "rewrites.0.to", "fragment"),
        ({"path": "/a", "to": "b"}, "rewrites.0.to", "a path like"),
        ({"path": "/a", "to": "/$client"}, "rewrites.0.to", "none but these"),
        ({"path": "/a", "to": "/$country"}, "rewrites.0.to", "none but these"),
        ({"path": "/a", "host": "*.x.test"}, "rewrites.0.host", "one host name"),
        ({"path": "/a", "host": "x.test/a"}, "rewrites.0.host", "a host name"),
        ({"path": "/a", "to": "/commerce/pay"}, "rewrites", "outside of /commerce"),
        ({"path": "/*", "to": "/commerce/$1"}, "rewrites", "outside of /commerce"),
        ({"path": "/a", "hosts": ["other.test"]}, "rewrites", "rule 0 is for other.test"),
        ({"path": "/a", "countries": ["DE"]}, "rewrites.0.countries", "Extra"),
    ],
)
def test_a_bad_rewrite_is_refused_where_it_is_bad(rule: dict[str, Any], field: str, expected: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Site.model_validate({**SHOP, "commerce": COMMERCE, "rewrites": [rule]})
    (error,) = refused.value.errors()
    assert ".".join(map(str, error["loc"])) == field
    assert expected in error["msg"]


def test_expressions_are_counted() -> None:
    with pytest.raises(ValidationError, match="100 rules with a regex at most"):
        rules(*({"regex": f"/{at}", "to": "/x"} for at in range(101)))
