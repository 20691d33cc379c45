"""When a trial has turned against the rest."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.rollout import ENOUGH, Side, side, turned

GOOD = Side(1000, 0.01, 0.90, 0.05)


def row(**counters: Any) -> dict[str, Any]:
    return {"requests": 0, "errors": 0, "hits": 0, "stale": 0, "latency": {}, **counters}


def test_rows_add_up_to_one_side() -> None:
    rows = [
        row(requests=60, errors=3, hits=40, stale=5, latency={"0.01": 50, "0.1": 6, "inf": 4}),
        row(requests=40, hits=35, latency={"0.01": 38, "0.1": 2, "inf": 0}),
    ]
    assert side(rows) == Side(100, 0.03, 0.8, 0.1)
    assert side([]) == Side(0, None, None, None)
    assert side([row(requests=2, latency={"0.01": 0, "inf": 2})]).p95 == float("inf")


@pytest.mark.parametrize(
    ("trial", "reason"),
    [
        (Side(1000, 0.031, 0.90, 0.05), "3.1% of its answers are errors, of the others' 1.0%"),
        (Side(1000, 0.01, 0.69, 0.05), "69.0% of its answers are hits, of the others' 90.0%"),
        (Side(1000, 0.01, 0.90, 0.25), "95 of 100 answers take up to 0.25 s, the others' up to 0.05 s"),
        (Side(1000, 0.029, 0.71, 0.1), None),
        (Side(ENOUGH - 1, 1.0, 0.0, 9.0), None),
        (Side(ENOUGH, 1.0, 0.90, 0.05), "100.0% of its answers are errors, of the others' 1.0%"),
    ],
)
def test_it_has_turned_when_it_is_worse_by_the_stated_margin(trial: Side, reason: str | None) -> None:
    assert turned(trial, GOOD) == reason


def test_with_too_few_answers_elsewhere_nobody_can_say() -> None:
    assert turned(Side(1000, 1.0, 0.0, 9.0), Side(ENOUGH - 1, 0.0, 1.0, 0.01)) is None


shares = st.floats(0, 1)
sides = st.builds(Side, st.integers(1, 10**9), shares, shares, st.floats(0, 10) | st.none())


@given(sides, sides)
def test_no_worse_in_anything_is_never_turned(one: Side, other: Side) -> None:
    assert one.errors is not None
    assert other.errors is not None
    assert one.hits is not None
    assert other.hits is not None
    better = Side(one.answers, min(one.errors, other.errors), max(one.hits, other.hits), other.p95)
    assert turned(better, other) is None
