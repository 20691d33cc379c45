"""An origin's health, moment by moment."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.document.origins import HealthCheck
from edge.upstream.health import LONGEST_EJECTION, OriginHealth

CHECK = HealthCheck(rise=2, fall=3, eject=10.0)


def test_failures_in_a_row_eject_for_a_while() -> None:
    health = OriginHealth(CHECK)
    health.failed(0)
    health.failed(1)
    assert health.state(1) == "up"
    health.failed(2)
    assert health.state(2) == "ejected"
    assert health.state(11.9) == "ejected"
    assert health.state(12) == "up"


def test_an_answer_between_failures_starts_the_count_anew() -> None:
    health = OriginHealth(CHECK)
    for _ in range(5):
        health.failed(0)
        health.failed(0)
        health.answered()
    assert health.state(0) == "up"


def test_after_an_ejection_one_failure_doubles_it() -> None:
    health = OriginHealth(CHECK)
    for _ in range(3):
        health.failed(0)
    health.failed(10)
    assert health.state(29.9) == "ejected"
    assert health.state(30) == "up"
    health.answered()
    health.failed(31)
    assert health.state(31) == "up"


def test_requests_that_fail_during_an_ejection_do_not_lengthen_it() -> None:
    health = OriginHealth(CHECK)
    for moment in range(8):
        health.failed(moment)
    assert health.state(12) == "up"


def test_checks_take_an_origin_down_and_only_checks_bring_it_back() -> None:
    health = OriginHealth(CHECK)
    for _ in range(3):
        health.checked(good=False)
    health.answered()
    assert health.state(1000) == "down"
    health.checked(good=True)
    assert health.state(1000) == "down"
    health.checked(good=True)
    assert health.state(1000) == "up"


def test_good_checks_end_an_ejection() -> None:
    health = OriginHealth(CHECK)
    for _ in range(3):
        health.failed(0)
    health.checked(good=True)
    health.checked(good=True)
    assert health.state(0) == "up"


@given(st.lists(st.tuples(st.sampled_from(["failed", "answered"]), st.floats(0, 100)), max_size=60))
def test_without_checks_nobody_is_ever_out_for_good(events: list[tuple[str, float]]) -> None:
    health, now = OriginHealth(CHECK), 0.0
    for what, later in events:
        now += later
        if what == "failed":
            health.failed(now)
        else:
            health.answered()
    assert health.state(now + CHECK.eject * LONGEST_EJECTION) == "up"
