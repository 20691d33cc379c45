"""Writing an answer to an HTTP/1.1 client (RFC 9112): framing is decided here and nowhere else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol, cast

from edge.http.message import Answer, Fields
from edge.outlet import Outlet
from edge.store.fill import Cut
from edge.store.lent import Held, Lending
from edge.upstream.contract import UpstreamError

logger = logging.getLogger("tepi.edge")

REASONS = {status.value: status.phrase for status in HTTPStatus}
_FRAMING = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})
BODILESS = frozenset({204, 205, 304})


@dataclass(slots=True)
class Sent:
    """What became of an answer. `whole`: the client got all of it; else the connection must end."""

    status: int
    bytes_sent: int = 0
    whole: bool = True
    site: str | None = None


class Lends(Protocol):
    """A body of which some may be lent."""

    async def lend(self) -> bytes | Held:
        """What comes next. Raises StopAsyncIteration at the end, and what reading raises."""
        ...


class Writes(Protocol):
    """Writes one answer, whatever the wire."""

    method: str
    version: str
    keep: bool  # whether the connection may serve another request; it can turn False
    head: bytes  # of the last answer that was written whole

    async def send(self, answer: Answer) -> Sent:
        """Writes `answer`, whose body is closed in every case. Cancelled when the client goes."""
        ...

    def interim(self, status: int, fields: Fields) -> None:
        """Writes an interim answer (RFC 9110 §15.2)."""
        ...

    def proceed(self) -> None:
        """Tells a client that waits for it to send its body (RFC 9110 §10.1.1)."""
        ...


@dataclass(slots=True)
class Reply:
    """Writes one answer. `keep` says whether the connection may serve another request; it can turn False.

    `outlet` gives what sends lent bytes, where they need not be encrypted.
    """

    transport: asyncio.Transport
    drain: Callable[[], Awaitable[None]]
    method: str
    version: str
    keep: bool
    outlet: Callable[[], Outlet | None] = lambda: None
    head: bytes = b""  # of the last answer that was written whole

    async def send(self, answer: Answer) -> Sent:
        """Writes `answer`, whose body is closed in every case. Cancelled when the client goes."""
        body = answer.body
        if isinstance(body, bytes):
            return self.send_whole(answer, body)
        try:
            return await self._send_stream(answer, body)
        finally:
            close = getattr(body, "aclose", None)
            if close is not None:
                await close()

    def interim(self, status: int, fields: Fields) -> None:
        """Writes an interim answer (RFC 9110 §15.2). 100 is this node's own affair; 101 is no interim one."""
        if self.version == "1.1" and status not in (100, 101) and not self.transport.is_closing():
            head = _head(status, [f"{name}: {value}" for name, value in fields.lines])
            if head is not None:
                self.transport.write(head)

    def proceed(self) -> None:
        """Tells a client that waits for it to send its body (RFC 9110 §10.1.1)."""
        self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def send_whole(self, answer: Answer, body: bytes) -> Sent:
        """Writes `answer`, whose body is `body`, without waiting."""
        status = answer.status
        lines = _end_to_end(answer.fields)
        bodiless = status in BODILESS or self.method == "HEAD"
        if status not in BODILESS:
            length = (answer.fields.get("content-length") if bodiless and not body else None) or len(body)
            if not (self.method == "HEAD" and length == 0):
                lines.append(f"Content-Length: {length}")
        elif status == 205:
            lines.append("Content-Length: 0")
        self._persistence(lines)
        head = _head(status, lines)
        if head is None:
            return self._fail()
        self.head = head
        self.transport.write(head if bodiless else head + body)
        return Sent(status, 0 if bodiless else len(body))

    async def _send_stream(self, answer: Answer, body: AsyncIterator[bytes]) -> Sent:
        status = answer.status
        lines = _end_to_end(answer.fields)
        length = answer.fields.get("content-length")
        coding = answer.fields.get("transfer-encoding")
        bodiless = status in BODILESS or self.method == "HEAD"
        chunked = False
        if coding is not None:  # not ours to decode: relayed as it came, until the end
            lines.append(f"Transfer-Encoding: {coding}")
            self.keep = False
        elif status in BODILESS:
            pass
        elif length is not None:
            lines.append(f"Content-Length: {length}")
        elif self.version == "1.1":
            lines.append("Transfer-Encoding: chunked")
            chunked = True
        else:
            self.keep = False
        self._persistence(lines)
        head = _head(status, lines)
        if head is None:
            return self._fail()
        if bodiless:
            self.transport.write(head)
            return Sent(status)
        sent, size = Sent(status), None if coding or length is None else int(length)
        outlet = None if size is None or not hasattr(body, "lend") else self.outlet()
        try:
            if outlet is not None and size is not None:
                await self._lend(cast(Lends, body), outlet, head, sent, size)
            else:
                self.transport.write(head)
                await self._relay(body, sent, chunked, size)
        except Exception as error:  # whatever it was: a head has been sent, so only a cut tells the client
            if not isinstance(error, UpstreamError | Cut):
                logger.exception("a body ended unexpectedly")
            sent.whole = self.keep = False
            return sent
        if chunked:
            self.transport.write(b"0\r\n\r\n")
        elif size is not None and sent.bytes_sent < size:
            sent.whole = self.keep = False
        elif isinstance(body, Lending):
            self.head = head
        return sent

    async def _relay(self, body: AsyncIterator[bytes], sent: Sent, chunked: bool, length: int | None) -> None:
        """Writes `body`, no more than `length` of it. Raises what reading it raises."""
        write = self.transport.write
        async for piece in body:
            if not piece:
                continue
            if length is not None and sent.bytes_sent + len(piece) > length:
                piece = piece[: length - sent.bytes_sent]
                self.keep = False
            sent.bytes_sent += len(piece)
            write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            await self.drain()

    async def _lend(self, body: Lends, outlet: Outlet, head: bytes, sent: Sent, length: int) -> None:
        """Writes `head` and `body`, past the transport what of it is lent. Raises what reading it raises."""
        if not isinstance(body, Lending):  # it may take its time
            self.transport.write(head)
            head = b""
        while True:
            try:
                piece = await body.lend()
            except StopAsyncIteration:
                return
            room = length - sent.bytes_sent
            if len(piece) > room:
                piece = piece[:room] if isinstance(piece, bytes) else piece.part(0, room)
                self.keep = False
            if isinstance(piece, bytes):
                sent.bytes_sent += len(piece)
                self.transport.write(piece)
                await self.drain()
            elif piece.size:
                await self._flush()
                whole = await outlet.sending(head, piece)
                sent.bytes_sent += outlet.sent
                head = b""
                if not whole:
                    raise Cut("the connection, or the file, is gone")

    async def _flush(self) -> None:
        """Waits until the transport has nothing left to write."""
        if self.transport.get_write_buffer_size():
            self.transport.set_write_buffer_limits(0)
            try:
                await self.drain()
            finally:
                self.transport.set_write_buffer_limits()

    def _persistence(self, lines: list[str]) -> None:
        if not self.keep:
            lines.append("Connection: close")
        elif self.version == "1.0":
            lines.append("Connection: keep-alive")

    def _fail(self) -> Sent:
        """An answer that can't be written as HTTP/1.1 (RFC 9110 §5.5)."""
        self.keep = False
        self.transport.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        return Sent(502)


def _end_to_end(fields: Fields) -> list[str]:
    return [f"{name}: {value}" for name, value in fields.lines if name.lower() not in _FRAMING]


def _head(status: int, lines: list[str]) -> bytes | None:
    """The head's bytes, or None where a field would break out of its line."""
    text = "\r\n".join((f"HTTP/1.1 {status} {REASONS.get(status, '')}", *lines, "", ""))
    ends = len(lines) + 2
    if text.count("\n") != ends or text.count("\r") != ends:
        return None
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return None
