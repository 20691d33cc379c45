"""A node at work: its parts, its figures, and how it takes another configuration."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client.core import Metric

from edge.access_log import AccessLog
from edge.admin import of_process
from edge.agent import Agent
from edge.config import EdgeConfig
from edge.document.notation import Address
from edge.front import Front
from edge.hooks.desk import Hooks
from edge.journal import Document
from edge.lane import Lane
from edge.listeners import Listeners, Wanted
from edge.node import Node
from edge.relay import Relay
from edge.store.contract import Store
from edge.store.opening import gauges_of
from edge.tasks import Tasks, every
from edge.telemetry import Finished, Gauge, Telemetry
from edge.tiers.vicinity import Vicinity
from edge.tls import KeyPair
from edge.upstream.backends import Backends
from edge.upstream.checks import Checks

log = logging.getLogger("tepi.edge")

LOG_FLUSH = 0.2
TEND = 5.0
HEAT = 300.0  # what was asked for in this time or the one before is hot
TEND_PAGES = 1.0
ADOPT = 15.0  # a dead worker's webhooks


@dataclass(frozen=True, slots=True)
class Change:
    """A configuration that can be taken: its certificate was read, its log is open."""

    config: EdgeConfig
    default: KeyPair | None
    access_log: AccessLog | None


@dataclass(slots=True)
class Running:
    """A node at work."""

    config: EdgeConfig
    node: Node
    front: Front
    listeners: Listeners
    telemetry: Telemetry
    relay: Relay
    backends: Backends
    store: Store
    tasks: Tasks
    lanes: Mapping[str, Lane]  # by scheme
    vicinity: Vicinity
    in_step: Callable[[], bool] = lambda: True  # with control; at once where there is none
    log_turn: int | None = None  # the lock of a log that others write too
    access_log: AccessLog | None = None
    agent: Agent | None = None
    admin: Address | None = None  # once it listens
    hooks: Hooks | None = None

    def ready(self) -> bool:
        """Whether visitors should be sent here."""
        return not self.front.draining and self.in_step()

    # What an operator asks (edge.admin.Operated)

    async def purge(self, document: Document) -> dict[str, Any]:
        """Carries out a purge, or tells what it would drop."""
        return await self.node.purge(document)

    async def explain(self, document: Document) -> dict[str, Any]:
        """What a request would meet."""
        return await self.node.explain(document)

    async def webhooks(self, document: Document) -> dict[str, Any]:
        """What waits for the origin and what it would not take."""
        if self.hooks is None:
            raise ValueError("this node takes no webhooks: its configuration has no [webhooks]")
        return await self.hooks.command(document)

    async def metrics(self) -> Iterable[Metric]:
        """Everything that is counted and measured."""
        return of_process(self.telemetry).collect()

    def write_log(self, finished: Finished) -> None:
        """Counts and logs one answer."""
        self.telemetry.count(finished)
        self.log_only(finished)

    def log_only(self, finished: Finished) -> None:
        """Logs an answer to a neighbour, who counts it as his visitor's."""
        if self.access_log is not None:
            self.access_log.write(finished)

    def gauges(self) -> Iterator[Gauge]:
        """What is measured rather than counted."""
        yield Gauge("ready", "1 where visitors should be sent here.", self.ready())
        yield Gauge("connections", "Clients' connections.", self.front.gate.connections.total)
        yield Gauge("requests_under_way", "Requests being answered.", self.front.under_way)
        yield Gauge("websockets", "WebSockets being relayed.", len(self.relay))
        yield from gauges_of(self.store)
        if self.hooks is not None:
            yield from self.hooks.gauges()
        now = time.monotonic()
        for site in self.backends.all():
            for backend in site.backends:
                labels = {"site": site.site.name, "origin": backend.url, "prefix": backend.prefix}
                up = backend.health.state(now) == "up"
                yield Gauge("origin_up", "1 where an origin is asked in its turn.", up, labels)
                held = backend.pool.open
                yield Gauge("origin_connections", "Connections to an origin.", held, labels)

    def counts(self) -> Iterator[Gauge]:
        """What is counted beside answers to visitors."""
        yield from self.node.pipeline.counts()
        yield from self.vicinity.counts()
        if self.hooks is not None:
            yield from self.hooks.counts()

    def figures(self) -> dict[str, Any]:
        """What heartbeats tell: cumulative counters, and how full the store is at this moment."""
        front = self.store.front
        store = {"bytes": front.size, "entries": len(front), "budget": front.budget}
        guard = self.node.pipeline.proving.failures()
        return {**self.telemetry.counters(), "store": store, "guard": guard}

    async def take(self, config: EdgeConfig) -> None:
        """`config` from now on, all of it or nothing. Raises AddressTaken, BadCertificate, OSError."""
        change = self.prepare(config)
        await self.listeners.listen(wanted(config))
        await self.adopt(change)

    def prepare(self, config: EdgeConfig) -> Change:
        """What could go wrong with `config`, done beforehand. Raises BadCertificate, OSError."""
        if self.hooks is not None and config.webhooks is not None:
            self.hooks.check(config.webhooks)
        return Change(config, _default_pair(config), _opened_log(config, self.log_turn))

    async def adopt(self, change: Change) -> None:
        """What was prepared, from now on; whom to listen to is somebody else's business."""
        config, access_log = change.config, change.access_log
        self.node.certificates.set_default(change.default)
        if self.hooks is not None and config.webhooks is not None:
            self.hooks.configure(config.webhooks)
        self.front.gate.configure(config)
        if config.control is None:
            await self.node.take_sites(config.sites)
        self.vicinity.take(config)
        before, self.access_log = self.access_log, access_log
        for lane in self.lanes.values():
            lane.log_to(access_log)
        if before is not None:
            before.close()
        self.config = config

    def drop(self, change: Change) -> None:
        """`change` is not made."""
        if change.access_log is not None:
            change.access_log.close()

    def open_hooks(self) -> None:
        """Goes on with the webhooks that wait, before anybody is let in. Raises OSError, NoSecret."""
        if self.hooks is not None:
            self.hooks.open()
            self.tasks.start(every(ADOPT, self.hooks.look_around))

    def begin(self, checks: Checks) -> None:
        """Starts what runs beside requests."""
        for work in (
            self.listeners.sweep_forever(),
            checks.run(),
            every(TEND, self.backends.tend),
            every(HEAT, self.store.front.heat.turn),
            every(TEND_PAGES, lambda: self.tasks.start(self.node.tend())),
            every(LOG_FLUSH, lambda: self.access_log.flush() if self.access_log is not None else None),
        ):
            self.tasks.start(work)

    async def stop(self) -> None:
        """Lets nobody in, finishes what is under way, and ends."""
        self.front.draining = True
        for lane in self.lanes.values():
            lane.close()
        await self.listeners.stop(
            lambda: self.front.under_way, self.config.drain_seconds, self.relay.close_all
        )
        await self.vicinity.close()
        await self.tasks.end()
        if self.hooks is not None:
            await self.hooks.close()
        self.backends.close()
        self.store.close()
        if self.access_log is not None:
            self.access_log.close()


def check(config: EdgeConfig) -> None:
    """Raises BadCertificate, OSError where no worker could take `config`."""
    _default_pair(config)
    opened = _opened_log(config, None)
    if opened is not None:
        opened.close()


def wait_for_restart(before: EdgeConfig, after: EdgeConfig) -> None:
    """Says of what has changed that it can't change while a node runs."""
    for name in ("name", "admin", "state", "store", "http2", "control", "geo_database", "workers"):
        if getattr(before, name) != getattr(after, name):
            log.warning("%s changed: that needs a restart", name)


def wanted(config: EdgeConfig) -> list[Wanted]:
    """The addresses to listen on."""
    plain = [Wanted(address, secure=False) for address in config.listen]
    return plain + [Wanted(address, secure=True) for address in config.listen_tls]


def _default_pair(config: EdgeConfig) -> KeyPair | None:
    if config.tls is None:
        return None
    pair = KeyPair(Path(config.tls.cert), Path(config.tls.key))
    pair.context()
    return pair


def _opened_log(config: EdgeConfig, turn: int | None) -> AccessLog | None:
    if config.log.access == "off":
        return None
    node = config.name or socket.gethostname()
    return AccessLog(config.log.access, config.log.file, time.time, node, turn)
