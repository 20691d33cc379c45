"""`tepi dns`: a name server, fed by control's journal."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import signal
import time
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path

import click
import uvloop
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from pydantic import ValidationError

from control.cli.process import logging_to_stderr, stop_signal, stops_with_a_sentence
from control.cli.zone import load_zones
from edge.agent import Agent
from edge.checkpoint import Checkpoint
from edge.document.files import read_toml
from edge.document.problems import Problem, Refused, problems_of
from edge.identity import obtain
from edge.journal import Document, Event, Reader, Snapshot
from edge.secrets import resolve
from geo.dns.answer import Flattened, Manners, Responder
from geo.dns.cookies import SECRET_SIZE, Cookies
from geo.dns.flatten import Flattener, targets
from geo.dns.metrics import Metrics
from geo.dns.probe import Prober, with_health
from geo.dns.rates import Rates
from geo.dns.server import CannotListen, Server, TcpLimits
from geo.dns.settings import DnsSettings, split_address
from geo.dns.zonefile import BadZone
from geo.fleet import Fleet, Health, Node, Place
from geo.lookup import Lookup, open_database

log = logging.getLogger("tepi.dns")

SIGN_CHECK = 60.0  # seconds between looks at the day of signatures
CONTROL_AWAY = 5.0  # seconds without control after which the node's own probes decide


class Names:
    """What a name server does with what control says: the hosts and nodes that it answers with."""

    def __init__(self, server: Server, prober: Prober) -> None:
        self._server = server
        self._prober = prober
        self._sites: dict[str, frozenset[str]] = {}
        self._told: Mapping[str, Health] = {}
        self._probed: Mapping[str, Health] = {}
        self._fleet = server.responder.fleet
        self.probing = False

    async def apply(self, event: Event) -> None:
        """Takes in a site, the loss of one, or a fleet; the rest is not for name servers."""
        match event.kind:
            case "site.put":
                self._sites[str(event.body["name"])] = _hosts(event.body)
                self._rebuild()
            case "site.delete":
                self._sites.pop(str(event.body["name"]), None)
                self._rebuild()
            case "fleet.put":
                self._take_fleet(event.body["nodes"])
                self._rebuild()
            case "site.try" | "purge" | "certificate.put":
                pass

    async def load(self, snapshot: Snapshot, *, known: bool = False) -> None:
        """Replaces everything."""
        self._sites = {str(site["name"]): _hosts(site) for site in snapshot.sites}
        self._take_fleet(snapshot.fleet)
        self._rebuild()

    async def health(self, nodes: dict[str, str]) -> None:
        """Control's word on each node."""
        self._told = {name: _health(word) for name, word in nodes.items()}
        self._refresh()

    async def command(self, verb: str, body: Document) -> Document:
        """Name servers take none."""
        raise ValueError(f"a name server has no command {verb}")

    def heartbeat(self) -> Document:
        """Nothing that control adds up."""
        return {}

    def probes_found(self, health: Mapping[str, Health]) -> None:
        """The node's own probes found a change."""
        self._probed = dict(health)
        self._refresh()

    def believe_probes(self, probing: bool) -> None:
        """Whether the node's own probes decide, since control is away."""
        if probing != self.probing:
            self.probing = probing
            self._refresh()

    def _take_fleet(self, nodes: Iterable[Document]) -> None:
        known = {node.name: node.health for node in self._fleet.nodes}
        self._fleet = Fleet(
            tuple(
                Node(
                    name=str(node["name"]),
                    place=Place(**node["place"]),
                    addresses=tuple(node["addresses"]),
                    health=known.get(str(node["name"]), Health.UNKNOWN),
                    capacity=float(node["capacity"]),
                )
                for node in nodes
                if node["role"] == "edge" and node.get("place")
            )
        )
        self._prober.watch(self._fleet)

    def _refresh(self) -> None:
        """Where control does not know yet, as after its start, the node's own probes do."""
        known = {name: health for name, health in self._told.items() if health is not Health.UNKNOWN}
        self._fleet = with_health(self._fleet, self._probed if self.probing else {**self._probed, **known})
        self._server.use(self._server.responder.with_fleet(self._fleet))

    def _rebuild(self) -> None:
        hosts = frozenset[str]().union(*self._sites.values())
        self._server.use(self._server.responder.with_hosts(hosts, self._fleet))


def _health(word: str) -> Health:
    """A word of a newer control that this node does not know is as good as none."""
    return Health(word) if word in set(Health) else Health.UNKNOWN


def _hosts(site: Document) -> frozenset[str]:
    return frozenset(str(host) for host in site["hosts"])


@click.command("dns")
@click.option(
    "--config", "path", required=True, type=click.Path(dir_okay=False, path_type=Path),
    help="The configuration file.",
)  # fmt: skip
def command(path: Path) -> None:
    """Answers DNS for the sites' zone with the nearest healthy node."""
    with stops_with_a_sentence(CannotListen, BadZone):
        settings = _load(path)
        logging_to_stderr()
        with open_database(settings.geo_database) as database:
            uvloop.run(_serve(settings, database, path))


def _load(path: Path) -> DnsSettings:
    try:
        return DnsSettings.model_validate(read_toml(path))
    except ValidationError as error:
        raise Refused(problems_of(error, DnsSettings)) from None


def _manners(settings: DnsSettings) -> Manners:
    """How replies are made. Raises Refused, NoSecret."""
    made = []
    for number, reference in enumerate(settings.cookie_secrets):
        try:
            made.append(bytes.fromhex(resolve(reference)))
            Cookies(tuple(made))
        except ValueError:
            expected = f"{2 * SECRET_SIZE} hex digits behind it"
            raise Refused([Problem(f"cookie_secrets.{number}", reference, expected)]) from None
    return Manners(
        subnet=settings.client_subnet,
        nsid=settings.nsid.encode(),
        amplification=settings.amplification,
        cookies=Cookies(tuple(made) or (secrets.token_bytes(SECRET_SIZE),)),
        idle=settings.tcp_idle,
    )


def _server(settings: DnsSettings, database: Lookup, metrics: Metrics) -> Server:
    responder = Responder(
        load_zones(settings, int(time.time())),
        frozenset(settings.hosts),
        settings.fleet_value(),
        database,
        manners=_manners(settings),
        at=int(time.time()),
    )
    limit = settings.rate_limit
    return Server(
        responder,
        settings.listeners(),
        limits=TcpLimits(settings.tcp_connections, settings.tcp_idle, settings.tcp_of_one),
        rates=Rates(limit, settings.rate_slip, secrets.token_bytes(16)) if limit else None,
        observe=metrics.observe,
        limited=metrics.limited,
    )


def _read_again(path: Path, server: Server, flattener: Flattener) -> None:
    """Zone files anew; where one is bad, all stays as it was."""
    try:
        zones = load_zones(_load(path), int(time.time()))
    except (BadZone, Refused) as error:
        log.error("zones stay as they were: %s", error)
        return
    server.use(server.responder.with_zones(zones))
    flattener.watch(targets(server.responder))
    log.info("zones read again")


async def _serve(settings: DnsSettings, database: Lookup, path: Path) -> None:
    registry = CollectorRegistry()
    server = _server(settings, database, Metrics(registry))
    responder = server.responder

    def flattened(found: Flattened) -> None:
        server.use(server.responder.with_flattened(found))

    flattener = Flattener(settings.resolver, flattened)
    flattener.watch(targets(responder))
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _read_again, path, server, flattener)
    agent: Agent | None = None
    tasks = [asyncio.create_task(flattener.run()), asyncio.create_task(_sign_anew(server))]
    if settings.control is not None:
        prober = Prober(settings.probe, settings.probe_port, lambda health: names.probes_found(health))
        names = Names(server, prober)
        agent = await _agent(settings, names)
        await agent.restore()
        tasks += [
            asyncio.create_task(prober.run()),
            asyncio.create_task(agent.run()),
            asyncio.create_task(_judge_control(agent, names)),
        ]
    else:
        alone = Prober(settings.probe, settings.probe_port, lambda health: _use_health(server, health))
        alone.watch(responder.fleet)
        tasks.append(asyncio.create_task(alone.run()))
    await server.start()
    runner = web.AppRunner(_admin(registry, server, agent), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, *split_address(settings.admin)).start()
        await stop_signal()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await runner.cleanup()
        await server.stop()


async def _sign_anew(server: Server) -> None:
    """Every day's signatures, long before yesterday's end. The clock is read often, for it may jump."""
    while True:
        await asyncio.sleep(SIGN_CHECK)
        renewed = server.responder.at(time.time())
        if renewed is not server.responder:
            server.use(renewed)


def _use_health(server: Server, health: Mapping[str, Health]) -> None:
    """Without control the node's own probes decide."""
    responder = server.responder
    server.use(responder.with_fleet(with_health(responder.fleet, health)))


async def _agent(settings: DnsSettings, names: Names) -> Agent:
    assert settings.control is not None
    state = Path(settings.state)
    token = settings.control.join_token or None
    identity = await obtain(state, settings.control.url, token, version("tepi"))
    return Agent(
        url=settings.control.url,
        context=identity.client_context(),
        reader=Reader.of(identity.journal_key),
        applies=names,
        checkpoint=Checkpoint(state),
        version=version("tepi"),
        monotonic=time.monotonic,
        jitter=random.random,
    )


async def _judge_control(agent: Agent, names: Names) -> None:
    """Control's word counts while it can be heard; a moment later the node's own probes do."""
    heard = time.monotonic()
    while True:
        if agent.connected:
            heard = time.monotonic()
        names.believe_probes(time.monotonic() - heard > CONTROL_AWAY)
        await asyncio.sleep(0.5)


def _admin(registry: CollectorRegistry, server: Server, agent: Agent | None) -> web.Application:
    async def metrics(_request: web.Request) -> web.Response:
        server.count()
        return web.Response(body=generate_latest(registry), content_type="text/plain")

    async def alive(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(_request: web.Request) -> web.Response:
        in_step = agent is None or agent.ready
        return web.Response(status=200 if in_step else 503, text="ready\n" if in_step else "not in step\n")

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/healthz", alive), web.get("/readyz", ready)])
    return app
