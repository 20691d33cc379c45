"""Tokens are found, masked into holes, and filled in again; nobody's token survives in a template."""

from __future__ import annotations

import html
import json
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from edge.http.message import Fields
from edge.policy.rules import TokenRule
from edge.policy.tokens import (
    LARGEST_PAGE,
    Hole,
    Token,
    fill,
    find,
    mask,
    meant,
    unreadable,
)

FORM = TokenRule("form", (r'name="_token" value="([^"]+)"', r'csrf-token" content="([^"]+)"'), "session")
KEY = TokenRule("key", (r"form_key\W+value=\W(\w{16})",), "cookie", "form_key")
RULES = (FORM, KEY)


def page_of(token: str, key: str) -> bytes:
    return (
        f'<meta name="csrf-token" content="{token}"><form><input name="_token" value="{token}"></form>'
        f'<input name="form_key" value="{key}"><script>const key = "{key}"</script>'
    ).encode()


def values_of(tokens: tuple[Token, ...]) -> dict[Hole, bytes]:
    return {token.hole: token.written for token in tokens}


def test_all_occurrences_of_each_token_become_holes() -> None:
    page = page_of("t" * 20, "k" * 16)
    pieces = mask(page, find(page, RULES))
    holes = [piece for piece in pieces if isinstance(piece, Hole)]
    assert holes == [Hole("form", 0), Hole("form", 0), Hole("key", 0), Hole("key", 0)]


def test_different_tokens_of_one_rule_are_counted() -> None:
    page = page_of("a" * 20, "k" * 16) + page_of("b" * 20, "k" * 16)
    assert [token.hole for token in find(page, RULES)] == [Hole("form", 0), Hole("form", 1), Hole("key", 0)]


def test_a_token_within_a_longer_one_does_not_split_it() -> None:
    page = page_of("a" * 20, "k" * 16) + page_of("a" * 30, "k" * 16)
    tokens = find(page, RULES)
    assert fill(mask(page, tokens), values_of(tokens).__getitem__) == page
    assert b"a" * 8 not in fill(mask(page, tokens), lambda hole: b"")


def test_what_is_too_short_is_no_token() -> None:
    assert find(page_of("short", "k" * 16), (FORM,)) == ()


def test_the_first_rule_that_finds_a_token_has_it() -> None:
    page = page_of("t" * 20, "k" * 16)
    again = TokenRule("again", FORM.find, "common")
    assert {token.hole.rule for token in find(page, (FORM, again))} == {"form"}


def test_a_page_without_tokens_is_one_piece() -> None:
    assert mask(b"<p>hello</p>", find(b"<p>hello</p>", RULES)) == (b"<p>hello</p>",)
    assert mask(b"", ()) == ()


@pytest.mark.parametrize(
    "spelled",
    [
        lambda it: quote(it, safe=""),
        lambda it: quote(it, safe="").replace("%2B", "%2b").replace("%2F", "%2f").replace("%3D", "%3d"),
        lambda it: it.replace("/", r"\/"),
        lambda it: it.replace("+", r"\u002B").replace("/", r"\u002F").replace("=", r"\u003D"),
        lambda it: it.replace("+", "&#43;").replace("/", "&#47;").replace("=", "&#61;"),
        lambda it: it.replace("+", "&#x2B;").replace("/", "&#x2F;").replace("=", "&#x3D;"),
        json.dumps,
        html.escape,
    ],
)
def test_a_token_goes_however_it_is_spelled(spelled) -> None:  # type: ignore[no-untyped-def]
    token = "q8+Zr/2LmX0vT5bN7y=="
    page = page_of(token, "k" * 16) + f"<a href='?t={spelled(token)}'>".encode()
    tokens = find(page, RULES)
    assert spelled(token).strip('"').encode() not in fill(mask(page, tokens), lambda hole: b"")
    assert fill(mask(page, tokens), values_of(tokens).__getitem__) == page
    assert {token.value for token in tokens if token.hole.rule == "form"} == {b"q8+Zr/2LmX0vT5bN7y=="}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (b"plain-1_2", b"plain-1_2"),
        (b"a&#43;b&#x2F;c&amp;d&quot;", b'a+b/c&d"'),
        (rb"a\u002Bb\/c\x3d", b"a+b/c="),
        (b"a&nbsp;b&#xFFFFFF;&#0;", b"a&nbsp;b\x00"),
        (rb"a\ud800b\\", b"ab\\"),
    ],
)
def test_escapes_are_read(written: bytes, value: bytes) -> None:
    assert meant(written) == value


@pytest.mark.parametrize(
    ("fields", "page", "why"),
    [
        ({"Content-Type": "text/html; charset=utf-8"}, "Kopi Gayo, é".encode(), None),
        ({"Content-Type": "text/html"}, b"<meta charset=iso-8859-1> caf\xe9", None),
        ({"Content-Type": 'text/html; charset="windows-1252"'}, b"caf\xe9", None),
        ({"Content-Type": "text/html"}, b"caf\xe9", "charset"),
        ({"Content-Type": "text/html; charset=utf-16"}, "hello".encode("utf-16"), "charset"),
        ({"Content-Type": "text/html"}, "hello".encode("utf-16"), "charset"),
        ({"Content-Type": "text/html; charset=utf-7"}, b"hello", "charset"),
        ({"Content-Type": "text/html", "Content-Encoding": "gzip"}, b"\x1f\x8b", "encoding"),
        ({"Content-Type": "text/html", "Content-Encoding": "identity"}, b"hello", None),
        ({}, b"a" * (LARGEST_PAGE + 1), "size"),
    ],
)
def test_what_can_not_be_searched_is_said(fields: dict[str, str], page: bytes, why: str | None) -> None:
    assert unreadable(Fields(fields.items()), page) == why


TOKENS = st.text(
    st.sampled_from("abcdefghijklmnopqrstuvwxyzABCDEF0123456789+/=-_.%&;#\\é"), min_size=8, max_size=40
)
TEXTS = st.lists(st.text(st.sampled_from("abcKopi <>&;'=/\n1é")), min_size=5, max_size=5)


@given(TOKENS, TOKENS, TEXTS)
@example("aaaaaaaa", "aaaaaaaaaaaa", ["a"] * 5)
def test_masking_and_filling_restores_the_page_and_leaves_no_token(
    one: str, other: str, around: list[str]
) -> None:
    assume(all(len(value.encode()) >= 8 for value in (one, other)))
    page = (
        f'{around[0]}<meta name="csrf-token" content="{one}">{around[1]}<input name="_token" value="{other}">'
        f"{around[2]}{one}{around[3]}{quote(other, safe='')}{around[4]}{one}{other}"
    ).encode()
    tokens = find(page, RULES)
    pieces = mask(page, tokens)
    assert fill(pieces, values_of(tokens).__getitem__) == page
    for piece in pieces:
        if isinstance(piece, bytes):
            assert all(token.written not in piece for token in tokens)
            assert all(value.encode() not in piece for value in (one, other))


@given(st.binary(max_size=300))
def test_no_page_makes_it_raise(page: bytes) -> None:
    found = find(b'name="_token" value="' + page, RULES)
    assert fill(mask(page, found), values_of(found).__getitem__) == page
    unreadable(Fields(), page)
