"""Token buckets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.guard.rate import Rate


def test_a_burst_passes_at_once_and_then_the_rate_holds() -> None:
    rate = Rate(per_second=2, burst=3)
    assert [rate.take("a", 0) for _ in range(3)] == [0, 0, 0]
    assert rate.take("a", 0) == pytest.approx(0.5)
    assert rate.take("a", 0.5) == 0
    assert rate.take("a", 0.6) == pytest.approx(0.4)
    assert rate.take("b", 0.6) == 0


def test_the_wait_that_is_told_is_enough() -> None:
    rate = Rate(per_second=3, burst=1)
    now = 0.0
    for _ in range(20):
        assert rate.take("a", now) == 0
        wait = rate.take("a", now)
        assert wait > 0
        now += wait


@given(
    per_second=st.floats(0.1, 1000),
    burst=st.integers(1, 50),
    gaps=st.lists(st.floats(0, 2), min_size=1, max_size=200),
)
def test_no_span_lets_more_through_than_burst_and_rate(
    per_second: float, burst: int, gaps: list[float]
) -> None:
    rate, now, passed = Rate(per_second, burst), 0.0, []
    for gap in gaps:
        now += gap
        if rate.take("a", now) == 0:
            passed.append(now)
    for first in range(0, len(passed), 7):
        span = passed[-1] - passed[first]
        assert len(passed) - first <= burst + span * per_second + 1e-3


def test_memory_stays_bounded_and_the_busy_are_remembered() -> None:
    rate = Rate(per_second=1, burst=1, remembered=10)
    assert rate.take("busy", 0) == 0
    for number in range(1000):
        rate.take(str(number), 0)
        rate.take("busy", number * 1.001)
    assert len(rate) == 10
    assert rate.take("busy", 999 * 1.001) > 0
