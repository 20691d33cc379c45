"""An inventory on a real database for tests: SQLite in a directory, or PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select, text

from origin.app import Origin, Wiring
from origin.contract import OutOfStock
from origin.db.tables import outbox
from origin.registry import settings_of
from origin.settings import OriginSettings
from origin.tracking.inventory.sheet import Line, Place
from origin.tracking.inventory.store import Inventory
from origin.tracking.plugin import Tracking
from tests.origin.standing import Clock

SKU = "KOP-GAYO-250"
QUIET = 2.0


@dataclass(slots=True)
class Stockroom:
    """A started inventory, and the hands to use it."""

    origin: Origin
    clock: Clock

    @property
    def inventory(self) -> Inventory:
        plugin = self.origin.plugins["tracking"]
        assert isinstance(plugin, Tracking)
        return plugin.inventory

    async def count(self, quantity: int, location: str = "jkt", sku: str = SKU, **more: Any) -> None:
        line = Line(sku=sku, location=location, quantity=quantity, **more)
        assert await self.inventory.count([(2, line)], "a test", preview=False) == []

    async def buy(self, sku: str = SKU, quantity: int = 1) -> str | None:
        """The hold that became an order's, or nothing where there was too little."""
        try:
            hold = await self.inventory.hold(sku, quantity, 60)
        except OutOfStock:
            return None
        await self.inventory.commit(hold.id)
        return hold.id

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        async with self.origin.database.read() as connection:
            return [tuple(row) for row in await connection.execute(text(sql))]

    async def change(self, sql: str) -> None:
        async with self.origin.database.write() as connection:
            await connection.execute(text(sql))

    async def purged(self) -> list[str]:
        async with self.origin.database.read() as connection:
            asked = select(outbox.c.name).where(outbox.c.kind == "purge").order_by(outbox.c.number)
            return list((await connection.execute(asked)).scalars())

    async def adds_up(self) -> None:
        """Levels are what the movements sum to, and what is reserved is what living holds have."""
        moved = await self.rows(
            "SELECT sku, location, SUM(on_hand), SUM(reserved) FROM tracking_movements "
            "GROUP BY sku, location ORDER BY sku, location"
        )
        assert moved == await self.rows(
            "SELECT sku, location, on_hand, reserved FROM tracking_levels ORDER BY sku, location"
        )
        held = await self.rows(
            "SELECT COALESCE(SUM(p.quantity), 0) FROM tracking_hold_parts p "
            "JOIN tracking_holds h ON h.id = p.hold WHERE h.state IN ('held', 'ordered')"
        )
        assert held == await self.rows("SELECT COALESCE(SUM(reserved), 0) FROM tracking_levels")


@asynccontextmanager
async def open_stockroom(
    directory: Path, url: str = "", clock: Clock | None = None, table: Mapping[str, Any] | None = None
) -> AsyncIterator[Stockroom]:
    """An inventory at `url` with two locations, migrated and started; its tasks don't run."""
    clock = clock or Clock()
    plugins = {"tracking": Tracking}
    values = settings_of(plugins, {"tracking": {"sells": True, "quiet_seconds": QUIET, **(table or {})}})
    settings = OriginSettings(state=str(directory), database=url)
    origin = Origin(settings, plugins, values, Wiring(clock, lambda: 0.5))
    try:
        await origin.start()
        room = Stockroom(origin, clock)
        for code in ("jkt", "sby"):
            await room.inventory.place(Place(code=code, name=f"Gudang {code}"))
        yield room
    finally:
        await origin.close()
