"""Figures over time: what nodes counted, in seconds, minutes and hours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.db.database import Database, sqlite_url
from control.fanout import Fanout
from control.samples import KEPT, Resolution, Samples, delta, total
from edge.position import Position

HOUR = 1_800_000_000 // 3600 * 3600

counts = st.dictionaries(st.sampled_from("abc"), st.integers(0, 1000), min_size=1)
nested = st.fixed_dictionaries({"requests": st.integers(0, 1000), "seconds": counts})


@given(nested, nested)
def test_what_was_counted_since_then_and_before_is_what_is_counted_now(
    before: dict[str, Any], more: dict[str, Any]
) -> None:
    now = total(before, more)
    counted = delta(now, before)
    assert total(before, counted) == now


@given(nested, nested)
def test_nothing_is_ever_counted_backwards(before: dict[str, Any], now: dict[str, Any]) -> None:
    counted = delta(now, before)
    assert counted["requests"] >= 0
    assert all(value >= 0 for value in counted["seconds"].values())


@given(nested)
def test_a_restarted_node_counts_from_nothing(before: dict[str, Any]) -> None:
    now = {"requests": before["requests"] // 2}
    expected = now["requests"] - before["requests"] if now["requests"] >= before["requests"] else None
    assert delta(now, before)["requests"] == (now["requests"] if expected is None else expected)


@given(nested, nested, nested)
def test_sums_do_not_depend_on_their_order(
    one: dict[str, Any], other: dict[str, Any], third: dict[str, Any]
) -> None:
    assert total(total(one, other), third) == total(one, total(other, third))
    assert total(one, other) == total(other, one)


class Counting:
    """Two nodes whose counters a test moves."""

    def __init__(self, database: Database) -> None:
        self.samples = Samples(database)
        self.fanout = Fanout(0.0)
        self.counters: dict[str, dict[str, Any]] = {}

    def at(self, name: str, requests: int, role: str = "edge") -> None:
        self.fanout.connected(name, role, "1.0")
        self.fanout.beat(
            name, now=0.0, ready=True, position=None, head=Position("a", 0),
            counters={"requests": requests}, problems={},
        )  # fmt: skip

    async def take(self, now: float) -> None:
        await self.samples.take(self.fanout, now)

    async def rows(self, resolution: Resolution, start: float = 0, node: str | None = None) -> list[Any]:
        return [
            (row["start"], row["node"], row["counters"]["requests"])
            for row in await self.samples.since(resolution, start, node)
        ]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    made = Database(sqlite_url(tmp_path / "control.db"))
    await made.migrate()
    yield made
    await made.close()


async def test_each_second_holds_what_was_counted_in_it(database: Database) -> None:
    counting = Counting(database)
    for second, (jakarta, virginia) in enumerate([(10, 5), (13, 5), (13, 9)]):
        counting.at("jakarta", jakarta)
        counting.at("virginia", virginia)
        await counting.take(HOUR + second)
    assert await counting.rows("second", HOUR + 1) == [
        (HOUR + 1, "jakarta", 3), (HOUR + 1, "virginia", 0),
        (HOUR + 2, "jakarta", 0), (HOUR + 2, "virginia", 4),
    ]  # fmt: skip
    assert await counting.rows("second", HOUR + 2, "virginia") == [(HOUR + 2, "virginia", 4)]


async def test_what_a_node_counted_before_control_started_is_not_counted_again(database: Database) -> None:
    counting = Counting(database)
    counting.at("jakarta", 1_000_000)
    await counting.take(HOUR)
    assert await counting.rows("second") == [(HOUR, "jakarta", 0)]


async def test_minutes_and_hours_add_up_to_the_seconds(database: Database) -> None:
    counting = Counting(database)
    for second in range(0, 3600 * 2 + 1, 20):
        counting.at("jakarta", second * 3)
        await counting.take(HOUR + second)
    minutes = await counting.rows("minute")
    hours = await counting.rows("hour")
    assert len(minutes) == 120
    assert minutes[1] == (HOUR + 60, "jakarta", 180)
    assert [row[2] for row in hours] == [3580 * 3, 3600 * 3]
    assert sum(row[2] for row in minutes) == sum(row[2] for row in hours)


async def test_a_restart_of_control_adds_to_the_minute_that_was_open(database: Database) -> None:
    first = Counting(database)
    for second, requests in ((0, 0), (1, 10)):
        first.at("jakarta", requests)
        await first.take(HOUR + second)
    await first.samples.close()
    second_run = Counting(database)
    for second, requests in ((10, 30), (11, 35)):
        second_run.at("jakarta", requests)
        await second_run.take(HOUR + second)
    await second_run.samples.close()
    assert await second_run.rows("minute") == [(HOUR, "jakarta", 15)]
    assert await second_run.rows("hour") == [(HOUR, "jakarta", 15)]


async def test_old_rows_go(database: Database) -> None:
    counting = Counting(database)
    counting.at("jakarta", 1)
    await counting.take(HOUR)
    counting.at("jakarta", 2)
    await counting.take(HOUR + KEPT["second"] + 120)
    assert [row[0] for row in await counting.rows("second")] == [HOUR + KEPT["second"] + 120]
    assert [row[0] for row in await counting.rows("minute")] == [HOUR]


async def test_only_edge_nodes_are_counted(database: Database) -> None:
    counting = Counting(database)
    counting.at("ns1", 5, role="dns")
    await counting.take(HOUR)
    assert await counting.rows("second") == []
