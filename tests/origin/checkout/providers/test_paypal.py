"""PayPal's own library against a server that speaks its APIs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer, unused_port

from origin.checkout.providers.contract import Declined, Order, Redirect, Unanswered, Unavailable
from origin.checkout.providers.paypal import PayPal, PayPalSettings
from origin.contract import Money
from tests.origin.checkout.providers.accounts import order, tools
from tests.support.providers.paypals import PayPalStandIn

AMOUNT = Money(1_999, "USD")


def dollars(**changes: Any) -> Order:
    return order(**{"amount": AMOUNT, "method": "paypal", **changes})


@asynccontextmanager
async def account(directory: Path) -> AsyncIterator[tuple[PayPal, PayPalStandIn]]:
    standin = PayPalStandIn()
    async with TestServer(standin.application()) as server, tools(directory) as given:
        settings = PayPalSettings(
            client_id="c", client_secret=f"file:{directory / 'key'}", url=str(server.make_url("")).rstrip("/")
        )
        yield PayPal(settings, given), standin


async def test_what_was_approved_is_captured_once_and_refunded_in_parts(tmp_path: Path) -> None:
    async with account(tmp_path) as (paypal, standin):
        made = await paypal.create(dollars(), "k1")
        assert (made.state, made.action) == ("pending", Redirect("https://paypal.test/O1"))
        assert standin.orders["O1"]["purchase_units"][0]["amount"] == {
            "currency_code": "USD",
            "value": "19.99",
        }
        standin.approve("O1")
        for _ in range(2):
            paid = await paypal.confirm(dollars(), "O1", {"token": "O1"}, "x")
            assert (paid.state, paid.captured) == ("paid", AMOUNT)
        for key in ("r1", "r1", "r2"):
            back = await paypal.refund("O1", Money(500, "USD"), key)
        assert (back.state, back.refunded) == ("paid", 1_000)


async def test_a_lost_answer_makes_one_order_and_one_capture(tmp_path: Path) -> None:
    async with account(tmp_path) as (paypal, standin):
        standin.lose = 1
        with pytest.raises(Unanswered):
            await paypal.create(dollars(), "k1")
        await paypal.create(dollars(), "k1")
        assert list(standin.orders) == ["O1"]
        standin.approve("O1")
        standin.lose = 1
        with pytest.raises(Unanswered):
            await paypal.status("py1", "O1")
        paid = await paypal.status("py1", "O1")
        assert paid is not None
        assert paid.captured == AMOUNT


async def test_what_was_authorized_is_captured_or_let_go(tmp_path: Path) -> None:
    async with account(tmp_path) as (paypal, standin):
        await paypal.create(dollars(capture=False), "k1")
        standin.approve("O1")
        held = await paypal.status("py1", "O1")
        assert held is not None
        assert held.state == "authorized"
        taken = await paypal.capture("O1", Money(1_000, "USD"), "c")
        assert (taken.state, taken.captured.minor) == ("paid", 1_000)
        await paypal.create(dollars(payment="py2", capture=False), "k2")
        standin.approve("O2")
        await paypal.status("py2", "O2")
        assert (await paypal.cancel("O2", "x")).state == "cancelled"
        assert (await paypal.cancel("O1", "y")).state == "paid"


async def test_silence_is_told_from_refusal(tmp_path: Path) -> None:
    async with account(tmp_path) as (paypal, _):
        with pytest.raises(Declined, match="404"):
            await paypal.status("py1", "O9")
        assert not paypal.takes("IDR")
        notice = paypal.parse({"resource": {"purchase_units": [{"custom_id": "py1"}]}})
        assert notice is not None
        assert (notice.payment, notice.charge) == ("py1", None)
        assert paypal.parse({"resource": {"custom_id": "py2"}}) is not None
        assert paypal.parse({"event_type": "x"}) is None
    async with tools(tmp_path) as given:
        settings = PayPalSettings(
            client_id="c", client_secret=f"file:{tmp_path / 'key'}", url=f"http://127.0.0.1:{unused_port()}"
        )
        with pytest.raises(Unavailable):
            await PayPal(settings, given).create(dollars(), "k1")
