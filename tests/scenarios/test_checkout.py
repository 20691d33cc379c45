"""A basket of the demo shop is really paid: `tepi up`, a browser at an edge, a provider, and an origin killed
in between."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Page as Tab
from playwright.async_api import async_playwright

from tests.scenarios.fleet import Fleet, eventually
from tests.support.tools import chromium

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("checkout"),
    pytest.mark.timeout(300),
]

CONTACT = {"email": "ani@contoh.id", "name": "Ani", "line1": "Jl. Malioboro 1", "city": "Yogyakarta"}
TOTAL = 17_000_000  # two bags of coffee, in sen


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    fleet = Fleet(tmp_path_factory.mktemp("checkout") / "state")
    try:
        await fleet.start()
        yield fleet
    finally:
        await fleet.end()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tab(fleet: Fleet) -> AsyncIterator[Tab]:
    host = fleet.ready["site"]
    async with async_playwright() as play:
        engine = await play.chromium.launch(
            executable_path=chromium(),
            args=["--no-sandbox", f"--host-resolver-rules=MAP {host} 127.0.0.2"],
        )
        context = await engine.new_context(java_script_enabled=False)
        yield await context.new_page()
        await engine.close()


def base(fleet: Fleet) -> str:
    return f"http://{fleet.ready['site']}:{fleet.edge('frankfurt')['http'].rsplit(':', 1)[1]}"


async def to_the_provider(fleet: Fleet, tab: Tab) -> str:
    """A basket with two bags of coffee, as far as the provider's page; the session's id."""
    await tab.goto(f"{base(fleet)}/p/kopi-gayo")
    await tab.fill('form.add input[type="number"]', "2")
    await tab.click("form.add button")
    await tab.click("form.till button")
    id = tab.url.rsplit("/", 1)[1]
    for name, value in CONTACT.items():
        await tab.fill(f"#{name}", value)
    await tab.check('input[value="card"]')
    await tab.click("main form button")
    await tab.click('button[value="challenge"]')
    return id


async def state(fleet: Fleet, id: str) -> Any:
    url = f"{fleet.edge('virginia')['http']}/commerce/checkout/sessions/{id}"
    async with aiohttp.ClientSession() as client:
        try:
            async with client.get(url, headers={"Host": fleet.ready["site"]}) as response:
                return (await response.json()).get("state") if response.status == 200 else None
        except (aiohttp.ClientError, json.JSONDecodeError):
            return None


async def becomes(fleet: Fleet, id: str, wanted: str) -> None:
    async def has() -> bool:
        return bool(await state(fleet, id) == wanted)

    await eventually(has, 60)


def totals(directory: Path) -> tuple[int, int, int]:
    """What the provider took, what the shop counts as paid, and what its ledger says."""
    with sqlite3.connect(directory / "sandbox" / "book.db") as book:
        theirs = book.execute("SELECT coalesce(sum(captured), 0) FROM payments").fetchone()[0]
    with sqlite3.connect(directory / "origin" / "origin.db") as shop:
        ours = shop.execute("SELECT coalesce(sum(paid), 0) FROM checkout_sessions").fetchone()[0]
        booked = shop.execute(
            "SELECT coalesce(sum(debits - credits), 0) FROM ledger_balances WHERE account = ?",
            ("Assets:Clearing:Sandbox",),
        ).fetchone()[0]
    return theirs, ours, booked


async def test_a_basket_is_paid_through_an_edge_without_scripts(fleet: Fleet, tab: Tab) -> None:
    id = await to_the_provider(fleet, tab)
    await tab.click('button[value="paid"]')
    assert tab.url == f"{base(fleet)}/commerce/checkout/{id}"
    assert await tab.inner_text("h1") == "Terima kasih, pembayaran diterima"
    assert totals(fleet.directory) == (TOTAL, TOTAL, TOTAL)
    with sqlite3.connect(fleet.directory / "origin" / "origin.db") as shop:
        asked = "SELECT cart FROM checkout_sessions WHERE id = ?"
        assert shop.execute(asked, (id,)).fetchone()[0], "the basket came as a cart, through the node"


async def test_a_forms_forged_cart_does_not_pass_the_node(fleet: Fleet) -> None:
    fields = {"Host": fleet.ready["site"], "Cookie": "tepi_cart=x.y.z", "Sec-Fetch-Site": "same-origin"}
    url = f"{fleet.edge('jakarta')['http']}/commerce/checkout/begin"
    async with aiohttp.ClientSession() as client, client.post(url, data="line=A", headers=fields) as response:
        assert response.status == 422
        assert "cart-malformed" in response.headers["Cache-Status"], "the node says no by itself"


async def test_an_origin_that_is_killed_while_somebody_pays_loses_nothing(fleet: Fleet, tab: Tab) -> None:
    (before,) = set(totals(fleet.directory))
    await tab.goto(f"{base(fleet)}/thanks")
    id = await to_the_provider(fleet, tab)
    fleet.signal("origin", signal.SIGKILL)
    await tab.click('button[value="paid"]')  # the edge takes the news while nobody is behind it
    await becomes(fleet, id, "paid")
    await asyncio.sleep(0)
    assert set(totals(fleet.directory)) == {before + TOTAL}


async def test_nodes_know_the_shops_carts_and_refuse_forged_ones_by_themselves(fleet: Fleet) -> None:
    at = f"{fleet.edge('jakarta')['http']}/commerce/checkout"
    site = {"Host": fleet.ready["site"]}
    async with aiohttp.ClientSession() as client:
        wish = {"lines": [{"sku": "KOP-GAYO-250", "quantity": 1}], "currency": "IDR"}
        fields = {**site, "Idempotency-Key": "cart-of-a-test"}
        async with client.post(f"{at}/carts", json=wish, headers=fields) as response:
            assert response.status == 201, await response.text()
            token = (await response.json())["token"]
        head, payload, signature = token.split(".")
        forged = f"{head}.{payload}.{'A' * len(signature)}"
        for name, sent, status in (("forged", forged, 403), ("true", token, 201)):
            fields = {**site, "Idempotency-Key": name, "Cart-Token": sent}
            async with client.post(f"{at}/sessions", json={}, headers=fields) as response:
                assert response.status == status, await response.text()
                refused = "cart-signature" in response.headers.get("Cache-Status", "")
                assert refused == (status == 403), "the node says no by itself"
