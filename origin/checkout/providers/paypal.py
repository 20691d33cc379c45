"""PayPal, by its own library: the visitor approves on its page, and what he approved is captured once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import requests
from apimatic_core.exceptions.auth_validation_exception import AuthValidationException
from paypalserversdk.configuration import Environment, Server
from paypalserversdk.exceptions.api_exception import ApiException
from paypalserversdk.http.auth.o_auth_2 import ClientCredentialsAuthCredentials
from paypalserversdk.paypal_serversdk_client import PaypalServersdkClient
from pydantic import BaseModel, ConfigDict, Field

from origin.checkout.order import Method
from origin.checkout.providers.contract import (
    Action,
    Charge,
    Declined,
    Dispute,
    DisputeState,
    Notice,
    Order,
    ProviderDefaults,
    Redirect,
    Tools,
    Unanswered,
    Unavailable,
)
from origin.checkout.providers.sdk import SECONDS, asked, silence
from origin.contract import Money
from origin.money import decimal, money

CURRENCIES = frozenset(
    {
        "AUD", "BRL", "CAD", "CHF", "CZK", "DKK", "EUR", "GBP", "HKD", "ILS", "JPY", "MXN", "MYR", "NOK",
        "NZD", "PHP", "PLN", "SEK", "SGD", "THB", "USD",
    }
)  # fmt: skip
NO_MONEY = ("DECLINED", "FAILED", "PENDING")
FULL = "return=representation"


class PayPalSettings(BaseModel):
    """An account at PayPal."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    client_id: str = Field(description="The client's name.")
    client_secret: str = Field(description="As file:PATH or env:NAME.", pattern=r"^(file|env):.+")
    url: str = Field("https://api-m.paypal.com", description="Its API.", pattern=r"^https?://")


class PayPal(ProviderDefaults):
    """A payment is named by PayPal's order. Events make us ask."""

    name: ClassVar[str] = "paypal"
    settings: ClassVar[type[BaseModel]] = PayPalSettings
    methods: Mapping[Method, tuple[str, ...]] = {"paypal": ()}

    def __init__(self, settings: PayPalSettings, tools: Tools) -> None:
        credentials = ClientCredentialsAuthCredentials(
            o_auth_client_id=settings.client_id, o_auth_client_secret=tools.reveal(settings.client_secret)
        )
        client = PaypalServersdkClient(
            client_credentials_auth_credentials=credentials,
            environment=Environment.PRODUCTION,
            timeout=SECONDS,
            max_retries=0,
        )
        client.config.environments = {Environment.PRODUCTION: {Server.DEFAULT: settings.url}}
        self._orders, self._payments = client.orders, client.payments

    def takes(self, currency: str) -> bool:
        return currency in CURRENCIES

    async def create(self, order: Order, key: str) -> Charge:
        wanted = {
            "intent": "CAPTURE" if order.capture else "AUTHORIZE",
            "purchase_units": [
                {
                    "custom_id": order.payment,
                    "description": order.description[:127],
                    "amount": _amount(order.amount),
                }
            ],
            "payment_source": {
                "paypal": {
                    "experience_context": {
                        "return_url": order.return_url,
                        "cancel_url": order.return_url,
                        "user_action": "PAY_NOW",
                        "shipping_preference": "NO_SHIPPING",
                    }
                }
            },
        }
        return await self._charge(await self._ask(self._orders.create_order, wanted, key))

    async def capture(self, reference: str, amount: Money, key: str) -> Charge:
        known = await self._show(reference)
        held = _payments(known).get("authorizations") or []
        if not held:
            raise Declined("nothing is authorized")
        wanted = {"amount": _amount(amount), "final_capture": True}
        take = self._payments.capture_authorized_payment
        await self._ask(take, wanted, key, authorization_id=held[0]["id"])
        return await self._now_is(reference)

    async def cancel(self, reference: str, key: str) -> Charge:
        known = await self._show(reference)
        held = [one for one in _payments(known).get("authorizations") or [] if one["status"] == "CREATED"]
        if held:
            await self._ask(self._payments.void_payment, None, key, authorization_id=held[0]["id"])
        elif known["status"] == "COMPLETED":
            return await self._charge(known)
        # an order that is let go is never captured: what its visitor approves later moves no money
        return Charge(reference, "cancelled", Money(0, _currency(known)))

    async def refund(self, reference: str, amount: Money, key: str) -> Charge:
        taken = _payments(await self._show(reference)).get("captures") or []
        if not taken:
            raise Declined("nobody has paid it")
        wanted = {"amount": _amount(amount)}
        await self._ask(self._payments.refund_captured_payment, wanted, key, capture_id=taken[0]["id"])
        return await self._now_is(reference)

    async def status(self, payment: str, reference: str | None) -> Charge | None:
        if reference is None:
            raise Unanswered("its name is not known; it is asked for again with the same key")
        return await self._now_is(reference)

    def parse(self, event: Mapping[str, Any]) -> Notice | None:
        about = event.get("resource")
        if not isinstance(about, dict):
            return None
        if "dispute_id" in about:
            money_taken = about.get("disputed_transactions") or [{}]
            reference = str(money_taken[0].get("seller_transaction_id", ""))
            return Notice(reference=reference, dispute=_dispute(about))
        units = about.get("purchase_units") or [{}]
        payment = about.get("custom_id") or units[0].get("custom_id")
        return Notice(str(payment)) if payment else None

    async def _now_is(self, reference: str) -> Charge:
        return await self._charge(await self._show(reference))

    async def _charge(self, known: Mapping[str, Any]) -> Charge:
        """What an order means; one that its visitor approved is captured, or authorized, now."""
        reference, currency = str(known["id"]), _currency(known)
        if known["status"] == "APPROVED":
            at_once = known["intent"] == "CAPTURE"
            finish = self._orders.capture_order if at_once else self._orders.authorize_order
            await self._ask(finish, None, f"{reference}-finish", id=reference)
            known = await self._show(reference)
        payments = _payments(known)
        taken = [one for one in payments.get("captures") or [] if one["status"] not in NO_MONEY]
        captured = sum(money(one["amount"]["value"], currency).minor for one in taken)
        refunded = sum(
            money(one["amount"]["value"], currency).minor
            for one in payments.get("refunds") or []
            if one["status"] == "COMPLETED"
        )
        if taken:
            fee = sum(_fee(one, currency) for one in taken)
            settled_as = str(taken[0]["id"])
            return Charge(
                reference, "paid", Money(captured, currency), refunded, settled_as=settled_as, fee=fee
            )
        if any(one["status"] == "CREATED" for one in payments.get("authorizations") or []):
            return Charge(reference, "authorized", Money(0, currency))
        if known["status"] == "VOIDED":
            return Charge(reference, "cancelled", Money(0, currency))
        links = {one["rel"]: one["href"] for one in known.get("links") or []}
        url = links.get("payer-action") or links.get("approve")
        action: Action | None = Redirect(url) if url else None
        return Charge(reference, "pending", Money(0, currency), action=action)

    async def _show(self, reference: str) -> dict[str, Any]:
        return await self._ask(self._orders.get_order, None, "", id=reference)

    async def _ask(
        self, call: Callable[..., Any], body: Mapping[str, Any] | None, key: str, **more: Any
    ) -> dict[str, Any]:
        words = {**more, **({"body": body} if body else {})}
        words |= {"paypal_request_id": key, "prefer": FULL} if key else {}
        try:
            answer = await asked(call, words)
        except ApiException as error:
            status = int(error.response_code)
            if status in (429, 503):
                raise Unavailable(f"it answered {status}") from error
            if status >= 500:
                raise Unanswered(f"it answered {status}") from error
            raise Declined(f"{status}: {str(error.response.text)[:300]}") from error
        except AuthValidationException as error:
            raise Unavailable(f"it gives no token: {error}"[:300]) from error
        except requests.RequestException as error:
            raise silence(error) from error
        return _document(answer.text)


def _fee(capture: Mapping[str, Any], currency: str) -> int:
    match capture:
        case {"seller_receivable_breakdown": {"paypal_fee": {"value": str(value), "currency_code": said}}}:
            return money(value, currency).minor if said == currency else 0
        case _:
            return 0


def _dispute(known: Mapping[str, Any]) -> Dispute:
    amount = known["dispute_amount"]
    state: DisputeState = "inquiry" if known.get("dispute_life_cycle_stage") == "INQUIRY" else "opened"
    if known.get("status") == "RESOLVED":
        outcome = (known.get("dispute_outcome") or {}).get("outcome_code")
        state = "lost" if outcome in ("RESOLVED_BUYER_FAVOUR", "ACCEPTED") else "won"
    currency = str(amount["currency_code"])
    reason = str(known.get("reason", ""))
    return Dispute(str(known["dispute_id"]), state, money(amount["value"], currency), reason=reason)


def _document(text: str) -> dict[str, Any]:
    try:
        known = json.loads(text or "{}")
    except ValueError:
        raise Unanswered("its answer is no JSON") from None
    if not isinstance(known, dict):
        raise Unanswered("its answer is no JSON object")
    return known


def _payments(known: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = known["purchase_units"][0].get("payments") or {}
    return found


def _currency(known: Mapping[str, Any]) -> str:
    return str(known["purchase_units"][0]["amount"]["currency_code"])


def _amount(amount: Money) -> dict[str, str]:
    return {"currency_code": amount.currency, "value": str(decimal(amount))}
