"""A film of 128 MiB over real sockets: what the origin is asked for it, and what the node holds of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from edge.http.ranges import Part, satisfiable
from edge.store.fill import WINDOW
from edge.store.parts import Parts
from tests.edge.nodes import Edge, Visit, node
from tests.edge.wires import Heard, eventually, origin, read_reply

MIB = 2**20
SIZE = 128 * MIB + 12_345
PATTERN = bytes((number * 7 + number // 251) % 256 for number in range(64 * 1024))
CHUNK = 256 * 1024  # the most that one read of the origin's connection brings, and a little more


def bytes_of(part: Part, version: int = 1) -> bytes:
    """A part of the film, made where it is needed."""
    begin = part.first % len(PATTERN)
    made = (PATTERN * (part.size // len(PATTERN) + 2))[begin : begin + part.size]
    return made if version == 1 else bytes(byte ^ 0xFF for byte in made)


@dataclass
class Server:
    """A file server with one film. Notes each Range, and how much it sent for it."""

    version: int = 1
    asked: list[str | None] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)

    async def __call__(self, heard: Heard, writer: asyncio.StreamWriter) -> None:
        etag, asked = f'"v{self.version}"', heard.fields.get("range")
        lines = [
            f"ETag: {etag}",
            "Cache-Control: max-age=3600",
            "Accept-Ranges: bytes",
            "Content-Type: video/mp4",
        ]
        condition = heard.fields.get("if-range")
        parts = satisfiable(asked, SIZE) if asked is not None and condition in (None, etag) else None
        status, part = "200 OK", Part(0, SIZE - 1)
        if parts:
            status, part = "206 Partial Content", parts[0]
            lines.append(f"Content-Range: {part.of(SIZE)}")
        number = len(self.asked)
        self.asked.append(asked)
        self.sent.append(0)
        head = "\r\n".join([f"HTTP/1.1 {status}", *lines, f"Content-Length: {part.size}", "", ""])
        writer.write(head.encode())
        for first in range(part.first, part.end, CHUNK // 2):
            piece = Part(first, min(first + CHUNK // 2, part.end) - 1)
            writer.write(bytes_of(piece, self.version))
            self.sent[number] += piece.size
            await writer.drain()


@contextlib.asynccontextmanager
async def cinema(memory: str = "32MiB") -> AsyncIterator[tuple[Server, Edge]]:
    server = Server()
    async with (
        origin(server) as shop,
        node(shop.url, store={"memory": memory, "max_object": "8MiB"}) as edge,
    ):
        yield server, edge


def parts_of(edge: Edge) -> Parts:
    (entry,) = edge.running.store.get("shop.test/film\x00http")
    assert isinstance(entry.content, Parts)
    return entry.content


async def head_of(visit: Visit, **fields: str) -> dict[str, str]:
    """Ask for the film; the head of the answer, whose body is yet to be read."""
    visit.say("GET", "/film", **fields)
    reply = await read_reply(visit.reader, head_only=True)
    return {"status": str(reply.status), **reply.fields}


async def test_a_seek_costs_one_slice_and_no_slice_is_fetched_twice() -> None:
    async with cinema() as (server, edge):
        async with edge.visit() as visit:  # a player begins, and stops when it has seen enough
            head = await head_of(visit, Range="bytes=0-")
            assert head["status"] == "206"
            assert head["content-range"] == f"bytes 0-{SIZE - 1}/{SIZE}"
            assert await visit.reader.readexactly(3 * MIB) == bytes_of(Part(0, 3 * MIB - 1))
        assert server.asked == [None]
        for at in (100 * MIB + 5, 50 * MIB + 17, 100 * MIB + 700_000, 120 * MIB):
            wanted = Part(at, at + 99_999)
            reply = await edge.get("/film", Range=f"bytes={wanted.first}-{wanted.last}")
            assert (reply.status, reply.body) == (206, bytes_of(wanted))
            assert reply.fields["content-range"] == wanted.of(SIZE)
            assert (reply.fields["etag"], reply.fields["accept-ranges"]) == ('"v1"', "bytes")
        assert server.asked[1:] == [f"bytes={at * MIB}-{(at + 1) * MIB - 1}" for at in (100, 50, 120)]
        assert server.sent[1:] == [MIB, MIB, MIB]
        assert server.sent[0] < SIZE // 4
        last = await edge.get("/film", Range=f"bytes={120 * MIB}-{120 * MIB + 9}")
        assert "; hit" in last.fields["cache-status"]
        assert "age" in last.fields


async def test_a_reader_who_does_not_read_makes_the_node_hold_a_window_and_no_more() -> None:
    async with cinema() as (server, edge), edge.visit() as visit:
        await head_of(visit)
        store = edge.running.store
        await eventually(lambda: bool(parts_of(edge).fills) and parts_of(edge).fills[0].held >= WINDOW)
        for _ in range(200):  # whatever could still come, comes
            await asyncio.sleep(0)
            held = sum(fill.held for fill in parts_of(edge).fills)
            assert held <= WINDOW + 2 * CHUNK
            assert store.reserved <= MIB
            assert store.size <= store.budget
        taken = 0
        while taken < SIZE:
            piece = await visit.reader.read(1_000_000)
            assert piece == bytes_of(Part(taken, taken + len(piece) - 1))
            taken += len(piece)
            assert store.size <= store.budget
        assert server.asked == [None]


async def test_many_watch_at_many_places_and_each_slice_is_fetched_once() -> None:
    async with cinema("160MiB") as (server, edge):
        await edge.get("/film", Range="bytes=0-9")

        async def watch(minute: int) -> bool:
            wanted = Part(minute * 4 * MIB + 1000, minute * 4 * MIB + 3 * MIB)
            reply = await edge.get("/film", Range=f"bytes={wanted.first}-{wanted.last}")
            return reply.body == bytes_of(wanted)

        assert all(await asyncio.gather(*[watch(number % 4) for number in range(24)]))
        begins = [int((asked or "bytes=0-")[6:].partition("-")[0]) // MIB for asked in server.asked[1:]]
        assert len(begins) == len(set(begins))
        assert sum(server.sent[1:]) <= 4 * 4 * MIB


async def test_a_film_that_is_replaced_under_a_viewer_ends_his_answer_and_no_byte_is_of_the_other() -> None:
    async with cinema() as (server, edge):
        await edge.get("/film", Range=f"bytes={10 * MIB}-{10 * MIB + 9}")
        async with edge.visit() as visit:
            await head_of(visit, Range=f"bytes={10 * MIB}-")
            got = await visit.reader.readexactly(10)
            server.version = 2
            with contextlib.suppress(ConnectionError):
                while piece := await visit.reader.read(MIB):
                    got += piece
        assert len(got) < SIZE - 10 * MIB
        assert got == bytes_of(Part(10 * MIB, 10 * MIB + len(got) - 1))
        reply = await edge.get("/film", Range=f"bytes={20 * MIB}-{20 * MIB + 9}")
        assert (reply.fields["etag"], reply.body) == ('"v2"', bytes_of(Part(20 * MIB, 20 * MIB + 9), 2))


@pytest.mark.parametrize(
    "asked", ["bytes=-1", f"bytes={SIZE - 1}-", f"bytes={SIZE}-", "bytes=0-0,-1", "pages=1"]
)
async def test_odd_ranges_never_cost_more_than_a_slice(asked: str) -> None:
    async with cinema() as (server, edge):
        await edge.get("/film", Range="bytes=0-9")
        async with edge.visit() as visit:
            head = await head_of(visit, Range=asked)
        assert head["status"] in ("206", "416", "200")
        if asked != "pages=1":
            assert sum(server.sent[1:]) <= MIB
