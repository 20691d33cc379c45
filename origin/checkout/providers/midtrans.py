"""Midtrans, by its own library: cards and wallets by Snap, on our page or its; the rest by its Core API.

Amounts are whole rupiah. A payment is named by us; asking twice for the same name makes one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import midtransclient
import requests
from midtransclient.error_midtrans import JSONDecodeError, MidtransAPIError
from pydantic import BaseModel, ConfigDict, Field

from origin.checkout.order import Method
from origin.checkout.providers.contract import (
    ADAPTERS,
    Action,
    Charge,
    Code,
    Declined,
    Fields,
    Hosted,
    Notice,
    Order,
    ProviderDefaults,
    Redirect,
    Tools,
    Transfer,
    Unanswered,
    Unavailable,
    origin_of,
)
from origin.checkout.providers.sdk import Limited, asked, silence
from origin.checkout.states import Signal
from origin.contract import Card, Money
from origin.money import money

SIGNALS: Mapping[str, Signal] = {
    "pending": "pending",
    "authorize": "authorized",
    "capture": "paid",
    "settlement": "paid",
    "refund": "paid",
    "partial_refund": "paid",
    "deny": "failed",
    "failure": "failed",
    "cancel": "cancelled",
    "expire": "expired",
}
WALLETS = {"gopay": "gopay", "shopeepay": "shopeepay"}
SNAP = "midtrans.com/snap/snap.js"
HELD = ("challenge",)  # by Midtrans' own fraud detection: not money yet


class MidtransSettings(BaseModel):
    """An account at Midtrans."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    server_key: str = Field(description="As file:PATH or env:NAME.", pattern=r"^(file|env):.+")
    client_key: str = Field(
        "", description="Public: cards and wallets are paid on our page, in Snap's own frame."
    )
    production: bool = Field(False, description="Whether real money moves.")
    core_url: str = Field("", description="Its Core API, if it is not Midtrans' own.")
    snap_url: str = Field("", description="Its Snap API, if it is not Midtrans' own.")
    script: str = Field("", description="Snap's script for pages, if it is not Midtrans' own.")


class Midtrans(ProviderDefaults):
    """Its notifications are hints: each is confirmed by asking."""

    name: ClassVar[str] = "midtrans"
    settings: ClassVar[type[BaseModel]] = MidtransSettings
    methods: Mapping[Method, tuple[str, ...]] = {
        "card": (),
        "e_wallet": tuple(WALLETS),
        "bank_transfer": ("bca", "bni", "bri", "cimb", "permata", "mandiri"),
        "qris": (),
    }

    def __init__(self, settings: MidtransSettings, tools: Tools) -> None:
        self._settings = settings
        self._key = tools.reveal(settings.server_key)
        self._now = tools.now

    @property
    def hosted(self) -> Hosted | None:
        settings = self._settings
        if not settings.client_key:
            return None
        script = settings.script or f"https://app.{'' if settings.production else 'sandbox.'}{SNAP}"
        own = (origin_of(script),)
        return Hosted(script, settings.client_key, ADAPTERS / "midtrans.js", own, own, own)

    def takes(self, currency: str) -> bool:
        return currency == "IDR"

    async def create(self, order: Order, key: str) -> Charge:
        if order.amount.minor % 100:
            raise Declined("it takes whole rupiah")
        details = {"order_id": order.payment, "gross_amount": order.amount.minor // 100}
        customer = {"first_name": order.name, "email": order.email, "phone": order.phone}
        wanted: dict[str, Any] = {
            "transaction_details": details,
            "customer_details": {name: value for name, value in customer.items() if value},
        }
        if order.method in ("card", "e_wallet"):
            return await self._on_its_page(order, wanted, key)
        known = await self.status(order.payment, order.payment)
        if known is not None and known.action is not None:
            return known  # it was made before, and the answer was lost
        wanted["custom_expiry"] = {"expiry_duration": self._minutes(order), "unit": "minute"}
        wanted |= _by_core(order)
        made = await self._ask(self._core(key).charge, wanted)
        return _charge(made, order.payment)

    async def _on_its_page(self, order: Order, wanted: dict[str, Any], key: str) -> Charge:
        methods = ["credit_card"] if order.method == "card" else [WALLETS[str(order.channel)]]
        wanted |= {
            "enabled_payments": methods,
            "callbacks": {"finish": order.return_url},
            "expiry": {"duration": self._minutes(order), "unit": "minute"},
        }
        if order.method == "card":
            kind = {} if order.capture else {"type": "authorize"}
            wanted["credit_card"] = {"secure": True, **kind}
        made = await self._ask(self._snap(key).create_transaction, wanted)
        page, on_ours = str(made["redirect_url"]), order.fields and self._settings.client_key
        action = Fields(str(made["token"]), page) if on_ours else Redirect(page)
        return Charge(order.payment, "pending", Money(0, "IDR"), action=action)

    async def capture(self, reference: str, amount: Money, key: str) -> Charge:
        known = await self._ask(self._core(key).transactions.status, reference)
        wanted = {"transaction_id": known["transaction_id"], "gross_amount": amount.minor // 100}
        await self._ask(self._core(key).capture, wanted)
        return await self._now_is(reference)

    async def cancel(self, reference: str, key: str) -> Charge:
        known = await self.status(reference, reference)
        if known is None:  # its page was never used; it must not be from now on
            with contextlib.suppress(Declined):
                await self._ask(self._core(key).transactions.expire, reference)
            return await self.status(reference, reference) or Charge(reference, "cancelled", Money(0, "IDR"))
        if known.state in ("pending", "authorized"):
            await self._ask(self._core(key).transactions.cancel, reference)
        return await self._now_is(reference)

    async def refund(self, reference: str, amount: Money, key: str) -> Charge:
        if amount.minor % 100:
            raise Declined("it gives back whole rupiah")
        wanted = {"refund_key": key, "amount": amount.minor // 100}
        await self._ask(self._core(key).transactions.refund, reference, wanted)
        return await self._now_is(reference)

    async def status(self, payment: str, reference: str | None) -> Charge | None:
        try:
            return await self._now_is(reference or payment)
        except Declined as error:
            if error.args[0].startswith("404"):
                return None
            raise

    def parse(self, event: Mapping[str, Any]) -> Notice | None:
        order = event.get("order_id")
        return Notice(str(order), str(order)) if order else None

    async def _now_is(self, reference: str) -> Charge:
        return _charge(await self._ask(self._core("").transactions.status, reference), reference)

    def _minutes(self, order: Order) -> int:
        return max(1, int((order.until - self._now()) // 60))

    def _core(self, key: str) -> Any:
        return self._wired(midtransclient.CoreApi, key)

    def _snap(self, key: str) -> Any:
        return self._wired(midtransclient.Snap, key)

    def _wired(self, kind: Callable[..., Any], key: str) -> Any:
        fields = {"Idempotency-Key": key[:36]} if key else {}
        client = kind(self._settings.production, self._key, custom_headers=fields)
        client.http_client.http_client = Limited(requests)
        for setting, name in (("core_url", "CORE"), ("snap_url", "SNAP")):
            url = getattr(self._settings, setting)
            if url:
                for where in ("SANDBOX", "PRODUCTION"):
                    setattr(client.api_config, f"{name}_{where}_BASE_URL", url)
        return client

    async def _ask(self, call: Callable[..., Any], *words: Any) -> Any:
        try:
            return await asked(call, *words)
        except MidtransAPIError as error:
            status = int(error.http_status_code or 500)
            said = int(error.api_response_dict.get("status_code", status))
            if status in (429, 503):
                raise Unavailable(f"it answered {status}") from error
            if max(status, said) >= 500:
                raise Unanswered(f"it answered {said}") from error
            raise Declined(f"{said}: {error.api_response_dict.get('status_message', '')}") from error
        except (requests.RequestException, JSONDecodeError) as error:
            raise silence(error) from error


def _by_core(order: Order) -> dict[str, Any]:
    match order.method, order.channel:
        case "qris", _:
            return {"payment_type": "qris", "qris": {"acquirer": "gopay"}}
        case _, "mandiri":
            bill = {"bill_info1": "Order", "bill_info2": order.payment}
            return {"payment_type": "echannel", "echannel": bill}
        case _, "permata":
            return {"payment_type": "permata"}
        case _, bank:
            return {"payment_type": "bank_transfer", "bank_transfer": {"bank": bank}}


def _charge(known: Mapping[str, Any], reference: str) -> Charge:
    state = SIGNALS.get(str(known.get("transaction_status")), "pending")
    if known.get("fraud_status") in HELD and state == "paid":
        state = "pending"
    total = money(str(known.get("gross_amount", "0")), "IDR")
    captured = total if state == "paid" else Money(0, "IDR")
    refunded = money(str(known.get("refund_amount") or "0"), "IDR").minor
    reason = str(known.get("status_message", ""))
    return Charge(reference, state, captured, refunded, _action(known), reason, _card(known))


def _card(known: Mapping[str, Any]) -> Card | None:
    """A masked number has its issuer's digits and the last four: all that Midtrans says of a card."""
    masked = known.get("masked_card")
    return Card(str(masked)) if masked else None


def _action(known: Mapping[str, Any]) -> Action | None:
    match known:
        case {"qr_string": str(text)}:
            return Code(text)
        case {"va_numbers": [{"bank": bank, "va_number": number}, *_]}:
            return Transfer(str(bank), str(number))
        case {"permata_va_number": str(number)}:
            return Transfer("permata", number)
        case {"bill_key": str(number), "biller_code": str(biller)}:
            return Transfer("mandiri", number, biller)
        case _:
            return None
