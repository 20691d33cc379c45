"""Stripe, by its own library: cards in its fields or on its page, with 3-D Secure; captured now or later."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import stripe
from pydantic import BaseModel, ConfigDict, Field

from origin.checkout.order import Method
from origin.checkout.providers.contract import (
    ADAPTERS,
    Action,
    Charge,
    Declined,
    Dispute,
    DisputeState,
    Fields,
    Hosted,
    Notice,
    Order,
    Payout,
    PayoutState,
    ProviderDefaults,
    Redirect,
    Tools,
    Unanswered,
    Unavailable,
    origin_of,
)
from origin.checkout.providers.sdk import SECONDS, asked, silence
from origin.checkout.states import Signal
from origin.contract import Card, Money

MARK = "tepi"  # the key of our name in Stripe's metadata
SOONEST, LATEST = 1_860, 86_400  # seconds that a hosted page can be paid, by Stripe's rules
ODD = frozenset({"ISK", "UGX", "MGA"})  # currencies whose minor units are others than ISO 4217's
PARTS = ("https://*.js.stripe.com",)  # where its script has parts of itself
CHALLENGES = "https://hooks.stripe.com"  # 3-D Secure
DISPUTES: Mapping[str, DisputeState] = {"won": "won", "lost": "lost"}
PAYOUTS: Mapping[str, PayoutState] = {"paid": "paid", "failed": "failed", "canceled": "failed"}
LOCALES = {"id": "id", "en": "en"}


class StripeSettings(BaseModel):
    """An account at Stripe."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    secret_key: str = Field(description="sk_…, as file:PATH or env:NAME.", pattern=r"^(file|env):.+")
    public_key: str = Field("", description="pk_…: cards are filled in on our page, in Stripe's own frame.")
    url: str = Field("https://api.stripe.com", description="Its API.", pattern=r"^https?://")
    script: str = Field(
        "https://js.stripe.com/endive/stripe.js",
        description="Its script for pages, of the API's version.",
        pattern=r"^https?://",
    )


class Stripe(ProviderDefaults):
    """Payments are named by the hosted page's id (cs_…). Events make us ask: they come in any order."""

    name: ClassVar[str] = "stripe"
    settings: ClassVar[type[BaseModel]] = StripeSettings
    methods: Mapping[Method, tuple[str, ...]] = {"card": ()}

    def __init__(self, settings: StripeSettings, tools: Tools) -> None:
        self._now = tools.now
        self._settings = settings
        self._client = stripe.StripeClient(
            tools.reveal(settings.secret_key),
            base_addresses={"api": settings.url},
            http_client=stripe.RequestsClient(timeout=SECONDS),
            max_network_retries=0,
        )

    @property
    def hosted(self) -> Hosted | None:
        settings = self._settings
        if not settings.public_key:
            return None
        scripts = (origin_of(settings.script), *PARTS)
        return Hosted(
            script=settings.script,
            key=settings.public_key,
            adapter=ADAPTERS / "stripe.js",
            scripts=scripts,
            frames=(*scripts, CHALLENGES),
            connects=(origin_of(settings.url),),
        )

    def takes(self, currency: str) -> bool:
        return currency not in ODD

    async def create(self, order: Order, key: str) -> Charge:
        card: dict[str, Any] = {"request_three_d_secure": "any" if order.challenge else "automatic"}
        wanted: dict[str, Any] = {
            "mode": "payment",
            "payment_method_types": ["card"],
            "payment_method_options": {"card": card},
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": order.amount.currency.lower(),
                        "unit_amount": order.amount.minor,
                        "product_data": {"name": order.description},
                    },
                }
            ],
            "client_reference_id": order.payment,
            "metadata": {MARK: order.payment},
            "payment_intent_data": {
                "capture_method": "automatic" if order.capture else "manual",
                "metadata": {MARK: order.payment},
            },
        } | self._place(order)
        if order.until - self._now() < LATEST - SOONEST:  # else Stripe's own 24 h
            wanted["expires_at"] = int(order.until) + SOONEST  # always far enough ahead, and the same again
        if order.email:
            wanted["customer_email"] = order.email
        made = await self._ask(self._client.v1.checkout.sessions.create, wanted, _keyed(key))
        return self._charge(made)

    def _place(self, order: Order) -> dict[str, Any]:
        """Where the card is filled in: in fields on our page, or on a page of Stripe's."""
        if order.fields and self._settings.public_key:
            return {"ui_mode": "elements", "return_url": order.return_url}
        locale = LOCALES.get(order.language, "auto")
        return {"success_url": order.return_url, "cancel_url": order.return_url, "locale": locale}

    async def capture(self, reference: str, amount: Money, key: str) -> Charge:
        intent = await self._intent(reference)
        wanted = {"amount_to_capture": amount.minor}
        await self._ask(self._client.v1.payment_intents.capture, intent, wanted, _keyed(key))
        return await self._now_is(reference)

    async def cancel(self, reference: str, key: str) -> Charge:
        known = await self._session(reference)
        if known.status == "open":
            await self._ask(self._client.v1.checkout.sessions.expire, reference, None, _keyed(key))
        elif known.payment_intent is not None and known.payment_intent.status == "requires_capture":
            intent = known.payment_intent.id
            await self._ask(self._client.v1.payment_intents.cancel, intent, None, _keyed(key))
        return await self._now_is(reference)

    async def refund(self, reference: str, amount: Money, key: str) -> Charge:
        intent = await self._intent(reference)
        wanted = {"payment_intent": intent, "amount": amount.minor}
        await self._ask(self._client.v1.refunds.create, wanted, _keyed(key))
        return await self._now_is(reference)

    async def status(self, payment: str, reference: str | None) -> Charge | None:
        if reference is None:
            raise Unanswered("its name is not known; it is asked for again with the same key")
        return await self._now_is(reference)

    def parse(self, event: Mapping[str, Any]) -> Notice | None:
        about = event.get("data", {}).get("object", {})
        match about:
            case {"object": "dispute", "payment_intent": str(intent)}:
                return Notice(reference=intent, dispute=_dispute(about))
            case {"object": "payout", "automatic": bool()}:
                return Notice(payout=_payout(about))
        payment = about.get("metadata", {}).get(MARK) if isinstance(about, dict) else None
        if not payment:
            return None  # another business of the same account
        reference = about.get("id") if about.get("object") == "checkout.session" else None
        return Notice(str(payment), reference)

    async def _now_is(self, reference: str) -> Charge:
        return self._charge(await self._session(reference))

    async def _session(self, reference: str) -> Any:
        wanted = {"expand": ["payment_intent.latest_charge.balance_transaction"]}
        return await self._ask(self._client.v1.checkout.sessions.retrieve, reference, wanted)

    async def _intent(self, reference: str) -> str:
        known = await self._session(reference)
        if known.payment_intent is None:
            raise Declined("nobody has paid it")
        return str(known.payment_intent.id)

    def _charge(self, known: Any) -> Charge:
        intent = known.payment_intent if not isinstance(known.payment_intent, str) else None
        currency = str(known.currency).upper()
        captured = Money(0 if intent is None else intent.amount_received, currency)
        charge = None if intent is None else intent.latest_charge
        refunded = 0 if charge is None or isinstance(charge, str) else charge.amount_refunded
        return Charge(
            known.id,
            _signal(known, intent),
            captured,
            refunded,
            _action(known),
            card=_card(charge),
            settled_as="" if intent is None else intent.id,
            fee=_fee(charge, known.currency),
        )

    async def _ask(self, call: Callable[..., Any], *words: Any) -> Any:
        try:
            return await asked(call, *words)
        except stripe.RateLimitError as error:
            raise Unavailable(str(error)) from error
        except stripe.APIConnectionError as error:
            raise silence(error) from error
        except stripe.StripeError as error:
            if (error.http_status or 500) >= 500:
                raise Unanswered(f"{type(error).__name__}: it answered {error.http_status}") from error
            raise Declined(f"{type(error).__name__}: {error.user_message or error}") from error


def _action(known: Any) -> Action | None:
    if known.status != "open":
        return None
    if known.url:
        return Redirect(known.url)
    return Fields(known.client_secret) if known.client_secret else None


def _signal(known: Any, intent: Any) -> Signal:
    match known.status, None if intent is None else intent.status:
        case _, "succeeded":
            return "paid"
        case _, "requires_capture":
            return "authorized"
        case _, "canceled":
            return "cancelled"
        case "expired", _:
            return "expired"
        case _:
            return "pending"


def _card(charge: Any) -> Card | None:
    """The card of an expanded charge; Stripe's fingerprint is the same for the same card."""
    if charge is None or isinstance(charge, str):
        return None
    match charge.to_dict():
        case {"payment_method_details": {"card": {"fingerprint": fingerprint, "country": country}}}:
            return Card(str(fingerprint or ""), str(country or ""))
        case _:
            return None


def _fee(charge: Any, currency: str) -> int:
    """What Stripe kept, once that is known; nothing where it settles in another currency."""
    if charge is None or isinstance(charge, str):
        return 0
    match charge.to_dict():
        case {"balance_transaction": {"fee": int(fee), "currency": settled}} if settled == currency:
            return fee
        case _:
            return 0


def _dispute(known: Mapping[str, Any]) -> Dispute:
    currency, status = str(known["currency"]), str(known["status"])
    moved = known.get("balance_transactions") or []
    return Dispute(
        reference=str(known["id"]),
        state="inquiry" if status.startswith("warning_") else DISPUTES.get(status, "opened"),
        amount=Money(int(known["amount"]), currency.upper()),
        fee=sum(int(one["fee"]) for one in moved if one["currency"] == currency),
        reason=str(known.get("reason") or ""),
    )


def _payout(known: Mapping[str, Any]) -> Payout:
    state = PAYOUTS.get(str(known["status"]), "pending")
    return Payout(str(known["id"]), state, Money(int(known["amount"]), str(known["currency"]).upper()))


def _keyed(key: str) -> dict[str, str]:
    return {"idempotency_key": key}
