"""The sandbox: a provider that moves no money, served by `origin/checkout/sandbox/`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, ConfigDict, Field

from origin.checkout.order import Method
from origin.checkout.providers.asking import ask
from origin.checkout.providers.contract import (
    Action,
    Charge,
    Code,
    Declined,
    Dispute,
    Notice,
    Order,
    Payout,
    ProviderDefaults,
    Redirect,
    Tools,
    Transfer,
)
from origin.contract import Card, Money

METHODS: Mapping[Method, tuple[str, ...]] = {
    "card": (),
    "bank_transfer": ("bca", "bni", "mandiri"),
    "e_wallet": ("gopay", "ovo", "dana"),
    "qris": (),
}


class SandboxSettings(BaseModel):
    """A provider for trying things out: no money moves."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    url: str = Field(description="Where it runs, http://HOST:PORT.", pattern=r"^https?://")
    key: str = Field(description="The account's key, as file:PATH or env:NAME.", pattern=r"^(file|env):.+")


class Sandbox(ProviderDefaults):
    """An account at the sandbox. Its events are signed, and are believed."""

    name: ClassVar[str] = "sandbox"
    settings: ClassVar[type[BaseModel]] = SandboxSettings
    methods = METHODS

    def __init__(self, settings: SandboxSettings, tools: Tools) -> None:
        self._http = tools.http
        self._url = settings.url.rstrip("/")
        self._fields = {
            "Authorization": f"Bearer {tools.reveal(settings.key)}",
            "Content-Type": "application/json",
        }

    @property
    def pages(self) -> tuple[str, ...]:
        parts = urlsplit(self._url)
        return (f"{parts.scheme}://{parts.netloc}",)

    def takes(self, currency: str) -> bool:
        return True

    async def create(self, order: Order, key: str) -> Charge:
        asked = {
            "payment": order.payment,
            "amount": order.amount.minor,
            "currency": order.amount.currency,
            "method": order.method,
            "channel": order.channel,
            "description": order.description,
            "return_url": order.return_url,
            "expires_at": order.until,
            "capture": order.capture,
        }
        return await self._do("/v1/payments", asked, key)

    async def capture(self, reference: str, amount: Money, key: str) -> Charge:
        return await self._do(f"/v1/payments/{quote(reference)}/capture", {"amount": amount.minor}, key)

    async def cancel(self, reference: str, key: str) -> Charge:
        return await self._do(f"/v1/payments/{quote(reference)}/cancel", {}, key)

    async def refund(self, reference: str, amount: Money, key: str) -> Charge:
        return await self._do(f"/v1/payments/{quote(reference)}/refunds", {"amount": amount.minor}, key)

    async def status(self, payment: str, reference: str | None) -> Charge | None:
        if reference is not None:
            url = f"{self._url}/v1/payments/{quote(reference)}"
            found = await ask(self._http, "GET", url, self._fields, missing_is_none=True)
            return None if found is None else charge_of(found)
        url = f"{self._url}/v1/payments?payment={quote(payment)}"
        listed = await ask(self._http, "GET", url, self._fields)
        assert listed is not None
        return charge_of(listed["payments"][0]) if listed["payments"] else None

    def parse(self, event: Mapping[str, Any]) -> Notice | None:
        data: Mapping[str, Any] = event.get("data") or {}
        match data:
            case {"payout": dict(known)}:
                amount = Money(int(known["amount"]), str(known["currency"]))
                return Notice(payout=Payout(str(known["id"]), known["state"], amount))
            case {"payment": payment}:
                charge = charge_of(data)
                return Notice(str(payment), charge.reference, charge, _dispute(data))
            case _:
                return None

    async def _do(self, path: str, asked: Mapping[str, Any], key: str) -> Charge:
        fields = {**self._fields, "Idempotency-Key": key}
        answer = await ask(self._http, "POST", self._url + path, fields, json.dumps(asked).encode())
        assert answer is not None
        return charge_of(answer)


def charge_of(document: Mapping[str, Any]) -> Charge:
    """A payment as the sandbox shows it."""
    try:
        return Charge(
            reference=str(document["id"]),
            state=document["state"],
            captured=Money(int(document["captured"]), str(document["currency"])),
            refunded=int(document["refunded"]),
            action=_action(document.get("action")),
            card=_card(document.get("card")),
            fee=int(document.get("fee", 0)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Declined(f"its payment can't be read: {error}") from error


def _dispute(document: Mapping[str, Any]) -> Dispute | None:
    known = document.get("dispute")
    if known is None:
        return None
    amount = Money(int(known["amount"]), str(document["currency"]))
    return Dispute(str(known["id"]), known["state"], amount, int(known.get("fee", 0)))


def _card(document: Mapping[str, Any] | None) -> Card | None:
    match document:
        case {"fingerprint": str(fingerprint), "country": str(country)}:
            return Card(fingerprint, country)
        case _:
            return None


def _action(document: Mapping[str, Any] | None) -> Action | None:
    match document:
        case {"kind": "redirect", "url": str(url)}:
            return Redirect(url)
        case {"kind": "code", "text": str(text)}:
            return Code(text)
        case {"kind": "transfer", "bank": str(bank), "account": str(account)}:
            return Transfer(bank, account)
        case _:
            return None
