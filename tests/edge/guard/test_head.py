"""Heads that parsers pass and proxies must not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.guard.head import Target, framing, target
from edge.guard.refusal import Refusal
from edge.http.message import Fields


def at(raw: str, host: str | None = "shop.test", method: str = "GET", scheme: str = "http") -> object:
    fields = Fields([] if host is None else [("Host", host)])
    found = target(method, scheme, "1.1", raw, fields)
    return found.status if isinstance(found, Refusal) else tuple(found)


@pytest.mark.parametrize(
    ("raw", "host", "expected"),
    [
        ("/", "Shop.TEST", ("shop.test", "/", None)),
        ("/?", "shop.test", ("shop.test", "/", "")),
        ("/a?b?c", "shop.test", ("shop.test", "/a", "b?c")),
        ("/", "shop.test:80", ("shop.test", "/", None)),
        ("/", "shop.test:", ("shop.test", "/", None)),
        ("/", "shop.test:443", ("shop.test:443", "/", None)),
        ("/", "[::1]", ("[::1]", "/", None)),
        ("/", "[::1]:80", ("[::1]", "/", None)),
        ("/", "[::1]:81", ("[::1]:81", "/", None)),
        ("/", "", ("", "/", None)),
        ("//x/y", "shop.test", ("shop.test", "//x/y", None)),
        ("http://Other.test", "shop.test", ("other.test", "/", None)),
        ("http://other.test?q", "shop.test", ("other.test", "/", "q")),
        ("HTTPS://other.test:8443/x", "shop.test", ("other.test:8443", "/x", None)),
        ("http://u@other.test/", "shop.test", 400),
        ("http:///x", "shop.test", 400),
        ("/#", "shop.test", 400),
        ("x", "shop.test", 400),
        ("/", None, 400),
        ("/", "a,b", 400),
        ("/", "a b", 400),
        ("/", "a/b", 400),
        ("/", "[::1", 400),
        ("/", "a:123456", 400),
    ],
)
def test_where_a_request_goes(raw: str, host: str | None, expected: object) -> None:
    assert at(raw, host) == expected


def test_a_request_of_1_0_may_come_without_host() -> None:
    assert target("GET", "http", "1.0", "/", Fields()) == Target("", "/", None)


def test_https_has_its_own_default_port() -> None:
    assert at("/", "shop.test:443", scheme="https") == ("shop.test", "/", None)


@pytest.mark.parametrize(
    ("lines", "version", "status"),
    [
        ([], "1.1", None),
        ([("Content-Length", "0")], "1.0", None),
        ([("Transfer-Encoding", "Chunked")], "1.1", None),
        ([("Transfer-Encoding", "chunked")], "1.0", 400),
        ([("Transfer-Encoding", "")], "1.1", 400),
        ([("Transfer-Encoding", "identity")], "1.1", 400),
        ([("Transfer-Encoding", "gzip, chunked")], "1.1", 501),
        ([("Transfer-Encoding", "chunked, chunked")], "1.1", 400),
        ([("Transfer-Encoding", "chunked"), ("Content-Length", "1")], "1.1", 400),
        ([("Content-Length", "1"), ("Content-Length", "1")], "1.1", 400),
        ([("Content-Length", "")], "1.1", 400),
        ([("Content-Length", "1 ")], "1.1", 400),
        ([("Content-Length", "\u0661")], "1.1", 400),
        ([("Content-Length", "1" * 19)], "1.1", 400),
    ],
)
def test_a_length_that_can_be_read_two_ways_is_refused(
    lines: list[tuple[str, str]], version: str, status: int | None
) -> None:
    refusal = framing(version, Fields(lines))
    assert (None if refusal is None else refusal.status) == status
    assert refusal is None or refusal.close


@given(st.text(st.characters(max_codepoint=255)), st.text(st.characters(max_codepoint=255)))
def test_no_target_or_host_breaks_it(raw: str, host: str) -> None:
    found = target("GET", "http", "1.1", raw, Fields([("Host", host)]))
    if isinstance(found, Target):
        assert found.path.startswith("/")
        assert "#" not in found.path
        assert found.host == found.host.lower()
        assert not set(found.host) & set(" /\\@?#\t\r\n")
    else:
        assert found.status == 400
