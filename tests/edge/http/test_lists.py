"""Lists, names and quoted strings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.lists import members, names, quote, unquote


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("a, b ,,c", ["a", "b", "c"]),
        ('a="x, y", b', ['a="x, y"', "b"]),
        (r'a="x\", y", b', [r'a="x\", y"', "b"]),
        ('"open, a', ['"open', "a"]),
        (", ,", []),
        ("", []),
    ],
)
def test_commas_separate_unless_they_are_quoted(value: str, parts: list[str]) -> None:
    assert members(value) == parts


def test_names_are_lower_case() -> None:
    assert names("Accept, , X-Foo") == ("accept", "x-foo")


@given(st.text())
def test_quoting_round_trips(text: str) -> None:
    assert unquote(quote(text)) == text


@given(st.lists(st.text()))
def test_quoted_members_come_out_as_they_went_in(texts: list[str]) -> None:
    assert [unquote(member) for member in members(", ".join(map(quote, texts)))] == texts


@given(st.text())
def test_splitting_never_raises_and_leaves_no_empty_member(text: str) -> None:
    assert all(members(text))
