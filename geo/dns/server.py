"""DNS over UDP and TCP (RFC 1035 §4.2, RFC 7766). Decides nothing: what to answer is the Responder's."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from geo.dns.answer import Reply, Responder
from geo.dns.batch import AVAILABLE, COUNT, Batch, text_of
from geo.dns.lane import Tree
from geo.dns.lessons import About, Lessons, tree_of
from geo.dns.rates import Rates, Verdict
from geo.dns.steering import packed_address
from geo.lookup import Lookup

BIND_ATTEMPTS = 20
MOST_BATCHES = 16  # of one socket before others have their turn
BURST_OCTETS = 2**20  # of packets that may wait while a new responder is made
Address = tuple[str, int]


class CannotListen(Exception):
    """An address that can't be listened on; the text names it and says what to do."""


@dataclass(frozen=True, slots=True)
class TcpLimits:
    """What TCP clients may use up. `idle` is in seconds since the last whole query (RFC 7766 §6.2.3).

    `of_one` is the most connections of one address.
    """

    connections: int = 200
    idle: float = 10.0
    of_one: int = 50


def _ignore(_reply: Reply, _count: int) -> None:
    return None


def _ignore_limited(_verdict: Verdict) -> None:
    return None


class Server:
    """Answers on every address of `listen`, on UDP and TCP. `use` swaps what is answered, without a gap.

    `observe` is called with replies that were sent and their number, `limited` with what became of one that
    `rates` held back, for metrics. `clock` gives seconds since 1970.
    """

    def __init__(
        self,
        responder: Responder,
        listen: Sequence[Address],
        *,
        limits: TcpLimits = TcpLimits(),
        rates: Rates | None = None,
        observe: Callable[[Reply, int], None] = _ignore,
        limited: Callable[[Verdict], None] = _ignore_limited,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.rates = rates
        self.limited = limited
        self.clock = clock
        self.limits = limits
        self.observe = observe
        self.connections: dict[asyncio.BaseTransport, None] = {}
        self.clients: Counter[str] = Counter()
        self._listen = tuple(listen)
        self._batches: list[Batch] = []
        self._lookup: Lookup | None = None
        self._tree: Tree | None = None
        self._counted: dict[object, int] = {}
        self._take(responder)
        self._datagrams: list[asyncio.DatagramTransport] = []
        self._streams: list[asyncio.Server] = []

    def use(self, responder: Responder) -> None:
        """From the next packet on, `responder` answers."""
        self.count()
        self._take(responder)

    def _take(self, responder: Responder) -> None:
        lookup = responder.steering.lookup
        if self._lookup is not lookup:
            self._lookup, self._tree = lookup, tree_of(lookup)
        self.responder = responder
        self.lessons = Lessons(responder, self._tree)
        self._counted = {}

    def count(self) -> None:
        """Tells `observe` what the lane has answered since the last time."""
        counted = self.lessons.lane.counted()
        for about, number in counted.items():
            more = number - self._counted.get(about, 0)
            if more:
                kind, rcode, node = cast(About, about)
                self.observe(Reply(b"", kind, rcode, node), more)
        self._counted = counted

    def answer(self, packet: bytes, source: str) -> Reply | None:
        """The reply to a datagram; None where none is sent."""
        now = int(self.clock())
        reply = self.responder.reply(packet, source, now=now)
        if reply is None or reply.proven or self.rates is None:
            return reply
        verdict = self.rates.admit(packed_address(source), time.monotonic())
        if verdict is Verdict.ANSWER:
            return reply
        return self._instead(verdict, packet, source)

    def _instead(self, verdict: Verdict, packet: bytes, source: str) -> Reply | None:
        """What a network gets that has had too many replies."""
        self.limited(verdict)
        if verdict is Verdict.SILENCE:
            return None
        return self.responder.reply(packet, source, now=int(self.clock()), slip=True)

    def serve(self, batch: Batch) -> None:
        """Answers the datagrams that wait: the lane what it knows, the responder the rest."""
        for _ in range(MOST_BATCHES):
            count = batch.receive()
            if not count:
                return
            now = int(self.clock())
            left = self.lessons.lane.run(batch, count, self.rates, now, time.monotonic())
            for number in left:
                self._serve_one(batch, number)
            batch.send(count)
            if count < COUNT:
                return

    def _serve_one(self, batch: Batch, number: int) -> None:
        """Answers a query that the lane left; ~n is one whose reply the rates held back."""
        held, number = number < 0, max(number, ~number)
        packet, (address, _) = batch.query(number), batch.source(number)
        source = text_of(address)
        if held:
            assert self.rates is not None
            reply = self._instead(self.rates.instead(address), packet, source)
        else:
            reply = self.answer(packet, source)
            if reply is not None:
                self.lessons.teach(packet, address, source)
        batch.answer(number, None if reply is None else reply.wire)
        if reply is not None:
            self.observe(reply, 1)

    @property
    def addresses(self) -> tuple[Address, ...]:
        """What is really listened on: port 0 has become a number, the same for UDP and TCP."""
        batched = (batch.sock.getsockname() for batch in self._batches)
        plain = (one.get_extra_info("sockname") for one in self._datagrams)
        return tuple(cast(Address, name[:2]) for name in (*batched, *plain))

    async def start(self) -> None:
        """Binds all addresses, or none. Raises CannotListen."""
        try:
            for address in self._listen:
                await self._open(address)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Closes the sockets, lets answers already written leave, and ends every connection."""
        for batch in self._batches:
            asyncio.get_running_loop().remove_reader(batch.sock)
            batch.sock.close()
        for datagrams in self._datagrams:
            datagrams.close()
        for stream in self._streams:
            stream.close()
        for connection in tuple(self.connections):
            connection.close()
        for stream in self._streams:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await stream.wait_closed()
        self._batches.clear()
        self._datagrams.clear()
        self._streams.clear()

    async def _open(self, address: Address) -> None:
        loop = asyncio.get_running_loop()
        datagram, stream = _bind(address)
        if AVAILABLE:
            batch = Batch(datagram)
            self._batches.append(batch)
            loop.add_reader(datagram, self.serve, batch)
        else:
            transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=datagram)
            self._datagrams.append(transport)
        self._streams.append(await loop.create_server(lambda: _Stream(self), sock=stream, backlog=256))


def _bind(address: Address) -> tuple[socket.socket, socket.socket]:
    """A UDP and a TCP socket on the same port; for port 0, one that is free on both."""
    for attempt in range(BIND_ATTEMPTS):
        datagram = _socket(address, socket.SOCK_DGRAM)
        chosen = (address[0], datagram.getsockname()[1])
        try:
            return datagram, _socket(chosen, socket.SOCK_STREAM)
        except CannotListen:
            datagram.close()
            if address[1] != 0 or attempt == BIND_ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable: the last attempt returns or raises")


def _socket(address: Address, kind: socket.SocketKind) -> socket.socket:
    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, kind)
    try:
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BURST_OCTETS)
        made.setblocking(False)
        made.bind(address)
    except OSError as error:
        made.close()
        raise CannotListen(_why_not(host, port, kind, error)) from error
    return made


def _why_not(host: str, port: int, kind: socket.SocketKind, error: OSError) -> str:
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    wire = "TCP" if kind == socket.SOCK_STREAM else "UDP"
    if error.errno == errno.EADDRINUSE:
        return f"{where} ({wire}) is in use: stop the other process or choose another with listen"
    if error.errno == errno.EACCES:
        mend = "grant CAP_NET_BIND_SERVICE or choose a port from 1024"
        return f"{where} ({wire}) needs a right that this process lacks: {mend}"
    return f"{where} ({wire}) can't be listened on: {error.strerror or error}"


class _Datagrams(asyncio.DatagramProtocol):
    """One packet in, at most one packet out."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if addr[1] == 0:  # nobody to send to
            return
        server = self._server
        reply = server.answer(data, addr[0])
        if reply is not None:
            self._transport.sendto(reply.wire, addr)
            server.observe(reply, 1)

    def error_received(self, exc: Exception) -> None:
        """A client that left (ICMP unreachable) is no news."""


class _Stream(asyncio.Protocol):
    """Length-framed queries, any number on one connection, answered in order (RFC 7766 §6.2.1, §8)."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        server, limits = self._server, self._server.limits
        if (
            peer is None
            or len(server.connections) >= limits.connections
            or server.clients[peer[0]] >= limits.of_one
        ):
            self._transport.abort()
            return
        self._peer: str = peer[0]
        server.connections[transport] = None
        server.clients[self._peer] += 1
        self._loop = asyncio.get_running_loop()
        self._active = self._loop.time()
        self._timer = self._loop.call_later(self._server.limits.idle, self._check_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport in self._server.connections:
            del self._server.connections[self._transport]
            self._server.clients[self._peer] -= 1
            if not self._server.clients[self._peer]:
                del self._server.clients[self._peer]
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        answers = bytearray()
        at = 0
        while len(self._buffer) - at >= 2:
            end = at + 2 + int.from_bytes(self._buffer[at : at + 2])
            if end > len(self._buffer):
                break
            answers += self._answer(bytes(self._buffer[at + 2 : end]))
            at = end
        if at:
            del self._buffer[:at]
            self._active = self._loop.time()
        if answers:
            self._transport.write(answers)

    def _answer(self, query: bytes) -> bytes:
        server = self._server
        reply = server.responder.reply(query, self._peer, stream=True, now=int(server.clock()))
        if reply is None:
            return b""
        server.observe(reply, 1)
        return len(reply.wire).to_bytes(2) + reply.wire

    def pause_writing(self) -> None:
        """A client that sends without reading is not read either."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The client took its answers: read on."""
        self._transport.resume_reading()

    def _check_idle(self) -> None:
        left = self._active + self._server.limits.idle - self._loop.time()
        if left <= 0:
            self._transport.abort()
        else:
            self._timer = self._loop.call_later(left, self._check_idle)
