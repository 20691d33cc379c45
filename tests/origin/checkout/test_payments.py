"""Payments at a provider that is a process of its own, and behaves as badly as real ones."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from origin.checkout.qris import tags
from origin.checkout.tables import orphans, payments, sessions
from tests.origin.checkout.sandboxes import Market, market
from tests.origin.checkout.till import COFFEE, PRICE
from tests.origin.standing import eventually

TOTAL = 2 * PRICE


async def agrees(shop: Market, *sessions: str) -> None:
    """The provider's word and ours are the same, to the sen."""
    ours = [await shop.till.session(id) for id in sessions]
    theirs = await shop.sandbox.totals()
    assert sum(one["paid"] for one in ours) == theirs["captured"]
    assert sum(one["refunded"] for one in ours) == theirs["refunded"]
    assert await shop.till.booked("sandbox") == theirs["captured"] - theirs["refunded"]


async def test_a_card_is_paid_on_the_providers_page_and_told_by_webhook(tmp_path: Path) -> None:
    async with market(tmp_path) as shop:
        before = await shop.till.store.available(COFFEE)
        session = await shop.till.open()
        begun = await shop.begin(session["id"])
        assert begun["state"] == "pending"
        assert begun["payment"]["action"]["kind"] == "redirect"
        assert begun["payment"]["action"]["url"].startswith(shop.sandbox.url)
        await shop.sandbox.pay(await shop.reference(session["id"]))
        await shop.becomes(session["id"], "paid")
        assert (await shop.till.session(session["id"]))["paid"] == TOTAL
        await eventually(lambda: sold(shop, session["id"]))
        assert await shop.till.store.available(COFFEE) == before - 2
        assert await shop.till.emitted() == ["order.paid"]
        await agrees(shop, session["id"])


async def sold(shop: Market, session: str) -> bool:
    found, _ = await shop.till.checkout.sessions.find(session)
    return found.stock == "committed"


async def test_a_code_holds_the_exact_amount_and_an_account_is_the_chosen_banks(tmp_path: Path) -> None:
    async with market(tmp_path) as shop:
        session = await shop.till.open()
        action = (await shop.begin(session["id"], "qris"))["payment"]["action"]
        found = tags(action["text"])
        assert (found["53"], found["54"]) == ("360", str(TOTAL // 100))
        other = await shop.till.open()
        action = (await shop.begin(other["id"], "bank_transfer", "bni"))["payment"]["action"]
        assert (action["kind"], action["bank"]) == ("transfer", "bni")


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"method": "paypal"}, "method"),
        ({"method": "cheque"}, "method"),
        ({"method": "bank_transfer"}, "channel"),
        ({"method": "bank_transfer", "channel": "bri"}, "channel"),
        ({}, "method"),
    ],
)
async def test_a_way_to_pay_that_is_none_is_named(wish: dict[str, str], field: str, tmp_path: Path) -> None:
    async with market(tmp_path) as shop:
        session = await shop.till.open()
        got = await shop.till.post(f"/sessions/{session['id']}/payments", wish)
        assert (got.status, got.json["errors"][0]["field"]) == (422, field)
        assert (await shop.till.session(session["id"]))["state"] == "open"


async def test_the_same_request_begins_one_payment(tmp_path: Path) -> None:
    async with market(tmp_path) as shop:
        session = await shop.till.open()
        path = f"/sessions/{session['id']}/payments"
        answers = await asyncio.gather(*(shop.till.post(path, {"method": "card"}, "same") for _ in range(50)))
        assert {got.status for got in answers} <= {201, 409}
        assert (await shop.till.post(path, {"method": "card"}, "same")).status == 201
        assert (await shop.till.post(path, {"method": "qris"}, "same")).status == 422
        assert (await shop.sandbox.totals())["payments"] == 1


async def test_a_visitor_who_changes_his_mind_leaves_one_payment_that_can_be_paid(tmp_path: Path) -> None:
    async with market(tmp_path) as shop:
        session = await shop.till.open()
        await shop.begin(session["id"], "qris")
        first = await shop.reference(session["id"])
        await shop.begin(session["id"], "card")
        assert "error" in await shop.sandbox.pay(first)
        await shop.sandbox.pay(await shop.reference(session["id"]))
        await shop.becomes(session["id"], "paid")
        await agrees(shop, session["id"])


async def test_a_refused_card_leaves_the_session_payable(tmp_path: Path) -> None:
    async with market(tmp_path) as shop:
        session = await shop.till.open()
        await shop.begin(session["id"])
        await shop.sandbox.pay(await shop.reference(session["id"]), "failed")
        await shop.becomes(session["id"], "failed")
        await shop.begin(session["id"])
        await shop.sandbox.pay(await shop.reference(session["id"]))
        await shop.becomes(session["id"], "paid")
        await shop.sandbox.behave(decline=1)
        other = await shop.till.open()
        got = await shop.till.post(f"/sessions/{other['id']}/payments", {"method": "card"})
        assert (got.status, got.json["type"]) == (402, "urn:tepi:problem:declined")
        assert (await shop.till.session(other["id"]))["state"] == "failed"


async def test_what_is_paid_twice_goes_back_by_itself(tmp_path: Path) -> None:
    async with market(tmp_path) as shop:
        session = await shop.till.open()
        await shop.begin(session["id"])
        first = await shop.reference(session["id"])
        await shop.sandbox.pay(first, "failed")
        await shop.becomes(session["id"], "failed")
        await shop.begin(session["id"])
        await shop.sandbox.pay(await shop.reference(session["id"]))
        await shop.becomes(session["id"], "paid")
        await shop.sandbox.quiet()
        with contextlib.closing(sqlite3.connect(shop.sandbox.directory / "book.db")) as book, book:
            book.execute("UPDATE payments SET state = 'pending' WHERE id = ?", (first,))
        await shop.sandbox.pay(first)  # after all, though it had said that this one failed

        async def back() -> bool:
            return bool((await shop.sandbox.totals())["refunded"] == TOTAL)

        await eventually(back, 30)
        assert (await shop.sandbox.totals())["captured"] == 2 * TOTAL
        found = await shop.till.session(session["id"])
        assert (found["state"], found["paid"], found["refunded"]) == ("paid", TOTAL, 0)
        assert "payment.surplus" in await shop.till.emitted()

        async def booked() -> bool:
            return await shop.till.booked("sandbox") == TOTAL

        await eventually(booked, 30)


async def test_answers_that_are_lost_after_the_deed_charge_nobody_twice(tmp_path: Path) -> None:
    async with market(tmp_path) as shop:
        await shop.sandbox.behave(lose=1)
        session = await shop.till.open()
        begun = await shop.begin(session["id"])
        assert (begun["state"], begun["payment"]["action"]) == ("pending", None)

        async def known() -> bool:
            _, payment = await shop.till.checkout.sessions.find(session["id"])
            return payment is not None and payment.reference is not None

        await eventually(known, 30)
        assert (await shop.sandbox.totals())["payments"] == 1
        await shop.sandbox.pay(await shop.reference(session["id"]))
        await shop.becomes(session["id"], "paid")
        await agrees(shop, session["id"])


async def test_webhooks_that_come_thrice_late_and_in_any_order_count_once(tmp_path: Path) -> None:
    async with market(tmp_path) as shop:
        await shop.sandbox.behave(repeat=2, shuffle=True, hook_delay=1.0)
        bought = await asyncio.gather(*(shop.buy(lines=[line(1)]) for _ in range(8)))
        for number, id in enumerate(bought[:4]):
            await shop.becomes(id, "paid")
            await shop.desk("POST", f"/orders/{id}/refunds", {"amount": 100 + number}, key=id)
        await shop.sandbox.quiet()
        for id in bought[4:]:
            await shop.becomes(id, "paid")
        for id in bought[:4]:
            await shop.becomes(id, "partially_refunded")
        await agrees(shop, *bought)


def line(quantity: int) -> dict[str, Any]:
    return {"sku": COFFEE, "quantity": quantity}


async def test_webhooks_that_never_come_are_asked_after(tmp_path: Path) -> None:
    async with market(tmp_path) as shop:
        await shop.sandbox.behave(silent=True)
        id = await shop.buy()
        _, payment = await shop.till.checkout.sessions.find(id)
        assert payment is not None
        async with shop.till.origin.database.write() as connection:  # as if half a minute had gone by
            await connection.execute(payments.update().values(next_at=0.0))
        await shop.becomes(id, "paid")


async def test_refunds_go_back_in_parts_and_never_more_than_came(tmp_path: Path) -> None:
    async with market(tmp_path) as shop:
        id = await shop.buy()
        await shop.becomes(id, "paid")
        status, said = await shop.desk("POST", f"/orders/{id}/refunds", {"amount": TOTAL + 1}, key="a")
        assert (status, said["errors"][0]["field"]) == (422, "amount")
        await shop.sandbox.behave(lose=1)
        status, said = await shop.desk("POST", f"/orders/{id}/refunds", {"amount": 1000}, key="b")
        assert (status, said["refund"]) == (202, "asked")
        status, said = await shop.desk("POST", f"/orders/{id}/refunds", {"amount": 1000}, key="b")
        assert (status, said["refund"], said["refunded"]) == (200, "done", 1000)
        status, said = await shop.desk("POST", f"/orders/{id}/refunds", {"amount": 999}, key="b")
        assert (status, said["type"]) == (422, "urn:tepi:problem:key-reused")
        status, said = await shop.desk("POST", f"/orders/{id}/refunds", {}, key="c")
        assert (status, said["state"], said["refunded"]) == (200, "refunded", TOTAL)
        status, said = await shop.desk("POST", f"/orders/{id}/refunds", {}, key="d")
        assert status == 422
        await agrees(shop, id)
        assert (await shop.till.emitted()).count("order.refunded") == 2


async def test_money_is_authorized_first_and_taken_by_command(tmp_path: Path) -> None:
    async with market(tmp_path, capture="later") as shop:
        id = await shop.buy()
        await shop.becomes(id, "authorized")
        assert (await shop.sandbox.totals())["captured"] == 0
        status, said = await shop.desk("POST", f"/orders/{id}/capture", {"amount": TOTAL - 500})
        assert (status, said["state"], said["paid"]) == (200, "paid", TOTAL - 500)
        await agrees(shop, id)
        other = await shop.buy()
        await shop.becomes(other, "authorized")
        got = await shop.till.post(f"/sessions/{other}/cancel", {})
        assert (got.status, got.json["state"]) == (200, "cancelled")


async def test_what_is_authorized_is_pending_in_the_books_until_it_is_taken_or_let_go(tmp_path: Path) -> None:
    async with market(tmp_path, capture="later") as shop:
        till = shop.till
        whole, part, none = [await shop.buy() for _ in range(3)]
        for id in (whole, part, none):
            await shop.becomes(id, "authorized")
        assert (await till.reserved("sandbox"), await till.booked("sandbox")) == (3 * TOTAL, 0)
        await shop.desk("POST", f"/orders/{whole}/capture", {})
        assert (await till.reserved("sandbox"), await till.booked("sandbox")) == (2 * TOTAL, TOTAL)
        await shop.desk("POST", f"/orders/{part}/capture", {"amount": TOTAL - 500})
        assert (await till.reserved("sandbox"), await till.booked("sandbox")) == (TOTAL, 2 * TOTAL - 500)
        await till.post(f"/sessions/{none}/cancel", {})
        assert (await till.reserved("sandbox"), await till.booked("sandbox")) == (0, 2 * TOTAL - 500)
        status, said = await shop.desk("POST", f"/orders/{whole}/refunds", {})
        assert (status, said["state"]) == (200, "refunded")
        await agrees(shop, whole, part, none)


async def test_cash_is_paid_when_who_brings_the_goods_says_so(tmp_path: Path) -> None:
    async with market(tmp_path, providers={"cash": {}}) as shop:
        session = await shop.till.open()
        begun = await shop.begin(session["id"], "cash_on_delivery")
        assert (begun["state"], begun["paid"]) == ("authorized", 0)
        await eventually(lambda: sold(shop, session["id"]))
        for _ in range(2):
            await shop.desk("POST", f"/orders/{session['id']}/capture", {})
        assert (await shop.till.session(session["id"]))["paid"] == TOTAL
        for key in ("a", "b"):
            await shop.desk("POST", f"/orders/{session['id']}/refunds", {"amount": 700}, key=key)
        paid = await shop.till.session(session["id"])
        assert (paid["state"], paid["refunded"]) == ("partially_refunded", 1400)
        assert await shop.till.booked("cash") == TOTAL - 1400


async def test_a_payment_that_nobody_knows_is_kept_and_told_of(tmp_path: Path) -> None:
    async with market(tmp_path) as shop:
        asked = {
            "payment": "py-of-nobody", "amount": 500, "currency": "IDR", "method": "card",
            "description": "x", "return_url": "http://127.0.0.1/", "expires_at": 4e9, "capture": True,
        }  # fmt: skip
        fields = {"Authorization": "Bearer sandbox-key-of-the-tests", "Idempotency-Key": "o"}
        async with shop.till.client.post(
            f"{shop.sandbox.url}/v1/payments", json=asked, headers=fields
        ) as response:
            assert response.status == 200
        await shop.sandbox.quiet()
        async with shop.till.origin.database.read() as connection:
            assert (await connection.execute(select(func.count()).select_from(orphans))).scalar() == 1
        _, said = await shop.desk("GET", "/orphans")
        assert said["orphans"][0]["body"]["data"]["payment"] == "py-of-nobody"
        assert await shop.till.emitted() == ["payment.orphan"]


async def test_a_session_that_is_being_paid_expires_at_the_provider_too(tmp_path: Path) -> None:
    async with market(tmp_path) as shop:
        session = await shop.till.open()
        await shop.begin(session["id"], "qris")
        reference = await shop.reference(session["id"])
        await run_out(shop, session["id"])
        await shop.becomes(session["id"], "expired")
        assert "error" in await shop.sandbox.pay(reference)


async def test_money_that_comes_in_the_last_moment_is_never_lost(tmp_path: Path) -> None:
    async with market(tmp_path) as shop:
        await shop.sandbox.behave(silent=True)
        id = await shop.buy("qris")
        await run_out(shop, id)
        await shop.becomes(id, "paid")
        await agrees(shop, id)


async def run_out(shop: Market, session: str) -> None:
    """The session's time is over."""
    async with shop.till.origin.database.write() as connection:
        await connection.execute(sessions.update().where(sessions.c.id == session).values(until=1.0))
