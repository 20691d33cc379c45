"""The store that the nodes of a PoP share: a real Redis, real nodes; down, killed, and talking nonsense."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from edge.config import parse_edge
from edge.document.problems import Refused
from edge.http.message import Fields
from edge.purge import Purge
from edge.store.shared import FAILURES, RedisShelf, SharedStore, name_of
from tests.edge import wires
from tests.edge.nodes import Edge, document, node
from tests.edge.stage import HandClock
from tests.support.redis import Redis, redis

CACHED = "Cache-Control: max-age=60"
KEY = "shop.test/p/1\x00http"


@contextlib.asynccontextmanager
async def redis_here() -> AsyncIterator[Redis]:
    async with redis(await wires.free_port()) as server:
        yield server


@contextlib.asynccontextmanager
async def two_nodes(origin_url: str, url: str) -> AsyncIterator[tuple[Edge, Edge]]:
    table = {"memory": "64MiB", "shared": {"url": url, "timeout": 5.0}}
    async with node(origin_url, store=table) as one, node(origin_url, store=table) as other:
        await asyncio.sleep(0)
        yield one, other


def shared(edge: Edge) -> SharedStore:
    assert edge.running.vicinity.shared is not None
    return edge.running.vicinity.shared


async def kept(edge: Edge, count: int) -> None:
    await wires.eventually(lambda: shared(edge).done["kept"] >= count)


async def test_what_one_node_fetched_the_others_of_its_pop_have(monkeypatch: pytest.MonkeyPatch) -> None:
    tags = ("Cache-Tag: p1", 'ETag: "v1"', "Vary: X-Colour")
    async with (
        redis_here() as server,
        wires.origin(wires.says(b"page", "200 OK", CACHED, *tags)) as origin,
        two_nodes(origin.url, server.url) as (one, other),
    ):
        await one.get("/p/1", X_Colour="red")
        await kept(one, 2)  # the page, and that it differs by colour
        reply = await other.get("/p/1", X_Colour="red")
        assert (reply.body, len(origin.heard)) == (b"page", 1)
        assert "tepi-shared; hit" in reply.fields["cache-status"]
        assert "cache-tag" not in reply.fields
        await other.get("/p/1", X_Colour="blue")
        assert len(origin.heard) == 2
        assert [entry.tags for entry in other.running.store.get(KEY)] == [("p1",), ("p1",)]


@pytest.mark.parametrize(
    "purge",
    [
        Purge("tag", "p1"),
        Purge("tag", "p1", soft=True),
        Purge("url", "http://shop.test/p/1"),
        Purge("prefix", "http://shop.test/p"),
        Purge("site", "shop"),
    ],
)
async def test_what_a_node_has_purged_it_does_not_get_back(purge: Purge) -> None:
    """Whatever Redis has: a purge is acknowledged before it is told."""
    async with (
        redis_here() as server,
        wires.origin(wires.says(b"page", "200 OK", CACHED, "Cache-Tag: p1")) as origin,
        two_nodes(origin.url, server.url) as (one, other),
    ):
        await one.get("/p/1")
        await kept(one, 1)
        pipeline = other.running.node.pipeline
        await pipeline.purge(purge, other.running.node.position)
        await other.get("/p/1")
        assert len(origin.heard) == 2
        assert shared(other).done["purged"] + shared(other).done["miss"] == 1


async def test_pages_that_are_somebodys_do_not_go_there() -> None:
    cookie = "Set-Cookie: a=b"
    async with (
        redis_here() as server,
        wires.origin(wires.says(b"page", "200 OK", "Cache-Control: public, max-age=60")) as origin,
        wires.origin(wires.says(b"page", "200 OK", CACHED, cookie)) as setting,
        two_nodes(origin.url, server.url) as (one, _),
        two_nodes(setting.url, server.url) as (other, _),
    ):
        await one.get("/a", Authorization="Basic eA==")
        await one.get("/b", Cookie="session=1")
        await other.get("/c")
        await one.get("/d")
        await kept(one, 1)
        assert shared(one).done["kept"] == 1
        assert shared(other).done["kept"] == 0


async def test_a_redis_that_is_killed_costs_no_visitor_his_answer() -> None:
    async with (
        redis_here() as server,
        wires.origin(wires.says(b"page", "200 OK", CACHED)) as origin,
        two_nodes(origin.url, server.url) as (one, other),
    ):

        async def visit(number: int) -> None:
            reply = await (one if number % 2 else other).get(f"/p/{number % 60}")
            assert (reply.status, reply.body) == (200, b"page")
            if number == 100:
                server.kill()

        for batch in range(10):
            await asyncio.gather(*(visit(number) for number in range(batch * 30, batch * 30 + 30)))
        for number in range(300, 320):
            assert (await one.get(f"/q/{number}")).status == 200
        assert shared(one).done["error"] >= FAILURES
        assert shared(one).done["skipped"] > 0


async def _nonsense(heard: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while await heard.read(1000):
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n\x00\xff")
    writer.close()


async def test_a_redis_that_talks_nonsense_costs_no_visitor_his_answer() -> None:
    server = await asyncio.start_server(_nonsense, "127.0.0.1", 0)
    url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with (
        server,
        wires.origin(wires.says(b"page", "200 OK", CACHED)) as origin,
        two_nodes(origin.url, url) as (one, _),
    ):
        for number in range(10):
            reply = await one.get(f"/p/{number}")
            assert (reply.status, reply.body) == (200, b"page")
        assert shared(one).done["error"] >= FAILURES


@pytest.mark.parametrize("nonsense", [b"", b"x" * 500, b"TEPI\x02" + b"\x00" * 40])
async def test_what_others_wrote_under_our_names_is_a_miss(nonsense: bytes) -> None:
    async with (
        redis_here() as server,
        wires.origin(wires.says(b"page", "200 OK", CACHED)) as origin,
        two_nodes(origin.url, server.url) as (one, _),
    ):
        shelf = RedisShelf.dial("127.0.0.1", server.port, patience=5.0)
        await shelf.set(name_of(KEY), nonsense, 60.0)
        assert (await one.get("/p/1")).body == b"page"
        assert shared(one).done["garbage"] == 1
        await kept(one, 1)
        assert await shelf.get(name_of(KEY)) != nonsense
        await shelf.close()


class Failing:
    """A shelf that is down until it is not."""

    def __init__(self) -> None:
        self.asked = 0
        self.down = True

    async def get(self, name: str) -> bytes | None:
        self.asked += 1
        if self.down:
            raise ConnectionError("down")
        return None

    async def set(self, name: str, data: bytes, seconds: float) -> None: ...
    async def delete(self, name: str) -> None: ...
    async def close(self) -> None: ...


async def test_one_that_fails_is_left_alone_for_a_while_that_doubles() -> None:
    clock, shelf = HandClock(), Failing()
    store = SharedStore(shelf, clock, patience=5.0, max_object=1000)

    async def ask(times: int) -> int:
        before = shelf.asked
        for _ in range(times):
            assert await store.find(KEY, "shop", Fields()) is None
        return shelf.asked - before

    assert await ask(10) == FAILURES
    clock.at += 1.0
    assert await ask(10) == 1
    clock.at += 1.0
    assert await ask(10) == 0
    clock.at += 1.0
    shelf.down = False
    assert await ask(10) == 10


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"url": "http://127.0.0.1:6379"}, "store.shared.url"),
        ({"url": "redis://user:word@127.0.0.1"}, "store.shared.url"),
        ({"url": "redis://127.0.0.1/shop"}, "store.shared.url"),
        ({"url": "redis://127.0.0.1", "timeout": 0}, "store.shared.timeout"),
        ({"url": "redis://127.0.0.1", "password": "secret"}, "store.shared.password"),
    ],
)
def test_bad_settings_are_refused_by_name(changes: dict[str, object], field: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_edge(document("http://127.0.0.1:9", store={"shared": changes}))
    assert [problem.field for problem in refused.value.problems] == [field]
