"""Large bodies over TLS, by HTTP/1.1 and HTTP/2: read from the files that they lie in, byte for byte."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge.position import ALONE
from edge.purge import Purge
from edge.store.lent import LENT, READ
from tests.edge.certificates import Authority
from tests.edge.nodes import HOST, Edge, Visit, node
from tests.edge.test_lending import BODY, MIB, films, kept, taken
from tests.edge.wire.http2.visitors import Visitor, calling
from tests.edge.wires import Origin, origin

VERSIONS = ["http/1.1", "h2"]
SIZES = [LENT - 1, LENT, LENT + 1, READ, READ + 1, 3 * MIB + 7]


@dataclass(slots=True)
class Cinema:
    edge: Edge
    origin: Origin
    authority: Authority

    @contextlib.asynccontextmanager
    async def call(self, version: str, *, window: int = 65_535) -> AsyncIterator[Visit | Visitor]:
        trust = self.authority.client()
        trust.set_alpn_protocols([version])
        if version == "h2":
            async with calling(self.edge.port("https"), trust, window=window) as visitor:
                yield visitor
        else:
            async with self.edge.visit("https", trust) as visit:
                yield visit


@contextlib.asynccontextmanager
async def cinema(tmp_path: Path, where: str) -> AsyncIterator[Cinema]:
    authority = Authority.make(tmp_path)
    pair = authority.issue("films", HOST)
    secure = {"listen_tls": ["127.0.0.1:0"], "tls": {"cert": str(pair.cert), "key": str(pair.key)}}
    async with origin(films) as behind, node(behind.url, **kept(tmp_path, where), **secure) as edge:
        yield Cinema(edge, behind, authority)


async def hit(call: Visit | Visitor, path: str) -> bytes:
    """Asks for `path` until that is a hit."""
    async with asyncio.timeout(10):
        while "; hit" not in (reply := await call.get(path)).fields["cache-status"]:
            await asyncio.sleep(0.01)
    return bytes(reply.body)


@pytest.mark.parametrize("where", ["memory", "disk"])
@pytest.mark.parametrize("version", VERSIONS)
async def test_bodies_of_every_size_are_what_the_origin_sent(
    tmp_path: Path, where: str, version: str
) -> None:
    async with cinema(tmp_path, where) as made, made.call(version) as call:
        for size in SIZES:
            assert bytes((await call.get(f"/{size}")).body) == BODY[:size]
            assert await hit(call, f"/{size}") == BODY[:size]
            assert await hit(call, f"/{size}") == BODY[:size]
        assert len(made.origin.heard) == len(SIZES)


@pytest.mark.parametrize("where", ["memory", "disk"])
@pytest.mark.parametrize("version", VERSIONS)
async def test_ranges_of_a_lent_body(tmp_path: Path, where: str, version: str) -> None:
    size = 3 * MIB
    async with cinema(tmp_path, where) as made, made.call(version) as call:
        await hit(call, f"/{size}")
        for first, last in (
            (0, 0),
            (5, LENT + 5),
            (READ - 1, READ),
            (MIB - 1, size - 1),
            (size - 1, 9 * MIB),
        ):
            reply = await call.get(f"/{size}", range=f"bytes={first}-{last}")
            assert (reply.status, bytes(reply.body)) == (206, BODY[first : min(last + 1, size)])
        assert (await call.get(f"/{size}", range=f"bytes={9 * MIB}-")).status == 416
        assert len(made.origin.heard) == 1


async def test_bodies_side_by_side_on_one_connection_of_http2(tmp_path: Path) -> None:
    sizes = [4 * MIB, LENT + 1, MIB, 100, 3 * MIB]
    async with cinema(tmp_path, "disk") as made, made.call("h2", window=200_000) as call:
        assert isinstance(call, Visitor)
        for size in sizes:
            await hit(call, f"/{size}")
        numbers = {size: call.begin(f"/{size}") for size in sizes}
        for size, number in numbers.items():
            assert bytes((await call.hear(number, 20)).body) == BODY[:size]
        assert len(made.origin.heard) == len(sizes)


@pytest.mark.parametrize("version", VERSIONS)
async def test_who_reads_slowly_keeps_nobody_waiting_and_gets_what_was_purged_meanwhile(
    tmp_path: Path, version: str
) -> None:
    path = f"/{8 * MIB}"
    async with cinema(tmp_path, "memory") as made, made.call(version) as quick:
        await hit(quick, path)
        async with made.call(version) as slow:
            # as much as flow control and the sockets take, and nothing is read of it yet
            reading = slow.begin(path) if isinstance(slow, Visitor) else slow.say("GET", path)
            await asyncio.sleep(0.1)
            assert await hit(quick, path) == BODY[: 8 * MIB]
            await made.edge.running.node.pipeline.purge(Purge("site", "shop"), ALONE)
            if isinstance(slow, Visitor):
                assert reading is not None
                assert taken(made.edge) >= 8 * MIB  # his window was for less
                assert bytes((await slow.hear(reading, 20)).body) == BODY[: 8 * MIB]
            else:
                assert (await slow.hear(seconds=20)).body == BODY[: 8 * MIB]
        async with asyncio.timeout(10):
            while taken(made.edge):
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("where", ["memory", "disk"])
@pytest.mark.parametrize("version", VERSIONS)
async def test_a_client_that_goes_leaves_nothing_open(tmp_path: Path, where: str, version: str) -> None:
    path = f"/{4 * MIB}"
    async with cinema(tmp_path, where) as made:
        async with made.call(version) as call:
            await hit(call, path)
        await made.edge.at_rest()
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(5):
            async with made.call(version) as gone:
                if isinstance(gone, Visitor):
                    gone.begin(path)
                else:
                    gone.say("GET", path)
                await gone.reader.readexactly(10_000)
                gone.writer.transport.abort()
        await made.edge.at_rest()
        assert len(list(Path("/proc/self/fd").iterdir())) <= before
