"""Risk on a real database for tests, and attempts to judge."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import text

from origin.app import Origin, PluginHost, Wiring
from origin.contract import Attempt, Card, Money, Outcome, Verdict, Visitor
from origin.registry import settings_of
from origin.risk.desk import Desk
from origin.risk.plugin import RiskPlugin
from origin.risk.rules import RuleSet
from origin.settings import OriginSettings
from tests.origin.standing import Clock

HOME = Visitor("203.0.113.7", "ID", 7713, "shop.test", True)
ATTEMPT = Attempt(
    "1", Money(8_500_000, "IDR"), HOME, method="card", provider="stripe", card="fp_1", card_country="ID"
)


def attempt(order: str, **changes: Any) -> Attempt:
    """An ordinary one, with changes."""
    return replace(ATTEMPT, order=order, **changes)


def ruleset(*rules: tuple[str, str, str]) -> RuleSet:
    """Rules by name, action, condition."""
    return RuleSet.model_validate(
        {"rules": [{"name": name, "action": action, "when": when} for name, action, when in rules]}
    )


@dataclass(slots=True)
class Desks:
    """A started plugin, and the hands to use it."""

    origin: Origin
    clock: Clock

    @property
    def desk(self) -> Desk:
        plugin = self.origin.plugins["risk"]
        assert isinstance(plugin, RiskPlugin)
        return plugin.desk

    @property
    def host(self) -> PluginHost:
        return PluginHost(self.origin, RiskPlugin.settings(), "risk")

    async def assess(self, one: Attempt) -> Verdict:
        async with self.host.write() as connection:
            return await self.desk.assess(connection, one)

    async def recognise(self, order: str, card: Card) -> Verdict | None:
        async with self.host.write() as connection:
            return await self.desk.recognise(connection, order, card)

    async def learn(self, order: str, outcome: Outcome) -> None:
        async with self.host.write() as connection:
            await self.desk.learn(connection, order, outcome)

    async def facts(self, order: str) -> dict[str, Any]:
        found = await self.desk.of_order(order)
        return dict(found[-1]["facts"])

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        async with self.host.read() as connection:
            return [tuple(row) for row in await connection.execute(text(sql))]


@asynccontextmanager
async def open_desk(directory: Path, url: str = "", **table: Any) -> AsyncIterator[Desks]:
    """Risk at `url`, migrated and started."""
    clock = Clock()
    settings = OriginSettings(state=str(directory), database=url)
    values = settings_of({"risk": RiskPlugin}, {"risk": table})
    origin = Origin(settings, {"risk": RiskPlugin}, values, Wiring(clock, lambda: 0.5))
    try:
        await origin.start()
        yield Desks(origin, clock)
    finally:
        await origin.close()
