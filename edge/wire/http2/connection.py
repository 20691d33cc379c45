"""One client's connection in HTTP/2 (RFC 9113): streams in, answers out, and what a client may not do."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from h2 import events
from h2.events import Event

from edge.guard.networks import plain
from edge.wire.http2 import heads
from edge.wire.http2.contract import Home, Serves
from edge.wire.http2.floods import Patience
from edge.wire.http2.priorities import PRIORITY_UPDATE, next_of, parse, parse_update
from edge.wire.http2.session import ErrorCodes, ProtocolError, Session
from edge.wire.http2.streams import Stream, StreamReply
from edge.wire.versions import TakesOver

BURST = 64 * 1024  # bytes of content between two looks at whether the client keeps up


class Http2Connection(TakesOver):
    """A connection. `scheme` is what its client speaks."""

    def __init__(self, home: Home, scheme: str, serves: Serves) -> None:
        self._home = home
        self._serves = serves
        self._loop = asyncio.get_running_loop()
        self._session = Session(home.streams, home.limits.head)
        self._streams: dict[int, Stream] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._ready: dict[int, Stream] = {}  # those with something to send
        self._patience = Patience(home.streams, self._loop.time())
        self._paused = False
        self._scheduled = False
        self._leaving = False
        self._closing = False
        self._stalled: tuple[float, int] | None = None
        self._heard = self._loop.time()
        self._greeted = False  # the client's preface and settings have come
        self._last = 0  # the highest stream that was taken on
        self.transport: asyncio.Transport | None = None
        self.scheme = scheme
        self.peer = ""
        self.peer_port = 0

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return not self._streams and not self._running

    # From the transport -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peername = transport.get_extra_info("peername") or ("127.0.0.1", 0)
        refusal = self._home.connected(plain(peername[0]))
        self.take_over(cast(asyncio.Transport, transport), plain(peername[0]), peername[1])
        if refusal is not None:
            self._end(ErrorCodes.ENHANCE_YOUR_CALM)

    def take_over(self, transport: asyncio.Transport, peer: str, port: int) -> None:
        """A connection that was counted already speaks HTTP/2 from here on."""
        self.transport, self.peer, self.peer_port = transport, peer, port
        self._home.joined(self)
        self._soon()

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        self._heard = self._loop.time()
        try:
            heard = self._session.receive(data)
        except ProtocolError:
            self._close()
            return
        self._greeted = True
        for event in heard:
            if not self._hear(event):
                self._end(ErrorCodes.ENHANCE_YOUR_CALM)
                return
        self._flush()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        for stream in tuple(self._streams.values()):
            stream.give_up()
        for task in tuple(self._running):
            task.cancel()
        self._streams.clear()
        self._ready.clear()
        self.transport = None
        self._home.left(self)

    def pause_writing(self) -> None:
        self._paused = True
        if self.transport is not None:
            self._stalled = (self._loop.time(), self.transport.get_write_buffer_size())
            self.transport.pause_reading()  # else what is asked and never read piles up here

    def resume_writing(self) -> None:
        self._paused = False
        self._stalled = None
        if self.transport is not None:
            self.transport.resume_reading()
        self._soon()

    # What the client says -----------------------------------------------------------------------

    def _hear(self, event: Event) -> bool:
        """Does what `event` asks; False if the client has gone too far."""
        match event:
            case events.RequestReceived():
                return self._begin(event)
            case events.DataReceived():
                return self._take(event)
            case events.StreamEnded():
                if (stream := self._stream(event.stream_id)) is not None:
                    stream.feed_end()
            case events.StreamReset():
                return self._drop(event.stream_id)
            case events.WindowUpdated() | events.ConnectionTerminated():
                self._leaving = self._leaving or isinstance(event, events.ConnectionTerminated)
            case events.UnknownFrameReceived():
                self._reprioritise(event)
                return self._patience.idle_frame(self._heard)
            case events.RemoteSettingsChanged() | events.PingReceived() | events.PriorityUpdated():
                return self._patience.idle_frame(self._heard)
            case _:
                pass
        return True

    def _begin(self, event: events.RequestReceived) -> bool:
        number = event.stream_id or 0
        if self._leaving or len(self._running) >= self._home.streams:
            self._session.reset(number, ErrorCodes.REFUSED_STREAM)
            return self._patience.reset(self._heard)
        self._last = number
        head = heads.read(event.headers)
        stream = Stream(self, number, parse(head.fields.get("priority")), self._heard)
        stream.uploaded = event.stream_ended is not None
        self._streams[number] = stream
        stream.task = self._loop.create_task(self._answer(head, stream))
        self._running.add(stream.task)
        stream.task.add_done_callback(self._done)
        return True

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._soon()

    def _take(self, event: events.DataReceived) -> bool:
        stream, flowed = self._stream(event.stream_id), event.flow_controlled_length or 0
        if stream is None or stream.broken:
            self._session.read(event.stream_id or 0, flowed)
        else:
            stream.feed(event.data or b"", flowed)
        return bool(event.data) or event.stream_ended is not None or self._patience.idle_frame(self._heard)

    def _drop(self, number: int | None) -> bool:
        """A stream is given up: by the client, or as an error of his."""
        stream = self._streams.pop(number or 0, None)
        if stream is None:
            return True
        self._ready.pop(stream.number, None)
        stream.give_up()
        stream.forget()
        if stream.task is not None:
            stream.task.cancel()
        return self._patience.reset(self._heard)

    def _reprioritise(self, event: events.UnknownFrameReceived) -> None:
        frame: Any = event.frame  # one of an unknown type has a body
        if frame is not None and frame.type == PRIORITY_UPDATE and frame.stream_id == 0:
            update = parse_update(frame.body)
            if update is not None and (stream := self._streams.get(update[0])) is not None:
                stream.priority = update[1]

    def _stream(self, number: int | None) -> Stream | None:
        return self._streams.get(number or 0)

    # Answers ------------------------------------------------------------------------------------

    async def _answer(self, head: heads.Head, stream: Stream) -> None:
        whole = False
        try:
            whole = await self._serves(head, stream, StreamReply(stream, head.method), self)
        finally:
            if not stream.broken and not self._closing and not (whole and stream.ended):
                self._reset(stream, ErrorCodes.INTERNAL_ERROR)

    def head(self, stream: Stream, lines: list[heads.RawLine], *, end: bool) -> None:
        """Sends a field section (Carrier)."""
        self._session.head(stream.number, lines, end=end)
        if end:
            self._finish(stream)
        self._soon()

    def ready(self, stream: Stream) -> None:
        """There is more to send of `stream` (Carrier)."""
        if not stream.broken:
            self._ready[stream.number] = stream
            self._soon()

    def read(self, stream: Stream, size: int) -> None:
        """`size` bytes of what came have been read (Carrier)."""
        if not self._closing:
            self._session.read(stream.number, size)
            self._soon()

    def _finish(self, stream: Stream) -> None:
        """The answer's end is on its way. What the client still sends of his content, nobody wants (§8.1)."""
        stream.answered = True
        self._streams.pop(stream.number, None)
        self._ready.pop(stream.number, None)
        if not stream.uploaded:
            self._session.reset(stream.number, ErrorCodes.NO_ERROR)
            stream.give_up()
            stream.forget()

    def _reset(self, stream: Stream, code: ErrorCodes) -> None:
        if self._streams.pop(stream.number, None) is None:
            return
        self._ready.pop(stream.number, None)
        self._session.reset(stream.number, code)
        stream.give_up()
        stream.forget()
        self._soon()

    # Out ----------------------------------------------------------------------------------------

    def _soon(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        more = True
        while more:
            more = not self._paused and self._pump()
            output = self._session.output()
            if output:
                transport.write(output)
        if self._leaving and self.idle:
            transport.close()

    def _pump(self) -> bool:
        """Sends up to a burst of what is ready, by priority; whether there may be more."""
        left = BURST
        able = dict(self._ready)
        while able and left > 0:
            stream = next_of(able.values())
            sent = self._send(stream)
            if sent is None:
                del able[stream.number]
            elif stream.answered or not stream.out:
                able.pop(stream.number, None)
                left -= sent
            else:
                left -= sent
        return bool(able)

    def _send(self, stream: Stream) -> int | None:
        """One frame of `stream`: how many bytes, or None where it must wait for its client."""
        stream.turn += 1
        if not stream.out:
            self._ready.pop(stream.number, None)
            if stream.ended and not stream.answered:
                self._session.data(stream.number, b"", end=True)
                self._finish(stream)
            return 0
        room = self._session.room(stream.number)
        if room <= 0:
            if stream.blocked is None:
                stream.blocked = self._loop.time()
            return None
        stream.blocked = None
        piece = stream.out.popleft()
        if len(piece) > room:
            rest = memoryview(piece)
            piece = rest[:room]
            stream.out.appendleft(rest[room:])
        end = stream.ended and not stream.out
        self._session.data(stream.number, piece, end=end)
        stream.took(len(piece))
        if end:
            self._finish(stream)
        elif not stream.out:
            self._ready.pop(stream.number, None)
        return len(piece)

    # The end ------------------------------------------------------------------------------------

    def leave(self) -> None:
        """This node goes away: nothing new is taken on, what began is answered (§6.8)."""
        if not self._leaving:
            self._leaving = True
            self._session.go_away(ErrorCodes.NO_ERROR, self._last)
        self._soon()

    def _end(self, code: ErrorCodes) -> None:
        """Says why, and closes."""
        self._session.go_away(code, self._last)
        self._close()

    def _close(self) -> None:
        """Sends what is left to say, and closes."""
        transport = self.transport
        self._closing = True
        if transport is not None and not transport.is_closing():
            output = self._session.output()
            if output:
                transport.write(output)
            transport.close()
        for stream in tuple(self._streams.values()):
            stream.give_up()
        for task in tuple(self._running):
            task.cancel()

    def force_close(self) -> None:
        """Closes at once."""
        if self.transport is not None:
            self.transport.close()

    async def shutdown(self, timeout: float | None = None) -> None:
        """Ends what still runs within `timeout` seconds."""
        self.leave()
        if self._running:
            await asyncio.wait(tuple(self._running), timeout=timeout)
        for task in tuple(self._running):
            task.cancel()
        self._flush()
        if self.transport is not None:
            self.transport.close()

    def sweep(self, now: float) -> None:
        """Ends what takes too long: a silent connection, a reader that does not read, a request."""
        limits, transport = self._home.limits, self.transport
        if transport is None:
            return
        if self._stalled is not None:
            if now - self._stalled[0] > limits.idle:
                waiting = transport.get_write_buffer_size()
                if waiting >= self._stalled[1]:
                    transport.abort()
                    return
                self._stalled = (now, waiting)
            return
        if not self._greeted and now - self._heard > limits.head_timeout:
            transport.abort()
        elif self.idle and now - self._heard > limits.idle:
            self.leave()
        for stream in tuple(self._streams.values()):
            blocked = stream.blocked is not None and now - stream.blocked > limits.idle
            if blocked or now - stream.began > limits.total:
                self._reset(stream, ErrorCodes.CANCEL)
                if stream.task is not None:
                    stream.task.cancel()
