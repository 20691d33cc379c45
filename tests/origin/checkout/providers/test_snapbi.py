"""SNAP-BI against a bank that reads the standard for itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer, unused_port
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from origin.checkout.providers.contract import (
    Code,
    Declined,
    Tools,
    Transfer,
    Unanswered,
    Unavailable,
)
from origin.checkout.providers.snapbi import SnapBi, SnapBiSettings
from origin.checkout.qris import tags
from origin.contract import Money
from tests.origin.checkout.providers.accounts import order, tools
from tests.support.providers.snapbanks import SnapBank

AMOUNT = Money(17_000_000, "IDR")
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def made(directory: Path, given: Tools, url: str) -> SnapBi:
    pem = KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (directory / "rsa").write_bytes(pem)
    settings = SnapBiSettings(
        url=url, client_id="shop", private_key=f"file:{directory / 'rsa'}",
        client_secret=f"file:{directory / 'key'}", partner_id="P1", channel_id="95221", bank="bca",
        service_id="12345", merchant_id="M1",
    )  # fmt: skip
    return SnapBi(settings, given)


@asynccontextmanager
async def account(directory: Path) -> AsyncIterator[tuple[SnapBi, SnapBank]]:
    bank = SnapBank(KEY.public_key(), b"between shop and bank")
    async with TestServer(bank.application()) as server, tools(directory, "between shop and bank") as given:
        yield made(directory, given, f"{str(server.make_url('')).rstrip('/')}/api"), bank


async def test_a_transfer_is_paid_to_an_account_of_this_payment_alone(tmp_path: Path) -> None:
    async with account(tmp_path) as (snap, bank):
        begun = await snap.create(order(method="bank_transfer", channel="bca"), "k1")
        other = await snap.create(order(payment="py2", method="bank_transfer", channel="bca"), "k2")
        assert isinstance(begun.action, Transfer)
        assert isinstance(other.action, Transfer)
        assert begun.action.account != other.action.account
        assert begun.action.account.startswith("12345")
        assert bank.accounts["py1"]["totalAmount"] == {"value": "170000.00", "currency": "IDR"}
        assert bank.accounts["py1"]["expiredDate"].endswith("+07:00")
        waiting = await snap.status("py1", begun.reference)
        assert waiting is not None
        assert waiting.state == "pending"
        bank.accounts["py1"]["paid"] = True
        paid = await snap.status("py1", begun.reference)
        assert paid is not None
        assert (paid.state, paid.captured) == ("paid", AMOUNT)
        assert (await snap.cancel(other.reference, "x")).state == "cancelled"
        assert (await snap.cancel(begun.reference, "y")).state == "paid"
        assert bank.tokens == 1
        assert len(set(bank.external[:2])) == 2
        with pytest.raises(Declined, match="transfer of your own"):
            await snap.refund(begun.reference, AMOUNT, "r")


async def test_a_lost_answer_makes_one_account(tmp_path: Path) -> None:
    async with account(tmp_path) as (snap, bank):
        bank.lose = 1
        with pytest.raises(Unanswered):
            await snap.create(order(method="bank_transfer", channel="bca"), "k1")
        again = await snap.create(order(method="bank_transfer", channel="bca"), "k1")
        assert again.action == Transfer("bca", bank.accounts["py1"]["virtualAccountNo"].strip())
        assert bank.external[0] == bank.external[1]


async def test_a_code_is_paid_and_refunded(tmp_path: Path) -> None:
    async with account(tmp_path) as (snap, bank):
        begun = await snap.create(order(method="qris"), "k1")
        assert isinstance(begun.action, Code)
        assert tags(begun.action.text)["54"] == "170000"
        bank.codes["py1"]["latestTransactionStatus"] = "00"
        paid = await snap.status("py1", begun.reference)
        assert paid is not None
        assert (paid.state, paid.captured) == ("paid", AMOUNT)
        for key in ("r1", "r1", "r2"):
            await snap.refund(begun.reference, Money(50_000, "IDR"), key)
        assert bank.refunds == {"r1": "500.00", "r2": "500.00"}
        other = await snap.create(order(payment="py2", method="qris"), "k2")
        assert (await snap.cancel(other.reference, "x")).state == "cancelled"
        assert bank.codes["py2"]["latestTransactionStatus"] == "05"


async def test_tokens_are_renewed_before_they_end(tmp_path: Path) -> None:
    async with account(tmp_path) as (snap, bank):
        begun = await snap.create(order(method="qris"), "k1")
        assert snap._token is not None
        snap._token = replace(snap._token, until=0.0)
        await snap.status("py1", begun.reference)
        assert bank.tokens == 2


async def test_silence_is_told_from_refusal(tmp_path: Path) -> None:
    async with account(tmp_path) as (snap, bank):
        snap._secret = b"another"
        with pytest.raises(Declined, match="401"):
            await snap.create(order(method="qris"), "k1")
        notice = snap.parse({"trxId": "py1", "paidAmount": {}})
        assert notice is not None
        assert (notice.payment, notice.charge) == ("py1", None)
        assert snap.parse({}) is None
        assert not snap.takes("USD")
        assert bank.codes == {}
    async with tools(tmp_path) as given:
        with pytest.raises(Unavailable):
            await made(tmp_path, given, f"http://127.0.0.1:{unused_port()}").create(
                order(method="qris"), "k1"
            )


def test_a_secret_that_is_written_out_is_refused() -> None:
    settings = {
        "url": "https://bank.example", "client_id": "c", "private_key": "x:y", "client_secret": "env:X",
        "partner_id": "p", "channel_id": "1",
    }  # fmt: skip
    with pytest.raises(ValueError, match="private_key"):
        SnapBiSettings.model_validate(settings)
