"""A node at work: its parts, its figures, and how it takes another configuration."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.access_log import AccessLog
from edge.agent import Agent
from edge.config import EdgeConfig
from edge.front import Front
from edge.lane import Lane
from edge.listeners import Listeners, Wanted
from edge.node import Node
from edge.notation import Address
from edge.relay import Relay
from edge.store.contract import Store
from edge.store.opening import gauges_of
from edge.tasks import Tasks
from edge.telemetry import Finished, Gauge, Telemetry
from edge.tls import KeyPair
from edge.upstream.backends import Backends
from edge.vicinity import Vicinity

log = logging.getLogger("tepi.edge")


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
    access_log: AccessLog | None = None
    agent: Agent | None = None
    admin: Address | None = None  # once it listens

    def ready(self) -> bool:
        """Whether visitors should be sent here."""
        return not self.front.draining and (self.agent is None or self.agent.ready)

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

    def figures(self) -> dict[str, Any]:
        """What heartbeats tell: cumulative counters, and how full the store is at this moment."""
        front = self.store.front
        store = {"bytes": front.size, "entries": len(front), "budget": front.budget}
        guard = self.node.pipeline.proving.failures()
        return {**self.telemetry.counters(), "store": store, "guard": guard}

    async def take(self, config: EdgeConfig) -> None:
        """`config` from now on, all of it or nothing. Raises AddressTaken, BadCertificate, OSError."""
        default = None if config.tls is None else KeyPair(Path(config.tls.cert), Path(config.tls.key))
        if default is not None:
            default.context()
        access_log = _access_log(config)
        await self.listeners.listen(_wanted(config))
        self.node.certificates.set_default(default)
        self.front.gate.configure(config)
        if config.control is None:
            await self.node.take_sites(config.sites)
        self.vicinity.take(config)
        before, self.access_log = self.access_log, access_log
        for lane in self.lanes.values():
            lane.log_to(access_log)
        if before is not None:
            before.close()
        for name in ("name", "admin", "state", "store", "http2", "control", "geo_database"):
            if getattr(config, name) != getattr(self.config, name):
                log.warning("%s changed: that needs a restart", name)
        self.config = config


def _wanted(config: EdgeConfig) -> list[Wanted]:
    plain = [Wanted(address, secure=False) for address in config.listen]
    return plain + [Wanted(address, secure=True) for address in config.listen_tls]


def _access_log(config: EdgeConfig) -> AccessLog | None:
    if config.log.access == "off":
        return None
    node = config.name or socket.gethostname()
    return AccessLog(config.log.access, config.log.file, time.time, node)
