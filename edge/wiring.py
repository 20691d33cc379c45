"""The parts of a node, built and connected. Wiring only."""

from __future__ import annotations

import os
import random
import secrets
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import aiohttp

from edge.agent import Agent, Applies
from edge.berth import ALONE, Berth
from edge.checkpoint import Checkpoint
from edge.config import EdgeConfig
from edge.document.origins import Timeouts
from edge.front import IDENTITY, Front
from edge.guard.carts import CartGuard
from edge.guard.gate import Gate
from edge.hooks.desk import Hooks
from edge.http.message import Client
from edge.identity import Identity, obtain
from edge.ids import Ids
from edge.journal import Reader
from edge.lane import Lane, Place
from edge.listeners import Listener, Listeners
from edge.memo import Memos
from edge.node import FetchCertificate, Node
from edge.pipeline import Pipeline
from edge.policy.paths import covers
from edge.relay import Relay
from edge.running import Running
from edge.sites import Sites
from edge.store.opening import open_store
from edge.tasks import Tasks
from edge.telemetry import Telemetry
from edge.tiers.vicinity import Vicinity
from edge.tls import HTTP1, HTTP2, Certificates
from edge.transform.compress import Compressor
from edge.upstream.backends import Backends
from edge.upstream.fetch import Origins
from edge.wire.http2.home import Streams
from geo.lookup import Database

MEMOS = 16  # of the store in memory, that a generation of a lane's memos may take: one part in so many
CERTIFICATE_SECONDS = 5.0


class SystemClock:
    """The machine's clocks (edge.clock.Clock)."""

    wall = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


def build(
    config: EdgeConfig, identity: Identity | None, database: Database, berth: Berth | None = None
) -> Running:
    """A node, or the worker of one that has this `berth`, that does not listen yet."""
    clock, tasks = SystemClock(), Tasks()
    sites = Sites(config.sites)
    backends = Backends(sites, _mutual(identity))
    origins = Origins(backends, clock.monotonic)
    seat = ALONE if berth is None else berth.seat
    store = open_store(config.store, clock, seat.crew)
    vicinity = Vicinity(config, identity, clock, workers=seat.directory)
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
        peers=vicinity.peers,
        shared=vicinity.shared,
        timeouts=partial(_timeouts, sites),
    )
    telemetry = Telemetry(lambda: edge.gauges(), lambda: origins.bytes_received, lambda: edge.counts())
    found = partial(_found, database)
    certificates = Certificates(HTTP2 if config.http2.enabled else HTTP1)
    node = Node(sites, pipeline, certificates, lambda: edge.figures(), locate=found)
    relay = Relay(sites, backends, IDENTITY, lambda: secrets.token_bytes(4))
    gate, new_id = Gate(config, clock.monotonic, seat.clients()), Ids(secrets.token_hex(6))
    most = store.front.budget // MEMOS
    lanes = {scheme: Lane(store.front, gate, new_id, most) for scheme in ("http", "https")}
    memos = Memos(
        lanes=lanes, store=store, sites=sites, telemetry=telemetry, access_log=lambda: edge.access_log
    )
    front = Front(
        gate=gate,
        answer=CartGuard(sites, clock, IDENTITY).before(pipeline.handle),
        relay=relay,
        finished=lambda finished: edge.write_log(finished),
        clock=clock,
        new_id=new_id,
        locate=_locate(sites, found),
        ready=lambda: edge.ready(),
        keep=memos.keep,
    )
    listeners = _listeners(config, front, lanes, certificates, database)
    edge = Running(config, node, front, listeners, telemetry, relay, backends, store, tasks, lanes, vicinity)
    vicinity.let_in(pipeline.handle, edge.log_only, store.front, new_id)
    node.meet = vicinity.meet
    if berth is not None:
        edge.in_step, edge.log_turn = berth.in_step, berth.log_turn
        pipeline.on_outdated(berth.outdated)
    edge.hooks = _hooks(config, origins, front, edge)
    if identity is not None and config.control is not None:
        _obey(edge, config.control.url, identity, None if berth else clock)
    return edge


def _listeners(
    config: EdgeConfig,
    front: Front,
    lanes: Mapping[str, Lane],
    certificates: Certificates,
    database: Database,
) -> Listeners:
    """The traffic listeners: HTTP/1.1, and HTTP/2 where it is wanted."""
    gate = front.gate

    def make(scheme: str) -> Listener:
        made = Listener(
            front.handle, front.plain, front.refuse, gate, scheme, lanes[scheme], _place(database)
        )
        if config.http2.enabled:
            streams, vouches = config.http2.streams, certificates.vouches
            made.http2 = Streams(made.others, gate, scheme, streams, front.stream, vouches).connection
        return made

    return Listeners(make, certificates.context, config.limits.head_timeout)


def _hooks(config: EdgeConfig, origins: Origins, front: Front, edge: Running) -> Hooks | None:
    """What takes webhooks in before the pipeline, if this node does."""
    table = config.webhooks
    if table is None:
        return None
    directory = Path(table.spool) if table.spool else Path(config.state) / "spool"
    sites, clock = edge.node.sites, front.clock
    hooks = Hooks(table, directory, sites, origins, clock, edge.tasks, IDENTITY, os.environ)
    front.answer = hooks.before(front.answer)
    return hooks


def _obey(edge: Running, url: str, identity: Identity, clock: SystemClock | None) -> None:
    """Lets `edge` do what control says; by a line of its own, unless it has a supervisor (no `clock`)."""
    edge.node.keys, edge.node.hooks = keys_of(edge.config), edge.webhooks
    edge.node.name = identity.name
    if clock is not None:
        edge.node.fetch_certificate = certificates_from(url, identity)
        edge.agent = agent = agent_of(edge.config, identity, edge.node, clock)
        edge.in_step = lambda: agent.ready


async def identity_of(config: EdgeConfig) -> Identity | None:
    """Who a node that obeys control is to it; joins if need be. Raises JoinRefused, NoSecret."""
    if config.control is None:
        return None
    return await obtain(Path(config.state), config.control.url, config.control.join_token, version("tepi"))


def keys_of(config: EdgeConfig) -> Path:
    """Where a node that obeys control keeps its sites' certificates."""
    return Path(config.state) / "certificates"


def agent_of(config: EdgeConfig, identity: Identity, node: Applies, clock: SystemClock) -> Agent:
    """The line to control of `node`."""
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


def _timeouts(sites: Sites, name: str) -> Timeouts:
    site = sites.named(name)
    return Timeouts() if site is None else site.timeouts


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


def certificates_from(url: str, identity: Identity) -> FetchCertificate:
    """How control hands out certificates with their keys."""
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
