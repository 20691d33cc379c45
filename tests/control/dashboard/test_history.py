"""The fleet's history in memory, over a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from control.dashboard.history import SPANS, History
from control.db.database import Database, sqlite_url
from control.db.tables import samples
from control.samples import Resolution, Samples

NOW = 1_795_492_805.5


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(sqlite_url(tmp_path / "control.db"))
    await database.migrate()
    yield database
    await database.close()


async def counted(
    database: Database, at: int, node: str, resolution: Resolution = "second", **counters: Any
) -> None:
    async with database.write() as connection:
        await connection.execute(
            insert(samples).values(resolution=resolution, start=at, node=node, counters=counters)
        )


async def test_steps_sum_up_seconds_and_nodes(database: Database) -> None:
    end = int(NOW) // 10 * 10
    for at in (end - 10, end - 9):
        await counted(database, at, "jakarta", requests=5, latency={"0.1": 1})
        await counted(database, at, "frankfurt", requests=2)
    last = (await History(Samples(database)).buckets("15m", NOW))[-1]
    assert last.start == end - 10
    assert last.fleet == {"requests": 14, "latency": {"0.1": 2}}
    assert last.nodes["frankfurt"] == {"requests": 4}


async def test_a_step_in_which_nothing_was_heard_is_not_taken_for_zero(database: Database) -> None:
    await counted(database, int(NOW) - 300, "jakarta", requests=0)
    buckets = await History(Samples(database)).buckets("15m", NOW)
    assert len(buckets) == 90
    assert [bucket.fleet for bucket in buckets if bucket.fleet is not None] == [{"requests": 0}]


async def test_the_step_that_is_not_over_is_left_out_of_the_chart_but_counts_in_the_sum(
    database: Database,
) -> None:
    await counted(database, int(NOW), "jakarta", requests=7)
    history = History(Samples(database))
    assert all(bucket.fleet is None for bucket in await history.buckets("15m", NOW))
    assert (await history.over("15m", NOW))[0] == {"requests": 7}


async def test_rows_that_come_later_are_seen_and_none_is_counted_twice(database: Database) -> None:
    history = History(Samples(database))
    for second in range(30):
        await counted(database, int(NOW) + second, "jakarta", requests=1)
        whole, _ = await history.over("15m", NOW + second)
        assert whole == {"requests": second + 1}


async def test_sums_are_the_same_however_often_they_were_looked_at(database: Database) -> None:
    for second in range(0, 60, 7):
        await counted(database, int(NOW) - second, "jakarta", requests=1, latency={"0.1": second})
    often = History(Samples(database))
    for later in range(40):
        await often.over("15m", NOW + later)
        await often.buckets("15m", NOW + later)
    once = History(Samples(database))
    assert await often.over("15m", NOW + 40) == await once.over("15m", NOW + 40)
    assert await often.buckets("15m", NOW + 40) == await once.buckets("15m", NOW + 40)
    assert await often.last(10, NOW + 1) == await once.last(10, NOW + 1)


async def test_the_last_seconds_are_those_that_are_over(database: Database) -> None:
    for second in range(12):
        await counted(database, int(NOW) - second, "jakarta", requests=1)
    assert (await History(Samples(database)).last(10, NOW))[0] == {"requests": 10}


async def test_a_restart_that_adds_to_the_second_under_way_is_seen(database: Database) -> None:
    history = History(Samples(database))
    await counted(database, int(NOW), "jakarta", requests=1)
    await history.over("15m", NOW)
    async with database.write() as connection:
        await connection.execute(samples.update().values(counters={"requests": 3}))
    assert (await history.over("15m", NOW + 1))[0] == {"requests": 3}


async def test_what_no_chart_shows_any_more_is_forgotten(database: Database) -> None:
    history = History(Samples(database))
    await counted(database, int(NOW), "jakarta", requests=1)
    await history.over("15m", NOW)
    assert (await history.over("15m", NOW + 5000))[0] == {}
    assert history.size == 0


@pytest.mark.parametrize("range", list(SPANS))
async def test_each_range_reads_rows_of_its_own_resolution(database: Database, range: Any) -> None:
    for resolution in ("second", "minute", "hour"):
        await counted(database, int(NOW) - 60, "jakarta", resolution, **{resolution: 1})
    whole, _ = await History(Samples(database)).over(range, NOW)
    assert whole == {SPANS[range].resolution: 1}
