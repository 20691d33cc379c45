"""Sending lent bytes over a connection that does not encrypt: the kernel takes them from their file.

It stands beside the connection's transport, which has nothing to write meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from enum import Enum, auto

from edge.store.fill import Cut
from edge.store.lent import Held

TURN = 1024 * 1024  # bytes that are sent before others have their turn
MORE = socket.MSG_DONTWAIT | getattr(socket, "MSG_MORE", 0)  # a head leaves with what follows it


class _Then(Enum):
    """What sending has come to."""

    DONE = auto()
    ROOM = auto()  # the connection has no room at the moment
    DISK = auto()  # the disk must bring what comes next
    TURN = auto()  # it is the others' turn


class Outlet:
    """Sends one body at a time. `sent` counts its bytes; `moved`: when the last left (loop time)."""

    __slots__ = (
        "_descriptor",
        "_done",
        "_extra",
        "_head",
        "_held",
        "_kind",
        "_loop",
        "_transport",
        "_turn",
        "began",
        "moved",
        "sent",
    )  # fmt: skip

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        """`transport` has a socket, and knows no TLS."""
        line = transport.get_extra_info("socket")
        self._transport = transport
        self._loop = loop
        self._descriptor: int = line.fileno()
        self._kind: tuple[int, int, int] = (line.family, line.type, line.proto)
        self._head = b""
        self._held: Held | None = None
        self._done: Callable[[bool], object] | None = None
        self._extra: int | None = None  # the socket once more, for what tells when it has room
        self._turn: asyncio.Handle | None = None
        self.began = self.moved = 0.0
        self.sent = 0

    @property
    def busy(self) -> bool:
        """Whether something is being sent."""
        return self._held is not None

    @property
    def free(self) -> bool:
        """Whether something may be sent: nothing that was written before still waits."""
        transport = self._transport
        return self._held is None and not transport.get_write_buffer_size() and not transport.is_closing()

    def send(self, head: bytes, held: Held, done: Callable[[bool], object]) -> None:
        """Send `head`, then what is `held`. `done` is told whether all of it left; perhaps at once."""
        self._head, self._held, self._done = head, held, done
        self.sent = 0
        self.began = self.moved = self._loop.time()
        self._go_on()

    async def sending(self, head: bytes, held: Held) -> bool:
        """The same; whether all of it left."""
        left: asyncio.Future[bool] = self._loop.create_future()

        def done(whole: bool) -> None:
            if not left.done():
                left.set_result(whole)

        self.send(head, held, done)
        try:
            return await left
        finally:
            self.stop()

    def stop(self) -> None:
        """Send no more; nobody is told."""
        self._held = self._done = None
        self._head = b""
        self._wait_no_more()

    def _go_on(self) -> None:
        self._turn = None
        try:
            match self._push():
                case _Then.DONE:
                    self._ended(whole=True)
                case _Then.ROOM:
                    if self._extra is None:
                        self._extra = os.dup(self._descriptor)
                        self._loop.add_writer(self._extra, self._go_on)
                case _Then.DISK:
                    self._wait_no_more()
                    self._bring()
                case _Then.TURN:
                    if self._extra is None:  # else it is called as long as there is room
                        self._turn = self._loop.call_soon(self._go_on)
        except (OSError, Cut):
            self._ended(whole=False)

    def _push(self) -> _Then:
        """Send what there is room for, in one turn. Raises OSError, Cut."""
        held = self._held
        assert held is not None
        last = min(held.size, self.sent + TURN)
        if not held.near(self.sent, last - self.sent):
            return _Then.DISK
        begun = self.sent
        try:
            if self._head:
                self._send_head()
            while self.sent < last:
                at = held.first + self.sent
                gone = os.sendfile(self._descriptor, held.descriptor, at, last - self.sent)
                if not gone:
                    raise Cut("a file has become shorter")
                self.sent += gone
        except BlockingIOError:
            return _Then.ROOM
        finally:
            if self.sent > begun:
                self.moved = self._loop.time()
        return _Then.DONE if last == held.size else _Then.TURN

    def _send_head(self) -> None:
        """Have the head wait in the kernel for what follows it. Raises OSError."""
        line = socket.socket(*self._kind, fileno=self._descriptor)
        try:
            while self._head:
                self._head = self._head[line.send(self._head, MORE) :]
        finally:
            line.detach()  # it is the transport's

    def _bring(self) -> None:
        held = self._held
        assert held is not None
        bringing = self._loop.run_in_executor(None, held.bring, self.sent, min(TURN, held.size - self.sent))

        def brought(bringing: asyncio.Future[None]) -> None:
            failed = not bringing.cancelled() and bringing.exception() is not None
            if self._held is not held:  # it was stopped
                return
            if failed:
                self._ended(whole=False)
            else:
                self._go_on()

        bringing.add_done_callback(brought)

    def _ended(self, *, whole: bool) -> None:
        done = self._done
        self.stop()
        if done is not None:
            done(whole)

    def _wait_no_more(self) -> None:
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        if self._extra is not None:
            self._loop.remove_writer(self._extra)
            os.close(self._extra)
            self._extra = None
