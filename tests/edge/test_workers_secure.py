"""A node of two workers over TLS: HTTP/1.1 and HTTP/2 side by side, purged, killed, and ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest
import pytest_asyncio

from tests.edge.certificates import Authority
from tests.edge.crews import ID, Crew, crew
from tests.edge.nodes import HOST, Visit, document
from tests.edge.wire.http2.visitors import calling
from tests.edge.wires import Heard, Origin, answer, eventually, origin

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("workers")]

WORKERS = 2
LARGE = bytes(range(256)) * 8192  # 2 MiB: sent from its file where nothing encrypts
VERSIONS = ["http/1.1", "h2"]


class Answer(Protocol):
    """What came, whichever version it came by."""

    @property
    def status(self) -> int: ...
    @property
    def fields(self) -> dict[str, str]: ...
    @property
    def body(self) -> bytes | bytearray: ...


class Caller(Protocol):
    """A connection to one worker."""

    async def get(self, path: str = "/", **fields: str) -> Answer: ...


@dataclass(slots=True)
class Shop:
    version: str = "one"
    going_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def script(self, heard: Heard, writer: asyncio.StreamWriter) -> None:
        match heard.target.split("/")[1]:
            case "who":
                writer.write(answer(b"", "200 OK", "Cache-Control: no-store"))
            case "large":
                writer.write(answer(LARGE, "200 OK", "Cache-Control: max-age=600"))
            case "slow":
                writer.write(answer(b"x" * 100_000, "200 OK", "Cache-Control: no-store", length=200_000))
                await self.going_on.wait()
                writer.write(b"y" * 100_000)
            case _:
                body = f"{self.version} {heard.target}".encode()
                writer.write(answer(body, "200 OK", "Cache-Control: max-age=600", "Cache-Tag: all"))


@dataclass(slots=True)
class House:
    """The node, the origin behind it, and whom a browser trusts."""

    crew: Crew
    origin: Origin
    shop: Shop
    authority: Authority

    def fetches(self, path: str) -> int:
        return sum(heard.target == path for heard in self.origin.heard)

    @contextlib.asynccontextmanager
    async def call(self, version: str) -> AsyncIterator[Caller]:
        trust = self.authority.client()
        trust.set_alpn_protocols([version])
        if version == "h2":
            async with calling(self.crew.tls_port, trust) as visitor:
                yield visitor
            return
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.crew.tls_port, ssl=trust, server_hostname=HOST
        )
        try:
            yield Visit(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    @contextlib.asynccontextmanager
    async def one_each(self, version: str) -> AsyncIterator[list[Caller]]:
        """A connection to each worker."""
        async with contextlib.AsyncExitStack() as stack:
            found: dict[str, Caller] = {}
            while len(found) < WORKERS:
                caller = await stack.enter_async_context(self.call(version))
                found.setdefault((await caller.get("/who")).fields["x-request-id"][ID], caller)
            yield list(found.values())


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    yield Authority.make(tmp_path_factory.mktemp("authority"))


@contextlib.asynccontextmanager
async def house(directory: Path, authority: Authority) -> AsyncIterator[House]:
    pair, shop = authority.issue("shop", HOST), Shop()
    async with origin(shop.script) as behind:
        secure = {"listen_tls": ["127.0.0.1:0"], "tls": {"cert": str(pair.cert), "key": str(pair.key)}}
        async with crew(directory, document(behind.url, workers=WORKERS, drain_seconds=5, **secure)) as made:
            yield House(made, behind, shop, authority)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> AsyncIterator[House]:
    async with house(tmp_path_factory.mktemp("secure"), authority) as made:
        yield made


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_one_worker_fetched_all_serve(node: House, version: str) -> None:
    path = f"/page/{version}"
    async with node.one_each(version) as callers, asyncio.timeout(10):
        for caller in callers:
            while True:  # until it is written for all: who fetched it is asked before
                reply = await caller.get(path)
                assert (reply.status, bytes(reply.body)) == (200, f"one {path}".encode())
                if reply.fields["cache-status"].startswith("tepi; hit"):
                    break
    assert node.fetches(path) == 1


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_large_body_is_whole_from_every_worker(node: House, version: str) -> None:
    path = f"/large/{version}"
    async with node.one_each(version) as callers:
        for _ in range(3):
            for caller in callers:
                assert (await caller.get(path)).body == LARGE
        part = await callers[0].get(path, range=f"bytes=1000000-{len(LARGE)}")
        assert (part.status, bytes(part.body)) == (206, LARGE[1_000_000:])
    assert node.fetches(path) == 1


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_purge_is_acknowledged_when_no_worker_answers_with_the_old(node: House, version: str) -> None:
    node.shop.version = "one"
    async with node.one_each(version) as callers:
        for caller in callers:
            for _ in range(2):  # the second one is the lane's
                assert (await caller.get("/purged")).body == b"one /purged"
        node.shop.version = "two"
        assert (await node.crew.ask("purge", kind="tag", value="all"))[0] == 200
        for caller in callers:
            assert (await caller.get("/purged")).body == b"two /purged"
        assert (await node.crew.ask("purge", kind="url", value=f"https://{HOST}/purged"))[0] == 200
    node.shop.version = "one"


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_worker_that_is_killed_is_replaced_and_the_others_go_on(node: House, version: str) -> None:
    begun = len(node.crew.pids())
    async with node.one_each(version) as callers:
        os.kill(node.crew.pids()[-1], signal.SIGKILL)
        heard = []
        for caller in callers:  # one of them talked to the worker that is gone
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                heard.append((await caller.get("/after")).status)
        assert heard.count(200) == WORKERS - 1
        async with node.call(version) as new:
            assert (await new.get("/after")).status == 200
    await eventually(lambda: len(node.crew.pids()) > begun, 30)
    async with node.one_each(version) as callers:
        for caller in callers:
            assert (await caller.get("/after")).body == b"one /after"
    assert node.fetches("/after") == 1 or version == "h2"


async def test_the_node_ends_with_whole_answers_over_both(tmp_path: Path, authority: Authority) -> None:
    async with house(tmp_path, authority) as made, contextlib.AsyncExitStack() as stack:
        calls = [await stack.enter_async_context(made.call(version)) for version in VERSIONS * 3]
        asking = [asyncio.create_task(caller.get(f"/slow/{n}")) for n, caller in enumerate(calls)]
        await eventually(lambda: len(made.origin.heard) == len(calls))
        made.crew.signal(signal.SIGTERM)
        await eventually(lambda: "stopping" in made.crew.said())
        made.shop.going_on.set()
        replies = await asyncio.gather(*asking)
        assert {bytes(reply.body) for reply in replies} == {b"x" * 100_000 + b"y" * 100_000}
        async with asyncio.timeout(15):
            assert await made.crew.process.wait() == 0
        assert "did not end in time" not in made.crew.said()
