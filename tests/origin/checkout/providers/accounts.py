"""What tests of providers share: an order, and what a provider is given."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from edge.secrets import resolve
from origin.checkout.providers.contract import Order, Tools
from origin.contract import Money


def order(**changes: Any) -> Order:
    known: dict[str, Any] = {
        "payment": "py1", "amount": Money(17_000_000, "IDR"), "method": "card", "channel": None,
        "description": "Kopi Gayo", "email": None, "name": "Ani", "phone": None, "country": "ID",
        "language": "id", "return_url": "https://shop.example/commerce/checkout/cs_1/return",
        "until": time.time() + 3600,
    }  # fmt: skip
    return Order(**{**known, **changes})


@asynccontextmanager
async def tools(directory: Path, secret: str = "sk_test_of_nobody") -> AsyncIterator[Tools]:
    (directory / "key").write_text(secret)
    async with aiohttp.ClientSession() as http:
        yield Tools(http, resolve, time.time)
