"""What a client of HTTP/2 may not do, over real sockets: the node ends it, and nobody else notices."""

from __future__ import annotations

import asyncio
import random

import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import (
    DataFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
)

from tests.edge.nodes import Edge, node
from tests.edge.wire.http2.visitors import visit
from tests.edge.wires import Heard, origin, says

FLOODS: dict[str, Frame] = {
    "settings": SettingsFrame(0, {}),
    "pings": PingFrame(0, b"12345678"),
    "priorities": PriorityFrame(1, depends_on=0, stream_weight=1),
    "empty content": DataFrame(3, b""),
}
# The node may reset the connection before its last words are read.
CALMED = (ErrorCodes.ENHANCE_YOUR_CALM, None)


async def answers_others(edge: Edge) -> None:
    async with visit(edge) as other:
        assert (await other.get("/")).status == 200
    assert (await edge.get("/")).status == 200
    await edge.at_rest()


@pytest.mark.parametrize("flood", FLOODS)
async def test_a_flood_of_frames_that_bring_nothing_ends_the_connection(flood: str) -> None:
    async with origin(says()) as shop, node(shop.url) as edge:
        async with visit(edge) as visitor:
            assert (await visitor.get("/")).status == 200
            assert visitor.begin("/", "POST", end=False) == 3
            visitor.say(*[FLOODS[flood]] * 3_000)
            assert await visitor.bye() in CALMED
        await answers_others(edge)


async def test_a_flood_of_unknown_frames_ends_the_connection() -> None:
    async with origin(says()) as shop, node(shop.url) as edge:
        async with visit(edge) as visitor:
            visitor.say_unknown(0xF0, b"x", times=500)
            assert (await visitor.get("/")).status == 200
            visitor.say_unknown(0xF0, b"x", times=3_000)
            assert await visitor.bye() in CALMED
        await answers_others(edge)


async def test_streams_given_up_at_once_end_the_connection() -> None:
    never = asyncio.Event()

    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        if heard.fields.get("x") == "rapid":
            await never.wait()
        await says()(heard, writer)

    async with origin(script) as shop, node(shop.url) as edge:
        async with visit(edge) as visitor:
            for _ in range(2_000):
                visitor.say(RstStreamFrame(visitor.begin("/", x="rapid"), error_code=ErrorCodes.CANCEL))
            assert await visitor.bye() in CALMED
        assert len(shop.heard) <= 300
        await answers_others(edge)


async def test_a_head_without_end_is_cut_off_and_one_too_large_too() -> None:
    async with origin(says()) as shop, node(shop.url) as edge:
        async with visit(edge) as visitor:
            block = visitor.h2.encoder.encode([(":method", "GET"), ("x", "y" * 9_000)])
            visitor.say(HeadersFrame(1, block))
            for _ in range(200):
                head = len(block).to_bytes(3, "big") + b"\x09\x00" + (1).to_bytes(4, "big")
                visitor.writer.write(head + block)
            assert await visitor.bye() != ErrorCodes.NO_ERROR
        async with visit(edge) as visitor:
            heard = await visitor.get("/", x="y" * 60_000)
            assert (heard.status, visitor.closed) == (0, True)
        assert not shop.heard
        await answers_others(edge)


@pytest.mark.parametrize("seed", range(8))
async def test_bytes_that_mean_nothing_harm_nobody(seed: int) -> None:
    chance = random.Random(seed)
    async with origin(says()) as shop, node(shop.url) as edge:
        for _ in range(10):
            async with visit(edge) as visitor:
                for _ in range(chance.randrange(1, 6)):
                    length = chance.randrange(60)
                    head = length.to_bytes(3, "big") + bytes([chance.randrange(12), chance.randrange(64)])
                    number = chance.choice([0, 1, 1, 2, 3, 2**31 - 1]).to_bytes(4, "big")
                    visitor.writer.write(head + number + chance.randbytes(length))
        await answers_others(edge)


async def test_who_does_not_read_is_not_waited_for() -> None:
    body = b"x" * 4_000_000
    async with origin(says(body)) as shop, node(shop.url, limits={"idle": 1.0}) as edge:
        async with visit(edge, reads=False) as visitor:
            heard = await visitor.hear(visitor.begin("/"), seconds=20)
            assert heard.reset == ErrorCodes.CANCEL
            assert 0 < len(heard.body) <= 65_535
        await answers_others(edge)


async def test_who_says_nothing_is_not_kept() -> None:
    limits = {"idle": 1.0, "head_timeout": 1.0}
    async with origin(says()) as shop, node(shop.url, limits=limits) as edge:
        async with visit(edge) as visitor:
            assert (await visitor.get("/")).status == 200
            assert await visitor.bye() == ErrorCodes.NO_ERROR
        async with edge.visit() as silent:
            silent.writer.write(b"PRI * HTTP/2.0\r\n\r\n")
            assert len(await silent.reader.read()) < 200
        await edge.at_rest()
