"""Two renderings are alike, or the place is told where they differ; what is somebody's own is noticed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.message import Fields
from edge.policy.likeness import Rendering, Traces, canary, difference, traces
from edge.policy.tokens import Hole, Pieces

HTML = Fields([("Content-Type", "text/html")])


def page(*pieces: bytes | Hole, status: int = 200, fields: Fields = HTML) -> Rendering:
    made: Pieces = pieces
    return Rendering(status, fields, made)


@pytest.mark.parametrize(
    ("one", "other", "where"),
    [
        (page(b"<p>same"), page(b"<p>same"), None),
        (page(b"a", Hole("t", 0), b"b"), page(b"a", Hole("t", 0, 2), b"b"), None),
        (page(b"a", Hole("t", 0), b"b"), page(b"a", Hole("t", 1), b"b"), "tokens, line 1"),
        (page(b"a", Hole("t", 0)), page(b"a"), "length, line 1"),
        (page(b"a"), page(b"a", status=404), "status"),
        (page(b"a"), page(b"a", fields=Fields([("Content-Type", "text/plain")])), "field content-type"),
        (page(b"a"), page(b"a", fields=HTML.plus(("Location", "/x"))), "field location"),
        (
            page(b'<body>\n<b class="who">Ani</b>'),
            page(b'<body>\n<b class="who">Budi</b>'),
            "line 2, after <b class=who>",
        ),
        (page(b'<p id="user-ani">'), page(b'<p id="user-budi">'), "line 1, in <p id>"),
        (page(b'<p id="x" data-who="ani">'), page(b'<p id="x" data-who="budi">'), "line 1, in <p data-who>"),
        (page(b"short"), page(b"short and more"), "line 1"),
    ],
)
def test_the_place_is_told(one: Rendering, other: Rendering, where: str | None) -> None:
    assert difference(one, other) == where
    assert difference(other, one) == where


def test_fields_are_compared_where_they_are_shared() -> None:
    one, other = (page(b"a", fields=HTML.plus(("Set-Cookie", value))) for value in ("a=1", "a=2"))
    assert difference(one, other) is None
    assert difference(one, other, ("set-cookie",)) == "field set-cookie"


@given(st.lists(st.text("ab<>\n='\"dip ", max_size=20), min_size=2, max_size=2), st.text("ab<\n", max_size=9))
def test_pages_are_alike_if_and_only_if_they_are_equal(texts: list[str], before: str) -> None:
    one, other = (page((before + text).encode()) for text in texts)
    assert (difference(one, other) is None) == (texts[0] == texts[1])


@given(st.text("xyz", min_size=1, max_size=20), st.text("uvw", min_size=1, max_size=20))
def test_the_place_never_tells_what_differs(mine: str, theirs: str) -> None:
    told = difference(page(f'<p id="{mine}">'.encode()), page(f'<p id="{theirs}">'.encode()))
    assert told == "line 1, in <p id>"


PROVEN = traces(b'<a href="mailto:info@shop.test">x</a><p>Hello, guest!</p>')


@pytest.mark.parametrize(
    ("text", "cookies", "what"),
    [
        (b"<p>Kopi Gayo</p>", (), None),
        (b"<p>mail to info@shop.test</p><b>Hello, guest!</b>", (), None),
        (b"<p>ani@rumah.test</p>", (), "e-mail address"),
        (b"<p>ani%40rumah.test</p>", (), "e-mail address"),
        (b"<p>ani&#64;rumah.test</p>", (), "e-mail address"),
        (b'<img src="logo@2x.png">', (), None),
        (b"<p>a @ b.c</p>", (), None),
        (b"<p> Hello, Ani </p>", (), "greeting"),
        (b"<p>Welcome back, <b>Ani</b></p>", (), "greeting"),
        (b"<p>Halo <span>Ani</span></p>", (), "greeting"),
        (b"<p>Signed in as Ani</p>", (), "greeting"),
        (b"<p>Hiking boots</p>", (), None),
        (b'<a href="/logout">x</a>', (), "way to log out"),
        (b"<a href='/x'>Keluar</a>", (), "way to log out"),
        (b"<a href='/x'>Sign out</a>", (), "way to log out"),
        (b"<p>session 12345678</p>", (("sid", "12345678"),), "value of cookie sid"),
        (b"<p>session 1234567</p>", (("sid", "1234567"),), None),
        (b"<p>ani budi citra</p>", (("who", "ani%20budi"),), "value of cookie who"),
        (b"<p>12345678</p>", (("sid", '"12345678"'),), "value of cookie sid"),
    ],
)
def test_what_is_somebodys_own_is_noticed(
    text: bytes, cookies: tuple[tuple[str, str], ...], what: str | None
) -> None:
    assert canary(text, PROVEN, cookies) == what


def test_traces_are_kept_as_digests() -> None:
    assert b"info@shop.test" not in b"".join(PROVEN.emails)
    assert PROVEN | Traces(leaving=True) == Traces(PROVEN.emails, PROVEN.greetings, True)


@given(st.binary(max_size=300))
def test_no_page_makes_it_raise(text: bytes) -> None:
    canary(text + b"@" + text, Traces(), (("a", "12345678"),))
