"""A shop with a checkout that runs for a test, and a client that buys there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import aiohttp
from sqlalchemy import select

from origin.app import Bound, Origin, Wiring
from origin.checkout.plugin import Checkout
from origin.contract import Chart
from origin.db.tables import outbox
from origin.ledger.plugin import LedgerPlugin
from origin.storefront.plugin import Storefront
from origin.storefront.store import Store
from tests.origin.standing import Clock, running

COFFEE = "KOP-GAYO-250"
TORAJA = "KOP-TORA-250"
PRICE = 8_500_000  # of the coffee, in sen
SHIPPING = {"id": "regular", "names": {"id": "Reguler", "en": "Regular"}, "price": 2_000_000}
PPN = {"names": {"id": "PPN", "en": "VAT"}, "percent": "11"}


@dataclass(frozen=True, slots=True)
class Got:
    """An answer."""

    status: int
    fields: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass(slots=True)
class Till:
    """A running origin with shop and checkout, and a client."""

    origin: Origin
    bound: Bound
    client: aiohttp.ClientSession
    clock: Clock
    keys: int = field(default=0)

    @property
    def store(self) -> Store:
        plugin = self.origin.plugins["storefront"]
        assert isinstance(plugin, Storefront)
        return plugin.store

    @property
    def checkout(self) -> Checkout:
        plugin = self.origin.plugins["checkout"]
        assert isinstance(plugin, Checkout)
        return plugin

    async def ask(self, method: str, path: str, **options: Any) -> Got:
        url = f"http://{self.bound.plain}{path}"
        async with self.client.request(method, url, **options) as response:
            return Got(response.status, response.headers, await response.text())

    async def post(self, path: str, body: Any, key: str | None = None) -> Got:
        self.keys += 1
        fields = {"Idempotency-Key": key or f"key-{self.keys}", "Content-Type": "application/json"}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.ask("POST", f"/commerce/checkout{path}", data=data, headers=fields)

    async def open(self, key: str | None = None, **changes: Any) -> Any:
        """A session for two bags of coffee."""
        got = await self.post("/sessions", basket(**changes), key)
        assert got.status == 201, got.text
        return got.json

    async def session(self, id: str) -> Any:
        got = await self.ask("GET", f"/commerce/checkout/sessions/{id}")
        assert got.status == 200, got.text
        return got.json

    async def booked(self, provider: str) -> int:
        """What the ledger says that `provider` holds for the shop, in sen."""
        plugin = self.origin.plugins["ledger"]
        assert isinstance(plugin, LedgerPlugin)
        balances = await plugin.book.balance(Chart.clearing(provider))
        return balances["IDR"].booked.minor if balances else 0

    async def reserved(self, provider: str) -> int:
        """What the ledger says that `provider` has authorized and not taken yet, in sen."""
        plugin = self.origin.plugins["ledger"]
        assert isinstance(plugin, LedgerPlugin)
        balances = await plugin.book.balance(Chart.clearing(provider))
        return balances["IDR"].pending_debits - balances["IDR"].pending_credits if balances else 0

    async def emitted(self) -> list[str]:
        async with self.origin.database.read() as connection:
            asked = select(outbox.c.name).where(outbox.c.kind == "event").order_by(outbox.c.number)
            names = (await connection.execute(asked)).scalars()
            return [name for name in names if not name.startswith("ledger.")]


def basket(**changes: Any) -> dict[str, Any]:
    wanted = {"lines": [{"sku": COFFEE, "quantity": 2}], "currency": "IDR", **changes}
    return {name: value for name, value in wanted.items() if value is not None}


@asynccontextmanager
async def open_till(
    directory: Path,
    clock: Clock | None = None,
    wiring: Wiring | None = None,
    listen: str = "127.0.0.1:0",
    settings: Mapping[str, Any] = MappingProxyType({}),
    **checkout: Any,
) -> AsyncIterator[Till]:
    clock = clock or Clock()
    wiring = wiring or Wiring(clock, lambda: 0.5)
    plugins = (Checkout, LedgerPlugin, Storefront)
    tables = {"checkout": checkout}
    async with (
        running(directory, *plugins, wiring=wiring, tables=tables, listen=listen, **settings) as (
            origin,
            bound,
        ),
        aiohttp.ClientSession() as client,
    ):
        yield Till(origin, bound, client, clock)
