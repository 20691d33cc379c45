"""WebSockets through a whole node, with real ends on both sides."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from edge.relay import FrameEdges
from tests.edge.nodes import HOST, Edge, node
from tests.edge.wires import Heard, answer, eventually, origin

Talk = Callable[[web.WebSocketResponse], Awaitable[None]]


async def echo(socket: web.WebSocketResponse) -> None:
    async for message in socket:
        if message.type is aiohttp.WSMsgType.TEXT:
            await socket.send_str(message.data)
        else:
            await socket.send_bytes(message.data)


@contextlib.asynccontextmanager
async def shop(talk: Talk, seen: list[web.Request] | None = None) -> AsyncIterator[str]:
    async def handle(request: web.Request) -> web.WebSocketResponse:
        if seen is not None:
            seen.append(request)
        socket = web.WebSocketResponse(protocols=["chat"], max_msg_size=64 * 1024 * 1024)
        await socket.prepare(request)
        await talk(socket)
        return socket

    app = web.Application()
    app.router.add_get("/chat", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def chat(edge: Edge, **options: object) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(
            f"http://127.0.0.1:{edge.port()}/chat", headers={"Host": HOST}, max_msg_size=0, **options
        ) as socket,  # type: ignore[arg-type]
    ):
        yield socket


async def test_messages_pass_both_ways_of_every_size() -> None:
    seen: list[web.Request] = []
    async with shop(echo, seen) as url, node(url) as edge:
        async with chat(edge, protocols=["chat"]) as socket:
            assert socket.protocol == "chat"
            for size in (0, 1, 125, 126, 65_535, 65_536, 3_000_000):
                await socket.send_bytes(b"x" * size)
                assert await socket.receive_bytes(timeout=10) == b"x" * size
            await socket.send_str("selesai")
            assert await socket.receive_str(timeout=5) == "selesai"
            assert len(edge.running.relay) == 1
        await eventually(lambda: len(edge.running.relay) == 0)
    assert seen[0].headers["Host"] == HOST
    assert seen[0].headers["X-Forwarded-For"] == "127.0.0.1"
    assert seen[0].headers["Via"] == "1.1 tepi"


async def test_the_origins_closing_code_reaches_the_client() -> None:
    async def leave(socket: web.WebSocketResponse) -> None:
        await socket.close(code=4001, message=b"habis")

    async with shop(leave) as url, node(url) as edge, chat(edge) as socket:
        message = await socket.receive(timeout=5)
        assert (message.type, message.data, message.extra) == (aiohttp.WSMsgType.CLOSE, 4001, "habis")


async def test_a_node_that_ends_tells_both_sides_that_it_goes_away() -> None:
    codes: list[int | None] = []

    async def wait(socket: web.WebSocketResponse) -> None:
        await socket.receive()
        codes.append(socket.close_code)

    async with shop(wait) as url:
        async with node(url, drain_seconds=0.1) as edge:
            talking = chat(edge)
            socket = await talking.__aenter__()
        message = await socket.receive(timeout=5)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1001)
        await eventually(lambda: codes == [1001])
        await talking.__aexit__(None, None, None)


async def test_a_silent_conversation_is_ended_and_a_slow_one_is_not() -> None:
    site = {"timeouts": {"stream": 0.4}}
    async with shop(echo) as url, node(url, site=site) as edge, chat(edge) as socket:
        for _ in range(4):
            await asyncio.sleep(0.2)
            await socket.send_str("masih")
            assert await socket.receive_str(timeout=5) == "masih"
        message = await socket.receive(timeout=5)
        assert message.data == 1001


async def test_a_conversation_outlives_the_limits_of_requests() -> None:
    async with shop(echo) as url, node(url, limits={"total": 0.1, "idle": 0.1}) as edge, chat(edge) as socket:
        await asyncio.sleep(1.3)
        await socket.send_str("masih")
        assert await socket.receive_str(timeout=5) == "masih"


async def test_a_slow_client_holds_the_origin_back() -> None:
    sent = 0

    async def pour(socket: web.WebSocketResponse) -> None:
        nonlocal sent
        with contextlib.suppress(ConnectionError):
            for _ in range(1000):
                await socket.send_bytes(b"x" * 65_536)
                sent += 65_536

    handshake = (
        "GET /chat HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    async with shop(pour) as url, node(url) as edge, edge.visit() as visit:
        visit.writer.write(handshake.encode())
        assert (await visit.hear()).status == 101
        await asyncio.sleep(0.5)
        assert 0 < sent < 32 * 1024 * 1024


async def test_a_handshake_that_the_origin_refuses_is_an_answer() -> None:
    async def refuse(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"no", "403 Forbidden", "X-Why: because"))

    async with origin(refuse) as url, node(url.url) as edge:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            async with chat(edge):
                pass
        assert caught.value.status == 403
        assert caught.value.headers is not None
        assert caught.value.headers["X-Why"] == "because"
        assert url.heard[0].fields["upgrade"] == "websocket"
        assert url.heard[0].fields["sec-websocket-version"] == "13"


async def test_a_handshake_nobody_answers_is_a_gateways_failure() -> None:
    async def silent(heard: Heard, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async with origin(silent) as url, node(url.url, site={"timeouts": {"first_byte": 0.1}}) as edge:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            async with chat(edge):
                pass
        assert caught.value.status == 504
    async with node("http://127.0.0.1:9") as edge:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            async with chat(edge):
                pass
        assert caught.value.status == 502


async def test_other_upgrades_are_answered_as_if_nobody_had_asked() -> None:
    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"plain"))

    async with origin(script) as url, node(url.url) as edge:
        for fields in (
            {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2_Settings": "AAMAAABkAAQ"},
            {"Upgrade": "websocket"},
        ):
            reply = await edge.get("/chat", **fields)
            assert (reply.status, reply.body) == (200, b"plain")
        assert not any("upgrade" in heard.fields for heard in url.heard)


frames = st.lists(
    st.tuples(st.integers(0, 70_000) | st.integers(0, 130), st.booleans()), min_size=1, max_size=5
)


def frame(size: int, masked: bool) -> bytes:
    mark = 0x80 if masked else 0
    if size < 126:
        head = bytes([0x82, mark | size])
    elif size < 65_536:
        head = bytes([0x82, mark | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([0x82, mark | 127]) + size.to_bytes(8, "big")
    return head + (b"mask" if masked else b"") + b"\x81" * size


@given(frames, st.lists(st.integers(1, 200_000), max_size=6))
def test_the_edges_of_frames_are_known_wherever_the_bytes_are_cut(
    sizes: list[tuple[int, bool]], cuts: list[int]
) -> None:
    whole, ends = b"", {0}
    for size, masked in sizes:
        whole += frame(size, masked)
        ends.add(len(whole))
    edges = FrameEdges()
    at = 0
    for cut in sorted({*cuts, *ends, len(whole)}):
        edges.feed(whole[at:cut])
        at = max(at, min(cut, len(whole)))
        assert edges.between is (at in ends)


async def test_nothing_follows_a_close_frame() -> None:
    async def leave(socket: web.WebSocketResponse) -> None:
        await socket.receive()

    handshake = (
        "GET /chat HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    async with shop(leave) as url, node(url) as edge, edge.visit() as visit:
        visit.writer.write(handshake.encode())
        assert (await visit.hear()).status == 101
        visit.writer.write(b"\x88\x82\0\0\0\0\x03\xe8")
        async with asyncio.timeout(5):
            assert await visit.reader.read() == b"\x88\x02\x03\xe8"
