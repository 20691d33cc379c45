"""Entity tags."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.etags import ETag, parse_etag, parse_etags

TAGS = st.builds(
    ETag, st.text(st.sampled_from("ab,\\ü/ W!")).map(lambda t: t.replace(" ", "")), st.booleans()
)


@pytest.mark.parametrize("text", [None, "", "abc", '"abc', 'w/"abc"', 'W"abc"', '"a b"', '"a"b"', "*"])
def test_what_is_malformed_is_no_tag(text: str | None) -> None:
    assert parse_etag(text) is None


@given(TAGS)
def test_tags_round_trip(tag: ETag) -> None:
    assert parse_etag(str(tag)) == tag


@given(st.lists(TAGS))
def test_lists_round_trip(tags: list[ETag]) -> None:
    assert parse_etags(", ".join(map(str, tags))) == tuple(tags)


def test_a_list_is_read_up_to_its_first_malformed_member() -> None:
    assert parse_etags('"a", , W/"b", c, "d"') == (ETag("a"), ETag("b", weak=True))
    assert parse_etags(" * ") is None


def test_strong_comparison_takes_two_strong_tags() -> None:
    strong, weak = ETag("a"), ETag("a", weak=True)
    assert strong.is_strongly(strong) and not strong.is_strongly(weak) and not weak.is_strongly(weak)
    assert strong.is_weakly(weak) and weak.is_weakly(weak) and not weak.is_weakly(ETag("b"))


def test_a_list_that_ends_with_a_line_break_ends() -> None:
    assert parse_etags("\n") == ()
    assert parse_etags('"a"\n') == ()


@given(st.text())
def test_nothing_makes_a_parser_raise(text: str) -> None:
    parse_etag(text)
    parse_etags(text)
