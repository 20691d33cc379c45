"""One stream: what its client sends, and the answer on its way out (RFC 9113 §5, §8)."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from typing import Protocol

from edge.http.message import Answer, Fields
from edge.reply import BODILESS, Sent
from edge.store.fill import Cut
from edge.upstream.contract import UpstreamError
from edge.wire.http2.heads import RawLine, write
from edge.wire.http2.priorities import Priority

log = logging.getLogger("tepi.edge.http2")

QUEUED = 64 * 1024  # bytes of an answer that wait for their turn before its body is asked for more


class Carrier(Protocol):
    """The connection, to its streams."""

    def head(self, stream: Stream, lines: list[RawLine], *, end: bool) -> None:
        """Sends a field section."""
        ...

    def ready(self, stream: Stream) -> None:
        """There is more to send of `stream`."""
        ...

    def read(self, stream: Stream, size: int) -> None:
        """`size` bytes of what came by `stream` have been read."""
        ...


class Stream:
    """A stream's two directions. `began` and `blocked` (since when nothing could be sent) are loop times."""

    __slots__ = (
        "_arrived",
        "_carrier",
        "_flowed",
        "_room",
        "_wake",
        "answered",
        "began",
        "blocked",
        "broken",
        "ended",
        "number",
        "out",
        "priority",
        "queued",
        "task",
        "turn",
        "uploaded",
    )

    def __init__(self, carrier: Carrier, number: int, priority: Priority, began: float) -> None:
        self.number = number
        self.priority = priority
        self.turn = 0
        self.began = began
        self.blocked: float | None = None
        self.task: asyncio.Task[None] | None = None
        self.out: deque[bytes | memoryview] = deque()
        self.queued = 0  # bytes in `out`
        self.ended = False  # nothing will be added to `out`
        self.answered = False  # the answer's end is on its way
        self.uploaded = False  # the client has sent its end
        self.broken = False  # neither side sends any more
        self._carrier = carrier
        self._arrived: deque[bytes] = deque()
        self._flowed = 0  # bytes of it that the client may not send again before they are read
        self._wake: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None

    # What comes -------------------------------------------------------------------------------

    def feed(self, data: bytes, flowed: int) -> None:
        """Content came, which took `flowed` bytes of the window, padding included."""
        self._flowed += flowed
        if data:
            self._arrived.append(data)
            self._woken()

    def feed_end(self) -> None:
        """All of it has come."""
        self.uploaded = True
        self._woken()

    async def readany(self) -> bytes:
        """What has come and was not read yet; empty at the end. Raises ConnectionResetError."""
        while not self._arrived and not self.uploaded:
            if self.broken:
                raise ConnectionResetError("the stream was given up")
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        return self.take()

    def take(self) -> bytes:
        """What has come and was not read yet."""
        data = b"".join(self._arrived)
        self._arrived.clear()
        self.forget()
        return data

    def forget(self) -> None:
        """What has come is read, or nobody will read it."""
        flowed, self._flowed = self._flowed, 0
        if flowed:
            self._carrier.read(self, flowed)

    # What goes --------------------------------------------------------------------------------

    def send_head(self, lines: list[RawLine], *, end: bool) -> None:
        """Sends a field section; with `end` it is all."""
        if not self.broken:
            self.answered = self.ended = end
            self._carrier.head(self, lines, end=end)

    def send(self, data: bytes) -> None:
        """Queues content."""
        self.out.append(data)
        self.queued += len(data)
        self._carrier.ready(self)

    def send_end(self) -> None:
        """Nothing follows what is queued."""
        self.ended = True
        self._carrier.ready(self)

    async def drain(self) -> None:
        """Waits until there is room for more. Raises ConnectionResetError."""
        while self.queued > QUEUED:
            if self.broken:
                raise ConnectionResetError("the stream was given up")
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    def took(self, size: int) -> None:
        """`size` bytes of what was queued have left."""
        self.queued -= size
        if self.queued <= QUEUED and self._room is not None and not self._room.done():
            self._room.set_result(None)

    def give_up(self) -> None:
        """Neither side sends any more."""
        self.broken = True
        self.out.clear()
        self.queued = 0
        self._woken()
        self.took(0)

    def _woken(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)


class StreamReply:
    """Writes one answer to a stream, as edge.reply.Reply does to a connection of HTTP/1.1."""

    def __init__(self, stream: Stream, method: str) -> None:
        self._stream = stream
        self.method = method
        self.version = "2.0"
        self.keep = True  # of no meaning here: each stream is one request
        self.head = b""

    async def send(self, answer: Answer) -> Sent:
        """Writes `answer`, whose body is closed in every case. Cancelled when the client gives it up."""
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
        """Writes an interim answer (RFC 9110 §15.2). There is no 101 here (RFC 9113 §8.6)."""
        lines = write(status, fields, None)
        if status not in (100, 101) and lines is not None and not self._stream.answered:
            self._stream.send_head(lines, end=False)

    def proceed(self) -> None:
        """Tells a client that waits for it to send its content."""
        self._stream.send_head([(b":status", b"100")], end=False)

    def send_whole(self, answer: Answer, body: bytes) -> Sent:
        """Writes `answer`, whose body is `body`, without waiting."""
        bodiless = answer.status in BODILESS or self.method == "HEAD"
        length = None if answer.status in BODILESS else len(body)
        if bodiless and not body and answer.status not in BODILESS:
            length = _declared(answer.fields)
        lines = write(answer.status, answer.fields, length)
        if lines is None:
            return self._fail()
        if bodiless or not body:
            self._stream.send_head(lines, end=True)
            return Sent(answer.status)
        self._stream.send_head(lines, end=False)
        self._stream.send(body)
        self._stream.send_end()
        return Sent(answer.status, len(body))

    async def _send_stream(self, answer: Answer, body: AsyncIterator[bytes]) -> Sent:
        stream, length = self._stream, _declared(answer.fields)
        if answer.fields.get("transfer-encoding") is not None:
            length = None
        lines = write(answer.status, answer.fields, None if answer.status in BODILESS else length)
        if lines is None:
            return self._fail()
        bodiless = answer.status in BODILESS or self.method == "HEAD"
        stream.send_head(lines, end=bodiless)
        sent = Sent(answer.status)
        if bodiless:
            return sent
        try:
            async for piece in body:
                if length is not None and sent.bytes_sent + len(piece) > length:
                    piece = piece[: length - sent.bytes_sent]
                if piece:
                    sent.bytes_sent += len(piece)
                    stream.send(piece)
                    await stream.drain()
        except Exception as error:  # whatever it was: a head has been sent, so only a reset tells the client
            if not isinstance(error, UpstreamError | Cut | ConnectionResetError):
                log.exception("a body ended unexpectedly")
            sent.whole = False
            return sent
        if length is not None and sent.bytes_sent < length:
            sent.whole = False
        else:
            stream.send_end()
        return sent

    def _fail(self) -> Sent:
        """An answer that can't be written (RFC 9110 §5.5)."""
        self._stream.send_head([(b":status", b"502"), (b"content-length", b"0")], end=True)
        return Sent(502)


def _declared(fields: Fields) -> int | None:
    """The length that an answer's own field declares."""
    value = fields.get("content-length")
    return int(value) if value is not None and value.isascii() and value.isdigit() else None
