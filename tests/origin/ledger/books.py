"""A ledger on a real database for tests: SQLite in a directory, or PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import text

from origin.app import Origin, PluginHost, Wiring
from origin.contract import About, Chart, Money, Posting
from origin.ledger.book import Book
from origin.ledger.plugin import LedgerPlugin
from origin.ledger.transfer import NOTHING
from origin.registry import settings_of
from origin.settings import OriginSettings
from tests.origin.standing import Clock
from tests.support.postgres import postgres

ENGINES = ("sqlite", "postgresql")


@dataclass(slots=True)
class Books:
    """A started ledger, and the hands to use it."""

    origin: Origin
    plugin: LedgerPlugin
    clock: Clock

    @property
    def book(self) -> Book:
        return self.plugin.book

    @property
    def host(self) -> PluginHost:
        return PluginHost(self.origin, LedgerPlugin.settings(), "ledger")

    async def post(
        self, id: str, postings: Sequence[Posting], about: About = NOTHING, memo: str = ""
    ) -> None:
        async with self.host.write() as connection:
            await self.book.post(connection, id, postings, memo, about)

    async def reserve(self, id: str, postings: Sequence[Posting], about: About = NOTHING) -> None:
        async with self.host.write() as connection:
            await self.book.reserve(connection, id, postings, "", about)

    async def settle(self, id: str) -> None:
        async with self.host.write() as connection:
            await self.book.post_pending(connection, id)

    async def void(self, id: str) -> None:
        async with self.host.write() as connection:
            await self.book.void_pending(connection, id)

    async def booked(self, account: str, currency: str = "IDR") -> int:
        found = (await self.book.balance(account)).get(currency)
        return 0 if found is None else found.booked.minor

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        async with self.host.read() as connection:
            return [tuple(row) for row in await connection.execute(text(sql))]

    async def change(self, sql: str) -> None:
        async with self.host.write() as connection:
            await connection.execute(text(sql))


@contextmanager
def database_url(engine: str) -> Iterator[str]:
    """The URL of an empty database; of SQLite the origin makes its own."""
    if engine == "sqlite":
        yield ""
        return
    name = postgres().database()
    try:
        yield postgres().url(name).replace("postgresql://", "postgresql+psycopg://")
    finally:
        postgres().drop(name)


@asynccontextmanager
async def open_books(
    directory: Path, url: str = "", clock: Clock | None = None, table: Mapping[str, Any] | None = None
) -> AsyncIterator[Books]:
    """A ledger at `url`, migrated and started."""
    clock = clock or Clock()
    settings = OriginSettings(state=str(directory), database=url)
    plugins = {"ledger": LedgerPlugin}
    values = settings_of(plugins, {"ledger": table or {}})
    origin = Origin(settings, plugins, values, Wiring(clock, lambda: 0.5))
    try:
        await origin.start()
        plugin = origin.plugins["ledger"]
        assert isinstance(plugin, LedgerPlugin)
        yield Books(origin, plugin, clock)
    finally:
        await origin.close()


def idr(minor: int) -> Money:
    return Money(minor, "IDR")


def sides(*lines: tuple[str, int], currency: str = "IDR") -> list[Posting]:
    """Postings by account and amount."""
    return [Posting(account, Money(minor, currency)) for account, minor in lines]


def sale(minor: int, provider: str = "stripe", currency: str = "IDR") -> list[Posting]:
    """A payment of goods that `provider` holds."""
    return sides((Chart.clearing(provider), minor), (Chart.SALES, -minor), currency=currency)


def refund(minor: int, provider: str = "stripe", currency: str = "IDR") -> list[Posting]:
    """Money back through `provider`."""
    return sides((Chart.REFUNDS, minor), (Chart.clearing(provider), -minor), currency=currency)


def paid(order: str, provider: str = "stripe", method: str = "card", reference: str = "") -> About:
    return About("payment", order, provider, method, reference or f"ch_{order}")


def refunded(order: str, provider: str = "stripe", method: str = "card", reference: str = "") -> About:
    return About("refund", order, provider, method, reference or f"re_{order}")
