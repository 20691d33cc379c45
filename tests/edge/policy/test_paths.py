"""Paths in one spelling, and patterns that capture: in linear time, and nothing that breaks out of a path."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.policy.paths import (
    LONGEST_PATH,
    Expression,
    Glob,
    covers,
    has_dot_segments,
    plain_path,
    plain_query,
)

ANYTHING = st.text(st.characters(max_codepoint=255), max_size=40)
STEPS = st.lists(st.sampled_from([".", "..", "a", "b%2e", "%2E%2e", "..x", "c;d", "%2F"]), max_size=8)


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        ("/p/kopi-gayo", "/p/kopi-gayo"),
        ("/%70/%7euser", "/p/~user"),
        ("/a%2fb", "/a%2Fb"),
        ("/a/./b/../c", "/a/c"),
        ("/a/%2e%2e/b", "/b"),
        ("/../..", "/"),
        ("/a/..", "/"),
        ("//evil.example", "//evil.example"),
        ("/caf\xc3\xa9", "/caf%C3%A9"),
        ('/a\\b"<>', "/a%5Cb%22%3C%3E"),
        ("/a\r\nb", "/a%0D%0Ab"),
        ("/50%", "/50%"),
    ],
)
def test_a_path_has_one_spelling(path: str, plain: str) -> None:
    assert plain_path(path) == plain


@given(ANYTHING)
def test_a_plain_path_is_a_path_and_plain(text: str) -> None:
    plain = plain_path(f"/{text}")
    assert plain.startswith("/")
    assert re.fullmatch(r"[!$%&'()*+,\-./0-9:;=@A-Z_a-z~]+", plain)
    assert plain_path(plain) == plain
    assert not has_dot_segments(plain.replace("%2F", "x").replace("%5C", "x"))


@given(STEPS)
def test_dot_segments_go_as_a_browser_has_them_go(steps: list[str]) -> None:
    path = "/" + "/".join(steps)
    browsers = urlsplit(urljoin("http://a.test/", re.sub("%2e", ".", path, flags=re.IGNORECASE))).path
    assert plain_path(path) == browsers


@given(ANYTHING)
def test_a_plain_query_can_not_end_its_line_or_itself(text: str) -> None:
    assert re.fullmatch(r"[!$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]*", plain_query(text))


@pytest.mark.parametrize(
    ("path", "has"),
    [
        ("/a/b", False), ("/a/..b", False), ("/a..", False), ("/...", False),
        ("/a/..", True), ("/a/./b", True), ("/a/%2e%2E/b", True), ("/a%2f..%2Fb", True), ("/a\\..\\b", True),
        ("/a/..;x/b", True), ("/a/%5c..", True),
    ],
)  # fmt: skip
def test_steps_out_are_seen_however_they_are_written(path: str, has: bool) -> None:
    assert has_dot_segments(path) is has


@pytest.mark.parametrize(
    ("pattern", "path", "captured"),
    [
        ("/a", "/a", {}),
        ("/a", "/a/", None),
        ("/old/*", "/old/", {"1": ""}),
        ("/old/*", "/old/x/y.html", {"1": "x/y.html"}),
        ("/old/*", "/olde", None),
        ("*", "/x", {"1": "/x"}),
        ("*.html", "/a/b.html", {"1": "/a/b"}),
        ("/*/p/*.html", "/de/p/p/1.html", {"1": "de", "2": "p/1"}),
        ("/a*b*c", "/abbcc", {"1": "", "2": "bc"}),
        ("/*/*", "/a", None),
        ("/ab*ba", "/aba", None),
        ("/caf\u00e9/*", "/caf%C3%A9/x", {"1": "x"}),
        ("/a(b)+*", "/a(b)+c", {"1": "c"}),
    ],
)
def test_stars_capture(pattern: str, path: str, captured: dict[str, str] | None) -> None:
    assert Glob(pattern).captured(path) == captured


@given(st.lists(st.text("ab/", max_size=4), min_size=1, max_size=5), st.text("ab/", max_size=20))
def test_a_glob_fits_what_its_expression_fits_and_its_captures_make_the_path(
    pieces: list[str], text: str
) -> None:
    pattern = Glob("/" + "*".join(pieces))
    path = f"/{text}"
    captured = pattern.captured(path)
    assert (captured is not None) == bool(re.fullmatch("/" + ".*".join(map(re.escape, pieces)), path))
    if captured is not None:
        made = "/" + pieces[0] + "".join(captured[str(at)] + piece for at, piece in enumerate(pieces[1:], 1))
        assert made == path
    assert pattern.captured(pattern.filled(text)) is not None


@pytest.mark.parametrize("text", ["", "old", "/a?b=1", "/a#b", "https://x/"])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a path that begins with /"):
        Glob(text)


def test_an_expression_fits_the_whole_path_and_captures_by_number_and_name() -> None:
    pattern = Expression(r"/p/(?P<number>[0-9]+)(\.html)?")
    assert pattern.names == {"1", "2", "number"}
    assert pattern.captured("/p/42") == {"1": "42", "2": "", "number": "42"}
    assert pattern.captured("/p/42.html/x") is None
    assert pattern.captured("/x/p/42") is None


@pytest.mark.parametrize("text", ["(", r"(a)\1", "(?=x)", "a{2000}", "(?:" + "x?" * 10 + "){500}"])
def test_an_expression_that_could_not_be_searched_in_linear_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="RE2's syntax"):
        Expression(text)


def test_no_path_can_stall_an_expression() -> None:
    """Python's own engine would need some 2^2000 steps for this one."""
    assert Expression("/(a+)+b").captured("/" + "a" * (LONGEST_PATH - 2)) is None
    assert Expression("/(a*)*").captured("/" + "a" * LONGEST_PATH) is None  # too long to be looked at
    assert Glob("/" + "*a" * 200 + "b").captured("/" + "a" * 30_000) is None


@pytest.mark.parametrize(
    ("prefix", "path", "is_covered"), [("/api", "/api/x", True), ("/api", "/apix", False), ("/", "/x", True)]
)
def test_a_prefix_covers_whole_segments(prefix: str, path: str, is_covered: bool) -> None:
    assert covers(prefix, path) is is_covered
