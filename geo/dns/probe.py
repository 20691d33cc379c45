"""Probes nodes at `http://ADDRESS:PORT/_tepi/health`, for the time when control's word is missing.

A node that says itself that it is not ready (503) still lives: it comes after those that are, and before
those that don't answer at all. So a fleet that has lost control as a whole keeps its dead nodes apart.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import aiohttp

from geo.dns.settings import ProbeSettings
from geo.fleet import Fleet, Health, Node

PATH = "/_tepi/health"
_SAID = {200: Health.HEALTHY, 503: Health.DRAINING}

log = logging.getLogger("tepi.dns.probe")


@dataclass(frozen=True, slots=True)
class Streak:
    """What probes have found of a node so far. Pure: `after` gives the next."""

    health: Health = Health.UNKNOWN
    failures: int = 0
    successes: int = 0

    def after(self, seen: Health, settings: ProbeSettings) -> Streak:
        """The streak with one more probe, which saw HEALTHY, DRAINING or UNHEALTHY.

        It takes `rise` successes or `fall` failures in a row to change a node's health; from UNKNOWN
        the first success is enough.
        """
        if seen is Health.HEALTHY:
            successes = self.successes + 1
            risen = successes >= settings.rise or self.health is Health.UNKNOWN
            return Streak(Health.HEALTHY if risen else self.health, 0, successes)
        failures = self.failures + 1
        return Streak(seen if failures >= settings.fall else self.health, failures, 0)


class Prober:
    """Probes every node of the fleet it watches; `on_change` hears all nodes' health when one's changes."""

    def __init__(
        self, settings: ProbeSettings, port: int, on_change: Callable[[Mapping[str, Health]], None]
    ) -> None:
        self._settings = settings
        self._port = port
        self._on_change = on_change
        self._nodes: tuple[Node, ...] = ()
        self._streaks: dict[str, Streak] = {}
        self._slots = asyncio.Semaphore(settings.concurrency)

    @property
    def health(self) -> dict[str, Health]:
        """What is known of each watched node."""
        return {node.name: self._streak(node).health for node in self._nodes}

    def watch(self, fleet: Fleet) -> None:
        """From the next round on, probes the nodes of `fleet`; what is known of those that stay is kept."""
        self._nodes = fleet.nodes
        names = {node.name for node in fleet.nodes}
        self._streaks = {name: streak for name, streak in self._streaks.items() if name in names}

    async def run(self) -> None:
        """Probes until it is cancelled, one round an interval."""
        timeout = aiohttp.ClientTimeout(total=self._settings.timeout)
        connector = aiohttp.TCPConnector(limit=self._settings.concurrency, force_close=True)
        loop = asyncio.get_running_loop()
        async with aiohttp.ClientSession(
            timeout=timeout, connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        ) as session:
            while True:
                began = loop.time()
                await self._round(session)
                await asyncio.sleep(max(0.0, began + self._settings.interval - loop.time()))

    async def _round(self, session: aiohttp.ClientSession) -> None:
        nodes = self._nodes
        seen = await asyncio.gather(*(self._probe(session, node) for node in nodes))
        before = self.health
        for node, health in zip(nodes, seen, strict=True):
            self._streaks[node.name] = self._streak(node).after(health, self._settings)
        self.watch(Fleet(self._nodes))  # the fleet may have changed meanwhile
        after = self.health
        if after != before:
            for name in after:
                if before.get(name) != after[name]:
                    log.info("probes find node %s %s", name, after[name])
            self._on_change(after)

    async def _probe(self, session: aiohttp.ClientSession, node: Node) -> Health:
        """The best that any of the node's addresses says."""
        seen = await asyncio.gather(*(self._ask(session, address) for address in node.addresses))
        for health in (Health.HEALTHY, Health.DRAINING):
            if health in seen:
                return health
        return Health.UNHEALTHY

    async def _ask(self, session: aiohttp.ClientSession, address: str) -> Health:
        host = f"[{address}]" if ":" in address else address
        async with self._slots:
            try:
                async with session.get(
                    f"http://{host}:{self._port}{PATH}", allow_redirects=False
                ) as response:
                    return _SAID.get(response.status, Health.UNHEALTHY)
            except (aiohttp.ClientError, OSError, TimeoutError):
                return Health.UNHEALTHY

    def _streak(self, node: Node) -> Streak:
        return self._streaks.get(node.name, Streak())


def with_health(fleet: Fleet, health: Mapping[str, Health]) -> Fleet:
    """`fleet` with the health that `health` has of its nodes; of the others it stays as it was."""
    return Fleet(tuple(replace(node, health=health.get(node.name, node.health)) for node in fleet.nodes))
