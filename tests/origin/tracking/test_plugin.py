"""The inventory in a shop: checkout and pages take their stock there, and the operator keeps it by HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from click.testing import CliRunner

from origin.app import Wiring
from origin.checkout.plugin import Checkout
from origin.ledger.plugin import LedgerPlugin
from origin.storefront.plugin import Storefront
from origin.tracking.commands import stock
from origin.tracking.plugin import Tracking
from tests.origin.checkout.till import COFFEE, Till, basket
from tests.origin.standing import Clock, eventually, running

SELLS = {"sells": True}


@asynccontextmanager
async def shop(directory: Path, table: Mapping[str, Any]) -> AsyncIterator[Till]:
    clock = Clock()
    plugins = (Checkout, LedgerPlugin, Storefront, Tracking)
    wiring = Wiring(clock, lambda: 0.5)
    async with (
        running(directory, *plugins, wiring=wiring, tables={"tracking": table}) as (origin, bound),
        aiohttp.ClientSession() as client,
    ):
        yield Till(origin, bound, client, clock)


async def admin(till: Till, path: str, body: object | None = None) -> tuple[int, Any]:
    url = f"http://{till.bound.admin}/plugins/{path}"
    async with till.client.request("GET" if body is None else "POST", url, json=body) as response:
        return response.status, await response.json()


async def opened(till: Till, pieces: int) -> None:
    assert (await admin(till, "tracking/locations", {"code": "jkt", "name": "Gudang"}))[0] == 200
    text = f"sku,location,quantity\n{COFFEE},jkt,{pieces}\n"
    kept = {"rows": 1, "kept": True, "wrong": []}
    assert await admin(till, "tracking/count", {"text": text}) == (200, kept)


async def said(till: Till) -> tuple[str, str]:
    """What the product's page says of its stock, and its tags."""
    got = await till.ask("GET", "/en/p/kopi-gayo")
    availability = json.loads((await till.ask("GET", "/commerce/storefront/products/kopi-gayo")).text)
    return availability["availability"], got.fields["Cache-Tag"]


async def test_the_shops_own_stock_stands_in_until_the_inventory_sells(tmp_path: Path) -> None:
    async with shop(tmp_path, {}) as till:
        assert till.origin.shared.use("stock") is till.store
        assert "sku-" not in (await said(till))[1]
    async with shop(tmp_path, SELLS) as till:
        assert till.origin.shared.use("stock") is not till.store


async def test_a_checkout_holds_and_pages_say_what_the_inventory_has(tmp_path: Path) -> None:
    async with shop(tmp_path, SELLS) as till:
        assert (await said(till))[0] == "out", "nothing was counted yet"
        assert (await till.post("/sessions", basket())).status == 409
        await opened(till, 3)
        says, tags = await said(till)
        assert says == "low"
        assert "sku-kop-gayo-250" in tags.split(", ")
        await till.open()
        refused = await till.post("/sessions", basket())
        assert (refused.status, refused.json["left"]) == (409, 1)
        await till.open(lines=[{"sku": COFFEE, "quantity": 1}])
        assert (await said(till))[0] == "out"
        _, listed = await admin(till, "tracking/stock")
        assert listed["stock"][0]["levels"] == [{"location": "jkt", "on_hand": 3, "reserved": 3, "safety": 0}]


async def test_a_page_is_newer_once_its_stock_crossed(tmp_path: Path) -> None:
    async with shop(tmp_path, SELLS) as till:
        till.clock.now += 1_000
        await opened(till, 3)

        async def newer() -> bool:
            return await till.store.changed_at() == till.clock.now

        await eventually(newer)


async def test_the_shops_own_stock_can_not_be_set_beside_the_inventory(tmp_path: Path) -> None:
    async with shop(tmp_path, SELLS) as till:
        status, problem = await admin(till, f"storefront/products/{COFFEE}", {"stock": 4})
        assert (status, "tepi origin stock count" in problem["detail"]) == (409, True)


async def test_what_is_wrong_is_said_and_changes_nothing(tmp_path: Path) -> None:
    async with shop(tmp_path, SELLS) as till:
        await opened(till, 3)
        text = f"sku,location,quantity\n{COFFEE},jkt,9\nX,nowhere,1\nY,jkt,-1\n"
        status, problem = await admin(till, "tracking/count", {"text": text})
        assert (status, [one["row"] for one in problem["wrong"]]) == (422, [3, 4])
        for path, body, status, word in (
            ("locations", {"code": "J K", "name": "x"}, 422, "code: got 'J K'"),
            ("receive", {"sku": COFFEE, "location": "jkt", "quantity": 0}, 422, "quantity: got 0"),
            ("receive", {"sku": "NO", "location": "jkt", "quantity": 1}, 404, "no stock of NO"),
            ("pick/none", {}, 404, "hold: got 'none'"),
        ):
            found, problem = await admin(till, f"tracking/{path}", body)
            assert (found, word in problem["detail"]) == (status, True), problem
        _, listed = await admin(till, "tracking/stock")
        assert [(one["sku"], one["available"]) for one in listed["stock"]] == [(COFFEE, 3)]


async def test_the_operators_commands(tmp_path: Path) -> None:
    async with shop(tmp_path, SELLS) as till:
        url = f"http://{till.bound.admin}"

        async def ran(*words: str) -> tuple[int, str]:
            result = await asyncio.to_thread(CliRunner().invoke, stock, [*words, "--admin", url])
            return result.exit_code, result.output

        assert (await ran("locate", "jkt", "Gudang", "--at", "-6.2", "106.8"))[0] == 0
        sheet = tmp_path / "stock.csv"
        sheet.write_text(f"sku,location,quantity,reorder_point\n{COFFEE},jkt,7,9\nX,nowhere,1,\n")
        code, text = await ran("count", str(sheet), "--preview")
        assert (code, "row 3: location: got 'nowhere', expected one of jkt" in text) == (1, True)
        sheet.write_text(f"sku,location,quantity,reorder_point\n{COFFEE},jkt,7,9\n")
        assert await ran("count", str(sheet)) == (0, "1 rows are taken\n")
        assert await ran("receive", COFFEE, "jkt", "1") == (0, f"{COFFEE}: 8 can be promised\n")
        code, text = await ran("list")
        assert (code, "8  in  reorder" in text) == (0, True)
        assert "8 on hand, 0 reserved, 0 kept back" in text
