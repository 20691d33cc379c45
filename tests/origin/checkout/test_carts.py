"""Carts: prices and goods that the origin promised hold while their token lives, for one session."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from origin.app import Wiring
from origin.checkout.tables import sessions
from origin.contract import Money
from origin.registry import BrokenPlugin
from tests.edge.nodes import node
from tests.edge.wires import origin, says
from tests.origin.checkout.till import COFFEE, PRICE, TORAJA, Got, Till, basket, open_till
from tests.origin.standing import Clock, Keys, with_mutual


async def issue(till: Till, key: str | None = None, **changes: Any) -> Any:
    got = await till.post("/carts", basket(**changes), key)
    assert got.status == 201, got.text
    return got.json


async def redeem(till: Till, token: str, key: str = "redeem", **said: Any) -> Got:
    fields = {"Idempotency-Key": key, "Content-Type": "application/json", "Cart-Token": token}
    return await till.ask(
        "POST", "/commerce/checkout/sessions", data=json.dumps(said).encode(), headers=fields
    )


async def count(till: Till) -> int:
    async with till.origin.database.read() as connection:
        return int((await connection.execute(select(func.count()).select_from(sessions))).scalar() or 0)


async def test_a_carts_prices_hold_though_the_catalogue_changes(tmp_path: Path) -> None:
    async with open_till(tmp_path) as till:
        before = await till.store.available(COFFEE)
        cart = await issue(till)
        assert cart["lines"] == [{"sku": COFFEE, "quantity": 2, "price": PRICE}]
        assert cart["expires_at"] == cart["held_until"] == cart["issued_at"] + 600
        assert await till.store.available(COFFEE) == before - 2
        await till.store.set_price(COFFEE, Money(PRICE + 100, "IDR"))
        got = await redeem(till, cart["token"], email="ani@contoh.id")
        assert got.status == 201, got.text
        assert (got.json["total"], got.json["email"]) == (2 * PRICE, "ani@contoh.id")
        assert await till.store.available(COFFEE) == before - 2


async def test_the_last_goods_pass_from_the_cart_to_its_session(tmp_path: Path) -> None:
    async with open_till(tmp_path) as till:
        everything = await till.store.available(COFFEE)
        cart = await issue(till, lines=[{"sku": COFFEE, "quantity": everything}])
        assert (await till.post("/sessions", basket())).json["type"] == "urn:tepi:problem:out-of-stock"
        assert (await redeem(till, cart["token"])).status == 201
        assert await till.store.available(COFFEE) == 0


async def test_a_token_makes_one_session(tmp_path: Path) -> None:
    async with open_till(tmp_path) as till:
        cart = await issue(till)
        before = await till.store.available(COFFEE)
        first = await redeem(till, cart["token"])
        again = await redeem(till, cart["token"])
        assert (again.status, again.json) == (201, first.json)
        other = await redeem(till, cart["token"], key="another")
        assert (other.status, other.json["type"]) == (409, "urn:tepi:problem:cart-used")
        assert await count(till) == 1
        assert await till.store.available(COFFEE) == before


async def test_of_many_at_once_one_gets_the_session_and_no_goods_are_lost(tmp_path: Path) -> None:
    async with open_till(tmp_path) as till:
        cart = await issue(till)
        before = await till.store.available(COFFEE)
        got = await asyncio.gather(*(redeem(till, cart["token"], f"key {each}") for each in range(8)))
        assert sorted(one.status for one in got) == [201] + [409] * 7
        assert {one.json["type"] for one in got if one.status == 409} == {"urn:tepi:problem:cart-used"}
        assert await count(till) == 1
        assert await till.store.available(COFFEE) == before


async def test_after_its_time_only_todays_prices_count(tmp_path: Path) -> None:
    clock = Clock()
    async with open_till(tmp_path, clock) as till:
        same, changed = await issue(till), await issue(till)
        clock.now += 600
        assert (await redeem(till, same["token"])).status == 201
        await till.store.set_price(COFFEE, Money(PRICE - 1, "IDR"))
        got = await redeem(till, changed["token"], key="late")
        assert (got.status, got.json["type"]) == (409, "urn:tepi:problem:price-changed")
        assert got.json["prices"] == [{"sku": COFFEE, "shown": PRICE, "now": PRICE - 1}]


async def test_the_same_key_gets_the_same_cart(tmp_path: Path) -> None:
    async with open_till(tmp_path) as till:
        cart = await issue(till, "once")
        before = await till.store.available(COFFEE)
        assert await issue(till, "once") == cart
        assert await till.store.available(COFFEE) == before


async def test_the_origin_refuses_what_it_did_not_sign(tmp_path: Path) -> None:
    async with open_till(tmp_path / "ours") as till, open_till(tmp_path / "theirs") as other:
        token = (await issue(till))["token"]
        head, _, signature = token.rpartition(".")
        forged = head + "." + ("B" if signature[0] != "B" else "C") + signature[1:]
        for bad, status, kind in (
            (forged, 403, "cart-signature"),
            ((await issue(other))["token"], 403, "cart-key"),
            ("x", 422, "cart-malformed"),
        ):
            got = await redeem(till, bad)
            assert (got.status, got.json["type"]) == (status, f"urn:tepi:problem:{kind}")
        got = await redeem(till, token, lines=[{"sku": COFFEE, "quantity": 1}])
        assert (got.status, got.json["errors"][0]["field"]) == (422, "lines")
        assert await count(till) == 0


async def test_a_wrong_price_too_little_stock_or_too_long_a_token_make_no_cart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_till(tmp_path) as till:
        before = await till.store.available(COFFEE)
        got = await till.post("/carts", basket(lines=[{"sku": COFFEE, "quantity": 1, "price": 1}]))
        assert (got.status, got.json["type"]) == (409, "urn:tepi:problem:price-changed")
        got = await till.post(
            "/carts", basket(lines=[{"sku": COFFEE, "quantity": 1}, {"sku": TORAJA, "quantity": 998}])
        )
        assert (got.status, got.json["type"]) == (409, "urn:tepi:problem:out-of-stock")
        monkeypatch.setattr("origin.checkout.carts.LONGEST", 100)
        got = await till.post("/carts", basket())
        assert (got.status, got.json["type"]) == (422, "urn:tepi:problem:cart-size")
        assert await till.store.available(COFFEE) == before


async def test_keys_change_by_number_and_the_one_before_is_still_good(tmp_path: Path) -> None:
    async with open_till(tmp_path) as till:
        token = (await issue(till))["token"]
        first = (await till.ask("GET", "/commerce/checkout/carts/keys")).json
    async with open_till(tmp_path, cart_key=2) as till:
        second = (await till.ask("GET", "/commerce/checkout/carts/keys")).json
        assert second["current"] in [one["kid"] for one in first["keys"]]  # nodes could know it before
        assert first["current"] in [one["kid"] for one in second["keys"]]
        assert (await redeem(till, token)).status == 201
    async with open_till(tmp_path, cart_key=3) as till:
        got = await redeem(till, token, key="disowned")
        assert (got.status, got.json["type"]) == (403, "urn:tepi:problem:cart-key")


async def test_origins_with_one_secret_believe_each_other_and_a_short_one_is_refused(tmp_path: Path) -> None:
    wiring = Wiring(Clock(), lambda: 0.5, reveal=lambda reference: "s" * int(reference.removeprefix("env:")))
    async with (
        open_till(tmp_path / "one", wiring=wiring, cart_secret="env:32") as one,
        open_till(tmp_path / "two", wiring=wiring, cart_secret="env:32") as two,
    ):
        assert (await redeem(two, (await issue(one))["token"])).status == 201
    with pytest.raises(BrokenPlugin, match="cart_secret: got 31 bytes, expected 32"):
        async with open_till(tmp_path / "short", wiring=wiring, cart_secret="env:31"):
            pass


async def test_through_an_edge_a_cart_is_its_sites_alone(tmp_path: Path) -> None:
    keys = Keys.under(tmp_path)
    own, _ = keys.identity("origin", "origin")
    member, serial = keys.identity("jakarta", "edge")
    clock = Clock(time.time())
    wiring = with_mutual(Wiring(clock, lambda: 0.5), own, {"jakarta": serial})
    mutual = {"mutual_listen": "127.0.0.1:0", "control": {"url": "https://127.0.0.1:1"}}
    async with (
        open_till(tmp_path / "state", clock, wiring, settings=mutual) as till,
        origin(says(b"")) as pages,
    ):
        document = (await till.ask("GET", "/commerce/checkout/carts/keys")).json
        commerce = {"url": f"https://{till.bound.mutual}", "cart_keys": document["cart_keys"]}
        async with node(pages.url, site={"commerce": commerce}) as edge:
            context = member.client_context()
            edge.running.backends._mutual = lambda: context

            async def post(path: str, said: Any, **fields: str) -> Any:
                async with edge.visit() as visit:
                    fields |= {"Idempotency-Key": path, "Content-Type": "application/json"}
                    visit.say("POST", f"/commerce/checkout{path}", json.dumps(said).encode(), **fields)
                    return await visit.hear()

            cart = json.loads((await post("/carts", basket())).body)
            elsewhere = await issue(till)  # asked without a node: of no site
            refused = await post("/sessions", {}, Cart_Token=elsewhere["token"])
            assert (refused.status, json.loads(refused.body)["type"]) == (403, "urn:tepi:problem:cart-site")
            assert "tepi; detail=cart-site" in refused.fields["cache-status"]
            got = await post("/sessions", {}, Cart_Token=cart["token"])
            assert got.status == 201
            assert json.loads(got.body)["total"] == 2 * PRICE
            assert await count(till) == 1
