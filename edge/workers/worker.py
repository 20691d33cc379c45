"""One worker of a node: a process that answers visitors, and obeys the supervisor that started it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, assert_never

import uvloop

from edge.admin import of_process
from edge.berth import Berth
from edge.config import Site
from edge.identity import load
from edge.purge import Mark
from edge.running import Change, Running, wanted
from edge.store.sweeping import WRITTEN
from edge.upstream.backends import Backend
from edge.upstream.checks import Checks
from edge.wiring import build
from edge.workers.channel import Closed
from edge.workers.line import Line
from edge.workers.orders import (
    Abandon,
    Apply,
    Ask,
    Begin,
    Collect,
    Commit,
    Drain,
    Judged,
    Leaving,
    Listening,
    Load,
    LogTurn,
    Metrics,
    Open,
    OriginKey,
    Ping,
    Pong,
    Prepare,
    StandIn,
    StepBack,
    Strike,
)
from geo.lookup import open_database

log = logging.getLogger("tepi.edge.worker")

SILENCE = 3.0  # seconds without a word of the supervisor, after which this worker may have missed a purge

Order = (
    Begin | Open | Apply | Load | Prepare | Commit | Abandon | Strike | Ask | Collect | Ping
    | Listening | StandIn | StepBack | LogTurn | Judged | Drain
)  # fmt: skip


def main(channel: int) -> None:
    """Runs a worker until it is told to end, or its supervisor is gone. `channel` is an open socket."""
    uvloop.run(_work(socket.socket(fileno=channel)))


async def _work(end: socket.socket) -> None:
    worker = Worker()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, worker.ended.set)
    for number in (signal.SIGINT, signal.SIGHUP):  # the supervisor's, who gets them too
        signal.signal(number, signal.SIG_IGN)
    worker.line = Line(end, worker.obey, worker.ended.set)
    async with worker.stack:
        await worker.ended.wait()
        worker.line.tell(Leaving())
        if worker.edge is not None:
            await worker.edge.stop()
    worker.line.close()


@dataclass(slots=True)
class Worker:
    """What a worker does with its orders."""

    stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    line: Line | None = None
    edge: Running | None = None
    checks: Checks | None = None
    change: Change | None = None
    log_turn: int | None = None
    heard: float = float("-inf")
    node_ready: bool = False

    async def obey(self, order: Order, file: int | None) -> object:
        """Carries out one order; what there is to tell. ValueError: refused, with the reason."""
        match order:
            case Begin():
                await self._begin(order)
                return None
            case LogTurn():
                self.log_turn = file
                return None
            case Drain():
                self.ended.set()
                return None
            case _:
                if self.edge is None:
                    raise ValueError("this worker has not begun")
                return await self._at_work(self.edge, order, file)

    async def _at_work(self, edge: Running, order: Order, file: int | None) -> object:
        match order:
            case Listening():
                assert file is not None
                edge.listeners.give(order.wanted, socket.socket(fileno=file))
            case StandIn():
                assert file is not None
                await edge.listeners.stand_in(order.absent, order.wanted, socket.socket(fileno=file))
            case StepBack():
                edge.listeners.step_back(order.absent)
            case Open():
                await edge.listeners.listen(wanted(edge.config))
            case Apply():
                WRITTEN.set(order.written)
                await edge.node.apply(order.event)
            case Load():
                WRITTEN.set(order.written)
                await edge.node.load(order.snapshot)
            case Strike():
                WRITTEN.set(True)
                await edge.node.pipeline.strike(order.mark, edge.node.position)
            case Ask():
                WRITTEN.set(order.written)
                return await _asked(edge, order)
            case Collect():
                return Metrics(tuple(of_process(edge.telemetry).collect()))
            case Ping():
                self._heard(ready=order.ready)
                assert self.checks is not None
                self.checks.due = order.prober
                return Pong(edge.figures())
            case Judged():
                _judge(edge, order)
            case Prepare() | Commit() | Abandon():
                await self._change(edge, order)
            case Begin() | LogTurn() | Drain():
                raise AssertionError(order)
            case _:
                assert_never(order)
        return None

    async def _begin(self, order: Begin) -> None:
        config = order.config
        database = self.stack.enter_context(open_database(config.geo_database))
        identity = load(Path(config.state)) if config.control is not None else None
        berth = Berth(order.seat, self._in_step, self._outdated, self.log_turn)
        edge = build(config, identity, database, berth)
        edge.open_hooks()
        await edge.adopt(edge.prepare(config))
        if order.snapshot is not None:
            try:
                await edge.node.load(order.snapshot, known=order.known)
            except ValueError as error:
                log.error("can't take in all of the state: %s", error)
        self._heard(ready=order.ready)
        for key in order.down:
            _judge(edge, Judged(key, down=True))
        self.checks = Checks(edge.backends, on_checked=self._checked)
        self.checks.due = False
        await edge.vicinity.open(edge.tasks, edge.node.position)
        edge.begin(self.checks)
        self.edge = edge

    async def _change(self, edge: Running, order: Prepare | Commit | Abandon) -> None:
        match order:
            case Prepare():
                try:
                    self.change = edge.prepare(order.config)
                except OSError as error:
                    raise ValueError(f"{error.filename}: {error.strerror}") from error
            case Commit():
                assert self.change is not None
                WRITTEN.set(order.written)
                await edge.listeners.listen(wanted(self.change.config))
                await edge.adopt(self.change)
                self.change = None
            case Abandon():
                if self.change is not None:
                    edge.drop(self.change)
                self.change = None
                edge.listeners.take_back()
            case _:
                assert_never(order)

    # What is told to the others -----------------------------------------------------------------

    async def _outdated(self, mark: Mark) -> None:
        """Returns once no other worker answers with what `mark` strikes."""
        assert self.line is not None
        with contextlib.suppress(Closed):  # no supervisor, no others
            await self.line.call(Strike(mark))

    def _checked(self, site: Site, backend: Backend) -> None:
        assert self.line is not None
        key = OriginKey(site.name, backend.url, backend.check or "")
        self.line.tell(Judged(key, backend.health.down))

    def _heard(self, *, ready: bool) -> None:
        self.heard, self.node_ready = time.monotonic(), ready

    def _in_step(self) -> bool:
        """Whether the node was ready when the supervisor said so the last time, which was just now."""
        return self.node_ready and time.monotonic() - self.heard <= SILENCE


async def _asked(edge: Running, order: Ask) -> dict[str, Any]:
    match order.what:
        case "purge":
            return await edge.node.purge(order.document)
        case "hooks":
            return await edge.webhooks(order.document)
        case "dry-run" | "explain":
            return dict(await edge.node.command(order.what, order.document))
        case _:
            assert_never(order.what)


def _judge(edge: Running, found: Judged) -> None:
    backends = edge.backends.of(found.origin.site)
    for backend in () if backends is None else backends.backends:
        if backend.url == found.origin.url and (backend.check or "") == found.origin.path:
            backend.health.judged(found.down)
