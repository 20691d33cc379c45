"""One HTTP/1.1 connection to an origin (RFC 9112), on llhttp's parser.

What a client library hides is kept here: every interim answer, odd transfer codings, bytes after the message.
One exchange at a time; a connection that heard anything unasked is never used again.
"""

from __future__ import annotations

import asyncio
import math
import select
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Literal, cast

import httptools

from edge.http.message import Body, Fields, Line
from edge.http.values import dataclass

HIGH_WATER = 256 * 1024  # bytes read ahead of whoever takes the body
MAX_HEAD = 256 * 1024  # bytes of status line and fields, interim answers included: tags come in thousands

Kind = Literal["closed", "reset", "cut", "protocol"]


class ExchangeError(Exception):
    """The exchange failed. `kind`: closed before any answer, reset, cut in the body, or not HTTP/1."""

    def __init__(self, kind: Kind, detail: str) -> None:
        super().__init__(detail)
        self.kind: Kind = kind
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Head:
    """Status and fields of a final or an interim (1xx) answer."""

    status: int
    fields: Fields


OnInterim = Callable[[Head], None]


class Connection(asyncio.Protocol):
    """Sends one request after another and hands out each answer's head and body."""

    __slots__ = (
        "_body_size",
        "_can_write",
        "_chunks",
        "_done",
        "_error",
        "_expects_no_body",
        "_final",
        "_head_size",
        "_keep_alive",
        "_last",
        "_lines",
        "_loop",
        "_on_interim",
        "_parser",
        "_paused",
        "_poll",
        "_sender",
        "_surplus",
        "_transport",
        "_until",
        "_until_close",
        "_wake",
        "_watch",
        "exchanges",
    )

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._can_write = asyncio.Event()
        self._can_write.set()
        self._parser: httptools.HttpResponseParser | None = None
        self._error: ExchangeError | None = None
        self._sender: asyncio.Task[None] | None = None
        self._surplus = False
        self._paused = False
        self._wake: asyncio.Future[None] | None = None
        self._until = math.inf  # the moment at which whoever waits has waited long enough, if any
        self._watch: asyncio.TimerHandle | None = None
        self._poll = select.poll()
        self.exchanges = 0
        self._last = False
        self._begin_exchange(expects_no_body=False, on_interim=None)

    def _begin_exchange(self, *, expects_no_body: bool, on_interim: OnInterim | None) -> None:
        self._expects_no_body = expects_no_body
        self._on_interim = on_interim
        self._lines: list[Line] = []
        self._head_size = 0
        self._final: Head | None = None
        self._chunks: deque[bytes] = deque()
        self._body_size = 0
        self._done = False
        self._keep_alive = False
        self._until_close = False

    # What the pool asks -----------------------------------------------------------------------

    @property
    def reusable(self) -> bool:
        """Whether another request may be sent: the answer was whole, kept alive, and nothing followed it."""
        return (
            self._transport is not None
            and not self._transport.is_closing()
            and self._error is None
            and not self._surplus
            and not self._last
            and (self.exchanges == 0 or (self._done and self._keep_alive))
            and (self._sender is None or self._sender.done())
        )

    @property
    def silent(self) -> bool:
        """Whether nothing has come that the loop has not heard yet: neither surplus bytes nor the end."""
        assert self._transport is not None
        return not self._poll.poll(0)

    def close(self) -> None:
        """Ends the connection now, unsent bytes included."""
        if self._sender is not None:
            self._sender.cancel()
        if self._transport is not None:
            self._transport.abort()

    # One exchange -----------------------------------------------------------------------------

    async def exchange(
        self,
        head: bytes,
        body: Body | None,
        *,
        chunked: bool = False,
        expects_no_body: bool = False,
        last: bool = False,
        on_interim: OnInterim | None = None,
        patience: float | None = None,
    ) -> Head:
        """Sends a request and waits for the final answer's head. Raises ExchangeError.

        With `patience` that takes so many seconds at most, or TimeoutError is raised.

        `head` is the whole request head; a streamed `body` is sent beside the waiting, in chunks if
        `chunked`. `expects_no_body` says that the request was a HEAD, `last` that no other is to follow it.
        Interim answers go to `on_interim`.
        """
        assert self._transport is not None
        assert self.reusable
        if self._parser is None or self._expects_no_body:  # one that lacks a body is in the middle of it
            self._parser = httptools.HttpResponseParser(self)
        self._begin_exchange(expects_no_body=expects_no_body, on_interim=on_interim)
        self.exchanges += 1
        self._last = last
        if body is None or isinstance(body, bytes):
            self._transport.write(head + body if body else head)
        else:
            self._transport.write(head)
            self._sender = self._loop.create_task(self._send(body, chunked))
        until = None if patience is None else self._loop.time() + patience
        while self._final is None:
            if self._error is not None:
                raise self._error
            await self._woken(until)
        return self._final

    def whole_body(self) -> bytes | None:
        """The body, if all of it has come already; else None, and `body` must be read."""
        if not self._done or self._error is not None:
            return None
        return self._taken()

    async def next_chunk(self, patience: float | None = None) -> bytes | None:
        """The next bytes of the body, or None at its end. Raises ExchangeError where it was cut.

        Raises TimeoutError where nothing comes for `patience` seconds.
        """
        until = None if self._chunks or patience is None else self._loop.time() + patience
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self._done:
                return None
            await self._woken(until)
        return self._taken()

    def _taken(self) -> bytes:
        """What has come of the body; there is room for more."""
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._body_size = 0
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()
        return data

    async def _send(self, body: AsyncIterator[bytes], chunked: bool) -> None:
        assert self._transport is not None
        try:
            async for piece in body:
                if not piece:
                    continue
                self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                await self._can_write.wait()
            if chunked:
                self._transport.write(b"0\r\n\r\n")
        except asyncio.CancelledError:
            raise
        except Exception as error:  # the visitor went away in the middle of his body
            self._fail(ExchangeError("reset", f"the request's body ended early: {error!r}"))
            self._transport.abort()

    async def _woken(self, until: float | None) -> None:
        """Waits for what happens next. Raises TimeoutError if nothing does `until` then."""
        self._wake = self._loop.create_future()
        if until is not None:
            self._until = until
            if self._watch is None or self._watch.when() > until:
                self._look_later(until)
        try:
            await self._wake
        finally:
            self._wake = None
            self._until = math.inf

    def _look_later(self, at: float) -> None:
        """Have one timer for all that is waited for here: most of it comes long before."""
        if self._watch is not None:
            self._watch.cancel()
        self._watch = self._loop.call_at(at, self._look)

    def _look(self) -> None:
        self._watch = None
        if self._until == math.inf:
            return
        if self._loop.time() < self._until:
            self._look_later(self._until)
        elif self._wake is not None and not self._wake.done():
            self._wake.set_exception(TimeoutError())

    def _notify(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _fail(self, error: ExchangeError) -> None:
        if self._error is None:
            self._error = error
        self._notify()

    # What the transport says ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        if self._parser is None or self._done:  # an answer to nothing: it must not reach the next visitor
            self._surplus = True
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse("switched protocols without being asked")
        except (httptools.HttpParserError, _HeadTooLarge) as error:
            self._refuse(str(error.__cause__ or error.__context__ or error))

    def _refuse(self, detail: str) -> None:
        """What came is not an answer to this request: an error while one is awaited, surplus after it."""
        if self._done:
            self._surplus = True
        else:
            self._fail(ExchangeError("protocol", detail))
        self.close()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._final is None:
            kind: Kind = "closed" if exc is None and not self._head_size else "reset"
            self._fail(ExchangeError(kind, str(exc) if exc else "closed before an answer came"))
        elif not self._done:
            if self._until_close and exc is None:
                self._done = True
            else:
                self._fail(ExchangeError("cut", str(exc) if exc else "closed in the middle of the body"))
        self._can_write.set()
        if self._sender is not None:
            self._sender.cancel()
        if self._watch is not None:
            self._watch.cancel()
        self._notify()

    def pause_writing(self) -> None:
        self._can_write.clear()

    def resume_writing(self) -> None:
        self._can_write.set()

    # What the parser says ---------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._done:
            self._surplus = True

    def on_status(self, reason: bytes) -> None:
        self._count(len(reason))

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._final is None:  # later ones are a trailer section, which nobody asked for
            self._count(len(name) + len(value))
            self._lines.append((name.decode("latin-1"), value.decode("latin-1").strip(" \t")))

    def on_headers_complete(self) -> None:
        if self._done:
            return
        assert self._parser is not None
        head = Head(self._parser.get_status_code(), Fields(self._lines))
        self._lines = []
        if head.status == 101:  # the parser raises HttpParserUpgrade next
            return
        if 100 <= head.status < 200:
            if self._on_interim is not None:
                self._on_interim(head)
            return
        self._final = head
        self._until_close = _until_close(head.fields)
        if self._expects_no_body:  # the parser can't know that this answers a HEAD
            self._done = True
            self._keep_alive = _kept_alive(self._parser, head.fields)
        self._notify()

    def on_body(self, data: bytes) -> None:
        if self._done:
            self._surplus = True
            return
        self._chunks.append(data)
        self._body_size += len(data)
        if self._body_size > HIGH_WATER and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._notify()

    def on_message_complete(self) -> None:
        if self._final is None or self._done:
            return
        assert self._parser is not None
        self._done = True
        self._keep_alive = self._parser.should_keep_alive()
        self._notify()

    def _count(self, size: int) -> None:
        self._head_size += size
        if self._head_size > MAX_HEAD:
            raise _HeadTooLarge(f"the answer's head is longer than {MAX_HEAD} bytes")


class _HeadTooLarge(Exception):
    pass


def _until_close(fields: Fields) -> bool:
    """Whether the body ends with the connection (RFC 9112 §6.3, rules 4 and 8)."""
    coding = fields.get("transfer-encoding")
    if coding is not None:
        return not coding.lower().rstrip().endswith("chunked")
    return "content-length" not in fields


def _kept_alive(parser: httptools.HttpResponseParser, fields: Fields) -> bool:
    """Persistence by the fields alone (RFC 9112 §9.3): for an answer whose body is not sent."""
    options = (fields.get("connection") or "").lower()
    if "close" in options:
        return False
    return parser.get_http_version() == "1.1" or "keep-alive" in options
