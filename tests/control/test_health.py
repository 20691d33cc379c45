"""Health as control judges it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.fanout import Fanout
from control.health import COLD, RISE, SILENCE, Heard, verdict
from edge.position import Position
from geo.fleet import Health

HEAD = Position("a", 5)


@pytest.mark.parametrize(
    ("heard", "before", "now", "expected"),
    [
        pytest.param(Heard(0.0), Health.UNKNOWN, 1.0, Health.UNKNOWN, id="cold-start"),
        pytest.param(Heard(0.0), Health.UNKNOWN, COLD, Health.UNHEALTHY, id="never-heard"),
        pytest.param(Heard(0.0, 5.0, RISE), Health.UNKNOWN, 5.0, Health.HEALTHY, id="risen"),
        pytest.param(Heard(0.0, 5.0, RISE - 1), Health.UNKNOWN, 5.0, Health.UNKNOWN, id="rising-from-cold"),
        pytest.param(Heard(0.0, 5.0, RISE - 1), Health.UNHEALTHY, 5.0, Health.UNHEALTHY, id="rising"),
        pytest.param(Heard(0.0, 5.0, 0), Health.HEALTHY, 5.0, Health.UNHEALTHY, id="says-it-is-not-ready"),
        pytest.param(Heard(0.0, 5.0, 9), Health.HEALTHY, 5.0 + SILENCE, Health.HEALTHY, id="still-heard"),
        pytest.param(Heard(0.0, 5.0, 9), Health.HEALTHY, 5.1 + SILENCE, Health.UNHEALTHY, id="silent"),
    ],
)
def test_a_verdict(heard: Heard, before: Health, now: float, expected: Health) -> None:
    assert verdict(heard, before, now) is expected


@given(
    st.one_of(st.none(), st.floats(0, 1e6)), st.integers(0, 10), st.sampled_from(Health), st.floats(0, 1e6)
)
def test_unknown_is_only_for_who_was_never_judged(
    beat: float | None, good: int, before: Health, now: float
) -> None:
    found = verdict(Heard(0.0, beat, good), before, now)
    if found is Health.UNKNOWN and beat is not None:
        assert before is Health.UNKNOWN
    if found is Health.HEALTHY:
        assert beat is not None
        assert now - beat <= SILENCE


def beat(fanout: Fanout, now: float, *, ready: bool = True, number: int = 5, lineage: str = "a") -> None:
    fanout.beat(
        "jakarta", now=now, ready=ready, position=Position(lineage, number), head=HEAD,
        counters={}, problems={},
    )  # fmt: skip


@pytest.fixture
def fanout() -> Fanout:
    made = Fanout(0.0)
    made.connected("jakarta", "edge", "1.0")
    return made


def test_a_node_is_healthy_after_good_heartbeats_in_a_row(fanout: Fanout) -> None:
    beat(fanout, 1.0)
    assert fanout.judge(1.0) == {"jakarta": "unknown"}
    beat(fanout, 2.0)
    assert fanout.judge(2.0) == {"jakarta": "healthy"}


def test_one_heartbeat_that_is_not_ready_ends_it_and_two_bring_it_back(fanout: Fanout) -> None:
    for now in (1.0, 2.0):
        beat(fanout, now)
    fanout.judge(2.0)
    beat(fanout, 3.0, ready=False)
    assert fanout.judge(3.0) == {"jakarta": "unhealthy"}
    beat(fanout, 4.0)
    assert fanout.judge(4.0) == {"jakarta": "unhealthy"}
    beat(fanout, 5.0)
    assert fanout.judge(5.0) == {"jakarta": "healthy"}


def test_an_event_on_its_way_does_not_make_a_node_unhealthy(fanout: Fanout) -> None:
    for now in (1.0, 2.0):
        beat(fanout, now)
    fanout.judge(2.0)
    beat(fanout, 3.0, number=4)
    assert fanout.judge(3.0) == {"jakarta": "healthy"}


@pytest.mark.parametrize(("number", "lineage"), [(4, "a"), (9, "b")])
def test_a_node_that_has_not_caught_up_does_not_become_healthy(
    fanout: Fanout, number: int, lineage: str
) -> None:
    for now in range(1, 20):
        beat(fanout, float(now), number=number, lineage=lineage)
        assert fanout.judge(float(now)) == {"jakarta": "unknown"}


def test_after_silence_good_heartbeats_are_counted_anew(fanout: Fanout) -> None:
    for now in (1.0, 2.0):
        beat(fanout, now)
    assert fanout.judge(2.0 + SILENCE + 0.1) == {"jakarta": "unhealthy"}
    beat(fanout, 20.0)
    assert fanout.judge(20.0) == {"jakarta": "unhealthy"}
    beat(fanout, 21.0)
    assert fanout.judge(21.0) == {"jakarta": "healthy"}


def test_silence_while_control_itself_slept_does_not_count(fanout: Fanout) -> None:
    for now in (1.0, 2.0):
        beat(fanout, now)
    fanout.slept(60.0)
    assert fanout.judge(63.0) == {"jakarta": "healthy"}
    assert fanout.judge(62.0 + SILENCE + 0.1) == {"jakarta": "unhealthy"}


def test_a_revoked_node_is_forgotten_and_its_late_words_pass_unheard(fanout: Fanout) -> None:
    fanout.forget("jakarta")
    beat(fanout, 1.0)
    fanout.acknowledged("jakarta", HEAD)
    fanout.disconnected("jakarta")
    assert fanout.judge(1.0) == {}
    assert fanout.get("jakarta") is None


def test_a_drained_node_is_draining_while_it_is_well_and_unhealthy_when_it_is_not(fanout: Fanout) -> None:
    fanout.drain("jakarta", True)
    for now in (1.0, 2.0):
        beat(fanout, now)
    assert fanout.judge(2.0) == {"jakarta": "draining"}
    assert fanout.judge(2.0 + SILENCE + 0.1) == {"jakarta": "unhealthy"}
    for now in (20.0, 21.0):
        beat(fanout, now)
    assert fanout.judge(21.0) == {"jakarta": "draining"}
    fanout.drain("jakarta", False)
    assert fanout.judge(21.0) == {"jakarta": "healthy"}
