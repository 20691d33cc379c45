"""Midtrans' own library against a server that speaks its APIs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer, unused_port

from origin.checkout.providers.contract import (
    Action,
    Code,
    Declined,
    Redirect,
    Transfer,
    Unanswered,
    Unavailable,
)
from origin.checkout.providers.midtrans import Midtrans, MidtransSettings
from origin.contract import Card, Money
from tests.origin.checkout.providers.accounts import order, tools
from tests.support.providers.midtranses import MidtransStandIn

AMOUNT = Money(17_000_000, "IDR")


@asynccontextmanager
async def account(directory: Path) -> AsyncIterator[tuple[Midtrans, MidtransStandIn]]:
    standin = MidtransStandIn()
    async with TestServer(standin.application()) as server, tools(directory) as given:
        url = str(server.make_url("")).rstrip("/")
        settings = MidtransSettings(
            server_key=f"file:{directory / 'key'}", core_url=url, snap_url=f"{url}/snap/v1"
        )
        yield Midtrans(settings, given), standin


async def test_a_card_is_paid_on_its_page_and_refunded_in_parts(tmp_path: Path) -> None:
    async with account(tmp_path) as (midtrans, standin):
        made = await midtrans.create(order(), "k1")
        assert made.action == Redirect("https://app.midtrans.test/py1")
        page = standin.pages["py1"]
        assert page["transaction_details"]["gross_amount"] == 170_000
        assert page["credit_card"] == {"secure": True}
        assert page["enabled_payments"] == ["credit_card"]
        assert await midtrans.status("py1", "py1") is None, "a page that nobody used is no payment yet"
        standin.pay("py1")
        paid = await midtrans.status("py1", None)
        assert paid is not None
        assert (paid.state, paid.captured) == ("paid", AMOUNT)
        assert paid.card == Card("48111111-1114", "")
        for key in ("r1", "r1", "r2"):
            back = await midtrans.refund("py1", Money(50_000, "IDR"), key)
        assert (back.state, back.refunded) == ("paid", 100_000)


@pytest.mark.parametrize(
    ("method", "channel", "action"),
    [
        ("qris", None, Code("00020101021226QR")),
        ("bank_transfer", "bca", Transfer("bca", "812785002530231")),
        ("bank_transfer", "permata", Transfer("permata", "8562000")),
        ("bank_transfer", "mandiri", Transfer("mandiri", "123456", "70012")),
    ],
)
async def test_codes_and_accounts_are_made_once_though_the_answer_was_lost(
    method: str, channel: str | None, action: Action, tmp_path: Path
) -> None:
    async with account(tmp_path) as (midtrans, standin):
        standin.lose = 1
        with pytest.raises(Unanswered):
            await midtrans.create(order(method=method, channel=channel), "k1")
        made = await midtrans.create(order(method=method, channel=channel), "k1")
        assert (made.state, made.action, len(standin.transactions)) == ("pending", action, 1)
        standin.pay("py1")
        paid = await midtrans.status("py1", "py1")
        assert paid is not None
        assert (paid.state, paid.captured) == ("paid", AMOUNT)


async def test_what_was_authorized_is_captured_or_let_go(tmp_path: Path) -> None:
    async with account(tmp_path) as (midtrans, standin):
        await midtrans.create(order(capture=False), "k1")
        standin.pay("py1")
        held = await midtrans.status("py1", "py1")
        assert held is not None
        assert (held.state, held.captured.minor) == ("authorized", 0)
        assert (await midtrans.capture("py1", AMOUNT, "c")).captured == AMOUNT
        await midtrans.create(order(payment="py2", method="qris"), "k2")
        assert (await midtrans.cancel("py2", "x")).state == "cancelled"
        await midtrans.create(order(payment="py3"), "k3")
        assert (await midtrans.cancel("py3", "x")).state == "cancelled"


async def test_fraud_detection_holds_money_back(tmp_path: Path) -> None:
    async with account(tmp_path) as (midtrans, standin):
        await midtrans.create(order(), "k1")
        standin.pay("py1")
        standin.transactions["py1"]["fraud_status"] = "challenge"
        held = await midtrans.status("py1", "py1")
        assert held is not None
        assert (held.state, held.captured.minor) == ("pending", 0)


async def test_silence_is_told_from_refusal(tmp_path: Path) -> None:
    async with account(tmp_path) as (midtrans, _):
        with pytest.raises(Declined, match="whole rupiah"):
            await midtrans.create(order(amount=Money(150, "IDR")), "k1")
        assert not midtrans.takes("USD")
        notice = midtrans.parse({"order_id": "py1", "transaction_status": "settlement"})
        assert notice is not None
        assert (notice.payment, notice.charge) == ("py1", None)
        assert midtrans.parse({}) is None
    async with tools(tmp_path) as given:
        url = f"http://127.0.0.1:{unused_port()}"
        settings = MidtransSettings(server_key=f"file:{tmp_path / 'key'}", core_url=url, snap_url=url)
        with pytest.raises(Unavailable):
            await Midtrans(settings, given).create(order(), "k1")
