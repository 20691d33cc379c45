"""A node of three workers, from outside: processes that are killed, stopped, hung up on and ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.edge.crews import ID, Crew, crew
from tests.edge.nodes import document
from tests.edge.wires import Heard, Origin, answer, eventually, origin

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("workers")]

WORKERS = 3


@dataclass(slots=True)
class Shop:
    """An origin whose pages change when a test says so; what it was asked for is kept."""

    version: str = "one"
    origin: Origin | None = None

    async def script(self, heard: Heard, writer: asyncio.StreamWriter) -> None:
        lifetime = "no-store" if heard.target.startswith(("/fresh", "/who")) else "max-age=3600"
        body = f"{self.version} {heard.target}".encode()
        writer.write(answer(body, "200 OK", f"Cache-Control: {lifetime}", "Cache-Tag: all"))


@dataclass(slots=True)
class Load:
    """Visitors who keep asking. What broke is told by the process that they were talking to."""

    node: Crew
    answers: int = 0
    bodies: set[bytes] = field(default_factory=set)
    broken: list[str] = field(default_factory=list)
    stopped: bool = False
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def visitor(self) -> None:
        """Keeps one connection for ten requests, then takes another."""
        while not self.stopped:
            talked_to = ""
            async with self.node.visit() as visit:
                for turn in range(10):
                    if self.stopped:
                        break
                    visit.say("GET", f"/fresh/{self.answers}")
                    try:
                        reply = await visit.hear(seconds=30)
                    except (ConnectionError, asyncio.IncompleteReadError):
                        self.broken.append(talked_to or "nobody yet")
                        break
                    assert reply.status == 200
                    talked_to = reply.fields["x-request-id"][ID]
                    self.answers += 1
                    self.bodies.add(reply.body.split()[0])
                    assert turn == 9 or "close" not in reply.fields.get("connection", "")

    def start(self, visitors: int) -> None:
        self.tasks = [asyncio.create_task(self.visitor()) for _ in range(visitors)]

    async def more(self, answers: int = 100) -> None:
        """Until so many more requests have been answered."""
        target = self.answers + answers
        await eventually(lambda: self.answers >= target or any(task.done() for task in self.tasks), 60)

    async def stop(self) -> None:
        self.stopped = True
        await asyncio.gather(*self.tasks)


def configuration(shop: Origin, **changes: Any) -> dict[str, Any]:
    return document(shop.url, workers=WORKERS, drain_seconds=0.5, log={"access": "json"}, **changes)


@pytest.fixture(scope="module")
def shop() -> Shop:
    return Shop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(tmp_path_factory: pytest.TempPathFactory, shop: Shop) -> AsyncIterator[Crew]:
    async with origin(shop.script) as behind:
        shop.origin = behind
        async with crew(tmp_path_factory.mktemp("workers"), configuration(behind)) as made:
            yield made


async def test_a_cold_key_is_fetched_once_a_node(node: Crew, shop: Shop) -> None:
    assert shop.origin is not None
    async with node.one_each(WORKERS) as visits:
        for turn in range(20):
            for visit in visits:
                visit.say("GET", f"/cold/{turn}")
            assert {(await visit.hear()).body for visit in visits} == {f"one /cold/{turn}".encode()}
    await asyncio.gather(*(node.get("/cold/storm") for _ in range(60)))
    fetched = [heard.target for heard in shop.origin.heard if heard.target.startswith("/cold/")]
    assert sorted(fetched) == sorted([*(f"/cold/{turn}" for turn in range(20)), "/cold/storm"])


async def test_every_answer_is_counted_once_in_one_scrape_and_logged_in_one_whole_line(node: Crew) -> None:
    before = await node.metrics()
    async with node.one_each(WORKERS) as visits:
        for visit in visits:
            for turn in range(40):
                assert (await visit.get(f"/log/{turn}?{'x' * 6000}")).status == 200
    after = await node.metrics()
    total = after["tepi_edge_requests_total"] - before.get(
        "tepi_edge_requests_total", 0.0
    )  # none yet, perhaps
    assert total >= 40 * WORKERS
    assert after["tepi_edge_request_seconds_count"] == after["tepi_edge_requests_total"]
    await eventually(lambda: len(node.answers()) == after["tepi_edge_requests_total"])
    lines = node.answers()  # each of them JSON, though longer than what a pipe takes at once
    assert len({line["id"] for line in lines}) == len(lines)
    assert len({line["id"][ID] for line in lines}) == WORKERS
    assert after["tepi_edge_workers"] == WORKERS
    budget = after["tepi_edge_store_budget_bytes"] + after["tepi_edge_disk_budget_bytes"]
    assert budget == pytest.approx(256 * 2**20, rel=1e-6)
    for path, status in (("/healthz", 200), ("/readyz", 200)):
        async with aiohttp.ClientSession() as session, session.get(node.admin + path) as response:
            assert response.status == status


async def test_a_purge_is_acknowledged_when_no_worker_answers_with_the_old(node: Crew, shop: Shop) -> None:
    shop.version = "one"
    async with node.one_each(WORKERS) as visits:
        for visit in visits:
            assert (await visit.get("/p")).body == b"one /p"
        status, weighed = await node.ask("purge", kind="tag", value="all", dry_run=True)
        assert (status, weighed["dry_run"]) == (200, True)
        assert weighed["entries"] >= 1
        status, explained = await node.ask("explain", url="http://shop.test/p")
        assert (status, explained["decision"]) == (200, "hit")
        shop.version = "two"
        status, told = await node.ask("purge", kind="url", value="http://shop.test/p")
        assert (status, told) == (200, {"entries": 1, "dry_run": False})
        for visit in visits:
            assert (await visit.get("/p")).body == b"two /p"
    status, problem = await node.ask("purge", kind="color", value="red")
    assert status == 422
    assert problem["errors"][0]["field"] == "kind"


async def test_what_an_unsafe_request_outdates_is_gone_everywhere_before_its_answer(
    node: Crew, shop: Shop
) -> None:
    async with node.one_each(WORKERS) as visits:
        for turn in range(5):
            shop.version = f"before-{turn}"
            for visit in visits:
                assert (await visit.get(f"/cart-{turn}")).body.startswith(b"before-")
            shop.version = f"after-{turn}"
            visits[turn % WORKERS].say("POST", f"/cart-{turn}", b"x")
            assert (await visits[turn % WORKERS].hear()).status == 200
            for visit in visits:
                assert (await visit.get(f"/cart-{turn}")).body == f"after-{turn} /cart-{turn}".encode()


async def test_a_new_configuration_is_taken_by_all_or_none_and_no_request_is_lost(
    node: Crew, shop: Shop
) -> None:
    shop.version = "one"
    assert shop.origin is not None
    other = Shop("two")
    async with origin(other.script) as second:
        load = Load(node)
        load.start(6)
        for turn in range(4):
            target = second if turn % 2 == 0 else shop.origin
            node.write(configuration(target))
            node.signal(signal.SIGHUP)
            await eventually(lambda turn=turn: node.said().count("configuration reloaded") > turn, 20)
            load.bodies.clear()
            await load.more(60)  # those that were under way as it was taken, and many that were not
        seen = load.answers
        node.write({**configuration(shop.origin), "workers": 0})
        node.signal(signal.SIGHUP)
        await eventually(lambda: "not reloaded: workers: got 0" in node.said(), 20)
        node.write(configuration(shop.origin, tls={"cert": "/no.pem", "key": "/no.pem"}))
        node.signal(signal.SIGHUP)
        await eventually(lambda: node.said().count("not reloaded") == 2, 20)
        node.write(configuration(shop.origin, listen=["127.0.0.1:0", f"127.0.0.1:{second.port}"]))
        node.signal(signal.SIGHUP)
        await eventually(lambda: node.said().count("not reloaded") == 3, 20)
        assert f"127.0.0.1:{second.port} is in use" in node.said()
        load.bodies.clear()
        await load.more(60)
        await load.stop()
        assert load.bodies == {b"one"}
        assert load.broken == []
        assert load.answers > seen


async def test_limits_on_clients_are_the_nodes(node: Crew, shop: Shop) -> None:
    assert shop.origin is not None
    reloads = node.said().count("configuration reloaded")

    async def limited(**limits: float) -> None:
        nonlocal reloads
        assert shop.origin is not None
        node.write(configuration(shop.origin, limits=limits))
        node.signal(signal.SIGHUP)
        reloads += 1
        await eventually(lambda: node.said().count("configuration reloaded") == reloads, 20)

    await limited(connections_per_address=8)
    try:
        async with contextlib.AsyncExitStack() as stack:
            told: Counter[int] = Counter()
            while (await node.metrics())["tepi_edge_connections"]:
                await asyncio.sleep(0.05)  # those of before are being closed
            for _ in range(20):
                visit = await stack.enter_async_context(node.visit())
                told[(await visit.get("/p")).status] += 1
            assert told == {200: 8, 503: 12}
        await limited(requests_per_second=0.001, burst=10)
        told = Counter([(await node.get("/p")).status for _ in range(30)])
        assert told == {200: 10, 429: 20}
    finally:
        await limited()


async def test_who_is_killed_takes_only_its_own_connections_along(node: Crew) -> None:
    victims = node.pids()[:1]
    load = Load(node)
    load.start(9)
    await load.more()
    os.kill(victims[0], signal.SIGKILL)
    fresh = [asyncio.create_task(node.get(f"/fresh/after-{n}")) for n in range(30)]
    assert {(await each).status for each in fresh} == {200}  # what waited for the dead one, too
    await eventually(lambda: len(node.pids()) == WORKERS + 1, 30)
    await load.more()
    await load.stop()
    assert len(set(load.broken) - {"nobody yet"}) <= 1
    assert len(load.broken) <= 9
    async with node.one_each(WORKERS):
        metrics = await node.metrics()
    assert metrics["tepi_edge_workers"] == WORKERS
    assert metrics["tepi_edge_worker_restarts_total"] == 1


async def test_who_dies_again_and_again_keeps_nobody_waiting(node: Crew) -> None:
    async with node.one_each(WORKERS):
        pass
    for _ in range(4):
        before = len(node.pids())
        os.kill(node.pids()[-1], signal.SIGKILL)
        await eventually(lambda before=before: len(node.pids()) == before + 1, 60)
    before = len(node.pids())
    os.kill(node.pids()[-1], signal.SIGKILL)  # the next one comes after a pause of seconds
    replies = await asyncio.gather(*(node.get(f"/fresh/{n}") for n in range(30)))
    assert {reply.status for reply in replies} == {200}
    assert len(node.pids()) == before
    await eventually(lambda: len(node.pids()) == before + 1, 60)
    async with node.one_each(WORKERS):  # who stood in has stepped back
        pass


async def test_who_does_not_acknowledge_is_replaced_and_the_purge_goes_on(node: Crew, shop: Shop) -> None:
    shop.version = "stale"
    stored = (await node.metrics())["tepi_edge_disk_entries"]
    async with node.one_each(WORKERS) as visits:
        for visit in visits:
            assert (await visit.get("/s")).body == b"stale /s"
    async with asyncio.timeout(10):  # until it is written for all, whoever of them is stopped
        while (await node.metrics())["tepi_edge_disk_entries"] == stored:
            await asyncio.sleep(0.02)
    before, victim = len(node.pids()), node.pids()[-1]
    os.kill(victim, signal.SIGSTOP)
    shop.version = "fresh"
    status, told = await node.ask("purge", kind="url", value="http://shop.test/s")
    assert status == 200
    assert told["entries"] == 1
    await eventually(lambda: len(node.pids()) == before + 1, 30)
    assert f"(process {victim})" in node.said()
    with pytest.raises(ProcessLookupError):
        os.kill(victim, 0)
    async with node.one_each(WORKERS) as visits:
        for visit in visits:
            assert (await visit.get("/s")).body == b"fresh /s"


async def test_who_is_asked_to_end_finishes_and_another_comes(node: Crew) -> None:
    before, asked = len(node.pids()), node.pids()[-1]
    load = Load(node)
    load.start(6)
    await load.more(30)
    load.stopped = True
    await asyncio.gather(*load.tasks)
    os.kill(asked, signal.SIGTERM)
    await eventually(lambda: len(node.pids()) == before + 1, 30)
    async with node.one_each(WORKERS):
        assert load.broken == []


async def test_the_node_ends_with_whole_answers_and_0(tmp_path: Path) -> None:
    answered = asyncio.Event()

    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        if "upgrade" in heard.fields:
            writer.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
            )
            await heard.reader.read()
            return
        writer.write(answer(b"x" * 100_000, "200 OK", "Cache-Control: no-store", length=200_000))
        await answered.wait()
        writer.write(b"y" * 100_000)

    async with (
        origin(script) as shop,
        crew(tmp_path, {**configuration(shop), "workers": 2}) as node,
        node.visit() as socket,
    ):
        socket.say("GET", "/chat", Connection="Upgrade", Upgrade="websocket")
        assert (await socket.hear(head_only=True)).status == 101
        asking = [asyncio.create_task(node.get(f"/{n}")) for n in range(6)]
        await eventually(lambda: len(shop.heard) == 7)
        node.signal(signal.SIGTERM)
        await eventually(lambda: "stopping" in node.said())
        answered.set()
        replies = await asyncio.gather(*asking)
        assert {reply.body for reply in replies} == {b"x" * 100_000 + b"y" * 100_000}
        async with asyncio.timeout(10):
            assert await socket.reader.read() == b"\x88\x02" + (1001).to_bytes(2, "big")
            assert await node.process.wait() == 0
        assert "did not end in time" not in node.said()
        with pytest.raises(ConnectionRefusedError):
            await node.get("/")
