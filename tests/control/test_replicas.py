"""Several controls on one PostgreSQL: one fleet, whichever of them a node or an operator reaches."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from control.backup import KEYS
from control.db.database import Database
from control.db.election import while_elected
from control.db.tables import samples
from control.fanout import Fanout, Seen
from control.health import SILENCE, Heard
from control.replicas import EVERY
from edge.document.problems import Refused
from edge.journal import Document
from geo.fleet import Health
from tests.control.planes import Control, controlling, healthy, joined
from tests.edge.scripted import Told, eventually, running
from tests.support.postgres import postgres


@contextlib.asynccontextmanager
async def replica(first: Control, name: str) -> AsyncIterator[Control]:
    """Another control on the database of `first`, with the fleet's keys."""
    directory = first.directory.parent / name
    directory.mkdir()
    for key in KEYS:
        shutil.copy(first.directory / key, directory / key)
    shutil.copy(first.directory / "first-run.json", directory / "first-run.json")
    async with controlling(directory, **first.settings) as other:
        yield other


class Explains(Told):
    async def command(self, verb: str, body: Document) -> Document:
        if body.get("url") == "nonsense":
            raise ValueError("got nonsense, expected a URL")
        return {"verb": verb, "url": body.get("url"), "by": "jakarta"}


async def test_a_fleet_of_two_controls_is_one_fleet(tmp_path: Path, postgres_url: str) -> None:
    async with (
        controlling(tmp_path / "one", database=postgres_url) as one,
        replica(one, "two") as two,
    ):
        jakarta, bandung = await joined(one, "jakarta"), await joined(two, "bandung")
        jakarta.told = Explains()
        async with running(jakarta.agent()), running(bandung.agent()):
            for control in (one, two):
                await healthy(control, "jakarta", "bandung")
            # a purge that one of them takes has the receipts of both nodes, for whoever asks
            _, order = await one.ask("POST", "/purges", {"kind": "tag", "value": "kopi"})
            for control in (one, two):
                status, done = await control.ask("GET", f"/purges/{order['id']}?wait=10")
                assert (status, done["done"]) == (200, True)
                assert [receipt["state"] for receipt in done["receipts"]] == ["applied", "applied"]
            # a node answers whichever control it is asked through, and its refusal comes through too
            for control in (one, two):
                status, told = await control.ask(
                    "POST", "/explain", {"url": "http://a.test/", "node": "jakarta"}
                )
                assert (status, told["by"]) == (200, "jakarta")
                status, refused = await control.ask(
                    "POST", "/explain", {"url": "nonsense", "node": "jakarta"}
                )
                assert (status, refused["detail"]) == (422, "got nonsense, expected a URL")
            # who is revoked at one is gone at the other
            assert (await two.ask("DELETE", "/nodes/jakarta"))[0] == 204
            await eventually(lambda: one.is_up.fanout.get("jakarta") is None)
            await eventually(lambda: two.is_up.fanout.get("jakarta") is None)
            assert one.is_up.fanout.mine() == []


async def test_one_runs_the_tasks_and_another_takes_over(tmp_path: Path, postgres_url: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        one = Control(tmp_path / "one", settings={"database": postgres_url})
        await one.start()
        two = await stack.enter_async_context(replica(one, "two"))
        node = await joined(two, "jakarta")
        await stack.enter_async_context(running(node.agent()))

        async def written() -> int:
            async with two.is_up.database.read() as connection:
                counted = select(func.count()).select_from(samples).where(samples.c.resolution == "second")
                return int((await connection.execute(counted)).scalar_one())

        async with asyncio.timeout(20):
            while await written() < 2:  # by the first, of a node that is connected to the second
                await asyncio.sleep(0.05)
        await one.stop()
        before = await written()
        async with asyncio.timeout(20):
            while await written() < before + 2:
                await asyncio.sleep(0.05)


async def test_of_many_that_want_to_be_elected_one_is_at_any_time(postgres_url: str) -> None:
    at_work: set[int] = set()
    most, ever = 0, set()

    async def candidate(number: int) -> None:
        async def work() -> None:
            nonlocal most
            at_work.add(number)
            ever.add(number)
            most = max(most, len(at_work))
            try:
                await asyncio.Event().wait()
            finally:
                at_work.discard(number)

        database = Database(postgres_url)
        try:
            await while_elected(database, work)
        finally:
            await database.close()

    tasks = {number: asyncio.create_task(candidate(number)) for number in range(4)}
    for _ in range(3):
        await eventually(lambda: len(at_work) == 1)
        (leader,) = at_work
        tasks[leader].cancel()
        await asyncio.gather(tasks.pop(leader), return_exceptions=True)
    await eventually(lambda: len(at_work) == 1)
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)
    assert (most, len(ever)) == (1, 4)


async def test_the_database_goes_and_comes_back_and_nothing_is_lost(
    tmp_path: Path, postgres_url: str
) -> None:
    server = postgres()
    async with controlling(tmp_path / "one", database=postgres_url) as one, replica(one, "two") as two:
        jakarta, bandung = await joined(one, "jakarta"), await joined(two, "bandung")
        async with running(jakarta.agent()), running(bandung.agent()):
            for control in (one, two):
                await healthy(control, "jakarta", "bandung")
            _, before = await one.ask("POST", "/purges", {"kind": "tag", "value": "before"})
            server.stop()
            try:
                status, problem = await one.ask("POST", "/purges", {"kind": "tag", "value": "meanwhile"})
                assert (status, problem["title"]) == (503, "Service Unavailable")
                gone = time.monotonic()
                while time.monotonic() - gone < SILENCE + 4 * EVERY:
                    for control in (one, two):  # nobody is called unhealthy because control can't read
                        states = {seen.name: seen.health for seen in control.is_up.fanout.all()}
                        assert set(states.values()) == {Health.HEALTHY}, states
                    await asyncio.sleep(0.1)
            finally:
                server.start()
            for control in (one, two):
                async with asyncio.timeout(20):
                    while (await control.ask("GET", "/nodes"))[0] != 200:
                        await asyncio.sleep(0.1)
            _, after = await two.ask("POST", "/purges", {"kind": "tag", "value": "after"})
            for order in (before, after):
                _, done = await one.ask("GET", f"/purges/{order['id']}?wait=20")
                assert [receipt["state"] for receipt in done["receipts"]] == ["applied", "applied"]
            for node in (jakarta, bandung):
                values = [event.body.get("value") for event in node.told.events if event.kind == "purge"]
                assert values == ["before", "after"]


async def test_a_control_without_the_fleets_keys_does_not_start(tmp_path: Path, postgres_url: str) -> None:
    async with controlling(tmp_path / "one", database=postgres_url) as one:
        with pytest.raises(Refused, match=r"state: got .*two without authority.key.*copy them there"):
            await Control(tmp_path / "two", settings=one.settings).start()
        assert not list((tmp_path / "two").iterdir()), "no new keys were made"
    async with controlling(tmp_path / "stranger"):
        pass
    with pytest.raises(Refused, match="state: got keys of another fleet"):
        await Control(tmp_path / "stranger", settings=one.settings).start()


async def test_a_database_that_does_not_answer_is_named(tmp_path: Path) -> None:
    control = Control(tmp_path / "one", settings={"database": f"postgresql://tepi@/none?host={tmp_path}"})
    with pytest.raises(Refused, match=r"database: got .*expected a database that answers"):
        await control.start()


# What is believed of other controls' words (control/fanout.py) ---------------------------------


def told(beats: int, good: int = 5, replica: str = "two") -> Seen:
    return Seen("jakarta", "edge", Heard(0.0, 0.0, good), replica=replica, beats=beats)


def test_an_old_row_proves_nothing_and_one_that_grows_does() -> None:
    fanout = Fanout(0.0)
    fanout.elsewhere(told(7), 1.0)
    assert fanout.judge(1.0) == {"jakarta": "unknown"}
    fanout.elsewhere(told(8), 2.0)
    assert fanout.judge(2.0) == {"jakarta": "healthy"}
    fanout.elsewhere(told(8), 2.0 + SILENCE + 0.1)
    assert fanout.judge(2.0 + SILENCE + 0.1) == {"jakarta": "unhealthy"}
    seen = fanout.get("jakarta")
    assert seen is not None
    assert not seen.connected


def test_ones_own_line_is_believed_before_anybody_elses_word() -> None:
    fanout = Fanout(0.0)
    fanout.connected("jakarta", "edge", "1.0")
    fanout.elsewhere(told(7), 1.0)
    fanout.elsewhere(told(8), 2.0)
    assert [seen.name for seen in fanout.mine()] == ["jakarta"]


def test_while_nothing_is_learnt_the_last_verdict_holds() -> None:
    fanout = Fanout(0.0)
    fanout.elsewhere(told(7), 1.0)
    fanout.elsewhere(told(8), 2.0)
    fanout.not_told(60.0)
    assert fanout.judge(62.0) == {"jakarta": "healthy"}
