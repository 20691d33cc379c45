"""The edge as a process: builds the parts of a node and connects them. Wiring only."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from edge.access_log import AccessLog
from edge.admin import admin_application
from edge.agent import Agent
from edge.checkpoint import Checkpoint
from edge.config import EdgeConfig
from edge.front import IDENTITY, Front
from edge.guard.gate import Gate
from edge.http.message import Client
from edge.identity import Identity, obtain
from edge.ids import Ids
from edge.journal import Reader
from edge.lane import MEMOS, Lane, Place
from edge.listeners import AddressTaken, Listeners, Wanted, cannot_listen
from edge.memo import Memos
from edge.node import Node
from edge.notation import Address
from edge.pipeline import Pipeline
from edge.policy.paths import covers
from edge.problems import Refused
from edge.relay import Relay
from edge.server import Listener
from edge.sites import Sites
from edge.store.memory import MemoryStore
from edge.telemetry import Finished, Gauge, Telemetry
from edge.tls import BadCertificate, Certificates, KeyPair
from edge.transform.compress import Compressor
from edge.upstream.backends import Backends
from edge.upstream.checks import Checks
from edge.upstream.fetch import Origins
from geo.lookup import Database, open_database

log = logging.getLogger("tepi.edge")

GRACE = 10.0  # seconds that requests under way have to finish
LOG_FLUSH = 0.2
TEND = 5.0
HEAT = 300.0  # what was asked for in this time or the one before is hot
TEND_PAGES = 1.0
CERTIFICATE_SECONDS = 5.0

Reload = Callable[[], EdgeConfig]


class SystemClock:
    """The machine's clocks (edge.clock.Clock)."""

    wall = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


@dataclass(slots=True)
class Tasks:
    """What runs beside requests; all of it ends with the node."""

    running: set[asyncio.Task[None]] = field(default_factory=set)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs `work`; what goes wrong in it is logged."""
        task = asyncio.create_task(work)
        self.running.add(task)
        task.add_done_callback(self._done)

    async def end(self) -> None:
        """Cancels what still runs."""
        for task in tuple(self.running):
            task.cancel()
        await asyncio.gather(*self.running, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self.running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a background task failed", exc_info=task.exception())


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
    store: MemoryStore
    tasks: Tasks
    lanes: Mapping[str, Lane]  # by scheme
    access_log: AccessLog | None = None
    agent: Agent | None = None
    admin: Address | None = None  # once it listens

    def ready(self) -> bool:
        """Whether visitors should be sent here."""
        return not self.front.draining and (self.agent is None or self.agent.ready)

    def write_log(self, finished: Finished) -> None:
        """Counts and logs one answer."""
        self.telemetry.count(finished)
        if self.access_log is not None:
            self.access_log.write(finished)

    def gauges(self) -> Iterator[Gauge]:
        """What is measured rather than counted."""
        yield Gauge("ready", "1 where visitors should be sent here.", self.ready())
        yield Gauge("connections", "Clients' connections.", self.front.gate.connections.total)
        yield Gauge("requests_under_way", "Requests being answered.", self.front.under_way)
        yield Gauge("websockets", "WebSockets being relayed.", len(self.relay))
        yield Gauge("store_entries", "Stored answers.", len(self.store))
        yield Gauge("store_bytes", "Bytes that they take, bookkeeping included.", self.store.size)
        yield Gauge("store_budget_bytes", "Bytes that they may take.", self.store.budget)
        now = time.monotonic()
        for site in self.backends.all():
            for backend in site.backends:
                labels = {"site": site.site.name, "origin": backend.url, "prefix": backend.prefix}
                up = backend.health.state(now) == "up"
                yield Gauge("origin_up", "1 where an origin is asked in its turn.", up, labels)
                held = backend.pool.open
                yield Gauge("origin_connections", "Connections to an origin.", held, labels)

    def figures(self) -> dict[str, Any]:
        """What heartbeats tell: cumulative counters, and how full the store is at this moment."""
        store = {"bytes": self.store.size, "entries": len(self.store), "budget": self.store.budget}
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
        before, self.access_log = self.access_log, access_log
        for lane in self.lanes.values():
            lane.log_to(access_log)
        if before is not None:
            before.close()
        for name in ("name", "admin", "state", "store", "control", "geo_database"):
            if getattr(config, name) != getattr(self.config, name):
                log.warning("%s changed: that needs a restart", name)
        self.config = config


async def serve(config: EdgeConfig, *, reload: Reload | None) -> None:
    """Runs a node until SIGTERM or SIGINT; SIGHUP takes what `reload` gives.

    Raises AddressTaken, BadCertificate, geo.lookup.BadDatabase, edge.identity.JoinRefused and
    edge.secrets.NoSecret where it can't run as it is told to.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(config) as edge:
        if reload is not None:
            loop.add_signal_handler(signal.SIGHUP, lambda: edge.tasks.start(_reload(edge, reload)))
        await stop.wait()
        log.info("stopping")


@contextlib.asynccontextmanager
async def running(config: EdgeConfig) -> AsyncIterator[Running]:
    """A node that listens within this context, and ends gracefully with it."""
    async with contextlib.AsyncExitStack() as stack:
        database = stack.enter_context(open_database(config.geo_database))
        identity = await _identity(config)
        edge = _build(config, identity, database)
        stack.push_async_callback(_stop, edge)
        if edge.agent is not None:
            await edge.agent.restore()
            edge.tasks.start(edge.agent.run())
        await edge.take(config)
        edge.admin = await _open_admin(edge, stack)
        for work in (
            edge.listeners.sweep_forever(),
            Checks(edge.backends).run(),
            _every(TEND, edge.backends.tend),
            _every(HEAT, edge.store.heat.turn),
            _every(TEND_PAGES, lambda: edge.tasks.start(edge.node.tend())),
            _every(LOG_FLUSH, lambda: edge.access_log.flush() if edge.access_log is not None else None),
        ):
            edge.tasks.start(work)
        for scheme, address in edge.listeners.addresses():
            log.info("listening on %s://%s", scheme, address)
        yield edge


def _build(config: EdgeConfig, identity: Identity | None, database: Database) -> Running:
    clock, tasks = SystemClock(), Tasks()
    sites = Sites(config.sites)
    backends = Backends(sites, _mutual(identity))
    origins = Origins(backends, clock.monotonic)
    store = MemoryStore(config.store.memory, config.store.max_object)
    pipeline = Pipeline(
        sites=sites.rules,
        store=store,
        upstream=origins,
        clock=clock,
        compress=Compressor(),
        on_background=tasks.start,
        position=lambda: node.position,
        random=secrets.token_bytes,
        identity=IDENTITY,
    )
    telemetry = Telemetry(lambda: edge.gauges(), lambda: origins.bytes_received, pipeline.counts)
    found = partial(_found, database)
    node = Node(sites, pipeline, Certificates(), lambda: edge.figures(), locate=found)
    if identity is not None and config.control is not None:
        node.fetch_certificate = _certificates_from(config.control.url, identity)
        node.keys = Path(config.state) / "certificates"
    relay = Relay(sites, backends, IDENTITY, lambda: secrets.token_bytes(4))
    gate, new_id = Gate(config, clock.monotonic), Ids(secrets.token_hex(6))
    lanes = {scheme: Lane(store, gate, new_id, MEMOS) for scheme in ("http", "https")}
    memos = Memos(
        lanes=lanes,
        store=store,
        sites=sites,
        telemetry=telemetry,
        access_log=lambda: edge.access_log,
    )
    front = Front(
        gate=gate,
        answer=pipeline.handle,
        relay=relay,
        finished=lambda finished: edge.write_log(finished),
        clock=clock,
        new_id=new_id,
        locate=_locate(sites, found),
        ready=lambda: edge.ready(),
        keep=memos.keep,
    )
    listeners = Listeners(
        lambda scheme: Listener(front.handle, front.refuse, gate, scheme, lanes[scheme], _place(database)),
        node.certificates.context,
        config.limits.head_timeout,
    )
    edge = Running(config, node, front, listeners, telemetry, relay, backends, store, tasks, lanes)
    if identity is not None and config.control is not None:
        edge.agent = _agent(config, identity, node, clock)
    return edge


def _agent(config: EdgeConfig, identity: Identity, node: Node, clock: SystemClock) -> Agent:
    assert config.control is not None
    return Agent(
        url=config.control.url,
        context=identity.client_context(),
        reader=Reader.of(identity.journal_key),
        applies=node,
        checkpoint=Checkpoint(Path(config.state)),
        version=version("tepi"),
        monotonic=clock.monotonic,
        jitter=random.random,
    )


async def _identity(config: EdgeConfig) -> Identity | None:
    if config.control is None:
        return None
    return await obtain(Path(config.state), config.control.url, config.control.join_token, version("tepi"))


async def _stop(edge: Running) -> None:
    edge.front.draining = True
    for lane in edge.lanes.values():
        lane.close()
    edge.relay.close_all()
    await edge.listeners.stop(lambda: edge.front.under_way, GRACE)
    await edge.tasks.end()
    edge.backends.close()
    if edge.access_log is not None:
        edge.access_log.close()


async def _reload(edge: Running, reload: Reload) -> None:
    """A configuration that can't be taken leaves everything as it was."""
    try:
        await edge.take(await asyncio.to_thread(reload))
        log.info("configuration reloaded")
    except (Refused, AddressTaken, BadCertificate, OSError) as error:
        log.error("configuration not reloaded: %s", error)


async def _open_admin(edge: Running, stack: contextlib.AsyncExitStack) -> Address:
    runner = web.AppRunner(admin_application(edge.node, edge.telemetry, edge.ready), access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    wanted = edge.config.admin
    try:
        await web.TCPSite(runner, wanted.host, wanted.port).start()
    except OSError as error:
        raise AddressTaken(cannot_listen(wanted, error, "--admin")) from error
    host, port = runner.addresses[0][:2]
    log.info("admin listener on http://%s", Address(host, port))
    return Address(host, port)


def _wanted(config: EdgeConfig) -> list[Wanted]:
    plain = [Wanted(address, secure=False) for address in config.listen]
    return plain + [Wanted(address, secure=True) for address in config.listen_tls]


def _access_log(config: EdgeConfig) -> AccessLog | None:
    if config.log.access == "off":
        return None
    node = config.name or socket.gethostname()
    return AccessLog(config.log.access, config.log.file, time.time, node)


def _mutual(identity: Identity | None) -> Callable[[], Any]:
    """The node's own TLS towards the commerce origin, made once."""
    context = None if identity is None else identity.client_context()
    return lambda: context


def _locate(sites: Sites, found: Callable[[str], Client]) -> Callable[[str, str, str], Client | None]:
    """Where a client is, looked up only where a rule depends on it or the origin is told."""

    def locate(address: str, host: str, path: str) -> Client | None:
        rules = sites.rules(host)
        if rules is None:
            return None
        prefix = rules.commerce_prefix
        if not rules.by_country and (prefix is None or not covers(prefix, path)):
            return None
        return found(address)

    return locate


def _place(database: Database) -> Callable[[str], Place]:
    def place(address: str) -> Place:
        location = database.find(address)
        return location.country, location.asn

    return place


def _found(database: Database, address: str) -> Client:
    location = database.find(address)
    return Client(address, country=location.country, asn=location.asn)


def _certificates_from(url: str, identity: Identity) -> Callable[[str], Any]:
    context = identity.client_context()

    async def fetch(name: str) -> Mapping[str, str]:
        timeout = aiohttp.ClientTimeout(total=CERTIFICATE_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as session,
                session.get(f"{url}/node/v1/certificates/{name}", ssl=context) as response,
            ):
                material: Mapping[str, str] = await response.json()
                return material
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ValueError(f"control did not hand it out: {error or 'no answer in time'}") from error

    return fetch


async def _every(seconds: float, work: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(seconds)
        work()
