"""Several stages, one the parent of the other: what travels between them is what would on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from edge.document.notation import Address
from edge.document.origins import Timeouts
from edge.http.asker import Asker, Tier
from edge.http.message import Answer, Fields, Request
from edge.http.passing import received
from edge.policy.rules import SiteRules
from edge.upstream.contract import UpstreamError
from edge.upstream.peers import Peers
from edge.upstream.tiers import Fleet, Next, Peer
from tests.edge.stage import HandClock, Origin, Script, Stage

NOWHERE = Address("127.0.0.1", 1)


class Parent(Peers):
    """Asks another stage in this process, or nobody where there is none."""

    def __init__(self, stage: Stage | None, tier: Tier, clock: HandClock) -> None:
        peers = () if stage is None else (Peer("parent", "there", NOWHERE),)
        super().__init__(Fleet("child", "here", peers), _no_tls, clock.monotonic)
        self._stage = stage
        self._tier = tier
        self.asked: list[Request] = []

    def route(
        self, key: str, shield: str | None, asker: Asker | None, holder: int | None = None
    ) -> tuple[Next, ...]:
        return tuple(Next(peer, self._tier) for peer in self.fleet.peers)

    async def ask(self, to: Next, request: Request, origins: Timeouts) -> Answer:
        self.asked.append(request)
        assert self._stage is not None
        came = replace(request, host=request.host, body=None)
        passed = received(came)
        if passed is None:
            raise UpstreamError("protocol", "parent", "no hop", sent=True)
        answer = await self._stage.pipeline.handle(passed)
        lines = Fields((name, value) for name, value in answer.fields.lines)
        return Answer(answer.status, lines, answer.body)


def _no_tls() -> object:
    raise AssertionError("nobody dials here")


@dataclass
class Chain:
    """A child, its owner and the shield, each with its own view of one origin, by one clock."""

    script: Script
    rules: SiteRules = field(default_factory=lambda: SiteRules("shop"))
    stages: Sequence[Stage] = ()

    def __post_init__(self) -> None:
        clock = HandClock()
        origin = Origin(self.script)
        below: Stage | None = None
        for tier in (Tier.SHIELD, Tier.SHIELD, Tier.OWNER):
            parent = Parent(below, tier, clock)
            below = Stage(self.script, self.rules, clock=clock, origin=origin, peers=parent)
            self.stages = (below, *self.stages)
        self.clock = clock

    @property
    def child(self) -> Stage:
        return self.stages[0]

    @property
    def owner(self) -> Stage:
        return self.stages[1]

    @property
    def shield(self) -> Stage:
        return self.stages[2]

    @property
    def fetches(self) -> int:
        return self.shield.fetches

    async def settle(self) -> None:
        """Wait until nothing happens anywhere."""
        while any(stage.tasks for stage in self.stages):
            for stage in self.stages:
                await stage.settle()
            await asyncio.sleep(0)
