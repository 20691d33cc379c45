"""The journal: no number is skipped, none is given twice, whoever writes and whoever reads."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import insert, update

from control.db.bells import listen
from control.db.database import CHANNEL, Database
from control.db.tables import counter, sites
from control.journal import Journal
from edge.journal import Event, Reader, Signer, parse, signed_frame
from edge.position import Position

WRITER = Path(__file__).with_name("writer.py")


@dataclass(slots=True)
class Desk:
    database: Database
    journal: Journal
    reader: Reader

    async def append(self, value: str) -> Position:
        async with self.database.write() as connection:
            position = await self.journal.append(connection, "purge", {"value": value})
        self.journal.tell()
        return position

    async def read(self, position: Position, count: int) -> list[Event]:
        """The next `count` events after `position`, verified."""
        events = []
        async with asyncio.timeout(20):
            async for at, signed in self.journal.follow(position):
                event = self.reader.event(parse(signed_frame("event", signed)))
                assert event.position == at
                events.append(event)
                if len(events) == count:
                    break
        return events


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    database = Database(database_url)
    await database.migrate()
    key = Ed25519PrivateKey.generate()
    journal = Journal(database, Signer(key), time.time, keep=50)
    await journal.begin()
    hearing = None
    if database.shared:
        hearing = asyncio.create_task(listen(database.url, CHANNEL, database.bells))
    yield Desk(database, journal, Reader(key.public_key()))
    if hearing is not None:
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)
    await database.close()


async def test_numbers_begin_at_one_and_follow_each_other(desk: Desk) -> None:
    start = await desk.journal.head()
    assert start.number == 0
    positions = [await desk.append(str(value)) for value in range(5)]
    assert [position.number for position in positions] == [1, 2, 3, 4, 5]
    assert {position.lineage for position in positions} == {start.lineage}
    assert await desk.journal.head() == positions[-1]


async def test_the_lineage_outlives_a_restart(desk: Desk) -> None:
    await desk.append("kopi")
    head = await desk.journal.head()
    again = Journal(desk.database, Signer(Ed25519PrivateKey.generate()), time.time)
    await again.begin()
    assert await again.head() == head


async def test_an_event_is_undone_with_its_transaction_and_its_number_given_again(desk: Desk) -> None:
    with contextlib.suppress(RuntimeError):
        async with desk.database.write() as connection:
            await desk.journal.append(connection, "purge", {"value": "lost"})
            raise RuntimeError
    await desk.append("kept")
    (event,) = await desk.read(Position((await desk.journal.head()).lineage, 0), 1)
    assert (event.position.number, event.body) == (1, {"value": "kept"})


async def test_a_follower_sees_what_comes_later(desk: Desk) -> None:
    start = await desk.journal.head()
    following = asyncio.create_task(desk.read(start, 3))
    for value in ("a", "b", "c"):
        await asyncio.sleep(0.02)
        await desk.append(value)
    assert [event.body["value"] for event in await following] == ["a", "b", "c"]


async def test_many_tasks_write_at_once_and_a_follower_misses_none(desk: Desk) -> None:
    start = await desk.journal.head()
    following = asyncio.create_task(desk.read(start, 100))
    await asyncio.gather(*(desk.append(str(value)) for value in range(100)))
    events = await following
    assert [event.position.number for event in events] == list(range(1, 101))
    assert sorted(int(event.body["value"]) for event in events) == list(range(100))


async def test_several_processes_write_at_once_and_a_follower_misses_none(desk: Desk) -> None:
    start = await desk.journal.head()
    following = asyncio.create_task(desk.read(start, 45))
    writers = [
        await asyncio.create_subprocess_exec(
            sys.executable, str(WRITER), desk.database.url, "15", f"w{number}",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            cwd=Path.cwd(),
        )
        for number in range(3)
    ]  # fmt: skip
    while any(writer.returncode is None for writer in writers):
        if not desk.database.shared:
            desk.journal.tell()  # other processes can't, on a file
        await asyncio.sleep(0.02)
    if not desk.database.shared:
        desk.journal.tell()
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    events = await following
    assert [event.position.number for event in events] == list(range(1, 46))
    assert len({event.body["value"] for event in events}) == 45
    for number in range(3):
        mine = [event.body["value"] for event in events if event.body["value"].startswith(f"w{number}")]
        assert mine == [f"w{number}-{at}" for at in range(15)]


async def test_old_events_go_and_whoever_needs_them_is_told_so(desk: Desk) -> None:
    start = await desk.journal.head()
    for value in range(120):
        await desk.append(str(value))
    assert not await desk.journal.reaches_back_to(start)
    assert not await desk.journal.reaches_back_to(Position(start.lineage, 49))
    assert await desk.journal.reaches_back_to(Position(start.lineage, 50))
    assert await desk.journal.reaches_back_to(Position(start.lineage, 120))
    assert [event.position.number for event in await desk.read(Position(start.lineage, 50), 70)] == list(
        range(51, 121)
    )


async def test_a_strange_position_is_not_resumed_from(desk: Desk) -> None:
    head = await desk.append("kopi")
    assert not await desk.journal.reaches_back_to(Position("elsewhere", 1))
    assert not await desk.journal.reaches_back_to(Position(head.lineage, 2))
    assert await desk.journal.is_behind(Position(head.lineage, 2))
    assert not await desk.journal.is_behind(Position("elsewhere", 2))
    assert not await desk.journal.is_behind(head)


async def test_a_new_lineage_ends_every_follower_of_the_old_one(desk: Desk) -> None:
    start = await desk.append("kopi")

    async def all_after(position: Position) -> list[Position]:
        return [at async for at, _ in desk.journal.follow(position)]

    following = asyncio.create_task(all_after(start))
    await asyncio.sleep(0.05)
    assert not following.done()
    await desk.journal.new_lineage()
    assert await asyncio.wait_for(following, 5) == []
    head = await desk.journal.head()
    assert (head.lineage != start.lineage, head.number) == (True, 1)
    await desk.append("susu")
    assert await asyncio.wait_for(all_after(start), 5) == []


async def test_a_restored_backup_gives_numbers_again_but_not_in_the_same_lineage(desk: Desk) -> None:
    old = [await desk.append(value) for value in ("a", "b", "c")]
    async with desk.database.write() as connection:  # as after restoring a copy from before b and c
        await connection.execute(update(counter).values(number=1))
    await desk.journal.new_lineage()
    assert not any([await desk.journal.reaches_back_to(position) for position in old])


async def test_a_snapshot_holds_what_there_is_and_is_signed(desk: Desk) -> None:
    async with desk.database.write() as connection:
        await connection.execute(insert(sites).values(name="shop", document={"name": "shop"}, changed_at=0.0))
        await desk.journal.append(connection, "site.put", {"name": "shop"})
    position, signed = await desk.journal.snapshot()
    snapshot = desk.reader.snapshot(parse(signed_frame("snapshot", signed)))
    assert snapshot.position == position == await desk.journal.head()
    assert [dict(site) for site in snapshot.sites] == [{"name": "shop"}]


async def test_text_of_every_script_is_signed_as_it_travels(desk: Desk) -> None:
    start = await desk.journal.head()
    value = "kopi ☕ \u2028 \x00 \U0001f1ee\U0001f1e9"
    await desk.append(value)
    (event,) = await desk.read(start, 1)
    assert event.body["value"] == value
    assert json.loads(json.dumps(event.body["value"])) == value
