"""Cache-Control and its targeted kin."""

from __future__ import annotations

from dataclasses import fields as fields_of
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.cache_control import (
    FOREVER,
    RequestDirectives,
    ResponseDirectives,
    delta_seconds,
    parse_request,
    parse_response,
    parse_targeted,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("max-age=60", ResponseDirectives(max_age=60)),
        ("MaX-aGe=60, S-MAXAGE=5", ResponseDirectives(max_age=60, s_maxage=5)),
        ("max-age=003600", ResponseDirectives(max_age=3600)),
        ('max-age="60"', ResponseDirectives(max_age=60)),
        ("max-age='60'", ResponseDirectives(max_age=0)),
        ("max-age=-60", ResponseDirectives(max_age=0)),
        ("max-age=60.5", ResponseDirectives(max_age=0)),
        ("max-age", ResponseDirectives(max_age=0)),
        ("max-age=10, max-age=60", ResponseDirectives(max_age=10)),
        ("max-age=99999999999999999999", ResponseDirectives(max_age=FOREVER)),
        ("max-age =60", ResponseDirectives()),
        ('extension="max-age=60", max-age=1', ResponseDirectives(max_age=1)),
        ("no-cache", ResponseDirectives(no_cache=True)),
        ('no-cache="Set-Cookie, X"', ResponseDirectives(no_cache_fields=frozenset({"set-cookie", "x"}))),
        ("no-cache=set-cookie", ResponseDirectives(no_cache_fields=frozenset({"set-cookie"}))),
        ('no-cache=""', ResponseDirectives(no_cache=True)),
        ('private="x"', ResponseDirectives(private_fields=frozenset({"x"}))),
        ("private, no-store", ResponseDirectives(private=True, no_store=True)),
        ("stale-while-revalidate=5, stale-if-error=x", ResponseDirectives(stale_while_revalidate=5)),
        (
            "public, must-revalidate, proxy-revalidate, must-understand, no-transform",
            ResponseDirectives(
                public=True,
                must_revalidate=True,
                proxy_revalidate=True,
                must_understand=True,
                no_transform=True,
            ),
        ),
        ("", ResponseDirectives()),
    ],
)
def test_responses(value: str, expected: ResponseDirectives) -> None:
    assert parse_response(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("max-age=0", RequestDirectives(max_age=0)),
        ("max-stale", RequestDirectives(max_stale=FOREVER)),
        ("max-stale=10, min-fresh=5", RequestDirectives(max_stale=10, min_fresh=5)),
        ("max-age=x, min-fresh", RequestDirectives()),
        (
            "no-cache, no-store, no-transform, only-if-cached",
            RequestDirectives(no_cache=True, no_store=True, no_transform=True, only_if_cached=True),
        ),
    ],
)
def test_requests(value: str, expected: RequestDirectives) -> None:
    assert parse_request(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("max-age=60", ResponseDirectives(max_age=60)),
        ("max-age=60;x=1, foobar=(a b)", ResponseDirectives(max_age=60)),
        ("max-age=99999999999", ResponseDirectives(max_age=FOREVER)),
        ("no-store, private", ResponseDirectives(no_store=True, private=True)),
        ('no-cache="x-a"', ResponseDirectives(no_cache_fields=frozenset({"x-a"}))),
        ("", None),
        ("max-age=60, &&&&", None),
        ('max-age="60"', None),
        ("max-age=60.0", None),
        ("max-age=-1", None),
        ("max-age", None),
        ("MAX-AGE=60", None),
        ("no-store=1", None),
        ("max-age= 60", None),
        ("caf\u20ac", None),
    ],
)
def test_targeted_fields_are_read_strictly_or_not_at_all(
    value: str, expected: ResponseDirectives | None
) -> None:
    assert parse_targeted(value) == expected


@given(st.integers(0, 2**40))
def test_seconds_round_trip_up_to_forever(seconds: int) -> None:
    assert delta_seconds(str(seconds)) == min(seconds, FOREVER)


@given(st.text())
def test_nothing_that_is_sent_makes_a_parser_raise(text: str) -> None:
    parse_response(text)
    parse_request(text)
    parse_targeted(text)
    delta_seconds(text)


@given(st.lists(st.sampled_from(["public", "foo", "max-age=5", 'x="no-store, private"', "no-transform"])))
def test_no_directive_appears_that_nobody_said(parts: list[str]) -> None:
    parsed = parse_response(", ".join(parts))
    assert not parsed.no_store and not parsed.private and not parsed.no_cache
    assert parsed.public == ("public" in parts)


NAMES = st.frozensets(st.sampled_from(["x-a", "set-cookie", "x-b"]), max_size=2)
SECONDS = st.none() | st.integers(0, FOREVER)


@st.composite
def directives(draw: st.DrawFn) -> ResponseDirectives:
    """Any directives: the plain form of no-cache and private, or the qualified one, or neither."""
    said: dict[str, Any] = {}
    for each in fields_of(ResponseDirectives):
        if each.name in ("no_cache", "private"):
            listed = draw(NAMES)
            said |= {each.name: not listed and draw(st.booleans()), f"{each.name}_fields": listed}
        elif each.name not in ("no_cache_fields", "private_fields"):
            said[each.name] = draw(SECONDS if each.default is None else st.booleans())
    return ResponseDirectives(**said)


def written(said: ResponseDirectives) -> str:
    words = []
    for each in fields_of(said):
        value, word = getattr(said, each.name), each.name.removesuffix("_fields").replace("_", "-")
        if isinstance(value, frozenset):
            words += [f'{word}="{", ".join(sorted(value))}"'] if value else []
        elif value is True:
            words.append(word)
        elif value is not None and value is not False:
            words.append(f"{word}={value}")
    return ", ".join(words)


@given(directives())
def test_directives_round_trip_in_either_kind_of_field(said: ResponseDirectives) -> None:
    assert parse_response(written(said)) == said
    assert parse_targeted(written(said)) == (said if written(said) else None)
