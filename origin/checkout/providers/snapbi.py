"""SNAP-BI, Bank Indonesia's standard, spoken directly: virtual accounts and QRIS of one partner bank."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, ClassVar
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import BaseModel, ConfigDict, Field

from edge.webhooks.snapbi import minified
from origin.checkout.order import Method
from origin.checkout.providers.asking import ask
from origin.checkout.providers.contract import (
    Charge,
    Code,
    Declined,
    Notice,
    Order,
    ProviderDefaults,
    Tools,
    Transfer,
    Unanswered,
)
from origin.checkout.states import Signal
from origin.contract import Money
from origin.money import decimal, money

JAKARTA = timezone(timedelta(hours=7))
SOONER = 60.0  # seconds before its end that a token is not used any more
QR_STATES: Mapping[str, Signal] = {
    "00": "paid",
    "01": "pending",
    "02": "pending",
    "03": "pending",
    "04": "paid",  # refunded since
    "05": "cancelled",
    "06": "failed",
    "07": "failed",
}
VA, QR = "va", "qr"


class SnapBiSettings(BaseModel):
    """A partner bank that speaks SNAP-BI."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    url: str = Field(description="The bank's API, https://HOST.", pattern=r"^https?://")
    client_id: str = Field(description="What the bank calls this shop (X-CLIENT-KEY).")
    private_key: str = Field(
        description="This shop's RSA key (PEM), as file:PATH or env:NAME.", pattern=r"^(file|env):.+"
    )
    client_secret: str = Field(
        description="The secret shared with the bank, as file:PATH or env:NAME.", pattern=r"^(file|env):.+"
    )
    partner_id: str = Field(description="X-PARTNER-ID.")
    channel_id: str = Field(description="CHANNEL-ID.", pattern=r"^[0-9]{1,5}$")
    bank: str = Field("", description="The bank's short name, such as bca; empty: no virtual accounts.")
    service_id: str = Field("", description="The prefix of virtual accounts (partnerServiceId).")
    merchant_id: str = Field("", description="The merchant of QRIS codes; empty: no codes.")


@dataclass(frozen=True, slots=True)
class Token:
    """What requests are allowed by, until a moment."""

    value: str
    until: float


class SnapBi(ProviderDefaults):
    """Notifications are signed, and make us ask. A payment is named by its kind and the bank's number."""

    name: ClassVar[str] = "snapbi"
    settings: ClassVar[type[BaseModel]] = SnapBiSettings

    def __init__(self, settings: SnapBiSettings, tools: Tools) -> None:
        self._settings = settings
        self._http = tools.http
        self._now = tools.now
        self._key = _private_key(tools.reveal(settings.private_key))
        self._secret = tools.reveal(settings.client_secret).encode()
        self._token: Token | None = None

    @property
    def methods(self) -> Mapping[Method, tuple[str, ...]]:
        offered: dict[Method, tuple[str, ...]] = {}
        if self._settings.bank and self._settings.service_id:
            offered["bank_transfer"] = (self._settings.bank,)
        if self._settings.merchant_id:
            offered["qris"] = ()
        return offered

    def takes(self, currency: str) -> bool:
        return currency == "IDR"

    async def create(self, order: Order, key: str) -> Charge:
        return await (self._code(order, key) if order.method == "qris" else self._account(order, key))

    async def _account(self, order: Order, key: str) -> Charge:
        wanted = {
            **self._numbered(order.payment),
            "virtualAccountName": (order.name or order.payment)[:255],
            "trxId": order.payment,
            "totalAmount": _amount(order.amount),
            "expiredDate": self._moment(order.until),
        }
        known = await self._ask("POST", "/v1.0/transfer-va/create-va", wanted, key, done=("4092700",))
        if not known and not await self._is_ours(order.payment):
            raise Declined("another payment has this virtual account")
        number = str(known.get("virtualAccountData", wanted)["virtualAccountNo"]).strip()
        action = Transfer(self._settings.bank, number)
        return Charge(f"{VA}:{order.payment}", "pending", Money(0, "IDR"), action=action)

    async def _code(self, order: Order, key: str) -> Charge:
        wanted = {
            "partnerReferenceNo": order.payment,
            "amount": _amount(order.amount),
            "merchantId": self._settings.merchant_id,
            "validityPeriod": self._moment(order.until),
        }
        known = await self._ask("POST", "/v1.0/qr/qr-mpm-generate", wanted, key)
        reference = f"{QR}:{order.payment}:{known['referenceNo']}"
        return Charge(reference, "pending", Money(0, "IDR"), action=Code(str(known["qrContent"])))

    async def capture(self, reference: str, amount: Money, key: str) -> Charge:
        raise Declined("transfers and codes are paid at once")

    async def cancel(self, reference: str, key: str) -> Charge:
        known = await self._now_is(reference)
        if known.state != "pending":
            return known
        kind, payment, number = _parts(reference)
        if kind == VA:
            wanted = {**self._numbered(payment), "trxId": payment}
            await self._ask("DELETE", "/v1.0/transfer-va/delete-va", wanted, key, done=("4043112",))
        else:
            wanted = {**self._original(payment, number), "merchantId": self._settings.merchant_id}
            await self._ask("POST", "/v1.0/qr/qr-mpm-cancel", {**wanted, "reason": "cancelled"}, key)
        return Charge(reference, "cancelled", Money(0, "IDR"))

    async def refund(self, reference: str, amount: Money, key: str) -> Charge:
        kind, payment, number = _parts(reference)
        if kind == VA:
            raise Declined("transfers to virtual accounts are given back by a transfer of your own")
        wanted = {
            **self._original(payment, number),
            "merchantId": self._settings.merchant_id,
            "partnerRefundNo": key,
            "refundAmount": _amount(amount),
            "reason": "refund",
        }
        await self._ask("POST", "/v1.0/qr/qr-mpm-refund", wanted, key)
        return await self._now_is(reference)

    async def status(self, payment: str, reference: str | None) -> Charge | None:
        if reference is None:
            raise Unanswered("its name is not known; it is asked for again with the same key")
        return await self._now_is(reference)

    def parse(self, event: Mapping[str, Any]) -> Notice | None:
        payment = event.get("trxId") or event.get("originalPartnerReferenceNo")
        return Notice(str(payment)) if payment else None

    async def _is_ours(self, payment: str) -> bool:
        """Whether the account that exists was made for this payment, and its answer lost."""
        wanted = {**self._numbered(payment), "inquiryRequestId": payment}
        known = await self._ask("POST", "/v1.0/transfer-va/status", wanted, f"query {self._now()}")
        return bool(known.get("virtualAccountData", {}).get("trxId") == payment)

    async def _now_is(self, reference: str) -> Charge:
        kind, payment, number = _parts(reference)
        nothing = Money(0, "IDR")
        if kind == QR:
            wanted = {**self._original(payment, number), "serviceCode": "47"}
            known = await self._ask("POST", "/v1.0/qr/qr-mpm-query", wanted, f"query {self._now()}")
            state = QR_STATES.get(str(known.get("latestTransactionStatus")), "pending")
            return Charge(reference, state, _money(known.get("amount")) if state == "paid" else nothing)
        wanted = {**self._numbered(payment), "inquiryRequestId": payment}
        known = await self._ask("POST", "/v1.0/transfer-va/status", wanted, f"query {self._now()}")
        said = known.get("virtualAccountData", {})
        ours = said.get("trxId", payment) == payment
        if ours and said.get("paymentFlagStatus") == "00":
            return Charge(reference, "paid", _money(said.get("paidAmount")))
        return Charge(reference, "pending", nothing)

    # How it is spoken -----------------------------------------------------------------------------

    async def _ask(
        self, method: str, path: str, wanted: Mapping[str, Any], key: str, done: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """The bank's answer; its codes in `done` mean that it was done before. Raises what providers do."""
        token, body = await self._allowed(), json.dumps(wanted, separators=(",", ":")).encode()
        moment = self._moment(self._now())
        whole = urlsplit(self._settings.url).path.rstrip("/") + path
        fields = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {token}",
            "X-TIMESTAMP": moment,
            "X-SIGNATURE": symmetric(self._secret, method, whole, token, body, moment),
            "X-PARTNER-ID": self._settings.partner_id,
            "X-EXTERNAL-ID": f"{int(hashlib.sha256(key.encode()).hexdigest(), 16) % 10**18:018d}",
            "CHANNEL-ID": self._settings.channel_id,
        }
        try:
            known = await ask(self._http, method, self._settings.url.rstrip("/") + path, fields, body)
        except Declined as error:
            if any(code in str(error) for code in done):
                return {}
            raise
        assert known is not None
        if not str(known.get("responseCode", "")).startswith("200"):
            raise Declined(f"{known.get('responseCode')}: {known.get('responseMessage')}")
        return known

    async def _allowed(self) -> str:
        if self._token is not None and self._now() < self._token.until - SOONER:
            return self._token.value
        moment = self._moment(self._now())
        fields = {
            "Content-Type": "application/json",
            "X-TIMESTAMP": moment,
            "X-CLIENT-KEY": self._settings.client_id,
            "X-SIGNATURE": asymmetric(self._key, self._settings.client_id, moment),
        }
        url = self._settings.url.rstrip("/") + "/v1.0/access-token/b2b"
        known = await ask(self._http, "POST", url, fields, b'{"grantType":"client_credentials"}')
        assert known is not None
        self._token = Token(str(known["accessToken"]), self._now() + float(known.get("expiresIn", 900)))
        return self._token.value

    def _numbered(self, payment: str) -> dict[str, str]:
        service = self._settings.service_id.rjust(8)
        customer = f"{int(hashlib.sha256(payment.encode()).hexdigest(), 16) % 10**10:010d}"
        return {
            "partnerServiceId": service,
            "customerNo": customer,
            "virtualAccountNo": service + customer,
        }

    def _original(self, payment: str, number: str) -> dict[str, str]:
        return {"originalPartnerReferenceNo": payment, "originalReferenceNo": number}

    def _moment(self, at: float) -> str:
        return datetime.fromtimestamp(at, JAKARTA).isoformat(timespec="seconds")


def asymmetric(key: RSAPrivateKey, client: str, moment: str) -> str:
    """The signature of a request for a token: RSA-SHA256 over client and time."""
    return base64.b64encode(key.sign(f"{client}|{moment}".encode(), PKCS1v15(), SHA256())).decode()


def symmetric(secret: bytes, method: str, path: str, token: str, body: bytes, moment: str) -> str:
    """The signature of any other request: HMAC-SHA512 over all that it says."""
    digest = hashlib.sha256(minified(body)).hexdigest()
    signed = f"{method}:{path}:{token}:{digest}:{moment}".encode()
    return base64.b64encode(hmac.digest(secret, signed, hashlib.sha512)).decode()


def _private_key(pem: str) -> RSAPrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), None)
    except ValueError:
        key = None
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("private_key: expected an RSA private key in PEM")
    return key


def _parts(reference: str) -> tuple[str, str, str]:
    kind, _, rest = reference.partition(":")
    payment, _, number = rest.partition(":")
    return kind, payment, number


def _amount(amount: Money) -> dict[str, str]:
    return {"value": f"{decimal(amount):.2f}", "currency": amount.currency}


def _money(said: Any) -> Money:
    try:
        return money(str(said["value"]), str(said.get("currency", "IDR")))
    except (KeyError, TypeError, AttributeError, ValueError):
        raise Unanswered(f"an amount that can't be read: {str(said)[:80]}") from None
