"""What clients prefer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.negotiation import (
    acceptable,
    choose_encoding,
    favourite_language,
    normal_languages,
    preferences,
)

OURS = ("br", "zstd", "gzip")


@pytest.mark.parametrize(
    ("value", "chosen"),
    [
        (None, None),
        ("", None),
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip, deflate, br, zstd", "br"),
        ("gzip;q=1.0, br;q=0.9", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("*", "br"),
        ("br;q=0, *", "zstd"),
        ("*;q=0", None),
        ("identity, gzip;q=0.5", None),
        ("identity;q=0.5, gzip;q=0.8", "gzip"),
        ("br;q=oops, gzip", "gzip"),
        ("br;q=1.001", None),
        ("br ; Q=0.5 , gzip ; q=0.4", "br"),
        ("deflate", None),
    ],
)
def test_the_clients_wish_comes_first_then_our_order(value: str | None, chosen: str | None) -> None:
    assert choose_encoding(value, OURS) == chosen


def test_identity_is_always_fine_unless_it_is_refused() -> None:
    assert acceptable("gzip", "identity") == 1.0
    assert acceptable("gzip, identity;q=0", "identity") == 0.0
    assert acceptable("gzip, *;q=0", "identity") == 0.0


@pytest.mark.parametrize(
    ("value", "normal"),
    [
        ("en, de", "de,en"),
        ("DE , eN", "de,en"),
        ("de;q=0.5, en", "en,de;q=0.5"),
        ("en;q=1.000, de;q=0.50", "en,de;q=0.5"),
    ],
)
def test_languages_have_one_spelling(value: str, normal: str) -> None:
    assert normal_languages(value) == normal


@pytest.mark.parametrize(
    ("value", "favourite"),
    [("de", "de"), ("fr;q=0.5, de", "de"), ("de, fr", None), ("", None), ("*", None), ("de;q=0", None)],
)
def test_a_favourite_is_one_language_above_all_others(value: str, favourite: str | None) -> None:
    assert favourite_language(value) == favourite


NAMES = st.sampled_from(["br", "gzip", "zstd", "identity", "*", "deflate"])
QUALITIES = st.integers(0, 1000)


@given(st.dictionaries(NAMES, QUALITIES))
def test_no_better_offer_is_left(wishes: dict[str, int]) -> None:
    value = ", ".join(f"{name};q={quality / 1000:.3f}" for name, quality in wishes.items())
    chosen = choose_encoding(value, OURS)
    if chosen is None:
        best = max((acceptable(value, offer) for offer in OURS), default=0)
        assert best == 0 or wishes.get("identity", 0) / 1000 > best
    else:
        assert acceptable(value, chosen) == max(acceptable(value, offer) for offer in OURS) > 0


@given(st.text())
def test_no_wish_makes_a_parser_raise(text: str) -> None:
    assert all(0 <= quality <= 1 for _, quality in preferences(text))
    choose_encoding(text, OURS)
    favourite_language(text)
    assert normal_languages(normal_languages(text)) == normal_languages(
        normal_languages(normal_languages(text))
    )
