"""Xendit's own library against a server that speaks its APIs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer, unused_port

from origin.checkout.providers.contract import Declined, Redirect, Unanswered, Unavailable
from origin.checkout.providers.xendit import Xendit, XenditSettings
from origin.contract import Money
from tests.origin.checkout.providers.accounts import order, tools
from tests.support.providers.xendits import XenditStandIn

AMOUNT = Money(17_000_000, "IDR")


@asynccontextmanager
async def account(directory: Path) -> AsyncIterator[tuple[Xendit, XenditStandIn]]:
    standin = XenditStandIn()
    async with TestServer(standin.application()) as server, tools(directory, "xnd_test") as given:
        settings = XenditSettings(
            secret_key=f"file:{directory / 'key'}", url=str(server.make_url("")).rstrip("/")
        )
        yield Xendit(settings, given), standin


async def test_an_invoice_is_paid_and_refunded_once_for_each_key(tmp_path: Path) -> None:
    async with account(tmp_path) as (xendit, standin):
        made = await xendit.create(order(method="bank_transfer", channel="bca", email="ani@contoh.id"), "k")
        assert (made.state, made.action) == ("pending", Redirect("https://checkout.xendit.test/inv1"))
        assert standin.invoices["inv1"]["amount"] == 170_000
        standin.pay("inv1")
        paid = await xendit.status("py1", "inv1")
        assert paid is not None
        assert (paid.state, paid.captured) == ("paid", AMOUNT)
        for key in ("r1", "r1", "r2"):
            await xendit.refund("inv1", Money(50_000, "IDR"), key)
        assert sorted(standin.refunds.values()) == [500, 500]


async def test_a_lost_answer_makes_one_invoice(tmp_path: Path) -> None:
    async with account(tmp_path) as (xendit, standin):
        standin.lose = 1
        with pytest.raises(Unanswered):
            await xendit.create(order(), "k")
        assert (await xendit.create(order(), "k")).reference == "inv1"
        assert len(standin.invoices) == 1


async def test_an_invoice_that_nobody_paid_is_closed_and_a_paid_one_stays(tmp_path: Path) -> None:
    async with account(tmp_path) as (xendit, standin):
        made = await xendit.create(order(method="qris"), "k")
        assert (await xendit.cancel(made.reference, "x")).state == "expired"
        other = await xendit.create(order(payment="py2", method="e_wallet", channel="ovo"), "k")
        standin.pay(other.reference)
        assert (await xendit.cancel(other.reference, "x")).state == "paid"


async def test_silence_is_told_from_refusal(tmp_path: Path) -> None:
    async with account(tmp_path) as (xendit, standin):
        standin.refuse = 1
        with pytest.raises(Unavailable, match="503"):
            await xendit.create(order(), "k")
        assert await xendit.status("py1", "none") is None
        with pytest.raises(Declined, match="at once"):
            await xendit.capture("inv1", AMOUNT, "c")
        assert not xendit.takes("EUR")
        notice = xendit.parse({"id": "inv1", "external_id": "py1", "status": "PAID"})
        assert notice is not None
        assert (notice.payment, notice.reference, notice.charge) == ("py1", "inv1", None)
        assert xendit.parse({"event": "ping"}) is None
    async with tools(tmp_path, "xnd_test") as given:
        settings = XenditSettings(
            secret_key=f"file:{tmp_path / 'key'}", url=f"http://127.0.0.1:{unused_port()}"
        )
        with pytest.raises(Unavailable):
            await Xendit(settings, given).create(order(), "k")
