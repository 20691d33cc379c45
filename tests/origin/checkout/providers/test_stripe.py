"""Stripe's own library against a server that speaks its API: keys, lost answers, states."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer, unused_port

from origin.checkout.providers.contract import Declined, Redirect, Unanswered, Unavailable
from origin.checkout.providers.stripe import MARK, Stripe, StripeSettings
from origin.contract import Card, Money
from tests.origin.checkout.providers.accounts import order, tools
from tests.support.providers.stripes import StripeStandIn

AMOUNT = Money(17_000_000, "IDR")


@asynccontextmanager
async def account(directory: Path) -> AsyncIterator[tuple[Stripe, StripeStandIn]]:
    standin = StripeStandIn()
    async with TestServer(standin.application()) as server, tools(directory) as given:
        settings = StripeSettings(
            secret_key=f"file:{directory / 'key'}", url=str(server.make_url("")).rstrip("/")
        )
        yield Stripe(settings, given), standin


async def test_a_card_is_paid_on_the_hosted_page_and_refunded_in_parts(tmp_path: Path) -> None:
    async with account(tmp_path) as (stripe, standin):
        made = await stripe.create(order(email="ani@contoh.id"), "k1")
        assert (made.state, made.captured.minor) == ("pending", 0)
        assert made.action == Redirect(f"https://checkout.stripe.test/{made.reference}")
        asked = standin.asked[0]
        assert asked["line_items[0][price_data][unit_amount]"] == str(AMOUNT.minor)
        assert asked["customer_email"] == "ani@contoh.id"
        standin.pay(made.reference)
        paid = await stripe.status("py1", made.reference)
        assert paid is not None
        assert (paid.state, paid.captured, paid.refunded) == ("paid", AMOUNT, 0)
        assert paid.card == Card("Xt5EWLLDS7FJjR1c", "US")
        assert made.card is None
        for key in ("r1", "r1", "r2"):
            back = await stripe.refund(made.reference, Money(500, "IDR"), key)
        assert back.refunded == 1000
        with pytest.raises(Declined, match="greater than charge"):
            await stripe.refund(made.reference, AMOUNT, "r3")


async def test_a_lost_answer_makes_one_page_though_time_went_by(tmp_path: Path) -> None:
    async with account(tmp_path) as (stripe, standin):
        standin.lose = 1
        with pytest.raises(Unanswered):
            await stripe.create(order(), "k1")
        made = await stripe.create(order(), "k1")
        assert list(standin.sessions) == [made.reference]


async def test_what_was_authorized_is_captured_or_let_go(tmp_path: Path) -> None:
    async with account(tmp_path) as (stripe, standin):
        made = await stripe.create(order(capture=False, challenge=True), "k1")
        assert standin.asked[0]["payment_method_options[card][request_three_d_secure]"] == "any"
        standin.pay(made.reference)
        held = await stripe.status("py1", made.reference)
        assert held is not None
        assert (held.state, held.captured.minor) == ("authorized", 0)
        taken = await stripe.capture(made.reference, Money(100, "IDR"), "c")
        assert (taken.state, taken.captured.minor) == ("paid", 100)
        other = await stripe.create(order(payment="py2", capture=False), "k2")
        standin.pay(other.reference)
        assert (await stripe.cancel(other.reference, "x")).state == "cancelled"


async def test_a_page_that_nobody_used_is_closed(tmp_path: Path) -> None:
    async with account(tmp_path) as (stripe, _):
        made = await stripe.create(order(), "k1")
        assert (await stripe.cancel(made.reference, "x")).state == "expired"
        with pytest.raises(Declined, match="nobody has paid"):
            await stripe.refund(made.reference, AMOUNT, "r")


async def test_silence_is_told_from_refusal(tmp_path: Path) -> None:
    async with account(tmp_path) as (stripe, standin):
        standin.fail = 1
        with pytest.raises(Unanswered, match="500"):
            await stripe.create(order(), "k1")
        with pytest.raises(Declined, match="No such"):
            await stripe.status("py1", "cs_none")
    async with tools(tmp_path) as given:
        settings = StripeSettings(
            secret_key=f"file:{tmp_path / 'key'}", url=f"http://127.0.0.1:{unused_port()}"
        )
        with pytest.raises(Unavailable):
            await Stripe(settings, given).create(order(), "k1")


async def test_events_name_our_payment_and_prove_nothing_by_themselves(tmp_path: Path) -> None:
    async with account(tmp_path) as (stripe, _):
        about = {"object": "checkout.session", "id": "cs_1", "metadata": {MARK: "py1"}}
        notice = stripe.parse(json.loads(json.dumps({"data": {"object": about}})))
        assert notice is not None
        assert (notice.payment, notice.reference, notice.charge) == ("py1", "cs_1", None)
        assert stripe.parse({"data": {"object": {"object": "invoice", "metadata": {}}}}) is None
        assert stripe.parse({"type": "ping"}) is None
        assert not stripe.takes("UGX")
        assert stripe.takes("IDR")
