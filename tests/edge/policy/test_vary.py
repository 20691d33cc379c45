"""Vary (RFC 9111 §4.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.message import Fields
from edge.policy.vary import matches, nominated, normal, select
from tests.edge.policy.made import fields


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        ([], ()),
        (["Foo"], ("foo",)),
        (["Foo, bar", "FOO"], ("bar", "foo")),
        (["Accept-Encoding"], ()),
        (["*"], None),
        (["Foo, *"], None),
        (["*, Foo"], None),
        (["", "*"], None),
        (["Foo", "*"], None),
        (["*, *"], None),
    ],
)
def test_names_are_gathered_from_every_line_and_a_star_spoils_all(
    lines: list[str], names: tuple[str, ...] | None
) -> None:
    assert nominated(Fields(("Vary", line) for line in lines)) == names


@pytest.mark.parametrize(
    ("name", "one", "other", "same"),
    [
        ("foo", "1, 2", "1,2", True),
        ("foo", " 1", "1", True),
        ("foo", "1, 2", "2, 1", False),
        ("foo", "a", "A", False),
        ("foo", "", None, False),
        ("accept-language", "en, de", "DE,en", True),
        ("accept-language", "en, de;q=0.5", "en;q=0.5, de", False),
    ],
)
def test_differences_that_cannot_matter_do_not(name: str, one: str, other: str | None, same: bool) -> None:
    assert (normal(name, one) == normal(name, other)) is same


NAMES = st.sampled_from(["foo", "bar", "accept-language"])
REQUEST = st.dictionaries(NAMES, st.text("ab,; ", max_size=6)).map(lambda made: Fields(made.items()))


@given(st.lists(NAMES, unique=True), REQUEST, REQUEST)
def test_a_variant_fits_its_own_request_and_no_other(listed: list[str], mine: Fields, other: Fields) -> None:
    selection = select(tuple(listed), mine)
    assert matches(selection, Fields(), mine)
    differs = any(normal(name, mine.get(name)) != normal(name, other.get(name)) for name in listed)
    assert matches(selection, Fields(), other) is not differs


def test_an_answer_in_the_favourite_language_fits_whatever_else_was_asked_for() -> None:
    selection = select(("accept-language",), fields(accept_language="en, de"))
    german = fields(content_language="DE")
    assert matches(selection, german, fields(accept_language="fr;q=0.5, de"))
    assert not matches(selection, german, fields(accept_language="fr, de"))
    assert not matches(selection, fields(content_language="de, en"), fields(accept_language="de"))
    assert not matches(selection, german, Fields())
