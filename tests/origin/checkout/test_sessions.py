"""Sessions: the catalogue's prices, goods that are held, one answer for each key, an end in time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from origin.checkout.tables import requests, sessions
from origin.contract import Money
from origin.db.tables import outbox
from tests.origin.checkout.till import COFFEE, PPN, PRICE, SHIPPING, TORAJA, Till, basket, open_till
from tests.origin.standing import Clock, eventually

HOME = {"name": "Ani", "line1": "Jl. Malioboro 1", "city": "Yogyakarta", "country": "ID"}


async def count(till: Till, table: Any) -> int:
    async with till.origin.database.read() as connection:
        return int((await connection.execute(select(func.count()).select_from(table))).scalar() or 0)


async def test_a_basket_becomes_a_session_at_the_catalogues_prices(tmp_path: Path) -> None:
    async with open_till(tmp_path, shipping=[SHIPPING], taxes=[PPN]) as till:
        before = await till.store.available(COFFEE)
        got = await till.post(
            "/sessions", basket(email="ani@contoh.id", shipping_address=HOME, language="en")
        )
        assert got.status == 201
        session = got.json
        assert got.fields["Location"] == f"/commerce/checkout/sessions/{session['id']}"
        assert got.fields["Cache-Control"] == "private, no-store"
        assert [(line["kind"], line["amount"]) for line in session["lines"]] == [
            ("item", 2 * PRICE),
            ("shipping", 2_000_000),
            ("tax", 1_882_883),
        ]
        assert session["total"] == 2 * PRICE + 2_000_000
        assert (session["state"], session["currency"], session["paid"]) == ("open", "IDR", 0)
        assert await till.store.available(COFFEE) == before - 2
        assert await till.session(session["id"]) == {**session, "methods": {}}


async def test_a_changed_price_is_refused_with_both_and_nothing_is_held(tmp_path: Path) -> None:
    async with open_till(tmp_path) as till:
        before = await till.store.available(COFFEE)
        await till.store.set_price(COFFEE, Money(PRICE + 100, "IDR"))
        lines = [{"sku": COFFEE, "quantity": 1, "price": PRICE}]
        got = await till.post("/sessions", basket(lines=lines))
        assert got.status == 409
        assert got.fields["Content-Type"] == "application/problem+json"
        assert got.json["type"] == "urn:tepi:problem:price-changed"
        assert got.json["prices"] == [{"sku": COFFEE, "shown": PRICE, "now": PRICE + 100}]
        assert await till.store.available(COFFEE) == before
        assert await count(till, sessions) == 0


WRONG = [
    ({"lines": []}, "lines"),
    ({"lines": [{"sku": COFFEE, "quantity": 0}]}, "lines.0.quantity"),
    ({"lines": [{"sku": COFFEE, "quantity": -1}]}, "lines.0.quantity"),
    ({"lines": [{"sku": COFFEE, "quantity": 1.5}]}, "lines.0.quantity"),
    ({"lines": [{"sku": COFFEE, "quantity": "2"}]}, "lines.0.quantity"),
    ({"lines": [{"sku": COFFEE, "quantity": True}]}, "lines.0.quantity"),
    ({"lines": [{"sku": COFFEE, "quantity": 10**30}]}, "lines.0.quantity"),
    ({"lines": [{"sku": COFFEE, "quantity": 1, "price": -5}]}, "lines.0.price"),
    ({"lines": [{"sku": COFFEE, "quantity": 1, "price": 10**16}]}, "lines.0.price"),
    ({"lines": [{"sku": "NO-SUCH", "quantity": 1}]}, "lines.0.sku"),
    ({"lines": [{"sku": COFFEE, "quantity": 1}, {"sku": COFFEE, "quantity": 1}]}, "lines.1.sku"),
    ({"currency": "XXX"}, "currency"),
    ({"currency": "USD"}, "currency"),
    ({"currency": None}, "currency"),
    ({"email": "nobody"}, "email"),
    ({"return_path": "//evil.example/"}, "return_path"),
    ({"return_path": "https://evil.example/"}, "return_path"),
    ({"shipping": "pigeon"}, "shipping"),
    ({"shipping_address": {**HOME, "country": "Indonesia"}}, "shipping_address.country"),
    ({"shipping_address": {**HOME, "name": "A\x00"}}, "shipping_address.name"),
    ({"total": 1}, "total"),
]


@pytest.mark.parametrize(
    ("change", "name"), WRONG, ids=[f"{number}-{one[1]}" for number, one in enumerate(WRONG)]
)
async def test_a_wrong_field_is_named_and_nothing_changes(
    change: dict[str, Any], name: str, tmp_path: Path
) -> None:
    async with open_till(tmp_path) as till:
        before = await till.store.available(COFFEE)
        got = await till.post("/sessions", basket(**change))
        assert got.status == 422
        assert got.fields["Content-Type"] == "application/problem+json"
        assert name in [error["field"] for error in got.json["errors"]]
        assert await till.store.available(COFFEE) == before
        assert await count(till, sessions) == await count(till, requests) == 0


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'"x"', b"[" * 100_000])
async def test_what_is_no_document_is_refused(body: bytes, tmp_path: Path) -> None:
    async with open_till(tmp_path) as till:
        got = await till.post("/sessions", body)
        assert (got.status, got.json["type"]) == (400, "urn:tepi:problem:not-json")


@pytest.mark.parametrize("key", [None, "", '""', "x" * 256, "é"])
async def test_a_key_is_needed_and_must_be_one(key: str | None, tmp_path: Path) -> None:
    async with open_till(tmp_path) as till:
        fields = {} if key is None else {"Idempotency-Key": key}
        got = await till.ask("POST", "/commerce/checkout/sessions", json=basket(), headers=fields)
        assert (got.status, got.json["errors"][0]["field"]) == (400, "Idempotency-Key")


async def test_more_than_there_is_is_refused_and_what_was_held_goes_back(tmp_path: Path) -> None:
    async with open_till(tmp_path) as till:
        left, other = await till.store.available(TORAJA), await till.store.available(COFFEE)
        lines = [{"sku": COFFEE, "quantity": 1}, {"sku": TORAJA, "quantity": left + 1}]
        got = await till.post("/sessions", basket(lines=lines))
        assert (got.status, got.json["left"], got.json["sku"]) == (409, left, TORAJA)
        assert await till.store.available(COFFEE) == other


async def test_the_same_key_and_body_get_the_same_answer_after_a_restart_too(tmp_path: Path) -> None:
    async with open_till(tmp_path) as till:
        first = await till.post("/sessions", basket(), "k")
        spelled = b'{ "currency" : "IDR",\n "lines": [ {"quantity": 2, "sku": "KOP-GAYO-250"} ] }'
        again = await till.post("/sessions", spelled, '"k"')
        assert (again.status, again.json) == (first.status, first.json)
        assert again.fields["Idempotent-Replayed"] == "true"
    async with open_till(tmp_path) as till:
        assert (await till.post("/sessions", basket(), "k")).json == first.json
        other = await till.post("/sessions", basket(language="en"), "k")
        assert (other.status, other.json["type"]) == (422, "urn:tepi:problem:key-reused")
        assert await count(till, sessions) == 1


async def test_a_key_is_forgotten_after_a_day(tmp_path: Path) -> None:
    clock = Clock()
    async with open_till(tmp_path, clock) as till:
        first = await till.open("k")
        clock.now += 86_399
        assert (await till.open("k"))["id"] == first["id"]
        clock.now += 2
        assert (await till.open("k"))["id"] != first["id"]


async def test_a_thousand_concurrent_checkouts_with_one_key_make_one(tmp_path: Path) -> None:
    async with open_till(tmp_path) as till:
        before = await till.store.available(COFFEE)
        answers = await asyncio.gather(*(till.post("/sessions", basket(), "same") for _ in range(1000)))
        made = {got.json["id"] for got in answers if got.status == 201}
        assert len(made) == 1
        assert {got.status for got in answers} <= {201, 409}
        assert all("Retry-After" in got.fields for got in answers if got.status == 409)
        assert await count(till, sessions) == 1
        assert await till.store.available(COFFEE) == before - 2


async def test_two_origins_on_one_database_make_one_session_of_one_key(tmp_path: Path) -> None:
    async with open_till(tmp_path) as one, open_till(tmp_path) as other:
        before = await one.store.available(COFFEE)
        answers = await asyncio.gather(
            *(till.post("/sessions", basket(), "same") for till in (one, other) * 20)
        )
        assert len({got.json["id"] for got in answers if got.status == 201}) == 1
        assert {got.status for got in answers} <= {201, 409}
        assert await count(one, sessions) == 1
        assert await one.store.available(COFFEE) == before - 2


async def test_a_session_that_nobody_pays_expires_across_a_restart_and_gives_its_goods_back(
    tmp_path: Path,
) -> None:
    clock = Clock()
    async with open_till(tmp_path, clock) as till:
        before = await till.store.available(COFFEE)
        session = await till.open()
    clock.now += 3601
    async with open_till(tmp_path, clock) as till:

        async def expired() -> bool:
            given_back = await till.store.available(COFFEE) == before
            return given_back and (await till.session(session["id"]))["state"] == "expired"

        await eventually(expired)
        assert "order.expired" in await till.emitted()


async def test_a_session_is_cancelled_once_and_told_of(tmp_path: Path) -> None:
    async with open_till(tmp_path) as till:
        before = await till.store.available(COFFEE)
        session = await till.open()
        for _ in range(2):
            got = await till.post(f"/sessions/{session['id']}/cancel", {})
            assert (got.status, got.json["state"]) == (200, "cancelled")
        await eventually(lambda: given_back(till, before))
        assert await till.emitted() == ["order.cancelled"]


async def given_back(till: Till, before: int) -> bool:
    return await till.store.available(COFFEE) == before


async def test_an_order_of_nothing_but_gifts_is_paid_at_once(tmp_path: Path) -> None:
    async with open_till(tmp_path) as till:
        await till.store.set_price(COFFEE, Money(0, "IDR"))
        session = await till.open()
        assert (session["state"], session["total"]) == ("paid", 0)
        assert await till.emitted() == ["order.paid"]


async def test_who_asks_for_no_session_is_told_so(tmp_path: Path) -> None:
    async with open_till(tmp_path) as till:
        got = await till.ask("GET", "/commerce/checkout/sessions/cs_none")
        assert (got.status, got.json["type"]) == (404, "urn:tepi:problem:no-session")


async def test_events_say_what_was_ordered(tmp_path: Path) -> None:
    async with open_till(tmp_path) as till:
        session = await till.open(reference="INV-1")
        await till.post(f"/sessions/{session['id']}/cancel", {})
        async with till.origin.database.read() as connection:
            body = (
                await connection.execute(select(outbox.c.body).where(outbox.c.name == "order.cancelled"))
            ).scalar_one()
        assert (body["session"], body["reference"], body["state"]) == (session["id"], "INV-1", "cancelled")
        assert body["goods"] == [{"sku": COFFEE, "quantity": 2, "price": PRICE}]
