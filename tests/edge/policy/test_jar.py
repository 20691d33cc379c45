"""What Set-Cookie lines make of a visitor's cookies (RFC 6265 §5)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.cookies import cookies
from edge.http.message import Fields
from edge.policy.jar import Cookie, parse, with_cookies

DATE = 1_800_000_000  # 15 Jan 2027


@pytest.mark.parametrize(
    ("line", "cookie"),
    [
        ("a=1", Cookie("a", "1", "/p", "")),
        ("a=1; Path=/; HttpOnly", Cookie("a", "1", "/", "; Path=/; HttpOnly")),
        ("a=1; Path=x", Cookie("a", "1", "/p", "; Path=x")),
        ("a=b=c;Max-Age=60", Cookie("a", "b=c", "/p", "; Max-Age=60")),
        ("a=1; Max-Age=0", Cookie("a", None, "/p", "; Max-Age=0")),
        ("a=1; Max-Age=-1", Cookie("a", None, "/p", "; Max-Age=-1")),
        ("a=1; Max-Age=soon", Cookie("a", "1", "/p", "")),
        ("a=1; expires=Fri, 15-Jan-2027 08:01:00 GMT", Cookie("a", "1", "/p", "; Max-Age=60")),
        ("a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/", Cookie("a", None, "/", None)),
        ("a=1; Expires=Fri, 15 Jan 2027 08:01:00 GMT; Max-Age=5", Cookie("a", "1", "/p", "; Max-Age=5")),
        ("a=1; Expires=whenever", Cookie("a", "1", "/p", "")),
        ("a", None),
        ("=1", None),
        ("a\x01=1", None),
        ("", None),
    ],
)
def test_a_line_is_read(line: str, cookie: Cookie | None) -> None:
    parsed = parse(line, "/p/1", DATE)
    if cookie is not None and parsed is not None and cookie.tail is None:  # its age is not the point
        cookie = Cookie(cookie.name, cookie.value, cookie.path, parsed.tail)
    assert parsed == cookie


@given(st.text())
def test_any_line_may_come(line: str) -> None:
    parse(line, "/p/1", DATE)


@pytest.mark.parametrize(
    ("path", "asked", "fits"),
    [
        ("/", "/a/b", True),
        ("/a", "/a", True),
        ("/a", "/a/b", True),
        ("/a", "/ab", False),
        ("/a/", "/a", False),
    ],
)
def test_a_cookie_goes_where_its_path_says(path: str, asked: str, fits: bool) -> None:
    assert Cookie("a", "1", path, "").fits(asked) == fits


def test_news_take_the_place_of_what_was_there() -> None:
    fields = Fields([("Cookie", "a=1; b=2"), ("X", "y"), ("Cookie", "c=3")])
    set_by = [Cookie("a", "9", "/", ""), Cookie("c", None, "/", ""), Cookie("d", "4", "/x", "")]
    assert with_cookies(fields, set_by, "/p").lines == (("X", "y"), ("Cookie", "b=2; a=9"))
    assert with_cookies(fields, [], "/p") is fields
    assert with_cookies(Fields([("Cookie", "a=1")]), [Cookie("a", None, "/", "")], "/").lines == ()


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["1", "2", None]))))
def test_the_last_word_on_each_name_holds(said: list[tuple[str, str | None]]) -> None:
    fields = with_cookies(Fields([("Cookie", "a=0; z=0")]), [Cookie(*pair, "/", "") for pair in said], "/")
    wanted = {"a": "0", "z": "0", **dict(said)}
    assert dict(cookies(fields)) == {name: value for name, value in wanted.items() if value is not None}
