"""Patterns: exact ones, wildcards, and nothing that a regular expression would read into them."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.policy.patterns import NOTHING, Patterns


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("/checkout", "/checkout", True),
        ("/checkout", "/checkout/", False),
        ("/checkout/*", "/checkout/pay/now", True),
        ("*.css", "/a/b.css", True),
        ("*.css", "/a/bxcss", False),
        ("utm_?", "utm_a", True),
        ("utm_?", "utm_", False),
        ("a[b]", "a[b]", True),
        ("a*", "a\nb", True),
        ("(a|b)+*", "aa", False),
    ],
)
def test_a_pattern_fits_what_it_says(pattern: str, text: str, fits: bool) -> None:
    assert Patterns(("other", pattern)).fits(text) is fits


def test_no_patterns_fit_nothing() -> None:
    assert not NOTHING
    assert not NOTHING.fits("")


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_wildcards_mean_what_they_mean_elsewhere(pattern: str, text: str) -> None:
    assert Patterns((pattern,)).fits(text) is fnmatchcase(text, pattern)
