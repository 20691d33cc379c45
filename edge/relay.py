"""WebSockets through the edge (RFC 6455): the handshake is read, what follows is relayed byte for byte."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import httptools

from edge.config import Site
from edge.http.forwarding import towards_commerce, towards_origin
from edge.http.hops import end_to_end, went_through
from edge.http.message import Answer, Fields, Line, Outcome, Request
from edge.outbound import sent_on
from edge.reply import Sent
from edge.ruling import barred
from edge.server import Connection
from edge.sites import Served, Sites
from edge.upstream.backends import Backend, Backends
from edge.upstream.contract import UpstreamError
from edge.upstream.fetch import request_head

LARGEST_REFUSAL = 1024 * 1024  # bytes of an answer that does not switch protocols
ATTEMPTS = 3
CLOSE = 8  # the opcode (RFC 6455 §11.8)
_GOING_AWAY = (1001).to_bytes(2, "big")


class FrameEdges:
    """Follows one direction of a WebSocket just enough to know where a frame may be put in between."""

    __slots__ = ("_closed", "_header", "_left")

    def __init__(self) -> None:
        self._closed = False
        self._header = bytearray()
        self._left = 0

    @property
    def between(self) -> bool:
        """Whether all that was fed ends with a whole frame, and none of them was Close: it is the last
        (RFC 6455 §5.5.1)."""
        return self._left == 0 and not self._header and not self._closed

    def feed(self, data: bytes) -> None:
        """Takes the next bytes of the stream (RFC 6455 §5.2)."""
        at = 0
        while at < len(data):
            if self._left:
                step = min(self._left, len(data) - at)
                self._left -= step
                at += step
                continue
            self._header.append(data[at])
            at += 1
            if len(self._header) == _header_size(self._header):
                self._left = _payload_size(self._header)
                self._closed |= self._header[0] & 0x0F == CLOSE
                self._header.clear()


def _header_size(header: bytearray) -> int:
    if len(header) < 2:
        return 2
    extended = {126: 2, 127: 8}.get(header[1] & 0x7F, 0)
    return 2 + extended + (4 if header[1] & 0x80 else 0)


def _payload_size(header: bytearray) -> int:
    short = header[1] & 0x7F
    if short < 126:
        return short
    return int.from_bytes(header[2 : 4 if short == 126 else 10], "big")


class OriginSide(asyncio.Protocol):
    """The connection to the origin: an answer's head first, then bytes for the client."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.head: asyncio.Future[bool] = self._loop.create_future()  # whether the origin switched
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self.transport: asyncio.Transport | None = None
        self.status = 0
        self.lines: list[Line] = []
        self.body = bytearray()
        self.early = b""  # what followed the head in one piece
        self.pass_on: Callable[[bytes], None] | None = None
        self.on_stalled: Callable[[], None] | None = None
        self.on_drained: Callable[[], None] | None = None
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.pass_on is not None:
            self.pass_on(data)
        elif self.head.done():
            self.early += data
        else:
            self._parse(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.head.done():
            if self.status and not self._declares_length():
                self.head.set_result(False)  # the answer ends with the connection
            else:
                self._fail("reset", str(exc) if exc else "closed before an answer came")
        if not self.closed.done():
            self.closed.set_result(None)

    def pause_writing(self) -> None:
        if self.on_stalled is not None:
            self.on_stalled()

    def resume_writing(self) -> None:
        if self.on_drained is not None:
            self.on_drained()

    # What the parser says ---------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self.lines = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.lines.append((name.decode("latin-1"), value.decode("latin-1").strip(" \t")))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        self.body += data
        if len(self.body) > LARGEST_REFUSAL:
            self._fail("protocol", f"an answer of more than {LARGEST_REFUSAL} bytes to a handshake")

    def on_message_complete(self) -> None:
        if self.status >= 200 and not self.head.done():
            self.head.set_result(False)

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as switch:
            self.early = data[switch.args[0] :]
            if not self.head.done():
                self.head.set_result(self.status == 101)
        except httptools.HttpParserError as error:
            self._fail("protocol", str(error))

    def _declares_length(self) -> bool:
        return any(name.lower() in ("content-length", "transfer-encoding") for name, _ in self.lines)

    def _fail(self, failure: Any, detail: str) -> None:
        if not self.head.done():
            self.head.set_exception(UpstreamError(failure, "", detail, sent=True))
        if self.transport is not None:
            self.transport.abort()


class ClientSide:
    """What aiohttp hands a switched connection's bytes to, in place of its own WebSocket reader."""

    def __init__(self, take: Callable[[bytes], None], ended: Callable[[], None]) -> None:
        self._take = take
        self._ended = ended

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """The next bytes; never the end, which the transport tells."""
        self._take(data)
        return False, b""

    def feed_eof(self) -> None:
        """The client is gone."""
        self._ended()


class Tunnel:
    """Both directions between a client and an origin, each held back where the other side is slow."""

    def __init__(self, client: Connection, origin: OriginSide, masking_key: bytes) -> None:
        self._client = client
        self._origin = origin
        self._masking_key = masking_key
        self._loop = asyncio.get_running_loop()
        self._to_client, self._to_origin = FrameEdges(), FrameEdges()
        self.last_byte = self._loop.time()
        self.bytes_sent = 0
        self.ended: asyncio.Future[None] = self._loop.create_future()

    def join(self) -> None:
        """Bytes flow from now on."""
        client, origin = self._client, self._origin
        far = origin.transport
        assert far is not None
        client.on_stalled, client.on_drained = far.pause_reading, far.resume_reading
        origin.on_stalled, origin.on_drained = client.pause_reading, self._resume_client
        origin.closed.add_done_callback(lambda _: self._end())
        origin.pass_on = self._down
        client.set_parser(cast(Any, ClientSide(self._up, self._end)))
        if origin.early:
            self._down(origin.early)

    def close(self) -> None:
        """Tells both sides that this node goes away (RFC 6455 §7.4.1), and ends both connections."""
        self._client.on_stalled = self._client.on_drained = None
        near, far = self._client.transport, self._origin.transport
        if near is not None and not near.is_closing():
            if self._to_client.between:
                near.write(b"\x88\x02" + _GOING_AWAY)
            near.close()
        if far is not None and not far.is_closing():
            if self._to_origin.between:
                key = self._masking_key
                far.write(b"\x88\x82" + key + bytes(a ^ b for a, b in zip(_GOING_AWAY, key, strict=False)))
            far.close()

    def _down(self, data: bytes) -> None:
        transport = self._client.transport
        if transport is not None:
            self.last_byte = self._loop.time()
            self.bytes_sent += len(data)
            self._to_client.feed(data)
            transport.write(data)

    def _up(self, data: bytes) -> None:
        transport = self._origin.transport
        if transport is not None and not transport.is_closing():
            self.last_byte = self._loop.time()
            self._to_origin.feed(data)
            transport.write(data)

    def _resume_client(self) -> None:
        self._client.resume_reading(resume_parser=False)

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


class Relay:
    """Takes clients' handshakes to origins, and keeps what came of them."""

    def __init__(
        self, sites: Sites, backends: Backends, identity: str, masking_key: Callable[[], bytes]
    ) -> None:
        self._sites = sites
        self._backends = backends
        self._identity = identity
        self._masking_key = masking_key
        self._open: set[Tunnel] = set()

    def __len__(self) -> int:
        return len(self._open)

    async def __call__(self, request: Request, connection: Connection) -> Answer | Sent:
        """Relays until either side ends, idles too long, or `close_all` is called."""
        served = self._sites.find(request.host)
        if served is None:
            return _failed(404, "no-site", None)
        site = served.site
        if went_through(request.fields, self._identity):
            return _failed(508, "loop", site.name)
        stopped = barred(request, served.rules)
        if stopped is not None:
            return _failed(*stopped, site.name)
        try:
            origin, switched = await self._handshake(served, request)
        except UpstreamError as error:
            status = 504 if error.failure == "timeout" else 502
            return _failed(status, f"upstream-{error.failure}", site.name)
        if not switched:
            answer = _answer(origin, site.name)
            assert origin.transport is not None
            origin.transport.close()
            return answer
        return await self._carry(site, connection, origin)

    def close_all(self) -> None:
        """Ends every WebSocket: this node goes away."""
        for tunnel in tuple(self._open):
            tunnel.close()

    async def _handshake(self, served: Served, request: Request) -> tuple[OriginSide, bool]:
        """The origin's side, its head read. A refused connection is tried elsewhere. Raises UpstreamError."""
        site = served.site
        backends = self._backends.of(site.name)
        assert backends is not None
        inner = sent_on(request, request, served.rules)
        loop = asyncio.get_running_loop()
        tried: frozenset[Backend] = frozenset()
        last = UpstreamError("no-healthy-origin", site.name, "every origin is down", sent=False)
        for _ in range(ATTEMPTS):
            backend = backends.choose(inner.path, loop.time(), tried, request.client.address)
            if backend is None:
                break
            try:
                return await self._ask(served, backend, request)
            except UpstreamError as error:
                backend.health.failed(loop.time())
                if error.sent:
                    raise
                last, tried = error, tried | {backend}
        raise last

    async def _ask(self, served: Served, backend: Backend, request: Request) -> tuple[OriginSide, bool]:
        try:
            async with asyncio.timeout(served.site.timeouts.connect):
                origin = await backend.pool.dial(OriginSide)
        except TimeoutError:
            raise UpstreamError("timeout", backend.url, "no connection in time", sent=False) from None
        assert origin.transport is not None
        try:
            origin.transport.write(self._head(served, request, backend))
            async with asyncio.timeout(served.site.timeouts.first_byte):
                return origin, await origin.head
        except TimeoutError:
            origin.transport.abort()
            raise UpstreamError("timeout", backend.url, "no answer in time", sent=True) from None
        except BaseException:
            origin.transport.abort()
            raise

    def _head(self, served: Served, request: Request, backend: Backend) -> bytes:
        sent = sent_on(towards_origin(request, self._identity), request, served.rules)
        if backend.pool.endpoint.mutual:
            sent = towards_commerce(sent, served.site.name)
        fields = sent.fields.plus(("Connection", "Upgrade"), ("Upgrade", "websocket"))
        return request_head(replace(sent, fields=fields), backend.pool.endpoint.authority)

    async def _carry(self, site: Site, connection: Connection, origin: OriginSide) -> Sent:
        tunnel = Tunnel(connection, origin, self._masking_key())
        near = connection.transport
        self._open.add(tunnel)
        try:
            if near is not None:
                near.write(_switching(origin))
                tunnel.join()
                await _until_idle(tunnel, site.timeouts.stream)
        except asyncio.CancelledError:
            if not tunnel.ended.done():  # else the client hung up, which is how conversations end
                raise
        finally:
            self._open.discard(tunnel)
            tunnel.close()
        return Sent(101, tunnel.bytes_sent, site=site.name)


async def _until_idle(tunnel: Tunnel, patience: float) -> None:
    """Returns when either side has ended, or nothing was said for `patience` seconds."""
    now = asyncio.get_running_loop().time
    while not tunnel.ended.done():
        left = tunnel.last_byte + patience - now()
        if left <= 0:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left):
                await asyncio.shield(tunnel.ended)


def _switching(origin: OriginSide) -> bytes:
    lines = [f"{name}: {value}" for name, value in end_to_end(Fields(origin.lines)).lines]
    head = ["HTTP/1.1 101 Switching Protocols", *lines, "Connection: Upgrade", "Upgrade: websocket", "", ""]
    return "\r\n".join(head).encode("latin-1")


def _answer(origin: OriginSide, site: str) -> Answer:
    fields = end_to_end(Fields(origin.lines)).without("content-length")
    outcome = Outcome("pass", "upgrade", site=site, origin_status=origin.status)
    return Answer(origin.status, fields, bytes(origin.body), outcome)


def _failed(status: int, reason: str, site: str | None) -> Answer:
    fields = Fields([("Cache-Control", "no-store"), ("Content-Type", "text/plain")])
    return Answer(status, fields, f"{reason}\n".encode(), Outcome("error", reason, site=site))
