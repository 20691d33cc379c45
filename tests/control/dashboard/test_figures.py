"""What counters mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.dashboard.figures import Withheld, figures, percentile, withheld

BOUNDS = ("0.001", "0.01", "0.1", "1.0", "inf")
buckets = st.fixed_dictionaries({bound: st.integers(0, 10_000) for bound in BOUNDS})


def test_without_traffic_there_are_no_ratios() -> None:
    told = figures({}, 60)
    assert (told.requests, told.per_second) == (0, 0)
    assert (told.hit_ratio, told.error_ratio, told.p50, told.p99) == (None, None, None, None)


def test_refused_requests_do_not_spoil_the_hit_ratio() -> None:
    counted = {"requests": 200, "hits": 70, "stale": 10, "misses": 15, "revalidated": 5, "refused": 100}
    told = figures(counted, 10)
    assert told.per_second == 20
    assert told.hit_ratio == 0.8


def test_an_error_is_no_hit() -> None:
    told = figures({"requests": 4, "hits": 3, "errors": 1}, 1)
    assert (told.hit_ratio, told.error_ratio) == (0.75, 0.25)


def test_what_the_guard_kept_back_is_told_by_site_and_reason() -> None:
    counted = {"guard": {"shop": {"leak-guard": 2, "page-not-read": 0}, "other": {"leak-guard": 5}}}
    assert withheld(counted) == (Withheld("other", "leak-guard", 5), Withheld("shop", "leak-guard", 2))
    assert withheld({}) == ()


@pytest.mark.parametrize(("sent", "origin", "saved"), [(900, 100, 800), (100, 900, 0)])
def test_what_was_saved_is_never_less_than_nothing(sent: int, origin: int, saved: int) -> None:
    assert figures({"bytes_sent": sent, "bytes_origin": origin}, 1).bytes_saved == saved


def test_a_percentile_lies_on_the_straight_line_inside_its_bucket() -> None:
    assert percentile({"0.1": 0, "0.2": 100, "inf": 0}, 0.5) == pytest.approx(0.15)
    assert percentile({"0.1": 50, "0.2": 50, "inf": 0}, 0.99) == pytest.approx(0.198)


def test_beyond_the_last_bound_the_last_bound_is_all_that_is_known() -> None:
    assert percentile({"1.0": 1, "inf": 99}, 0.99) == 1.0


@given(buckets, st.floats(0.01, 1.0), st.floats(0.01, 1.0))
def test_a_higher_share_never_takes_less_time(counted: dict[str, int], one: float, other: float) -> None:
    low, high = (percentile(counted, share) for share in sorted((one, other)))
    if low is None or high is None:
        assert sum(counted.values()) == 0
    else:
        assert 0 <= low <= high <= 1.0
