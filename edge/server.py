"""HTTP/1.1 in and out, on aiohttp's server: connections, heads and limits. It decides nothing else.

What aiohttp's defaults let pass is stopped here: a head is fed to the parser alone, so that a bad one can't
swallow the answer to the good one before it; its size and time are bounded, and so are connections, idle
time, slow readers and whole requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, cast

from aiohttp import StreamReader, web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import RequestHandler, RequestPayloadError, _ErrInfo

from edge.door import Door
from edge.guard.networks import plain
from edge.guard.refusal import Refusal
from edge.http.message import Fields
from edge.incoming import CLOSE
from edge.lane import Place, Profile
from edge.memo import Ticket
from edge.wire.messages import Messages
from edge.wire.methods import Methods, TooLong
from edge.wire.plain import Plain, read_line
from edge.wire.sending import Sending
from edge.wire.unreadable import HEAD_TOO_LARGE, HEAD_TOO_SLOW, METHOD_TOO_LONG, refusal_of
from edge.wire.versions import PREFACE_HEAD, Greeting, TakesOver

if TYPE_CHECKING:
    from edge.listeners import Listener

log = logging.getLogger("tepi.edge.server")

MAX_FIELDS = 256
MEMORABLE = (b"GET /", b"HEAD /")
LINGER = 1.0  # seconds for a refused client to hear why, before its unread bytes reset the connection
HELD = 16  # segments that wait while a plain request is answered, before reading is paused
LINGERING = 5.0  # seconds for the rest of a body that nobody wanted


class Connection(Sending):
    """One client's connection."""

    __slots__ = (
        "_arriving", "_greeting", "_head_since", "_head_size", "_held", "_held_at", "_listener",
        "_methods_read", "_parts", "_place", "_plain", "_refused", "_unanswered", "began", "door", "peer",
        "peer_port", "ticket",
    )  # fmt: skip

    def __init__(self, listener: Listener, loop: asyncio.AbstractEventLoop) -> None:
        limits = listener.gate.limits
        super().__init__(
            listener,
            loop=loop,
            keepalive_timeout=limits.idle,
            max_line_size=limits.head,
            max_field_size=limits.head,
            max_headers=MAX_FIELDS,
            lingering_time=LINGERING,
            auto_decompress=False,
            access_log=None,
            logger=log,
        )
        self._listener = listener
        self.peer = ""
        self.peer_port = 0
        self.door: Door | None = None  # what stands between it and its transport
        self._place: Place | None = None
        self._plain: asyncio.Task[None] | None = None  # answers a request that needed no parser
        self.ticket: Ticket | None = None  # the next request's, if the lane may keep its answer
        self.began: float | None = None  # when the request under way began; None exempts it from the limit
        self._refused = False
        self._unanswered = 0  # requests that the parser has seen and nobody has answered yet
        self._head_size = 0
        self._head_since: float | None = None
        self._arriving: StreamReader = EMPTY_PAYLOAD  # the last request's body
        self._held: deque[bytes] = deque()  # segments that the parser has no room for yet
        self._held_at = 0  # what of the first of them it has had
        self._parts = Messages()
        self._methods_read = Methods()
        self._greeting = Greeting()

    @property
    def scheme(self) -> str:
        """What the client speaks."""
        return self._listener.scheme

    @property
    def idle(self) -> bool:
        """Whether nothing is under way here and nothing waits."""
        under_way = self._request_in_progress or self._plain or self._messages or self.lending
        return not under_way and self._head_since is None

    def at_rest(self) -> bool:
        """Whether the next byte begins a request, and nothing that came before is unanswered or unsent."""
        return (
            self._unanswered == 0
            and self._head_since is None
            and self._parts.in_head
            and not self._held
            and self._arriving.is_eof()
            and not self._paused
            and not self._close
            and not self._force_close
            and not self._refused
            and not self._upgraded
            and self._payload_parser is None
        )

    def place(self, client: str) -> Place:
        """Where `client` is; its own is looked up when it is asked for the first time."""
        if client != self.peer:
            return self._listener.place(client)
        if self._place is None:
            self._place = self._listener.place(client)
        return self._place

    def missed(self, profile: Profile, line: bytes) -> bool:
        """The lane had no memo for `line`; whether it is answered here. First times need no ticket."""
        kept = line.startswith(MEMORABLE) and self._listener.lane.met(line)
        self.ticket = Ticket(profile, line) if kept else None
        asked = read_line(line)
        if asked is None or len(line) + len(profile.block) > self._listener.gate.limits.head:
            return False
        self._unanswered += 1
        self._plain = self._loop.create_task(self._answer(asked, profile.fields))
        return True

    async def _answer(self, asked: Plain, fields: Fields) -> None:
        """Answers a request that needed no parser; what came meanwhile is read then."""
        keep = False
        try:
            keep = await self._listener.plain(asked, fields, self)
        except Exception:
            log.exception("a request ended unexpectedly")
        finally:
            self._plain = None
            if not keep and self.transport is not None:
                self.transport.close()
        if not keep:
            return
        assert self.door is not None
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._held:
            held = b"".join(self._held)
            self._held.clear()
            self.door.data_received(held)
        if self._buffer_paused and self._plain is None:
            self._resume_reading_for_buffer()

    async def shutdown(self, timeout: float | None = 15.0) -> None:
        """Ends the connection, once what is under way has ended or `timeout` seconds are over."""
        if self._plain is not None:
            await asyncio.wait((self._plain,), timeout=timeout)
        await super().shutdown(timeout)

    def leave(self) -> None:
        """Ends the connection if nothing is under way; an answer that is tells the client (RFC 9112 §9.6)."""
        if self.idle:
            self.force_close()

    def log_exception(self, *args: object, **kw: object) -> None:
        """Logs what aiohttp calls unhandled, unless only the rest of a refused body was nonsense too."""
        if not isinstance(kw.get("exc_info"), RequestPayloadError):
            super().log_exception(*args, **kw)

    # From the transport -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peername = transport.get_extra_info("peername") or ("127.0.0.1", 0)
        self.peer, self.peer_port = plain(peername[0]), peername[1]
        refusal = self._listener.gate.connected(self.peer)
        if refusal is None:
            super().connection_made(transport)
            return
        self._refused = True
        self.transport = cast(asyncio.Transport, transport)
        self._listener.refuse(self, refusal)
        self.transport.close()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._listener.gate.disconnected(self.peer)
        self._held.clear()
        if self._plain is not None:
            self._plain.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._plain is not None:
            self._held.append(data)
            if len(self._held) >= HELD:
                self._pause_reading_for_buffer()
            return
        if self._upgraded or self._payload_parser is not None:
            super().data_received(data)
            return
        if data:
            self._held.append(data)
        else:  # aiohttp has room again
            super().data_received(data)
        while self._held and not self._refused and not self._reading_paused:
            if len(self._messages) >= self._max_msg_queue_size:
                return
            self._feed(self._next_piece())

    def close(self) -> None:
        if self.door is not None:
            self.door.wake()
        super().close()

    def force_close(self) -> None:
        if self.door is not None:
            self.door.wake()
        super().force_close()

    # Heads ------------------------------------------------------------------------------------

    def _next_piece(self) -> bytes:
        segment, start = self._held[0], self._held_at
        end = self._parts.cut(segment, start)
        if end < len(segment):
            self._held_at = end
            return segment[start:end]
        self._held.popleft()
        self._held_at = 0
        return segment[start:] if start else segment

    def _feed(self, piece: bytes) -> None:
        """Hands the parser one piece, which holds nothing of a second message."""
        parts = self._parts
        in_head = parts.in_head
        parts.passed(piece)
        if in_head:
            if self._request_count == 0 and (self._greeting.going_on or PREFACE_HEAD.startswith(piece)):
                piece = self._greeting.read(piece)
                if self._greeting.heard and self._listener.http2 is not None and self.scheme == "http":
                    self._hand_over(self._listener.http2())
                    return
            self._head_size += len(piece)
            if self._head_size > self._listener.gate.limits.head:
                self._refuse(HEAD_TOO_LARGE)
                return
            try:
                piece = self._methods_read.read(piece)
            except TooLong:
                self._refuse(METHOD_TOO_LONG)
                return
        before = self._request_count
        if piece:
            super().data_received(piece)
        if self._request_count != before:
            self._unanswered += 1
            self._head_ended()
        elif in_head and self._head_since is None:
            self._head_since = self._loop.time()
        elif self._upgraded:
            self._stay()

    def _hand_over(self, other: TakesOver) -> None:
        """The client speaks HTTP/2, and knew that it is understood here (RFC 9113 §3.3)."""
        transport, self.transport = self.transport, None
        assert transport is not None
        heard = self._greeting.heard + b"".join(self._held)[self._held_at :]
        self._held.clear()
        self._refused = True
        RequestHandler.connection_lost(self, None)
        transport.set_protocol(other)
        other.take_over(transport, self.peer, self.peer_port)
        other.data_received(heard)

    def _head_ended(self) -> None:
        """The parser has made a message of what it was fed, or given up."""
        message, arriving = self._messages[-1]
        if isinstance(message, _ErrInfo):
            self._refused = True
            if not self._arriving.is_eof():  # the parser forgets whose body it was
                self._arriving.set_exception(RequestPayloadError(message.message))
        else:
            self._parts.began(message, arriving)
            self._messages[-1] = (self._as_meant(message), arriving)
        self._arriving = arriving
        self._methods_read.next_head()
        self._head_size = 0
        self._head_since = None

    def _as_meant(self, message: RawRequestMessage) -> RawRequestMessage:
        """`message` under its true method; the last one here if the connection may switch protocols."""
        method = self._methods_read.method
        if method is not None:
            message = message._replace(method=method)
        if self._upgraded:
            if message.method in ("GET", "CONNECT"):
                return message._replace(should_close=True)  # what follows is the new protocol's, or nobody's
            self._stay()
        return message

    def _stay(self) -> None:
        """Nobody here switches protocols for that request: what follows it is HTTP (RFC 9110 §7.8)."""
        self._upgraded = False
        assert self._parser is not None
        self._parser.set_upgraded(False)

    def answered(self) -> None:
        """The oldest request has its whole answer, and the connection goes on."""
        self._unanswered -= 1

    def _refuse(self, refusal: Refusal) -> None:
        """Answers `refusal` after whatever is under way, and hears nothing more."""
        self._refused = True
        self._head_since = None
        self._held.clear()
        self._request_count += 1
        self._messages.append(
            (_ErrInfo(refusal.status, BadHttpMessage(refusal.sentence), refusal.reason), EMPTY_PAYLOAD)
        )
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _make_error_handler(
        self, err_info: _ErrInfo
    ) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            if self.transport is not None:
                self._listener.refuse(self, refusal_of(err_info))
                await self._linger()
            return CLOSE

        return answer

    async def _linger(self) -> None:
        """Lets the client read its refusal: closing at once would reset the connection under it."""
        transport = self.transport
        if transport is None or not transport.can_write_eof():
            return
        with contextlib.suppress(OSError):
            transport.write_eof()
        self._listener.lingering += 1
        try:
            if self._listener.lingering <= self._listener.gate.limits.connections // 10:
                await asyncio.sleep(LINGER)  # cancelled as soon as the client closes
        finally:
            self._listener.lingering -= 1

    # Time -------------------------------------------------------------------------------------

    def _process_keepalive(self) -> None:
        if self.door is not None:
            heard = self.door.heard if self._plain is None else self._loop.time()
            until = heard + self._keepalive_timeout
            self._next_keepalive_close_time = max(self._next_keepalive_close_time, until)
        if self.lending:
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        super()._process_keepalive()

    def sweep(self, now: float) -> None:
        """Ends the connection if its head, its reader or its request took too long."""
        limits = self._listener.gate.limits
        if self._head_since is not None and now - self._head_since > limits.head_timeout:
            self._refuse(HEAD_TOO_SLOW)
        if self.transport is not None:
            self.stop_the_slow(self.transport, now, self.began, limits.idle, limits.total)
