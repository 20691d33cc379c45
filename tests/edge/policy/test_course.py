"""A request's course: who is let in while the site is closed, and in which order rules hold."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from pydantic import ValidationError

from edge.config import Site
from edge.http.message import Client
from edge.policy.course import Closed, Onward, course
from edge.policy.redirects import Redirect
from edge.policy.rewrites import Escape
from tests.edge.policy.traffic_made import SHOP, traffic
from tests.edge.stage import make_request

STAFF = sha256(b"s3cret-and-long").hexdigest()
CLOSED = {
    "enabled": True,
    "allow": ["10.0.0.0/8", "2001:db8::/32"],
    "cookie": "staff",
    "cookie_sha256": STAFF,
    "open_paths": ["/static/closed/*"],
}
COMMERCE = {"url": "https://127.0.0.1:2", "prefix": "/commerce"}


@pytest.mark.parametrize(
    ("request_of", "is_closed"),
    [
        ({}, True),
        ({"method": "POST", "body": b"x"}, True),
        ({"client": Client("10.1.2.3")}, False),
        ({"client": Client("2001:db8::7")}, False),
        ({"client": Client("192.0.2.1")}, True),
        ({"client": Client("nonsense")}, True),
        ({"fields": {"Cookie": "a=b; staff=s3cret-and-long"}}, False),
        ({"fields": {"Cookie": "staff=wrong"}}, True),
        ({"fields": {"Cookie": f"staff={STAFF}"}}, True),
        ({"fields": {"Cookie": "staff"}}, True),
        ({"target": "/static/closed/logo.svg"}, False),
        ({"target": "/static/closed/../../checkout"}, True),
        ({"target": "/static/closed/..%2f..%2fcheckout"}, True),
        ({"target": "/commerce/hooks/stripe", "method": "POST", "body": b"x"}, False),
        ({"target": "/%63ommerce/hooks/stripe"}, False),
        ({"target": "/commerce/hooks/../checkout"}, True),
        ({"target": "/commerce/hooks/%2e%2e/checkout"}, True),
        ({"target": "/commerce/checkout"}, True),
        ({"target": "/.well-known/acme-challenge/token"}, False),
        ({"target": "/.well-known/acme-challenge/../../p/1"}, True),
    ],
)
def test_who_is_let_in_while_the_site_is_closed(request_of: dict[str, Any], is_closed: bool) -> None:
    way = course(make_request(**request_of), traffic(maintenance=CLOSED, commerce=COMMERCE))
    assert isinstance(way, Closed) is is_closed
    if not is_closed:
        assert isinstance(way, Onward)
        assert way.opened


def test_a_switch_that_is_off_closes_nothing() -> None:
    way = course(make_request(), traffic(maintenance={**CLOSED, "enabled": False}))
    assert way == Onward()


def test_maintenance_comes_before_redirects_and_those_before_rewrites() -> None:
    tables: dict[str, Any] = {
        "redirects": [{"path": "/old/*", "to": "/media/$1"}],
        "rewrites": [{"path": "/old/*", "to": "/never/$1"}, {"path": "/media/*", "to": "/bucket/$1"}],
        "request_fields": [{"paths": ["/media/*"], "set": {"X-A": "1"}}],
    }
    assert isinstance(course(make_request("/old/x"), traffic(maintenance=CLOSED, **tables)), Closed)
    rules = traffic(**tables)
    assert isinstance(course(make_request("/old/x"), rules), Redirect)
    onward = course(make_request("/media/x"), rules)
    assert isinstance(onward, Onward)
    assert onward.inner is not None
    assert (onward.inner.path, onward.altered) == ("/bucket/x", True)
    assert isinstance(course(make_request("/media/..%2fx"), rules), Escape)
    assert course(make_request("/p/1"), rules) == Onward()


@pytest.mark.parametrize("target", ["/commerce/hooks/stripe", "/.well-known/acme-challenge/x"])
def test_machines_are_not_sent_elsewhere(target: str) -> None:
    rules = traffic(redirects=[{"scheme": "http", "to": "https://$host$path"}], commerce=COMMERCE)
    assert course(make_request(target), rules) == Onward()
    assert isinstance(course(make_request("/commerce/checkout"), rules), Redirect)


@pytest.mark.parametrize(
    ("said", "field", "expected"),
    [
        ({"enabled": "yes"}, "enabled", "boolean"),
        ({"cookie": "staff"}, "cookie_sha256", "together"),
        ({"cookie_sha256": STAFF}, "cookie_sha256", "together"),
        ({"cookie": "staff", "cookie_sha256": "s3cret-and-long"}, "cookie_sha256", "match"),
        ({"allow": ["10.0.0.1/8"]}, "allow.0", "10.0.0.0/8"),
        ({"retry_after": 0}, "retry_after", "greater than or equal"),
        ({"json": "{"}, "json", "JSON, as text"),
        ({"path": "closed.html"}, "path", "begins with /"),
        ({"html": "x" * 65_537}, "html", "65536"),
        ({"message": "hello"}, "message", "Extra"),
    ],
)
def test_a_bad_switch_is_refused_where_it_is_bad(said: dict[str, Any], field: str, expected: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Site.model_validate({**SHOP, "maintenance": said})
    (error,) = refused.value.errors()
    assert ".".join(map(str, error["loc"])) == f"maintenance.{field}"
    assert expected in error["msg"]
