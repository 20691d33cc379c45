"""Fields that end at this hop, and loops."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.hops import HOP_BY_HOP, end_to_end, went_through
from edge.http.message import Fields


def test_hop_by_hop_fields_and_those_that_connection_names_end_here() -> None:
    fields = Fields(
        [("Connection", "close, X-Foo"), ("x-foo", "1"), ("TE", "trailers"), ("A", "2"), ("a", "3")]
    )
    assert end_to_end(fields) == Fields([("A", "2"), ("a", "3")])


def test_connection_cannot_take_away_what_routes_or_guards_a_message() -> None:
    fields = Fields(
        [("Connection", "host, authorization, content-length"), ("Host", "a"), ("Authorization", "b")]
    )
    assert set(end_to_end(fields).names()) == {"host", "authorization"}


def test_fields_that_all_travel_are_not_copied() -> None:
    fields = Fields([("A", "1")])
    assert end_to_end(fields) is fields


@given(st.lists(st.tuples(st.sampled_from([*HOP_BY_HOP, "a", "b"]), st.sampled_from(["a", "b", "close, b"]))))
def test_nothing_hop_by_hop_ever_gets_through(lines: list[tuple[str, str]]) -> None:
    once = end_to_end(Fields(lines))
    assert not HOP_BY_HOP & set(once.names())
    assert end_to_end(once) == once


@pytest.mark.parametrize(
    ("value", "looped"),
    [("tepi", True), ("a, TEPI; x=1", True), ("tepid", False), ('a;b="x, tepi"', False), ("", False)],
)
def test_a_loop_is_told_by_our_name(value: str, looped: bool) -> None:
    assert went_through(Fields([("CDN-Loop", value)]), "tepi") is looped


def test_without_the_field_there_is_no_loop() -> None:
    assert not went_through(Fields(), "tepi")
