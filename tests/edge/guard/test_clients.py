"""What workers count of clients together: each sees what all have."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.guard.clients import KEY, Clients, SharedConnections, SharedRate, make
from edge.guard.rate import Rate

WORKERS = 3


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clients") / "clients"


def workers(file: Path) -> list[Clients]:
    make(file, WORKERS, bytes(range(KEY)))
    return [Clients(file, own, WORKERS) for own in range(WORKERS)]


steps = st.lists(st.tuples(st.integers(0, WORKERS - 1), st.integers(0, 20), st.booleans()), max_size=60)


@given(steps=steps)
def test_every_worker_sees_what_all_hold(file: Path, steps: list[tuple[int, int, bool]]) -> None:
    counts = [SharedConnections(each) for each in workers(file)]
    held: Counter[tuple[int, str]] = Counter()
    for worker, number, opens in steps:
        address = f"203.0.113.{number}"
        if opens:
            held[worker, address] += 1
            together = sum(count for (_, who), count in held.items() if who == address)
            assert counts[worker].opened(address) == together
        elif held[worker, address]:
            held[worker, address] -= 1
            counts[worker].closed(address)
        else:
            continue
        assert counts[worker].of_node == sum(held.values())
        assert counts[worker].total == sum(n for (who, _), n in held.items() if who == worker)


def test_who_takes_a_dead_workers_place_begins_at_nothing(file: Path) -> None:
    first, second, _ = (SharedConnections(each) for each in workers(file))
    for _ in range(5):
        first.opened("203.0.113.1")
    assert second.opened("203.0.113.1") == 6
    again = SharedConnections(Clients(file, 0, WORKERS))
    assert again.opened("203.0.113.1") == 2


@given(
    asked=st.lists(st.tuples(st.integers(0, WORKERS - 1), st.integers(0, 5), st.floats(0, 2)), max_size=60)
)
def test_a_rate_is_the_nodes_not_each_workers(file: Path, asked: list[tuple[int, int, float]]) -> None:
    alone = Rate(2.0, 3)
    together = [SharedRate(2.0, 3, each) for each in workers(file)]
    now = 1000.0
    for worker, number, later in asked:
        now += later
        who = f"203.0.113.{number}"
        assert together[worker].take(who, now) == pytest.approx(alone.take(who, now))


def test_clients_that_share_one_cell_are_not_taken_for_each_other(file: Path) -> None:
    first, *_ = (SharedConnections(each) for each in workers(file))
    told = [first.opened(f"198.51.{n // 250}.{n % 250}") for n in range(3000)]
    assert sum(each > 1 for each in told) < 400  # of one cell alone it would be a third
    assert max(told) <= 3
