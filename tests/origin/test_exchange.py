"""Conditions of a request hold or do not; none is so odd that it breaks the answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from origin.exchange import _has_it
from tests.origin.standing import NOON


@given(
    st.fixed_dictionaries({}, optional={"If-None-Match": st.text(), "If-Modified-Since": st.text()}),
    st.none() | st.floats(0, 4e9),
)
def test_no_condition_is_so_odd_that_it_breaks_the_page(
    fields: dict[str, str], modified: float | None
) -> None:
    class Asked:
        headers = fields

    assert _has_it(Asked(), '"0123456789"', modified) in (True, False)  # type: ignore[arg-type]


@pytest.mark.parametrize("year", ["0001", "9999"])
def test_times_at_the_ends_of_the_calendar_are_compared(year: str) -> None:
    fields = {"If-Modified-Since": f"Mon, 01 Jan {year} 00:00:00"}

    class Asked:
        headers = fields

    assert _has_it(Asked(), '"e"', NOON) is (year == "9999")  # type: ignore[arg-type]
