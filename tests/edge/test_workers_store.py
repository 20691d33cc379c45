"""A node of three workers has one store: what one fetched, renewed or outdated, the others know at once."""

from __future__ import annotations

import asyncio
import os
import signal
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.edge.crews import Crew, crew
from tests.edge.nodes import Visit, document
from tests.edge.wires import Heard, Origin, Reply, answer, eventually, origin

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("workers")]

WORKERS = 3
FRESH = "Cache-Control: max-age=3600"
HELD = asyncio.Event()


def head(status: str, *lines: str) -> bytes:
    """An answer without a body."""
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode()


async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
    """Pages whose path tells what they are."""
    kind = heard.target.split("/")[1]
    if kind == "slow":
        await asyncio.sleep(0.3)
    if kind == "held":
        await HELD.wait()
    match kind:
        case "who":
            writer.write(answer(b"", "200 OK", "Cache-Control: no-store"))
        case "empty":
            writer.write(head("204 No Content", FRESH))
        case "renewed" if "if-none-match" in heard.fields:
            writer.write(head("304 Not Modified", FRESH, 'ETag: "v"', "X-Turn: second"))
        case "renewed":
            writer.write(answer(b"page", "200 OK", "Cache-Control: max-age=0", 'ETag: "v"', "X-Turn: first"))
        case "part":
            told = ("Content-Range: bytes 4-8/20", 'ETag: "v"')
            writer.write(answer(b"56789", "206 Partial Content", FRESH, *told))
        case "large":
            writer.write(answer(b"x" * 300_000, "200 OK", FRESH))
        case _:
            writer.write(answer(b"page", "200 OK", FRESH, f"Content-Location: {heard.target}"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop() -> AsyncIterator[Origin]:
    async with origin(script) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["memory", "disk"])
async def node(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, shop: Origin
) -> AsyncIterator[Crew]:
    directory: Path = tmp_path_factory.mktemp("store")
    store = {} if request.param == "memory" else {"directory": str(directory / "kept"), "disk": 64 * 2**20}
    shop.heard.clear()
    async with crew(directory, document(shop.url, workers=WORKERS, store=store)) as made:
        yield made


async def told(visit: Visit, path: str, method: str = "GET", **fields: str) -> Reply:
    visit.say(method, path, **fields)
    return await visit.hear()


def fetches(shop: Origin, path: str) -> int:
    return sum(heard.target == path for heard in shop.heard)


async def settled(node: Crew, entries: int) -> None:
    """Until what was stored has been written for all."""
    for _ in range(200):
        if (await node.metrics())["tepi_edge_disk_entries"] >= entries:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it was not written")


@pytest.mark.parametrize("kind", ["plain", "empty", "large"])
async def test_what_one_fetched_the_others_have_at_once_and_later(
    node: Crew, shop: Origin, kind: str
) -> None:
    before = int((await node.metrics())["tepi_edge_disk_entries"])
    async with node.one_each(WORKERS) as visits:
        for turn in range(WORKERS):
            path = f"/{kind}/{turn}"
            replies = [await told(visit, path) for visit in (*visits[turn:], *visits[:turn])]
            assert len({(reply.status, reply.body) for reply in replies}) == 1
        await settled(node, before + WORKERS)
        for turn in range(WORKERS):
            for visit in visits:
                reply = await told(visit, f"/{kind}/{turn}")
                assert reply.fields["cache-status"].startswith("tepi; hit")
            assert fetches(shop, f"/{kind}/{turn}") == 1
    assert "disk store" not in node.said()


async def test_a_part_that_one_fetched_the_others_have_at_once(node: Crew, shop: Origin) -> None:
    async with node.one_each(WORKERS) as visits:
        for visit in visits:
            reply = await told(visit, "/part", Range="bytes=4-8")
            assert (reply.status, reply.body) == (206, b"56789")
        assert fetches(shop, "/part") == 1


async def test_what_one_renewed_no_other_shows_as_it_was(node: Crew) -> None:
    async with node.one_each(WORKERS) as visits:
        for turn in range(6):
            path, at = f"/renewed/{turn}", turn % WORKERS
            assert (await told(visits[at], path)).fields["x-turn"] == "first"
            for visit in (*visits[at + 1 :], *visits[: at + 1], *visits):
                assert (await told(visit, path)).fields["x-turn"] == "second"


async def test_what_a_post_brought_the_others_have_at_once(node: Crew, shop: Origin) -> None:
    async with node.one_each(WORKERS) as visits:
        for turn in range(WORKERS):
            visits[turn].say("POST", f"/posted/{turn}", b"x")
            assert (await visits[turn].hear()).status == 200
            for visit in visits:
                assert (await told(visit, f"/posted/{turn}")).status == 200
            assert fetches(shop, f"/posted/{turn}") == 1


async def test_a_storm_at_all_workers_costs_one_fetch_and_who_fetches_may_be_any(
    node: Crew, shop: Origin
) -> None:
    before = await node.metrics()
    async with node.one_each(WORKERS) as visits:
        for turn in range(10):
            for visit in visits:
                visit.say("GET", f"/slow/{turn}")
            assert {(await visit.hear()).body for visit in visits} == {b"page"}
            assert fetches(shop, f"/slow/{turn}") == 1
    hops = (await node.metrics())["tepi_edge_hops_total"] - before.get("tepi_edge_hops_total", 0.0)
    assert hops >= 10 * (WORKERS - 1)


async def test_who_is_killed_while_it_fetches_leaves_the_turn_to_another(node: Crew, shop: Origin) -> None:
    HELD.clear()
    async with node.one_each(WORKERS) as visits:
        for visit in visits:
            visit.say("GET", "/held")
        await eventually(lambda: fetches(shop, "/held") == 1)
        await asyncio.sleep(0.3)  # the others ask the one that fetches
        os.kill(node.pids()[-1], signal.SIGKILL)
        HELD.set()
        replies = await asyncio.gather(*(visit.hear(seconds=30) for visit in visits), return_exceptions=True)
        whole = [reply.status for reply in replies if isinstance(reply, Reply)]
        assert whole == [200] * (WORKERS - 1)
    await eventually(lambda: len(node.pids()) > WORKERS, 30)


async def test_a_purge_is_written_once_however_many_workers_there_are(node: Crew) -> None:
    async with node.one_each(WORKERS) as visits:
        for visit in visits:
            assert (await told(visit, "/p")).status == 200
        before = node.purges_written()
        for kind, value in (("url", "http://shop.test/p"), ("site", "shop"), ("tag", "t")):
            assert (await node.ask("purge", kind=kind, value=value))[0] == 200
        assert node.purges_written() == before + 3
        visits[0].say("POST", "/p", b"x")
        assert (await visits[0].hear()).status == 200
        assert node.purges_written() == before + 4
        for visit in visits:
            assert (await told(visit, "/p")).status == 200


async def test_what_a_reload_forgets_is_written_once_however_many_workers_there_are(
    node: Crew, shop: Origin
) -> None:
    document = tomllib.loads(node.file.read_text())
    async with node.one_each(WORKERS) as visits:
        for visit in visits:
            assert (await told(visit, "/reloaded")).status == 200
        before, fetched = node.purges_written(), fetches(shop, "/reloaded")
        for turn, guard in enumerate((False, True), 1):  # it shares pages otherwise than before
            document["sites"][0]["guard"] = guard
            node.write(document)
            node.signal(signal.SIGHUP)
            await eventually(lambda turn=turn: node.said().count("configuration reloaded") == turn, 20)
            assert node.purges_written() == before + turn
            for visit in visits:
                assert (await told(visit, "/reloaded")).status == 200
            assert fetches(shop, "/reloaded") == fetched + turn
