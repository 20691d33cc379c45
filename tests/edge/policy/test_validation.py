"""Validation (RFC 9111 §4.3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.message import Fields
from edge.policy.validation import (
    asking,
    can_ask,
    confirmed_by_head,
    not_modified,
    range_holds,
    selected_by,
    unconditional,
    updated,
)
from tests.edge.policy.made import fields, stored
from tests.edge.stage import T0, make_request

TAGGED = stored(fields(cache_control="max-age=5", etag='"1"', last_modified=-100, content_length="4"))
WEAK = stored(fields(cache_control="max-age=5", etag='W/"1"'))
ONLY_DATED = stored(fields(cache_control="max-age=5", last_modified=-100))
BARE = stored(fields(cache_control="max-age=5"))


def test_the_origin_is_asked_with_our_validators_not_the_visitors() -> None:
    request = make_request(
        fields={
            "If-None-Match": '"his"',
            "If-Modified-Since": "x",
            "Range": "bytes=0-1",
            "If-Range": "y",
            "A": "1",
        }
    )
    sent = asking(request, TAGGED).fields
    assert sent.get("if-none-match") == '"1"'
    assert sent.get("if-modified-since") == TAGGED.fields.get("last-modified")
    assert sent.get("a") == "1"
    assert "range" not in sent and "if-range" not in sent
    assert set(unconditional(request).fields.names()) == {"a"}
    assert asking(request, WEAK).fields.get("if-none-match") == 'W/"1"'


def test_only_an_entry_with_a_validator_can_be_asked_about() -> None:
    assert [can_ask(entry) for entry in (TAGGED, WEAK, ONLY_DATED, BARE)] == [True, True, True, False]


@pytest.mark.parametrize(
    ("entry", "said", "selected"),
    [
        (TAGGED, fields(), True),
        (TAGGED, fields(etag='"1"'), True),
        (TAGGED, fields(etag='"2"'), False),
        (TAGGED, fields(etag='W/"1"'), True),
        (TAGGED, fields(etag='W/"2"'), False),
        (WEAK, fields(etag='"1"'), True),
        (ONLY_DATED, fields(etag='"1"'), False),
        (ONLY_DATED, fields(last_modified=-100), True),
        (ONLY_DATED, fields(last_modified=-99), False),
        (TAGGED, fields(last_modified=-100), True),
        (TAGGED, fields(last_modified=-99), False),
        (TAGGED, fields(etag='"1"', last_modified=-99), True),
    ],
)
def test_a_304_selects_by_its_validator(entry: object, said: Fields, selected: bool) -> None:
    assert selected_by(entry, said) is selected  # type: ignore[arg-type]


def test_newer_fields_replace_stored_ones_but_not_those_of_the_bytes() -> None:
    kept = Fields([("A", "1"), ("B", "1"), ("B", "2"), ("Content-Length", "4"), ("Content-Encoding", "gzip")])
    newer = Fields(
        [("b", "3"), ("C", "4"), ("Content-Length", "0"), ("Content-Encoding", "br"), ("Content-Range", "x")]
    )
    assert updated(kept, newer) == Fields(
        [("A", "1"), ("Content-Length", "4"), ("Content-Encoding", "gzip"), ("b", "3"), ("C", "4")]
    )


@given(
    st.lists(st.tuples(st.sampled_from("AaBc"), st.sampled_from("12"))),
    st.lists(st.tuples(st.sampled_from("abD"), st.sampled_from("34"))),
)
def test_after_an_update_every_field_is_wholly_new_or_wholly_old(
    old: list[tuple[str, str]], new: list[tuple[str, str]]
) -> None:
    merged, before, after = updated(Fields(old), Fields(new)), Fields(old), Fields(new)
    for name in {*before.names(), *after.names()}:
        assert merged.all(name) == (after.all(name) if name in after else before.all(name))


@pytest.mark.parametrize(
    ("said", "confirmed"),
    [
        (fields(), True),
        (fields(etag='"1"', last_modified=-100, content_length="4"), True),
        (fields(etag='"2"'), False),
        (fields(last_modified=-99), False),
        (fields(content_length="5"), False),
        (fields(etag="malformed"), False),
    ],
)
def test_head_confirms_unless_something_differs(said: Fields, confirmed: bool) -> None:
    assert confirmed_by_head(TAGGED, said) is confirmed


@pytest.mark.parametrize(
    ("asked", "answer", "yes"),
    [
        (fields(), fields(etag='"1"'), False),
        (fields(if_none_match='"1"'), fields(etag='"1"'), True),
        (fields(if_none_match='W/"1"'), fields(etag='"1"'), True),
        (fields(if_none_match='"0", "1"'), fields(etag='W/"1"'), True),
        (fields(if_none_match="*"), fields(), True),
        (fields(if_none_match='"1"'), fields(), False),
        (fields(if_none_match='"0"', if_modified_since=0), fields(etag='"1"', last_modified=-100), False),
        (fields(if_modified_since=-100), fields(last_modified=-100), True),
        (fields(if_modified_since=-101), fields(last_modified=-100), False),
        (fields(if_modified_since="x"), fields(last_modified=-100), False),
        (fields(if_modified_since=0), fields(), True),
        (fields(if_modified_since=-1), fields(), False),
        (fields(if_modified_since=0), fields(last_modified="x"), False),
    ],
)
def test_a_visitor_is_told_when_he_has_it(asked: Fields, answer: Fields, yes: bool) -> None:
    assert not_modified(asked, 200, answer, int(T0)) is yes
    assert not not_modified(asked, 404, answer, int(T0))


@pytest.mark.parametrize(
    ("asked", "answer", "holds"),
    [
        (fields(), fields(), True),
        (fields(if_range='"1"'), fields(etag='"1"'), True),
        (fields(if_range='"1"'), fields(etag='W/"1"'), False),
        (fields(if_range='W/"1"'), fields(etag='W/"1"'), False),
        (fields(if_range='"1"'), fields(), False),
        (fields(if_range=-100), fields(last_modified=-100), True),
        (fields(if_range=-99), fields(last_modified=-100), False),
        (fields(if_range=0), fields(last_modified=0), False),
        (fields(if_range="x"), fields(last_modified=-100), False),
    ],
)
def test_ranges_hold_only_for_surely_the_same_bytes(asked: Fields, answer: Fields, holds: bool) -> None:
    assert range_holds(asked, answer, int(T0)) is holds
