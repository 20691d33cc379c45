"""The workers of a node as one node: what is told to it is told to all, and what they tell is made one.

Nothing is acknowledged before all have. A worker that does not acknowledge in time is ended: it could answer
with what is gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from prometheus_client.core import Metric

from edge.checkpoint import State, state_of
from edge.journal import Document, Event, Snapshot
from edge.node import FetchCertificate, fetched
from edge.tasks import Tasks
from edge.telemetry import Gauge, counted, measured
from edge.workers.channel import Closed
from edge.workers.line import Line, patiently
from edge.workers.orders import (
    Apply,
    Ask,
    Collect,
    Commit,
    Judged,
    Load,
    Metrics,
    OriginKey,
    Ping,
    Pong,
    Strike,
)
from edge.workers.sums import added, explained, gathered, lasting, merged, purged, weighed

log = logging.getLogger("tepi.edge.workers")

ACKNOWLEDGE = 2.0  # seconds that a worker has
LOADING = 60.0  # for a whole state
BEAT = 1.0


@dataclass(slots=True, eq=False)
class Member:
    """A worker at work. `end` ends its process, and says why."""

    index: int
    line: Line
    end: Callable[[str], None]
    figures: Document = field(default_factory=dict)
    families: tuple[Metric, ...] = ()


class Gone:
    """What a worker that was ended, or has died, replies."""


@dataclass(slots=True)
class Crew:
    """All workers of a node; edge.agent.Applies and edge.admin.Operated for it.

    `turn` is held by whoever changes what all must agree on, so that a new worker comes between two changes.
    """

    tasks: Tasks
    in_step: Callable[[], bool] = lambda: True
    fetch_certificate: FetchCertificate | None = None
    keys: Path | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    state: State | None = None
    members: list[Member] = field(default_factory=list)
    down: set[OriginKey] = field(default_factory=set)
    draining: asyncio.Event = field(default_factory=asyncio.Event)
    restarts: int = 0
    missed: bool = False  # whether nobody was there to strike what is stored: it can't be trusted
    _counted: dict[str, Any] = field(default_factory=dict)  # by those that are gone
    _families: list[Metric] = field(default_factory=list)

    # Who is there ---------------------------------------------------------------------------------

    def leave(self, member: Member) -> None:
        """`member` is no more; what it counted stays counted."""
        if member not in self.members:
            return
        self.members.remove(member)
        self._counted = added((self._counted, {k: v for k, v in member.figures.items() if k != "store"}))
        self._families = merged((self._families, lasting(member.families)))

    async def outcomes(
        self, order: object, seconds: float = ACKNOWLEDGE, but: Member | None = None
    ) -> list[tuple[Member, Any]]:
        """What each worker replies: a result, a ValueError, or Gone."""
        asked = [member for member in self.members if member is not but]
        told = await asyncio.gather(*(self._outcome(member, order, seconds) for member in asked))
        return list(zip(asked, told, strict=True))

    async def _outcome(self, member: Member, order: object, seconds: float) -> Any:
        reply = member.line.call(order)
        if not await patiently(reply, seconds):
            reply.cancel()
            member.end(f"did not acknowledge {type(order).__name__} within {seconds:g} s")
            self.leave(member)
            return Gone()
        try:
            return reply.result()
        except Closed:
            return Gone()
        except ValueError as error:
            return error

    async def writing(
        self, order: Apply | Ask | Load | Commit, seconds: float = ACKNOWLEDGE
    ) -> list[tuple[Member, Any]]:
        """As `outcomes`, but one is first, who writes what is purged to the store that all share."""
        told: list[tuple[Member, Any]] = []
        left = list(self.members)
        while left and not order.written:
            first, *left = left
            outcome = await self._outcome(first, order, seconds)
            told.append((first, outcome))
            order = replace(order, written=not isinstance(outcome, ValueError | Gone))
        results = await asyncio.gather(*(self._outcome(member, order, seconds) for member in left))
        return [*told, *zip(left, results, strict=True)]

    async def everyone(
        self, order: object, seconds: float = ACKNOWLEDGE, but: Member | None = None
    ) -> list[Any]:
        """What all that are there reply, once all have. Raises the first ValueError."""
        return _told(await self.outcomes(order, seconds, but))

    async def ping_forever(self) -> None:
        """Finds out who hangs, and tells all whether the node is ready, until cancelled."""
        told, beat = None, 0.0
        while True:
            ready = self.ready()
            if ready != told or beat >= BEAT:
                told, beat = ready, 0.0
                for member in self.members:
                    if not member.line.busy:  # else it is watched by who asked
                        self.tasks.start(self._ping(member, ready))
            await asyncio.sleep(BEAT / 4)
            beat += BEAT / 4

    async def _ping(self, member: Member, ready: bool) -> None:
        reply = member.line.call(Ping(ready, member is self.members[0]))
        if not await patiently(reply, ACKNOWLEDGE):
            reply.cancel()
            member.end(f"has been silent for {ACKNOWLEDGE:g} s")
            self.leave(member)
        elif reply.exception() is None and isinstance(pong := reply.result(), Pong):
            member.figures = pong.figures

    async def obey(self, member: Member, order: Strike | Judged) -> None:
        """What a worker has to tell the others."""
        match order:
            case Strike():
                await self.everyone(order, but=member)
            case Judged():
                (self.down.add if order.down else self.down.discard)(order.origin)
                for other in self.members:
                    if other is not member:
                        other.line.tell(order)

    # What control says (edge.agent.Applies) -------------------------------------------------------

    async def apply(self, event: Event) -> None:
        """Returns once `event` holds in every answer of every worker from now on. Raises ValueError."""
        assert self.state is not None
        async with self.turn:
            problem: Exception | None = None
            if event.kind == "certificate.put":
                problem = await self._fetch(event.body)
            try:
                self.missed = not _told(await self.writing(Apply(event))) or self.missed
            except ValueError as error:  # who comes later need not take in what nobody could
                self.state.position = event.position
                if problem is not None:
                    raise ValueError(f"{error}: {problem}") from error
                raise
            self.state.fold(event)
        if problem is not None:
            name = event.body["name"]
            raise ValueError(f"certificate {name}: {problem}; the one of before is still shown")

    async def load(self, snapshot: Snapshot, *, known: bool = False) -> None:
        """Takes the place of everything that the workers know. Raises ValueError."""
        async with self.turn:
            for certificate in snapshot.certificates:
                await self._fetch(certificate)
            self.state = state_of(snapshot)
            self.missed = not _told(await self.writing(Load(snapshot), LOADING)) and not known

    async def health(self, nodes: dict[str, str]) -> None:
        """Each node's health in control's eyes: name servers ask for it, edges answer whoever comes."""

    async def command(self, verb: str, body: Document) -> Document:
        """`explain`, `dry-run` and `hooks`. Raises ValueError."""
        match verb:
            case "explain":
                return await self.explain(body)
            case "dry-run":
                return weighed(await self._asked(Ask("dry-run", body)))
            case "hooks":
                return await self.webhooks(body)
            case _:
                raise ValueError(f"got command {verb!r}, expected explain, dry-run or hooks")

    def heartbeat(self) -> Document:
        """Cumulative counters of all workers, those included that are gone."""
        return added((self._counted, *(member.figures for member in self.members)))

    # What an operator says (edge.admin.Operated) --------------------------------------------------

    async def purge(self, document: Document) -> dict[str, Any]:
        """Carries out a purge in every worker, or tells what it would drop. Raises ValueError."""
        return purged(await self._asked(Ask("purge", document)))

    async def explain(self, document: Document) -> dict[str, Any]:
        """What a request would meet. Raises ValueError."""
        return explained(await self._asked(Ask("explain", document)))

    async def webhooks(self, document: Document) -> dict[str, Any]:
        """What waits for the origin and what it would not take, of all workers. Raises ValueError."""
        return gathered(await self._asked(Ask("hooks", document)))

    async def metrics(self) -> Iterable[Metric]:
        """Everything that workers and this process count and measure."""
        for member, told in await self.outcomes(Collect()):
            if isinstance(told, Metrics):
                member.families = told.families
        return merged((self._own(), self._families, *(member.families for member in self.members)))

    def ready(self) -> bool:
        """Whether visitors should be sent here."""
        return bool(self.members) and not self.draining.is_set() and self.in_step()

    def _own(self) -> Iterable[Metric]:
        yield from measured(
            (
                Gauge("ready", "1 where visitors should be sent here.", self.ready()),
                Gauge("workers", "Workers that answer.", len(self.members)),
            )
        )
        yield from counted(
            (Gauge("worker_restarts", "Workers that took a dead one's place.", self.restarts),)
        )

    async def _asked(self, ask: Ask) -> list[dict[str, Any]]:
        told = _told(await (self.writing(ask) if ask.what == "purge" else self.outcomes(ask)))
        if not told:
            raise ValueError("no worker of this node answers at the moment; one is being started")
        return told

    async def _fetch(self, certificate: Document) -> Exception | None:
        """Gets a certificate for all; they read it where it is kept."""
        if self.fetch_certificate is None or self.keys is None:
            return None
        return await fetched(self.fetch_certificate, str(certificate["name"]), self.keys)


def _told(outcomes: Iterable[tuple[Member, Any]]) -> list[Any]:
    """The results of those that are there. Raises the first ValueError."""
    results = [result for _, result in outcomes]
    for result in results:
        if isinstance(result, ValueError):
            raise result
    return [result for result in results if not isinstance(result, Gone)]
