"""A connection to an origin, against a real socket that answers byte for byte what a test says."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.upstream.http1 import HIGH_WATER, Connection, ExchangeError, Head

REQUEST = b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n"
Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def origin(script: Script) -> AsyncIterator[Connection]:
    """A connection to an origin that follows `script`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await script(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    _, connection = await asyncio.get_running_loop().create_connection(Connection, host, port)
    try:
        yield connection
    finally:
        connection.close()
        server.close()
        await server.wait_closed()


def says(*pieces: bytes, then_close: bool = False) -> Script:
    """An origin that answers one request with `pieces`, a moment between them, and stays on the line."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.002)
        if not then_close:
            await reader.read()

    return script


async def read(connection: Connection) -> bytes:
    whole = b""
    while (chunk := await connection.next_chunk()) is not None:
        whole += chunk
    return whole


async def test_a_counted_body_is_read_and_the_connection_kept() -> None:
    async with origin(says(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal", b"lo")) as connection:
        head = await connection.exchange(REQUEST, None)
        assert (head.status, head.fields.get("content-length")) == (200, "5")
        assert await read(connection) == b"hallo"
        assert connection.reusable


async def test_interim_answers_come_before_the_final_one() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
    heard: list[Head] = []
    async with origin(
        says(b"HTTP/1.1 102 Processing\r\n\r\n" + early, b"HTTP/1.1 204 No\r\n\r\n")
    ) as connection:
        head = await connection.exchange(REQUEST, None, on_interim=heard.append)
        assert head.status == 204
        assert [hint.status for hint in heard] == [102, 103]
        assert heard[1].fields.get("link") == "</a.css>; rel=preload"
        assert "link" not in head.fields
        assert connection.whole_body() == b""
        assert connection.reusable


async def test_a_body_longer_than_declared_is_cut_there_and_the_connection_dropped() -> None:
    async with origin(says(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef")) as connection:
        await connection.exchange(REQUEST, None)
        assert await read(connection) == b"abc"
        assert not connection.reusable


async def test_a_late_second_answer_never_reaches_the_next_request() -> None:
    second = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret"
    async with origin(says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", second)) as connection:
        await connection.exchange(REQUEST, None)
        assert await read(connection) == b"ok"
        async with asyncio.timeout(2):
            while connection.reusable:
                await asyncio.sleep(0.002)


async def test_an_unknown_transfer_coding_is_relayed_until_the_connection_closes() -> None:
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: rot13\r\n\r\nnyy bs vg"
    async with origin(says(answer, then_close=True)) as connection:
        head = await connection.exchange(REQUEST, None)
        assert head.fields.get("transfer-encoding") == "rot13"
        assert await read(connection) == b"nyy bs vg"
        assert not connection.reusable


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param(b"", "closed", id="closed-without-a-word"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Le", "reset", id="closed-in-the-head"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n\r\n", "protocol", id="not-http"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "protocol",
            id="two-lengths-9112-6.3",
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 150_000, "protocol", id="endless-head"),
        pytest.param(
            b"HTTP/1.1 101 Yes\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "protocol", id="unasked-101"
        ),
    ],
)  # fmt: skip
async def test_a_failure_before_the_answer_is_named(answer: bytes, kind: str) -> None:
    async with origin(says(answer, then_close=True)) as connection:
        with pytest.raises(ExchangeError) as caught:
            await connection.exchange(REQUEST, None)
        assert caught.value.kind == kind
        assert not connection.reusable


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", id="counted"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", id="chunked"),
    ],
)
async def test_a_body_cut_short_is_an_error_after_what_came(start: bytes) -> None:
    async with origin(says(start, then_close=True)) as connection:
        await connection.exchange(REQUEST, None)
        assert await connection.next_chunk() == b"half"
        with pytest.raises(ExchangeError) as caught:
            await connection.next_chunk()
        assert caught.value.kind == "cut"


async def test_an_answer_to_head_has_no_body_whatever_its_length() -> None:
    async with origin(says(b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n")) as connection:
        head = await connection.exchange(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", None, expects_no_body=True)
        assert head.fields.get("content-length") == "12345"
        assert connection.whole_body() == b""
        assert connection.reusable


async def test_a_streamed_body_is_sent_in_chunks() -> None:
    got: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.readuntil(b"0\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await reader.read()

    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"one", b"", b"three"):
            yield piece

    async with origin(script) as connection:
        head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        await connection.exchange(head, pieces(), chunked=True)
        assert got == [head + b"3\r\none\r\n5\r\nthree\r\n0\r\n\r\n"]
        assert connection.reusable


async def test_a_slow_taker_holds_the_origin_back() -> None:
    size = 8 * 1024 * 1024
    async with origin(
        says(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size, b"x" * size)
    ) as connection:
        await connection.exchange(REQUEST, None)
        await asyncio.sleep(0.1)
        first = await connection.next_chunk()
        assert first is not None
        assert len(first) < HIGH_WATER + 512 * 1024
        assert len(first) + len(await read(connection)) == size


@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.integers(1, 120), max_size=6), chunked=st.booleans())
def test_where_the_segments_are_cut_changes_nothing(cuts: list[int], chunked: bool) -> None:
    framing, body = (
        (b"Transfer-Encoding: chunked", b"5\r\nhallo\r\n6\r\n dunia\r\n0\r\n\r\n")
        if chunked
        else (b"Content-Length: 11", b"hallo dunia")
    )
    answer = b"HTTP/1.1 103 Hi\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n" + body
    edges = [0, *sorted(cut for cut in set(cuts) if cut < len(answer)), len(answer)]
    pieces = [answer[start:end] for start, end in itertools.pairwise(edges)]

    async def exchange() -> None:
        heard: list[Head] = []
        async with origin(says(*pieces)) as connection:
            await connection.exchange(REQUEST, None, on_interim=heard.append)
            assert await read(connection) == b"hallo dunia"
            assert [hint.status for hint in heard] == [103]
            assert connection.reusable

    asyncio.run(exchange())


async def test_a_connection_hears_again_after_a_body_that_came_whole_at_its_high_water() -> None:
    size = HIGH_WATER + 1
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(head + b"x" * size)

    async with origin(script) as connection, asyncio.timeout(10):
        for _ in range(2):
            await connection.exchange(REQUEST, None)
            while (body := connection.whole_body()) is None:
                await asyncio.sleep(0.002)
            assert len(body) == size
