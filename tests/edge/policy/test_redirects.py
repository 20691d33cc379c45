"""Redirects: where each leads, for whom; that none leads round, nor to where the operator did not say."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.config import Site
from edge.http.message import Client, Request
from edge.policy.redirects import LONGEST_CHAIN, Circle, Redirect, followed, redirected
from edge.policy.traffic import TrafficRules
from tests.edge.policy.traffic_made import SHOP, traffic
from tests.edge.stage import make_request


def rules(*redirects: dict[str, Any], **more: Any) -> TrafficRules:
    return traffic(redirects=list(redirects), **more)


def sent(
    found: TrafficRules, target: str = "/", fields: dict[str, str] | None = None, **more: Any
) -> str | None:
    """Where a visitor is sent who asks for `target`."""
    way = redirected(make_request(target, fields or {}, **more), found)
    return way.location if isinstance(way, Redirect) else None


# Where to ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "asked", "location"),
    [
        ({"path": "/old", "to": "/new"}, "/old", "http://shop.test/new"),
        ({"path": "/old", "to": "/new"}, "/%6fld", "http://shop.test/new"),
        ({"path": "/old", "to": "/new"}, "/x/../old", "http://shop.test/new"),
        ({"path": "/old", "to": "/new"}, "/old/", None),
        ({"path": "/old", "to": "/new"}, "/old?a=1&b=%20", "http://shop.test/new?a=1&b=%20"),
        ({"path": "/old", "to": "/new", "query": "drop"}, "/old?a=1", "http://shop.test/new"),
        ({"path": "/old", "to": "/new?from=old"}, "/old?a=1", "http://shop.test/new?from=old&a=1"),
        ({"path": "/old", "to": "/new?from=old", "query": "drop"}, "/old?a=1", "http://shop.test/new?from=old"),
        ({"path": "/old", "to": "/new#top"}, "/old?a=1", "http://shop.test/new?a=1#top"),
        ({"path": "/x*", "to": "/y/$1"}, "/x../z", "http://shop.test/z"),
        ({"path": "/*/x", "to": "/y"}, "/a/x", "http://shop.test/y"),
        ({"path": "/blog/*", "to": "/journal/$1"}, "/blog/2024/a%2fb", "http://shop.test/journal/2024/a%2Fb"),
        ({"path": "/*/p/*.html", "to": "/$2?lang=$1"}, "/de/p/7.html", "http://shop.test/7?lang=de"),
        ({"regex": "/p/(?P<id>[0-9]+)-.*", "to": "/products/$id"}, "/p/42-kopi", "http://shop.test/products/42"),
        ({"regex": "/p/(?P<id>[0-9]+)-.*", "to": "/products/$id"}, "/p/kopi", None),
        ({"scheme": "http", "to": "https://$host$path"}, "/a?b", "https://shop.test/a?b"),
        ({"scheme": "http", "to": "https://$host:8443$path"}, "/a", "https://shop.test:8443/a"),
        ({"hosts": ["shop.test"], "to": "https://www.shop.test$path"}, "/a", "https://www.shop.test/a"),
        ({"hosts": ["www.shop.test"], "to": "https://shop.test$path"}, "/a", None),
        ({"path": "/go", "to": "https://elsewhere.test"}, "/go", "https://elsewhere.test/"),
        ({"path": "/p.php", "parameters": {"id": "5"}, "to": "/kopi", "query": "drop"}, "/p.php?x=1&id=5",
         "http://shop.test/kopi"),
        ({"path": "/p.php", "parameters": {"id": "5"}, "to": "/kopi"}, "/p.php?id=55", None),
        ({"path": "/p.php", "parameters": {"q": "a b"}, "to": "/kopi", "query": "drop"}, "/p.php?q=a+b",
         "http://shop.test/kopi"),
        ({"path": "/kopi-\u00fc/*", "to": "/teh-\u00fc/$1"}, "/kopi-%c3%bc/x", "http://shop.test/teh-%C3%BC/x"),
        ({"path": "/caf\u00e9", "to": "/x"}, "/caf%C3%A9", "http://shop.test/x"),
        ({"path": "/a", "to": "/$$1"}, "/a", "http://shop.test/$1"),
    ],
)  # fmt: skip
def test_a_redirect_leads_where_it_says(rule: dict[str, Any], asked: str, location: str | None) -> None:
    assert sent(rules(rule), asked) == location


def test_a_port_is_kept_where_the_host_is() -> None:
    found = rules({"path": "/old", "to": "/new"}, {"scheme": "http", "to": "https://$host$path"})
    assert sent(found, "/old", host="shop.test:8080") == "http://shop.test:8080/new"
    assert sent(found, "/x", host="shop.test:8080") == "https://shop.test/x"


def test_the_first_rule_that_fits_and_leads_elsewhere_holds() -> None:
    found = rules(
        {"to": "https://www.shop.test$path"},
        {"path": "/exact", "to": "/by-name"},
        {"path": "/ex*", "to": "/by-pattern"},
        {"path": "/exact", "to": "/never"},
    )
    assert sent(found, "/exact") == "https://www.shop.test/exact"
    home: dict[str, Any] = {"scheme": "https", "host": "www.shop.test"}
    assert sent(found, "/exact", **home) == "https://www.shop.test/by-name"
    assert sent(found, "/exit", **home) == "https://www.shop.test/by-pattern"
    assert sent(found, "/other", **home) is None


# For whom ---------------------------------------------------------------------------------------------


def test_countries_and_who_has_chosen() -> None:
    found = rules(
        {
            "path": "/*", "countries": ["DE", "AT"], "unless_paths": ["/de", "/de/*", "/api/*"],
            "unless_cookies": ["shop_country*"], "to": "/de/$1", "status": 302,
        }
    )  # fmt: skip
    german = Client("192.0.2.1", country="DE")
    assert sent(found, "/p/1", client=german) == "http://shop.test/de/p/1"
    assert sent(found, "/de/p/1", client=german) is None
    assert sent(found, "/%64e/p/1", client=german) is None
    assert sent(found, "/api/x", client=german) is None
    assert sent(found, "/p/1", {"Cookie": "a=b; shop_country_v2=us"}, client=german) is None
    assert sent(found, "/p/1", client=Client("192.0.2.1", country="FR")) is None
    assert sent(found, "/p/1") is None


@pytest.mark.parametrize(
    ("said", "is_sent"),
    [
        ("de", True),
        ("de-CH, en;q=0.5", True),
        ("DE;q=0.9, en;q=0.8", True),
        ("en, de;q=0.9", False),
        ("en;q=0.1, de;q=0.9", True),
        ("den", False),
        ("de;q=0", False),
        ("*", False),
        (";;;,", False),
        ("", False),
    ],
)
def test_the_visitors_favourite_language_counts(said: str, is_sent: bool) -> None:
    found = rules({"path": "/", "languages": ["de"], "to": "/de/"})
    assert (sent(found, "/", {"Accept-Language": said}) is not None) is is_sent


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({}, "max-age=3600"),
        ({"status": 308}, "max-age=3600"),
        ({"status": 302}, "no-store"),
        ({"countries": ["DE"]}, "no-store"),
        ({"cache_control": "max-age=60"}, "max-age=60"),
        ({"languages": ["de"], "cache_control": "private, max-age=60"}, "private, max-age=60"),
    ],
)
def test_how_long_a_redirect_may_be_kept(rule: dict[str, Any], told: str) -> None:
    assert rules({"path": "/a", "to": "/b", **rule}).redirects[0].cache_control == told


# Round and round --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "redirects",
    [
        pytest.param([{"path": "/a", "to": "/b"}, {"path": "/b", "to": "/a"}], id="two"),
        pytest.param([{"path": "/a/*", "to": "/b/$1"}, {"path": "/b/*", "to": "/a/$1"}], id="with captures"),
        pytest.param([{"path": "/*", "to": "/de/$1"}], id="growing"),
        pytest.param([{"path": "/*", "countries": ["DE"], "to": "/de/$1"}], id="growing by country"),
        pytest.param(
            [{"path": "/x/*", "countries": ["DE"], "to": "/y/$1"},
             {"path": "/y/*", "countries": ["DE", "AT"], "to": "/x/$1"}],
            id="round in one country",
        ),
        pytest.param(
            [{"path": "/x/*", "to": "/y/$1"}, {"path": "/y/*", "languages": ["de"], "to": "/x/$1"}],
            id="round in one language",
        ),
        pytest.param(
            [{"hosts": ["shop.test"], "to": "https://www.shop.test$path"},
             {"hosts": ["www.shop.test"], "to": "https://shop.test$path"}],
            id="hosts",
        ),
        pytest.param(
            [{"scheme": "http", "to": "https://$host$path"}, {"scheme": "https", "to": "http://$host$path"}],
            id="schemes",
        ),
        pytest.param([{"regex": "/(.*)", "to": "/x/$1"}], id="expression"),
        pytest.param(
            [{"regex": "/p/([0-9]+)", "to": "/q/$1"}, {"path": "/q/*", "to": "/p/$1"}], id="both kinds"
        ),
        pytest.param(
            [{"path": f"/{at}", "to": f"/{at + 1}"} for at in range(LONGEST_CHAIN)], id="too long a chain"
        ),
    ],
)  # fmt: skip
def test_rules_that_lead_round_are_refused_with_the_way_they_lead(redirects: list[dict[str, Any]]) -> None:
    with pytest.raises(
        ValidationError, match=r"redirects that end, within 10 steps; these lead http"
    ) as refused:
        rules(*redirects)
    assert refused.value.errors()[0]["loc"] == ("redirects",)


@pytest.mark.parametrize(
    "redirects",
    [
        pytest.param([{"path": "/blog/*", "to": "/$1"}], id="shrinking"),
        pytest.param([{"path": "/*", "unless_paths": ["/de/*"], "to": "/de/$1"}], id="spared"),
        pytest.param([{"to": "https://www.shop.test$path"}], id="everything to one host"),
        pytest.param([{"path": "/x", "to": "/x"}], id="to itself"),
        pytest.param(
            [{"path": f"/{at}", "to": f"/{at + 1}"} for at in range(LONGEST_CHAIN - 1)], id="a chain"
        ),
        pytest.param([{"path": f"/old/{at}", "to": f"/new/{at}"} for at in range(2000)], id="many"),
    ],
)
def test_rules_that_end_are_taken(redirects: list[dict[str, Any]]) -> None:
    assert len(rules(*redirects).redirects) == len(redirects)


def test_a_circle_that_only_some_paths_lead_into_is_seen_when_it_is_asked_for() -> None:
    found = rules({"path": "/a/s*", "to": "/b/s$1"}, {"path": "/b/*.txt", "to": "/a/$1.txt"})
    assert sent(found, "/a/sale") == "http://shop.test/b/sale"
    way = redirected(make_request("/a/sale.txt"), found)
    assert isinstance(way, Circle)
    assert way.chain[:2] == ("http://shop.test/b/sale.txt", "http://shop.test/a/sale.txt")
    assert sent(found, "/b/sale.txt") is None


def test_a_redirect_tells_what_follows_it() -> None:
    way = redirected(make_request("/a"), rules({"path": "/a", "to": "/b"}, {"path": "/b", "to": "/c"}))
    assert isinstance(way, Redirect)
    assert (way.number, way.location, way.chain) == (0, "http://shop.test/b", ("http://shop.test/c",))


def test_a_proxy_that_is_not_trusted_but_speaks_https_does_not_make_a_loop() -> None:
    found = rules({"scheme": "http", "to": "https://$host$path"})
    assert sent(found, "/a") == "https://shop.test/a"
    assert isinstance(redirected(make_request("/a", {"X-Forwarded-Proto": "https"}), found), Circle)
    assert sent(found, "/a", {"X-Forwarded-Proto": "http"}) == "https://shop.test/a"


SEGMENT = st.sampled_from(["a", "b", "de", "*", "x*", "*.html"])
PATHS = st.lists(SEGMENT, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
TARGETS = st.lists(st.sampled_from(["a", "b", "de", "$1", "x$1"]), min_size=1, max_size=3).map(
    lambda parts: "/" + "/".join(parts)
)
HOSTS = st.sampled_from(["", "http://shop.test", "https://www.shop.test", "https://$host"])


@st.composite
def redirect_tables(draw: st.DrawFn) -> dict[str, Any]:
    path = draw(PATHS)
    to = draw(TARGETS)
    table: dict[str, Any] = {"path": path, "to": draw(HOSTS) + (to if "*" in path else to.replace("$1", "c"))}
    if draw(st.booleans()):
        table["scheme"] = draw(st.sampled_from(["http", "https"]))
    if draw(st.booleans()):
        table["countries"] = draw(st.lists(st.sampled_from(["DE", "ID"]), min_size=1, unique=True))
    if draw(st.booleans()):
        table["hosts"] = draw(st.lists(st.sampled_from(SHOP["hosts"]), min_size=1, unique=True))
    return table


@given(
    st.lists(redirect_tables(), min_size=1, max_size=4),
    st.lists(st.sampled_from(["a", "b", "de", "x", "c.html", "..", "%2e", "%2F"]), max_size=4),
    st.sampled_from(["http", "https"]),
    st.sampled_from(["DE", "ID", None]),
)
def test_no_visitor_is_led_through_more_redirects_than_declared(
    tables: list[dict[str, Any]], path: list[str], scheme: str, country: str | None
) -> None:
    """Whatever rules are taken, whoever follows them comes to an end: what is answered is followed."""
    try:
        found = rules(*tables)
    except ValidationError:
        event("refused")
        assume(False)
    asked = make_request("/" + "/".join(path), scheme=scheme, client=Client("192.0.2.1", country=country))
    seen = [asked.url]
    for _ in range(LONGEST_CHAIN + 1):
        way = redirected(asked, found)
        if not isinstance(way, Redirect):
            event(f"{len(seen) - 1} redirects, then {type(way).__name__}")
            return
        assert len(way.chain) < LONGEST_CHAIN
        parts = urlsplit(way.location)
        asked = Request(
            "GET", parts.scheme, parts.netloc, parts.path, parts.query or None, client=asked.client
        )
        seen.append(asked.url)
    pytest.fail(" → ".join(seen))


# Out of the house -------------------------------------------------------------------------------------

NASTY = st.lists(
    st.sampled_from(
        ["/", "//", "\\", "%5c", "%2f", "..", "%2e%2e", "evil.example", "@", ":", "http:", "https://evil.example",
         "\r\n", "%0d%0a", "\0", "?", "#", "&", "=", ";", "\xe2\x80\xae", "\xff", ".shop.test", "javascript:"]
    ),
    max_size=8,
).map("".join)  # fmt: skip


@given(
    NASTY,
    st.sampled_from(
        [
            ("/out/*", "/$1", "http", "shop.test"),
            ("/out/*", "$path", "http", "shop.test"),
            ("/out*", "/x$1", "http", "shop.test"),
            ("/out/*", "https://partner.test/$1", "https", "partner.test"),
            ("/out*", "https://partner.test$path", "https", "partner.test"),
            ("/out/*", "https://partner.test/?go=$1", "https", "partner.test"),
            ("/out/*", "https://$host/$1", "https", "shop.test"),
            ("/out/*", "https://$host:8443/$1", "https", "shop.test:8443"),
        ]
    ),
    st.none() | NASTY,
)
def test_nothing_that_is_taken_over_makes_a_redirect_leave_its_authority(
    text: str, rule: tuple[str, str, str, str], query: str | None
) -> None:
    path, to, scheme, authority = rule
    found = TrafficRules(("shop.test",), redirects=rules({"path": path, "to": to}).redirects)
    way = redirected(Request("GET", "http", "shop.test", f"/out/{text}", query), found)
    if way is None:
        return
    location = way.chain[0] if isinstance(way, Circle) else way.location
    assert location.startswith(f"{scheme}://{authority}/")
    assert location.isascii()
    assert not any(sign <= " " or sign in '\\"<>^`{|}\x7f#' for sign in location)
    parts = urlsplit(location)
    assert (parts.scheme, parts.netloc) == (scheme, authority)
    if "?go=" in to:
        assert query is not None or "&" not in parts.query  # what is captured stays one value


@pytest.mark.parametrize(
    ("rule", "field", "expected"),
    [
        ({"path": "/a"}, "to", "Field required"),
        ({"path": "/a", "to": "//evil.example"}, "to", "a path like"),
        ({"path": "/*", "to": "https://$1/"}, "to", "a path like"),
        ({"path": "/*", "to": "https://shop.$1.test/"}, "to", "a path like"),
        ({"path": "/*", "to": "https://shop.test$1"}, "to", "a path like"),
        ({"path": "/a", "to": "https://user@shop.test/"}, "to", "a path like"),
        ({"path": "/a", "to": "https://*.shop.test/"}, "to", "host is written out"),
        ({"path": "/a", "to": "https://shop.test:99999/"}, "to", "a port"),
        ({"path": "/a", "to": "https://$host:0/"}, "to", "a port"),
        ({"path": "/a", "to": "javascript:alert(1)"}, "to", "a path like"),
        ({"path": "/a", "to": "ftp://shop.test/"}, "to", "a path like"),
        ({"path": "/a", "to": "new"}, "to", "a path like"),
        ({"path": "/a", "to": "/b\r\nSet-Cookie: a=b"}, "to", "a path like"),
        ({"path": "/a", "to": "/b c"}, "to", "a path like"),
        ({"path": "/a", "to": "/$1"}, "to", "none but these variables: $host, $path, $scheme"),
        ({"path": "/a", "to": "/$cookie"}, "to", "none but these variables"),
        ({"regex": "/(a", "to": "/b"}, "regex", "RE2"),
        ({"path": "/a", "regex": "/a", "to": "/b"}, "regex", "none, since there is a path"),
        ({"path": "a", "to": "/b"}, "path", "a path that begins with /"),
        ({"path": "/a", "to": "/b", "status": 305}, "status", "301"),
        ({"path": "/a", "to": "/b", "countries": ["Germany"]}, "countries.0", "match"),
        ({"path": "/a", "to": "/b", "languages": ["German!"]}, "languages.0", "match"),
        (
            {"path": "/a", "to": "/b", "countries": ["DE"], "cache_control": "max-age=9"},
            "cache_control",
            "private",
        ),
        ({"path": "/a", "to": "/b", "cache_control": "max-age=9\r\nX: y"}, "cache_control", "line breaks"),
        ({"path": "/a", "to": "/b", "hosts": ["other.test"]}, "", "rule 0 is for other.test"),
        ({"path": "/a", "to": "/b", "code": 302}, "code", "Extra"),
    ],
)
def test_a_bad_redirect_is_refused_where_it_is_bad(rule: dict[str, Any], field: str, expected: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Site.model_validate({**SHOP, "redirects": [rule]})
    (error,) = refused.value.errors()
    place = ".".join(map(str, error["loc"]))
    assert place == (f"redirects.0.{field}" if field else "redirects")
    assert expected in error["msg"]


def test_what_follows_is_told_no_further_than_anybody_goes() -> None:
    endless = TrafficRules(("x.test",), redirects=rules({"path": "/a", "to": "/b"}).redirects)
    assert followed(make_request("/a", host="x.test"), endless) == ("http://x.test/b",)
    assert followed(make_request("/a", host="elsewhere.test"), endless) == ()
