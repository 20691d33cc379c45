"""An origin that is killed again and again while people pay, at a provider that loses answers: the totals of
provider, shop and ledger agree afterwards, to the sen."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sqlite3
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.origin.checkout.sandboxes import HOOKS, Sandbox, free_port, sandbox
from tests.origin.checkout.till import COFFEE
from tests.origin.standing import eventually

KILLS, BUYERS = 3, 6
CONFIG = """
listen = "127.0.0.1:{port}"
admin = "127.0.0.1:{admin}"
state = "{state}"
webhook_secret = "file:{secret}"

[plugins.checkout.providers.sandbox]
url = "{url}"
key = "file:{key}"
"""


@dataclass(slots=True)
class Process:
    """The origin as operators run it."""

    config: Path
    url: str
    process: asyncio.subprocess.Process | None = None

    async def start(self, client: aiohttp.ClientSession) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "control.cli", "origin", "--config", str(self.config),
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip

        async def answers() -> bool:
            with contextlib.suppress(aiohttp.ClientError):
                async with client.get(f"{self.url}/healthz") as response:
                    return response.status == 200
            return False

        await eventually(answers, 60)

    async def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        await self.process.wait()


async def insist(client: aiohttp.ClientSession, url: str, body: Any, key: str) -> Any:
    """Asks until there is an answer, as shops do: with one key."""
    while True:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, json.JSONDecodeError):
            async with client.post(url, json=body, headers={"Idempotency-Key": key}) as response:
                said = await response.json(content_type=None)
                if response.status == 201:
                    return said
        await asyncio.sleep(0.2)


async def buy(client: aiohttp.ClientSession, url: str, provider: Sandbox, number: int) -> str:
    """One buyer, from basket to the provider's page; the session."""
    base = f"{url}/commerce/checkout/sessions"
    basket = {"lines": [{"sku": COFFEE, "quantity": 1}], "currency": "IDR"}
    session = await insist(client, base, basket, f"basket {number}")
    await insist(client, f"{base}/{session['id']}/payments", {"method": "card"}, f"payment {number}")
    payment = None
    while payment is None:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, json.JSONDecodeError):
            async with client.get(f"{base}/{session['id']}") as response:
                known = (await response.json(content_type=None)).get("payment") or {}
            if (known.get("action") or {}).get("kind") == "redirect":
                payment = known["action"]["url"].rsplit("/", 1)[1]
        await asyncio.sleep(0.2)
    await provider.pay(payment)
    return str(session["id"])


def figures(database: Path) -> tuple[int, int, int]:
    """Sessions, what they count as paid, and what the ledger says that the provider holds."""
    with contextlib.closing(sqlite3.connect(database)) as shop:
        count, paid = shop.execute(
            "SELECT count(*), coalesce(sum(paid), 0) FROM checkout_sessions"
        ).fetchone()
        booked = shop.execute(
            "SELECT coalesce(sum(debits - credits), 0) FROM ledger_balances WHERE account = ?",
            ("Assets:Clearing:Sandbox",),
        ).fetchone()[0]
    return count, paid, booked


@pytest.mark.timeout(300)
async def test_no_money_is_lost_or_doubled_however_often_the_origin_dies(tmp_path: Path) -> None:
    port, admin = free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    timeout = aiohttp.ClientTimeout(total=10)
    async with (
        sandbox(tmp_path, f"{url}/commerce/hooks/sandbox") as provider,
        aiohttp.ClientSession(timeout=timeout) as client,
    ):
        (tmp_path / "secret").write_text(HOOKS)
        config = tmp_path / "origin.toml"
        config.write_text(
            CONFIG.format(
                port=port, admin=admin, state=tmp_path / "origin", secret=tmp_path / "secret",
                url=provider.url, key=provider.directory / "key",
            )
        )  # fmt: skip
        origin = Process(config, url)
        await origin.start(client)
        try:
            await provider.behave(repeat=2, shuffle=True, lose=4, hook_delay=0.3)
            buyers = [asyncio.create_task(buy(client, url, provider, number)) for number in range(BUYERS)]
            for _ in range(KILLS):
                await asyncio.sleep(random.uniform(0.1, 1.5))
                await origin.kill()
                await origin.start(client)
            sessions = await asyncio.gather(*buyers)
            await provider.quiet()

            async def all_paid() -> bool:
                states = []
                for id in sessions:
                    async with client.get(f"{url}/commerce/checkout/sessions/{id}") as response:
                        states.append((await response.json())["state"])
                return set(states) == {"paid"}

            await eventually(all_paid, 60)
            theirs = await provider.totals()
        finally:
            await origin.kill()
    assert len(set(sessions)) == BUYERS
    assert figures(tmp_path / "origin" / "origin.db") == (BUYERS, theirs["captured"], theirs["captured"])
    assert theirs["payments"] == BUYERS
