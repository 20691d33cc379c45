"""Invalidation (RFC 9111 §4.4)."""

from __future__ import annotations

import pytest

from edge.http.message import Fields
from edge.policy.invalidation import invalidated, is_unsafe
from edge.policy.key import url_of
from tests.edge.policy.made import fields
from tests.edge.stage import make_request


@pytest.mark.parametrize(
    ("method", "unsafe"),
    [
        ("GET", False),
        ("HEAD", False),
        ("OPTIONS", False),
        ("TRACE", False),
        ("POST", True),
        ("M-SEARCH", True),
        ("get", True),
    ],
)
def test_every_method_that_is_not_known_to_be_safe_may_change_something(method: str, unsafe: bool) -> None:
    assert is_unsafe(method) is unsafe


@pytest.mark.parametrize(
    ("method", "status", "answer", "urls"),
    [
        ("POST", 200, fields(), ["http://shop.test/p/1"]),
        ("POST", 303, fields(location="/p/2"), ["http://shop.test/p/1", "http://shop.test/p/2"]),
        (
            "PUT",
            201,
            fields(location="/p/1", content_location="3"),
            ["http://shop.test/p/1", "http://shop.test/p/3"],
        ),
        ("PUT", 201, fields(location="http://other.test/"), ["http://shop.test/p/1"]),
        ("POST", 404, fields(location="/p/2"), []),
        ("POST", 500, fields(), []),
        ("GET", 200, fields(location="/p/2"), []),
    ],
)
def test_a_change_outdates_its_target_and_what_it_names(
    method: str, status: int, answer: Fields, urls: list[str]
) -> None:
    keys = invalidated(make_request(method=method), status, answer)
    assert [url_of(key) for key in keys] == urls
