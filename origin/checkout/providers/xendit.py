"""Xendit, by its own library: its invoice page takes cards, transfers, wallets and QRIS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import urllib3
import xendit
from pydantic import BaseModel, ConfigDict, Field
from xendit.apis import InvoiceApi, RefundApi
from xendit.exceptions import OpenApiException, XenditSdkException
from xendit.invoice.model.create_invoice_request import CreateInvoiceRequest
from xendit.refund.model.create_refund import CreateRefund

from origin.checkout.order import Method
from origin.checkout.providers.contract import (
    Action,
    Charge,
    Declined,
    Notice,
    Order,
    ProviderDefaults,
    Redirect,
    Tools,
    Unanswered,
    Unavailable,
)
from origin.checkout.providers.sdk import SECONDS, asked, silence
from origin.checkout.states import Signal
from origin.contract import Money
from origin.money import decimal, money

SIGNALS: Mapping[str, Signal] = {
    "PENDING": "pending",
    "PAID": "paid",
    "SETTLED": "paid",
    "EXPIRED": "expired",
}
CURRENCIES = frozenset({"IDR", "PHP", "THB", "VND", "MYR", "USD"})


class XenditSettings(BaseModel):
    """An account at Xendit."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    secret_key: str = Field(description="xnd_…, as file:PATH or env:NAME.", pattern=r"^(file|env):.+")
    url: str = Field("https://api.xendit.co", description="Its API.", pattern=r"^https?://")


class Xendit(ProviderDefaults):
    """Its callbacks are hints: each is confirmed by asking for the invoice."""

    name: ClassVar[str] = "xendit"
    settings: ClassVar[type[BaseModel]] = XenditSettings
    methods: Mapping[Method, tuple[str, ...]] = {
        "card": (),
        "bank_transfer": ("bca", "bni", "bri", "mandiri", "permata", "bsi", "cimb"),
        "e_wallet": ("ovo", "dana", "shopeepay", "linkaja"),
        "qris": (),
    }

    def __init__(self, settings: XenditSettings, tools: Tools) -> None:
        self._now = tools.now
        client = xendit.ApiClient(
            xendit.Configuration(host=settings.url, api_key=tools.reveal(settings.secret_key))
        )
        self._invoices, self._refunds = InvoiceApi(client), RefundApi(client)

    def takes(self, currency: str) -> bool:
        return currency in CURRENCIES

    async def create(self, order: Order, key: str) -> Charge:
        known = await self.status(order.payment, None)
        if known is not None:
            return known  # it was made before, and the answer was lost: Xendit takes no keys for invoices
        way = {"card": "CREDIT_CARD", "qris": "QRIS"}.get(order.method) or str(order.channel).upper()
        wanted: dict[str, Any] = {
            "external_id": order.payment,
            "amount": float(decimal(order.amount)),
            "currency": order.amount.currency,
            "description": order.description,
            "invoice_duration": float(max(60, int(order.until - self._now()))),
            "payment_methods": [way],
            "success_redirect_url": order.return_url,
            "failure_redirect_url": order.return_url,
            "locale": order.language,
        }
        if order.email:
            wanted["payer_email"] = order.email
        if order.challenge:
            wanted["should_authenticate_credit_card"] = True
        return _charge(await self._ask(self._invoices.create_invoice, CreateInvoiceRequest(**wanted)))

    async def capture(self, reference: str, amount: Money, key: str) -> Charge:
        raise Declined("its invoices are captured at once")

    async def cancel(self, reference: str, key: str) -> Charge:
        known = await self._now_is(reference)
        if known.state == "pending":
            await self._ask(self._invoices.expire_invoice, reference)
            return await self._now_is(reference)
        return known

    async def refund(self, reference: str, amount: Money, key: str) -> Charge:
        wanted = CreateRefund(
            invoice_id=reference,
            amount=float(decimal(amount)),
            currency=amount.currency,
            reference_id=key,
            reason="REQUESTED_BY_CUSTOMER",
        )
        await self._ask(self._refunds.create_refund, idempotency_key=key, create_refund=wanted)
        return await self._now_is(reference)

    async def status(self, payment: str, reference: str | None) -> Charge | None:
        if reference is not None:
            try:
                return await self._now_is(reference)
            except Declined as error:
                if error.args[0].startswith("404"):
                    return None
                raise
        listed = await self._ask(self._invoices.get_invoices, external_id=payment)
        return _charge(listed[0]) if listed else None

    def parse(self, event: Mapping[str, Any]) -> Notice | None:
        payment, reference = event.get("external_id"), event.get("id")
        return Notice(str(payment), str(reference)) if payment and reference else None

    async def _now_is(self, reference: str) -> Charge:
        return _charge(await self._ask(self._invoices.get_invoice_by_id, reference))

    async def _ask(self, call: Callable[..., Any], *words: Any, **options: Any) -> Any:
        try:
            return await asked(call, *words, _request_timeout=SECONDS, **options)
        except XenditSdkException as error:
            status = int(error.status or 500)
            if status in (429, 503):
                raise Unavailable(f"it answered {status}") from error
            if status >= 500:
                raise Unanswered(f"it answered {status}") from error
            raise Declined(f"{status}: {error.errorCode} {error.errorMessage}"[:300]) from error
        except (urllib3.exceptions.HTTPError, OpenApiException, ValueError) as error:
            raise silence(error) from error


def _charge(known: Any) -> Charge:
    currency = str(known.currency.value if known.get("currency") else "IDR")
    state = SIGNALS.get(str(known.status.value), "pending")
    total = money(repr(known.amount), currency)
    action: Action | None = Redirect(str(known.invoice_url)) if state == "pending" else None
    return Charge(str(known.id), state, total if state == "paid" else Money(0, currency), action=action)
