"""What a plugin wrote leaves afterwards: with its transaction, in order, until it is taken."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from origin.contract import Event
from origin.db.database import Database
from origin.db.tables import outbox
from origin.outbox import (
    LONGEST_PAUSE,
    Carrier,
    Kind,
    Outbox,
    Refused,
    Row,
    ToControl,
    ToHearers,
    Undeliverable,
)
from tests.origin.standing import Clock, database, eventually


async def rows(found: Database) -> list[Any]:
    async with found.read() as connection:
        return list(await connection.execute(select(outbox).order_by(outbox.c.number)))


async def put(found: Database, box: Outbox, *tags: str) -> None:
    async with found.write() as connection:
        await box.purge(connection, *tags)
    box.tell()


@contextlib.asynccontextmanager
async def delivering(box: Outbox, kind: Kind, carry: Carrier) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(box.deliver(kind, carry))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def all_done(found: Database) -> Callable[[], Awaitable[bool]]:
    async def done() -> bool:
        return all(row.done_at is not None for row in await rows(found))

    return done


class Recorder:
    """Takes rows, unless it is told to raise first."""

    def __init__(self, *raises: Exception) -> None:
        self.raises = list(raises)
        self.taken: list[str] = []
        self.tries = 0

    async def __call__(self, row: Row) -> Mapping[str, Any]:
        self.tries += 1
        if self.raises:
            raise self.raises.pop(0)
        self.taken.append(row.name)
        return {"taken": row.name}


async def test_a_purge_is_written_with_its_cause_or_not_at_all(tmp_path: Path) -> None:
    async with database(tmp_path) as found:
        box = Outbox(found, Clock(), lambda: 0.0)
        with pytest.raises(LookupError):
            async with found.write() as connection:
                await box.purge(connection, "product-1")
                raise LookupError
        assert await rows(found) == []
        await put(found, box, "product-1", "product-2", "product-1")
        assert [row.name for row in await rows(found)] == ["product-1", "product-2"]


async def test_rows_leave_in_order_and_their_receipts_are_kept(tmp_path: Path) -> None:
    async with database(tmp_path) as found:
        box, carrier = Outbox(found, Clock(), lambda: 0.0), Recorder()
        await put(found, box, *(f"t{number}" for number in range(120)))
        async with delivering(box, "purge", carrier):
            await eventually(all_done(found))
        assert carrier.taken == [f"t{number}" for number in range(120)]
        assert [row.receipt for row in await rows(found)][:2] == [{"taken": "t0"}, {"taken": "t1"}]


async def test_what_is_written_later_is_taken_at_once(tmp_path: Path) -> None:
    async with database(tmp_path) as found:
        box, carrier = Outbox(found, Clock(), lambda: 0.0), Recorder()
        async with delivering(box, "purge", carrier):
            await asyncio.sleep(0.1)
            await put(found, box, "late")
            async with asyncio.timeout(2):
                await eventually(all_done(found))
        assert carrier.taken == ["late"]


async def test_one_that_fails_holds_back_those_behind_it_and_backs_off(tmp_path: Path) -> None:
    clock = Clock()
    async with database(tmp_path) as found:
        box, carrier = (
            Outbox(found, clock, lambda: 0.0),
            Recorder(*(Undeliverable("away") for _ in range(12))),
        )
        await put(found, box, "first", "second")
        waits = []
        async with delivering(box, "purge", carrier):
            for number in range(1, 13):

                async def tried(number: int = number) -> bool:
                    return (await rows(found))[0].attempts == number

                await eventually(tried)
                first = (await rows(found))[0]
                assert (first.error, carrier.taken) == ("away", [])
                waits.append(first.next_at - clock.now)
                clock.now = first.next_at
                box.tell()
            await eventually(all_done(found))
        assert carrier.taken == ["first", "second"]
        assert waits[:4] == [0.25, 0.5, 1.0, 2.0]
        assert max(waits) == LONGEST_PAUSE / 2, "half of the longest, for the jitter was 0"
        assert [row.error for row in await rows(found)] == [None, None]


async def test_jitter_keeps_origins_from_trying_in_step(tmp_path: Path) -> None:
    waits = {}
    for chance in (0.0, 1.0):
        directory = tmp_path / str(chance)
        directory.mkdir()
        clock = Clock()
        async with database(directory) as found:
            box = Outbox(found, clock, lambda chance=chance: chance)
            await put(found, box, "t")
            async with delivering(box, "purge", Recorder(Undeliverable("away"))):

                async def tried() -> bool:
                    return bool((await rows(found))[0].attempts)

                await eventually(tried)
                waits[chance] = (await rows(found))[0].next_at - clock.now
    assert waits == {0.0: 0.25, 1.0: 0.75}


async def test_before_its_time_a_row_is_not_tried_again(tmp_path: Path) -> None:
    async with database(tmp_path) as found:
        box, carrier = Outbox(found, Clock(), lambda: 1.0), Recorder(Undeliverable("away"))
        await put(found, box, "t")
        async with delivering(box, "purge", carrier):
            for _ in range(5):
                await asyncio.sleep(0.02)
                box.tell()
        assert carrier.tries == 1


async def test_what_is_refused_for_good_does_not_hold_back_the_rest(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with database(tmp_path) as found:
        box, carrier = Outbox(found, Clock(), lambda: 0.0), Recorder(Refused("no such kind"))
        await put(found, box, "bad", "good")
        async with delivering(box, "purge", carrier):
            await eventually(all_done(found))
        bad, good = await rows(found)
        assert (bad.receipt, bad.error) == (None, "no such kind")
        assert (good.receipt, good.error) == ({"taken": "good"}, None)
    assert "bad is refused for good: no such kind" in caplog.text


async def test_a_database_that_fails_for_a_while_does_not_end_the_delivery(tmp_path: Path) -> None:
    async with database(tmp_path) as found:
        box = Outbox(found, Clock(), lambda: 0.0)
        carrier = Recorder(OperationalError("SELECT 1", {}, Exception("the disk is full")))
        await put(found, box, "t")
        async with delivering(box, "purge", carrier) as task:
            await eventually(all_done(found))
            assert not task.done()
        assert carrier.taken == ["t"]


async def test_a_restart_takes_up_what_was_left(tmp_path: Path) -> None:
    async with database(tmp_path) as found:
        await put(found, Outbox(found, Clock(), lambda: 0.0), "left")
    async with database(tmp_path) as found:
        carrier = Recorder()
        async with delivering(Outbox(found, Clock(), lambda: 0.0), "purge", carrier):
            await eventually(all_done(found))
        assert carrier.taken == ["left"]


# To control -------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def control(*statuses: int) -> AsyncIterator[tuple[str, list[Any]]]:
    """Something that speaks like control's API: these statuses, then 202; and what it was asked."""
    left, asked = list(statuses), []

    async def purges(request: web.Request) -> web.Response:
        asked.append(
            (request.headers["Authorization"], request.headers["Idempotency-Key"], await request.json())
        )
        status = left.pop(0) if left else 202
        return web.json_response({"id": "p1"} if status == 202 else {"detail": "no"}, status=status)

    app = web.Application()
    app.router.add_post("/api/v1/purges", purges)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield "http://{}:{}".format(*runner.addresses[0][:2]), asked
    finally:
        await runner.cleanup()


ROW = Row(7, "0123abcd", "product-kopi-gayo", {}, 0.0, 0)


async def test_a_purge_goes_to_control_with_token_and_idempotency_key() -> None:
    async with control() as (url, asked), aiohttp.ClientSession() as session:
        receipt = await ToControl(session, url + "/", "secret")(ROW)
    assert receipt == {"id": "p1"}
    assert asked == [("Bearer secret", "0123abcd", {"kind": "tag", "value": "product-kopi-gayo"})]


@pytest.mark.parametrize("status", [301, 401, 403, 404, 409, 429, 500, 503])
async def test_what_may_be_mended_is_tried_again_later(status: int) -> None:
    async with control(status) as (url, _), aiohttp.ClientSession() as session:
        with pytest.raises(Undeliverable, match=str(status)):
            await ToControl(session, url, "secret")(ROW)


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_what_control_understood_and_refused_is_refused_for_good(status: int) -> None:
    async with control(status) as (url, _), aiohttp.ClientSession() as session:
        with pytest.raises(Refused, match=f'{status}: {{"detail": "no"}}'):
            await ToControl(session, url, "secret")(ROW)


async def test_control_that_is_away_is_tried_again_later(unused_tcp_port: int) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(Undeliverable, match="can't be reached"):
            await ToControl(session, f"http://127.0.0.1:{unused_tcp_port}", "secret")(ROW)


async def test_a_retry_has_the_same_key_so_that_it_purges_once(tmp_path: Path) -> None:
    clock = Clock()
    async with database(tmp_path) as found, control(503, 500) as (url, asked):
        box = Outbox(found, clock, lambda: 0.0)
        await put(found, box, "t")

        async def done() -> bool:
            clock.now += 1
            box.tell()
            return await all_done(found)()

        async with (
            aiohttp.ClientSession() as session,
            delivering(box, "purge", ToControl(session, url, "secret")),
        ):
            await eventually(done)
        assert [key for _, key, _ in asked] == [(await rows(found))[0].id] * 3


# To hearers -------------------------------------------------------------------------------------


async def test_an_event_reaches_everyone_who_hears_it(tmp_path: Path) -> None:
    heard: list[tuple[str, Event]] = []

    def hearer(name: str) -> Callable[[Event], Awaitable[None]]:
        async def hear(event: Event) -> None:
            heard.append((name, event))

        return hear

    clock = Clock()
    async with database(tmp_path) as found:
        box = Outbox(found, clock, lambda: 0.0)
        async with found.write() as connection:
            id = await box.emit(connection, "order.paid", {"order": 1})
            await box.emit(connection, "order.unheard", {})
        hearers = {"order.paid": [hearer("ledger"), hearer("social")]}
        async with delivering(box, "event", ToHearers(hearers)):
            await eventually(all_done(found))
        event = Event(id, "order.paid", {"order": 1}, clock.now)
        assert heard == [("ledger", event), ("social", event)]
        assert [row.receipt for row in await rows(found)] == [{"hearers": 2}, {"hearers": 0}]


async def test_an_event_comes_again_until_every_hearer_took_it(tmp_path: Path) -> None:
    tries: list[str] = []

    async def fails_once(event: Event) -> None:
        tries.append(event.id)
        if len(tries) == 1:
            raise RuntimeError("not yet")

    clock = Clock()
    async with database(tmp_path) as found:
        box = Outbox(found, clock, lambda: 0.0)
        async with found.write() as connection:
            id = await box.emit(connection, "order.paid", {})
        async with delivering(box, "event", ToHearers({"order.paid": [fails_once]})):

            async def done() -> bool:
                clock.now += 1
                box.tell()
                return await all_done(found)()

            await eventually(done)
    assert tries == [id, id]


async def test_purges_and_events_do_not_wait_for_one_another(tmp_path: Path) -> None:
    async with database(tmp_path) as found:
        box, hearers = Outbox(found, Clock(), lambda: 0.0), Recorder()
        await put(found, box, "stuck")
        async with found.write() as connection:
            await box.emit(connection, "order.paid", {})
            await connection.execute(update(outbox).where(outbox.c.kind == "purge").values(next_at=1e12))
        async with delivering(box, "purge", Recorder()), delivering(box, "event", hearers):

            async def only_the_event_left() -> bool:
                return [row.done_at is None for row in await rows(found)] == [True, False]

            await eventually(only_the_event_left)
        assert hearers.taken == ["order.paid"]
