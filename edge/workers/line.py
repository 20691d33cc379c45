"""Questions and answers over a channel, both ways: orders with replies, and notices without."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import socket
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, assert_never

from edge.document.problems import Problem, Refused
from edge.workers.channel import Channel, Closed

log = logging.getLogger("tepi.edge.workers")

TICK = 0.25  # seconds
LOSSY = 1024 * 1024  # bytes that may wait before notices are left out


@dataclass(frozen=True, slots=True)
class Call:
    """An order that wants a reply."""

    id: int
    order: object


@dataclass(frozen=True, slots=True)
class Notice:
    """What needs no reply."""

    notice: object


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a call."""

    id: int
    result: object


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a call was not carried out; field by field where its document is at fault."""

    id: int
    sentence: str
    problems: tuple[Problem, ...] | None = None

    def error(self) -> ValueError:
        """The same as an exception."""
        return ValueError(self.sentence) if self.problems is None else Refused(self.problems)


Frame = Call | Notice | Reply | Refusal
Handle = Callable[[Any, int | None], Awaitable[object]]


class Line:
    """One end of a channel. `handle` carries out what comes; a ValueError of it is told to who asked."""

    def __init__(self, end: socket.socket, handle: Handle, closed: Callable[[], None]) -> None:
        self._channel = Channel(end, self._take, self._ended)
        self._handle = handle
        self._closed = closed
        self._last = 0
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> bool:
        """Whether a reply is due."""
        return bool(self._calls)

    def call(self, order: object) -> asyncio.Future[Any]:
        """Sends `order`; its result is to be awaited. It raises Closed, and ValueError if it is refused."""
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._last += 1
        try:
            self._channel.send(Call(self._last, order))
        except Closed as error:
            reply.set_exception(error)
        else:
            self._calls[self._last] = reply
        return reply

    def tell(self, notice: object, file: int | None = None) -> None:
        """Sends `notice`, unless nobody is there to hear it. An open `file` may go along."""
        if self._channel.open and (file is not None or self._channel.backlog < LOSSY):
            self._channel.send(Notice(notice), file)

    def close(self) -> None:
        """Hangs up."""
        self._channel.close()

    def _take(self, value: object, file: int | None) -> None:
        frame: Frame = value  # type: ignore[assignment]
        match frame:
            case Reply():
                self._settle(frame.id, frame.result, None)
            case Refusal():
                self._settle(frame.id, None, frame.error())
            case Call():
                self._start(self._answer(frame, file))
            case Notice():
                self._start(self._hear(frame, file))
            case _:
                assert_never(frame)

    def _settle(self, number: int, result: object, error: ValueError | None) -> None:
        reply = self._calls.pop(number, None)
        if reply is None or reply.done():
            return
        if error is None:
            reply.set_result(result)
        else:
            reply.set_exception(error)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, call: Call, file: int | None) -> None:
        told: Reply | Refusal
        try:
            told = Reply(call.id, await self._handle(call.order, file))
        except Refused as refused:
            told = Refusal(call.id, str(refused), refused.problems)
        except ValueError as error:
            told = Refusal(call.id, str(error))
        except Exception as error:
            log.exception("%s failed", type(call.order).__name__)
            told = Refusal(call.id, f"the node failed: {type(error).__name__}")
        if self._channel.open:
            self._channel.send(told)

    async def _hear(self, notice: Notice, file: int | None) -> None:
        try:
            await self._handle(notice.notice, file)
        except Exception:
            log.exception("%s failed", type(notice.notice).__name__)
            if file is not None:
                os.close(file)

    def _ended(self) -> None:
        for reply in self._calls.values():
            if not reply.done():
                reply.set_exception(Closed("the other end is gone"))
        self._calls.clear()
        self._closed()


async def patiently(reply: asyncio.Future[Any], seconds: float) -> bool:
    """Whether `reply` came within `seconds`. Time for which this very process slept counts once at most."""
    for _ in range(math.ceil(seconds / TICK)):
        if (await asyncio.wait([reply], timeout=TICK))[0]:
            return True
    return reply.done()
