"""Webhooks that prove nothing by themselves: the provider is asked, and its word alone counts."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from edge.webhooks.standard import MARK, sign
from tests.origin.checkout.sandboxes import HOOKS, wiring
from tests.origin.checkout.till import PRICE, Got, Till, open_till
from tests.origin.standing import eventually
from tests.support.providers.midtranses import MidtransStandIn
from tests.support.providers.stripes import StripeStandIn

TOTAL = 2 * PRICE


@asynccontextmanager
async def shop(directory: Path) -> AsyncIterator[tuple[Till, MidtransStandIn, StripeStandIn, TestServer]]:
    """A till with accounts at Midtrans and Stripe, spoken to by their own libraries."""
    midtrans, stripe = MidtransStandIn(), StripeStandIn()
    (directory / "key").write_text("secret-of-the-account")
    key = f"file:{directory / 'key'}"
    async with TestServer(midtrans.application()) as here, TestServer(stripe.application()) as there:
        url = str(here.make_url("")).rstrip("/")
        providers = {
            "midtrans": {"server_key": key, "core_url": url, "snap_url": f"{url}/snap/v1"},
            "stripe": {"secret_key": key, "url": str(there.make_url("")).rstrip("/")},
        }
        costs = [{"provider": "midtrans", "percent": "5"}]
        async with open_till(directory / "origin", wiring=wiring(), providers=providers, costs=costs) as till:
            yield till, midtrans, stripe, here


async def tell(till: Till, provider: str, id: str, body: Mapping[str, Any]) -> Got:
    """A webhook as the edge hands it on."""
    data, at = json.dumps(body).encode(), int(time.time())
    fields = {
        "webhook-id": id,
        "webhook-timestamp": str(at),
        "webhook-signature": sign(HOOKS, id, at, data),
    }
    return await till.ask("POST", f"/commerce/hooks/{provider}", data=data, headers=fields)


async def begun(till: Till, method: str) -> tuple[str, str]:
    """A session that is being paid: its id, and its payment's."""
    session = await till.open()
    got = await till.post(f"/sessions/{session['id']}/payments", {"method": method})
    assert got.status == 201, got.text
    return session["id"], got.json["payment"]["id"]


async def test_a_hint_is_believed_only_as_far_as_the_provider_says_so(tmp_path: Path) -> None:
    async with shop(tmp_path) as (till, midtrans, _, _):
        session, payment = await begun(till, "qris")
        lie = {"order_id": payment, "transaction_status": "settlement", "gross_amount": "1.00"}
        assert (await tell(till, "midtrans", f"{MARK}1", lie)).status == 200
        assert (await till.session(session))["state"] == "pending"
        midtrans.pay(payment)
        assert (await tell(till, "midtrans", f"{MARK}2", lie)).status == 200
        paid = await till.session(session)
        assert (paid["state"], paid["paid"]) == ("paid", TOTAL)
        assert await till.booked("midtrans") == TOTAL
        for number in range(3, 6):
            await tell(till, "midtrans", f"{MARK}{number}", lie)
        assert await till.booked("midtrans") == TOTAL


async def test_a_hint_about_nothing_of_ours_changes_nothing(tmp_path: Path) -> None:
    async with shop(tmp_path) as (till, midtrans, _, _):
        assert (await tell(till, "midtrans", f"{MARK}1", {"order_id": "another"})).status == 200
        assert await till.emitted() == []
        midtrans._new("another", 500, "settlement")
        assert (await tell(till, "midtrans", f"{MARK}2", {"order_id": "another"})).status == 200
        assert await till.emitted() == ["payment.orphan"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_hint_that_cannot_be_confirmed_now_comes_again(tmp_path: Path) -> None:
    async with shop(tmp_path) as (till, midtrans, _, server):
        session, payment = await begun(till, "qris")
        midtrans.pay(payment)
        await server.close()
        got = await tell(till, "midtrans", f"{MARK}1", {"order_id": payment})
        assert (got.status, got.fields["Retry-After"]) == (503, "5")
        assert (await till.session(session))["state"] == "pending"


async def test_a_signed_event_without_the_whole_truth_makes_the_origin_ask(tmp_path: Path) -> None:
    async with shop(tmp_path) as (till, _, stripe, _):
        session, payment = await begun(till, "card")
        _, known = await till.checkout.sessions.find(session)
        assert known is not None
        assert (known.provider, known.reference) == ("stripe", "cs_1")
        stripe.pay("cs_1")
        about = {"object": "payment_intent", "id": "pi_1", "metadata": {"tepi": payment}}
        event = {"id": "evt_1", "type": "payment_intent.succeeded", "data": {"object": about}}
        assert (await tell(till, "stripe", "evt_1", event)).status == 200

        async def paid() -> bool:
            return bool((await till.session(session))["state"] == "paid")

        await eventually(paid, 30)
        assert await till.booked("stripe") == TOTAL


async def test_who_is_away_is_left_for_who_is_not(tmp_path: Path) -> None:
    async with shop(tmp_path) as (till, midtrans, stripe, _):
        stripe_url = till.checkout.accounts["stripe"]
        assert stripe_url is not None
        stripe.fail = 1
        session, _ = await begun(till, "card")  # a 500 may have charged: nobody else is asked
        _, known = await till.checkout.sessions.find(session)
        assert known is not None
        assert (known.provider, known.reference, len(midtrans.pages)) == ("stripe", None, 0)
