from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator

import dns.asyncquery
import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest
import uvloop

from geo.dns.answer import Manners, Reply
from geo.dns.cookies import Cookies
from geo.dns.rates import Rates, Verdict
from geo.dns.server import CannotListen, Server, TcpLimits
from geo.fleet import Health
from tests.geo.worlds import JAKARTA, fleet_with, responder

LOOPBACK = "127.0.0.1"
LIMITS = TcpLimits()


@contextlib.asynccontextmanager
async def serving(limits: TcpLimits = LIMITS, **more: object) -> AsyncIterator[Server]:
    server = Server(responder(fleet_with()), [(LOOPBACK, 0)], limits=limits, **more)  # type: ignore[arg-type]
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def query(name: str = "www.shop.test", number: int = 1) -> dns.message.Message:
    made = dns.message.make_query(name, "A")
    made.id = number
    return made


def framed(*queries: dns.message.Message) -> bytes:
    return b"".join(len(wire).to_bytes(2) + wire for wire in (one.to_wire() for one in queries))


async def read_reply(reader: asyncio.StreamReader) -> dns.message.Message:
    size = int.from_bytes(await reader.readexactly(2))
    return dns.message.from_wire(await reader.readexactly(size))


async def connect(server: Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(*server.addresses[0])


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def test_udp_and_tcp_on_the_same_port_give_the_same_answer() -> None:
    async with serving() as server:
        [(host, port)] = server.addresses
        over_udp = await dns.asyncquery.udp(query(), host, port=port, timeout=2)
        over_tcp = await dns.asyncquery.tcp(query(), host, port=port, timeout=2)
        assert over_udp.to_wire() == over_tcp.to_wire()
        assert over_udp.rcode() == dns.rcode.NOERROR


async def test_ipv6_is_served_alike() -> None:
    server = Server(responder(), [("::1", 0)])
    await server.start()
    try:
        host, port = server.addresses[0]
        reply = await dns.asyncquery.udp(query(), host, port=port, timeout=2)
        assert reply.rcode() == dns.rcode.NOERROR
    finally:
        await server.stop()


async def test_another_responder_answers_from_the_next_packet_on() -> None:
    async with serving() as server:
        host, port = server.addresses[0]
        asked = dns.message.make_query("www.shop.test", "A", use_edns=0)
        asked.use_edns(options=[dns.edns.ECSOption("36.66.0.0", 16)])
        before = await dns.asyncquery.udp(asked, host, port=port, timeout=2)
        assert before.answer[0][0].to_text() == JAKARTA.addresses[0]
        server.use(server.responder.with_fleet(fleet_with(jakarta=Health.UNHEALTHY)))
        after = await dns.asyncquery.udp(asked, host, port=port, timeout=2)
        assert after.answer[0][0].to_text() != JAKARTA.addresses[0]


async def test_many_queries_on_one_connection_are_answered_in_order() -> None:
    async with serving() as server:
        reader, writer = await connect(server)
        writer.write(framed(*(query(number=number) for number in range(200))))
        assert [(await read_reply(reader)).id for _ in range(200)] == list(range(200))
        await close(writer)


async def test_a_query_that_comes_in_single_octets_is_answered() -> None:
    async with serving() as server:
        reader, writer = await connect(server)
        for octet in framed(query(number=7)):
            writer.write(bytes((octet,)))
            await writer.drain()
        assert (await read_reply(reader)).id == 7
        await close(writer)


async def test_answers_still_leave_when_the_client_has_said_it_sends_no_more() -> None:
    async with serving() as server:
        reader, writer = await connect(server)
        writer.write(framed(query(number=1), query(number=2)))
        writer.write_eof()
        assert [(await read_reply(reader)).id for _ in range(2)] == [1, 2]
        assert await reader.read() == b""
        await close(writer)


async def test_an_idle_connection_is_closed() -> None:
    async with serving(TcpLimits(idle=0.2)) as server:
        reader, writer = await connect(server)
        writer.write(framed(query()))
        await read_reply(reader)
        async with asyncio.timeout(2):
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
        assert server.connections == {}
        await close(writer)


async def test_dripping_octets_do_not_keep_a_connection_open() -> None:
    async with serving(TcpLimits(idle=0.3)) as server:
        reader, writer = await connect(server)
        began = asyncio.get_running_loop().time()
        with contextlib.suppress(ConnectionError):
            for octet in framed(query()) * 10:
                writer.write(bytes((octet,)))
                await writer.drain()
                await asyncio.sleep(0.05)
                if reader.at_eof():
                    break
        assert asyncio.get_running_loop().time() - began < 2
        await close(writer)


async def test_connections_are_bounded_and_a_place_becomes_free_again() -> None:
    async with serving(TcpLimits(connections=2)) as server:
        first, second = await connect(server), await connect(server)
        for reader, writer in (first, second):
            writer.write(framed(query()))
            await read_reply(reader)
        reader, writer = await connect(server)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        await close(writer)
        await close(first[1])
        async with asyncio.timeout(2):
            while len(server.connections) > 1:
                await asyncio.sleep(0.01)
        reader, writer = await connect(server)
        writer.write(framed(query(number=9)))
        assert (await read_reply(reader)).id == 9
        await close(writer)
        await close(second[1])


async def test_a_client_that_never_reads_is_not_read_for_ever() -> None:
    async with serving(TcpLimits(idle=1.0)) as server:
        packet = framed(*(query(number=number) for number in range(500)))
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(raw, server.addresses[0])
        sent = 0
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(0.8):
                while sent < 50_000_000:
                    await loop.sock_sendall(raw, packet)
                    sent += len(packet)
        assert sent < 50_000_000
        raw.close()


@pytest.mark.parametrize(
    "packet", [b"", b"x", bytes(12), b"\xff" * 40, struct.pack("!6H", 1, 0x8000, 1, 0, 0, 0)]
)
async def test_bad_packets_stop_nothing(packet: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as server:
        host, port = server.addresses[0]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as raw:
            raw.sendto(packet, (host, port))
        reader, writer = await connect(server)
        writer.write(len(packet).to_bytes(2) + packet + framed(query(number=5)))
        reply = await read_reply(reader)
        while reply.id != 5:
            reply = await read_reply(reader)
        await close(writer)
        assert (await dns.asyncquery.udp(query(), host, port=port, timeout=2)).rcode() == dns.rcode.NOERROR
    assert caplog.records == []


async def test_each_reply_is_observed() -> None:
    seen: list[Reply] = []
    async with serving(observe=lambda reply, count: seen.extend([reply] * count)) as server:
        host, port = server.addresses[0]
        await dns.asyncquery.udp(query(), host, port=port, timeout=2)
        await dns.asyncquery.tcp(query("nope.shop.test"), host, port=port, timeout=2)
    assert [reply.rcode.name for reply in seen] == ["NOERROR", "NXDOMAIN"]


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
async def test_a_port_in_use_is_named_with_what_to_do(kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind((LOOPBACK, 0))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        port = taken.getsockname()[1]
        server = Server(responder(), [(LOOPBACK, 0), (LOOPBACK, port)])
        with pytest.raises(CannotListen, match=rf"127\.0\.0\.1:{port} .* is in use: stop the other process"):
            await server.start()
        assert server.addresses == ()


async def test_after_the_end_nothing_listens_and_no_connection_is_left() -> None:
    async with serving() as server:
        address = server.addresses[0]
        reader, writer = await connect(server)
        writer.write(framed(query()))
        await read_reply(reader)
    assert await reader.read() == b""
    await close(writer)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)


def test_it_serves_on_the_loop_that_processes_run_on_too() -> None:
    async def story() -> None:
        async with serving(TcpLimits(connections=1, idle=0.3)) as server:
            host, port = server.addresses[0]
            assert (await dns.asyncquery.udp(query(), host, port=port, timeout=2)).answer
            reader, writer = await connect(server)
            writer.write(framed(*(query(number=number) for number in range(50))))
            assert [(await read_reply(reader)).id for _ in range(50)] == list(range(50))
            refused, beyond = await connect(server)
            with contextlib.suppress(ConnectionResetError):
                assert await refused.read() == b""
            await close(beyond)
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""  # idle
            await close(writer)
            assert server.connections == {}

    uvloop.run(story())


async def test_one_client_does_not_take_every_connection() -> None:
    async with serving(TcpLimits(connections=9, of_one=1)) as server:
        first, second = await connect(server), await connect(server)
        with contextlib.suppress(ConnectionResetError):
            assert await second[0].read() == b""
        await close(second[1])
        await close(first[1])
        async with asyncio.timeout(2):
            while server.clients:
                await asyncio.sleep(0.01)


async def test_a_network_beyond_its_rate_gets_truncated_replies_or_none_and_tcp_as_ever() -> None:
    held: list[Verdict] = []
    async with serving(rates=Rates(1, 2, b"salt"), limited=held.append) as server:
        [(host, port)] = server.addresses
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as raw:
            raw.connect((host, port))
            raw.settimeout(2)
            loop = asyncio.get_running_loop()
            for number in range(8):
                raw.send(query(number=number).to_wire())
            first = dns.message.from_wire(await loop.run_in_executor(None, raw.recv, 4096))
            second = dns.message.from_wire(await loop.run_in_executor(None, raw.recv, 4096))
        assert first.answer
        assert not second.answer
        assert second.flags & dns.flags.TC
        over_tcp = await dns.asyncquery.tcp(query(), host, port=port, timeout=2)
        assert over_tcp.answer
    assert {Verdict.SILENCE, Verdict.TRUNCATE} == set(held)


async def test_a_proven_address_has_no_rate() -> None:
    made = Cookies((bytes(16),))
    server = Server(
        responder(fleet_with(), manners=Manners(cookies=made)), [(LOOPBACK, 0)],
        rates=Rates(1, 0, b"salt"), clock=lambda: 1_750_000_000.0,
    )  # fmt: skip
    cookie = made.make(bytes(8), bytes((127, 0, 0, 1)), 1_750_000_000)
    asked = dns.message.make_query("www.shop.test", "A", use_edns=0)
    asked.use_edns(options=[dns.edns.GenericOption(10, cookie)])
    assert all(server.answer(asked.to_wire(), LOOPBACK) for _ in range(20))
    assert sum(server.answer(query().to_wire(), LOOPBACK) is not None for _ in range(20)) <= 2
