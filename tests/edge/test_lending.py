"""Large bodies, which the kernel sends from the file that they lie in: byte for byte what the origin sent."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from edge.outlet import TURN
from edge.position import ALONE
from edge.purge import Purge
from edge.store.lent import LENT, READ
from tests.edge.lanes import Line, head_of, settled
from tests.edge.nodes import Edge, node
from tests.edge.wires import Heard, Origin, answer, origin

BODY = random.Random(4).randbytes(8 * TURN)
SIZES = [LENT - 1, LENT, LENT + 1, READ, READ + 1, TURN - 1, TURN, TURN + 1, 3 * TURN + 7]
MIB = 2**20


async def films(heard: Heard, writer: asyncio.StreamWriter) -> None:
    """/SIZE is a body of so many bytes, of which parts can be had."""
    size = int(heard.target.strip("/"))
    fields = ("Cache-Control: max-age=600", "Content-Type: video/mp4", 'ETag: "v1"', "Accept-Ranges: bytes")
    asked = heard.fields.get("range", "")
    if asked:
        first, _, last = asked.removeprefix("bytes=").partition("-")
        end = min(int(last or size) + 1, size)
        said = f"Content-Range: bytes {first}-{end - 1}/{size}"
        writer.write(answer(BODY[int(first) : end], "206 Partial Content", *fields, said))
    else:
        writer.write(answer(BODY[:size], "200 OK", *fields))
    await writer.drain()


@asynccontextmanager
async def cinema(**changes: Any) -> AsyncIterator[tuple[Edge, Origin, Line]]:
    async with origin(films) as behind, node(behind.url, **changes) as edge:
        line = await Line.to(edge)
        try:
            yield edge, behind, line
        finally:
            await line.close()


def kept(tmp_path: Path, where: str) -> dict[str, Any]:
    """A store in memory, or on disk with little memory before it."""
    if where == "memory":
        return {"store": {"memory": "64MiB", "max_object": "8MiB"}}
    return {"store": {"memory": "8MiB", "max_object": "4MiB", "directory": str(tmp_path / "store")}}


async def hit(line: Line, path: str) -> bytes:
    """Asks for `path` until that is a hit."""
    async with asyncio.timeout(10):
        while b"; hit; " not in (said := await line.whole(head_of(path))).partition(b"\r\n\r\n")[0]:
            await asyncio.sleep(0.01)
    return said


@pytest.mark.parametrize("where", ["memory", "disk"])
async def test_bodies_of_every_size_are_what_the_origin_sent(tmp_path: Path, where: str) -> None:
    async with cinema(**kept(tmp_path, where)) as (edge, behind, line):
        for size in SIZES:
            path = f"/{size}"
            first = await line.whole(head_of(path))
            assert first.partition(b"\r\n\r\n")[2] == BODY[:size]
            await hit(line, path)
            lanes = edge.running.lanes["http"]
            for _ in range(20):  # on disk, once it was written
                given = lanes.answers
                said = await line.whole(head_of(path))
                assert said.partition(b"\r\n\r\n")[2] == BODY[:size]
                if lanes.answers > given:
                    break
                await asyncio.sleep(0.05)
            assert lanes.answers > given
            assert settled(said) == settled(await line.parted(head_of(path)))
        assert len(behind.heard) == len(SIZES)


def bodies_of(said: bytes, sizes: list[int]) -> None:
    """Checks that `said` is answers with the bodies of `sizes`, one after another."""
    for size in sizes:
        head, _, said = said.partition(b"\r\n\r\n")
        assert f"Content-Length: {size}\r\n".encode() in head + b"\r\n"
        assert said[:size] == BODY[:size]
        said = said[size:]
    assert not said


async def test_requests_in_a_row_are_answered_in_their_order(tmp_path: Path) -> None:
    sizes = [3 * MIB, 100, LENT + 1, 2 * MIB, 100, MIB, 5 * MIB, 100]
    async with cinema(**kept(tmp_path, "memory")) as (_, behind, line):
        for size in sizes:
            await hit(line, f"/{size}")
            await line.whole(head_of(f"/{size}"))
        asked = len(behind.heard)
        line.writer.write(b"".join(head_of(f"/{size}") for size in sizes * 3))
        line.writer.write(head_of("/100", Connection="close"))
        async with asyncio.timeout(20):
            bodies_of(await line.reader.read(), [*sizes * 3, 100])
        assert len(behind.heard) == asked


async def test_ranges_of_a_lent_body(tmp_path: Path) -> None:
    for where in ("memory", "disk"):
        async with cinema(**kept(tmp_path, where)) as (_, behind, line):
            await hit(line, f"/{3 * MIB}")
            for first, last in (
                (0, 0),
                (5, LENT + 4),
                (5, LENT + 5),
                (MIB - 1, 3 * MIB - 1),
                (3 * MIB - 1, 9 * MIB),
            ):
                said = await line.whole(head_of(f"/{3 * MIB}", Range=f"bytes={first}-{last}"))
                head, _, body = said.partition(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 206 ")
                assert body == BODY[first : min(last + 1, 3 * MIB)]
            several = await line.whole(head_of(f"/{3 * MIB}", Range=f"bytes=1-{MIB},{2 * MIB}-{2 * MIB + 9}"))
            assert BODY[1 : MIB + 1] in several
            assert BODY[2 * MIB : 2 * MIB + 10] in several
            assert (await line.whole(head_of(f"/{3 * MIB}", Range="bytes=9999999-"))).startswith(
                b"HTTP/1.1 416 "
            )
            assert len(behind.heard) == 1


async def test_a_body_in_slices_is_lent_slice_by_slice(tmp_path: Path) -> None:
    for where in ("memory", "disk"):
        store = kept(tmp_path, where)
        store["store"]["max_object"] = "1MiB"
        async with cinema(**store) as (_, behind, line):
            size = 7 * MIB + 5
            for way in (line.whole, line.whole, line.parted):
                assert (await way(head_of(f"/{size}"))).partition(b"\r\n\r\n")[2] == BODY[:size]
            said = await line.whole(head_of(f"/{size}", Range=f"bytes={MIB - 3}-{5 * MIB}"))
            assert said.partition(b"\r\n\r\n")[2] == BODY[MIB - 3 : 5 * MIB + 1]
            assert len(behind.heard) == 1


async def test_who_reads_slowly_keeps_nobody_waiting(tmp_path: Path) -> None:
    async with cinema(**kept(tmp_path, "memory")) as (edge, _, line):
        path = f"/{8 * MIB}"
        await hit(line, path)
        await line.whole(head_of(path))
        slow = await Line.to(edge)
        slow.writer.write(head_of(path) + head_of("/100"))
        await asyncio.sleep(0.05)
        assert (await line.whole(head_of(path))).endswith(BODY)
        async with asyncio.timeout(20):
            head = await slow.reader.readuntil(b"\r\n\r\n")
            assert b"; hit; " in head
            came = bytearray()
            while len(came) < 8 * MIB:
                came += await slow.reader.read(min(100_000, 8 * MIB - len(came)))
                await asyncio.sleep(0.001)
        assert came == BODY
        assert (await slow.hear()).endswith(BODY[:100])
        await slow.close()


@pytest.mark.parametrize("way", ["lane", "pipeline"])
async def test_a_client_that_goes_leaves_nothing_behind(tmp_path: Path, way: str) -> None:
    log = tmp_path / "access.log"
    store = kept(tmp_path, "memory")
    async with cinema(**store, log={"access": "json", "file": str(log)}) as (edge, _, line):
        path = f"/{8 * MIB}"
        await hit(line, path)
        await line.whole(head_of(path))
        open_before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(5):
            gone = await Line.to(edge)
            head = head_of(path)
            if way == "lane":
                gone.writer.write(head)
            else:
                gone.writer.write(head[:3])
                await asyncio.sleep(0.01)
                gone.writer.write(head[3:])
            await gone.reader.readexactly(100_000)
            gone.writer.transport.abort()
        await line.close()
        await edge.at_rest()
        assert len(list(Path("/proc/self/fd").iterdir())) <= open_before
    lines = [json.loads(text) for text in log.read_text().splitlines()]
    broken = [each for each in lines if each["status"] == 499]
    assert len(broken) == 5
    assert all(each["bytes"] < 8 * MIB for each in broken)
    assert all(each["bytes"] == 8 * MIB for each in lines if each["status"] == 200)


async def test_a_reader_that_stands_still_is_cut_off(tmp_path: Path) -> None:
    store = kept(tmp_path, "memory")
    async with cinema(**store, limits={"idle": 1}) as (edge, _, line):
        path = f"/{8 * MIB}"
        await hit(line, path)
        await line.whole(head_of(path))
        for parts in ((head_of(path),), (head_of(path)[:3], head_of(path)[3:])):
            still = await Line.to(edge)
            still.writer.transport.pause_reading()  # type: ignore[attr-defined]
            before = edge.running.listeners.count()
            for part in parts:
                still.writer.write(part)
                await asyncio.sleep(0.01)
            async with asyncio.timeout(10):
                while edge.running.listeners.count() == before:
                    await asyncio.sleep(0.05)
            still.writer.transport.abort()


async def test_what_is_under_way_is_sent_before_the_node_ends(tmp_path: Path) -> None:
    async with origin(films) as behind:
        async with node(behind.url, **kept(tmp_path, "memory"), drain_seconds=20) as edge:
            line = await Line.to(edge)
            path = f"/{8 * MIB}"
            await hit(line, path)
            await line.whole(head_of(path))
            line.writer.write(head_of(path))
            head = await line.reader.readuntil(b"\r\n\r\n")
            assert b"; hit; " in head
            reading = asyncio.ensure_future(line.reader.read())
        assert await reading == BODY
        await line.close()


async def test_a_client_that_has_said_all_still_hears_all(tmp_path: Path) -> None:
    async with cinema(**kept(tmp_path, "memory")) as (edge, _, line):
        path = f"/{8 * MIB}"
        await hit(line, path)
        await line.whole(head_of(path))
        other = await Line.to(edge)
        other.writer.write(head_of(path))
        await asyncio.sleep(0.01)
        other.writer.write_eof()
        async with asyncio.timeout(20):
            assert (await other.reader.read()).endswith(BODY)
        await other.close()


def taken(edge: Edge) -> int:
    """Bytes of memory that large bodies take."""
    arena = edge.running.store.front._arena
    assert arena is not None
    return os.fstat(arena._descriptor).st_blocks * 512


async def test_memory_is_given_back_with_the_last_who_reads(tmp_path: Path) -> None:
    async with cinema(**kept(tmp_path, "memory")) as (edge, _, line):
        path = f"/{8 * MIB}"
        await hit(line, path)
        await line.whole(head_of(path))
        assert taken(edge) >= 8 * MIB
        slow = await Line.to(edge)
        slow.writer.write(head_of(path))
        await slow.reader.readuntil(b"\r\n\r\n")
        await edge.running.node.pipeline.purge(Purge("site", "shop"), ALONE)
        assert taken(edge) >= 8 * MIB
        rest = await slow.reader.readexactly(8 * MIB)
        assert rest == BODY
        await asyncio.sleep(0.01)
        assert taken(edge) == 0
        await slow.close()
