"""The operator's side at the admin listener: orders, refunds, captures, and webhooks that nobody knows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Literal, assert_never

from pydantic import BaseModel, ConfigDict, Field

from origin.checkout.api import Api, refusing
from origin.checkout.front import Front
from origin.checkout.order import RefundRequest, idempotency_key, parsed
from origin.checkout.orders import Orders, Search, Story
from origin.checkout.payments import Payments
from origin.checkout.problems import wrong
from origin.checkout.records import Session, shown
from origin.checkout.refunding import Refunds
from origin.contract import PRIVATE, Answer, Call, Host, Money, Page
from origin.exchange import wants_html
from origin.money import LARGEST, decimal, money
from origin.sheets import CSV, Cell, as_csv

SEE, MOVE = "checkout.orders", "checkout.money"
MOST, MOST_IN_A_FILE = 200, 50_000
HEADS = ("order", "opened", "state", "review", "email", "reference", "currency", "total", "paid", "refunded")


class CaptureRequest(BaseModel):
    """How much of an authorized payment is taken, in minor units; all of it without an amount."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    amount: int | None = Field(None, ge=1, le=LARGEST)


class Deed(BaseModel):
    """What a person does with an order. `amount` is in whole units, such as 85000.00; empty: all of it.

    `attempt` names this try: sent twice, money moves once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    do: Literal["refund", "capture", "cancel"]
    amount: str = Field("", max_length=24)
    reason: str = Field("", max_length=200)
    attempt: str = Field(min_length=1, max_length=64)


class Desk:
    """What only the operator sees and does."""

    def __init__(self, host: Host, orders: Orders, paid: Payments, back: Refunds, api: Api) -> None:
        self._host = host
        self._orders = orders
        self._payments = paid
        self._refunds = back
        self._api = api
        self._front = Front()

    def permissions(self) -> Iterable[str]:
        """Seeing orders, and moving money."""
        return (SEE, MOVE)

    def pages(self) -> Iterable[Page]:
        """Orders as pages and as JSON, and what is done with one."""
        titles = {"id": "Pesanan", "en": "Orders"}
        yield Page("", titles, refusing(self._list), SEE)
        yield Page("/orders", titles, refusing(self._list), SEE)
        yield Page("/orders/{id}", titles, refusing(self._show), SEE)
        yield Page("/orders/{id}/refunds", titles, refusing(self._refund), MOVE, method="POST")
        yield Page("/orders/{id}/capture", titles, refusing(self._capture), MOVE, method="POST")
        yield Page("/orders/{id}/do", titles, refusing(self._do), MOVE, method="POST")
        yield Page("/orphans", {"id": "Tanpa pesanan", "en": "Orphans"}, refusing(self._orphans), SEE)

    async def _list(self, call: Call) -> Answer:
        query = call.request.query
        search = Search.of(query)
        if query.get("as") == "csv":
            found = await self._orders.found(search, MOST_IN_A_FILE)
            name = {"Content-Disposition": 'attachment; filename="orders.csv"'}
            return Answer(as_csv(HEADS, map(_row, found)), PRIVATE, content_type=CSV, fields=name)
        found = await self._orders.found(search, MOST + 1)
        more, found = len(found) > MOST, found[:MOST]
        if wants_html(call):
            orphaned = await self._orders.orphaned()
            return self._front.orders(call, search, found, more=more, orphans=orphaned)
        return Answer({"orders": [shown(one, None, self._host.prefix) for one in found], "more": more})

    async def _show(self, call: Call) -> Answer:
        story = await self._orders.story(call.match["id"])
        if wants_html(call):
            return self._front.order(call, story)
        return Answer(_document(story, self._host.prefix))

    async def _refund(self, call: Call) -> Answer:
        key = idempotency_key(call.request.headers.get("Idempotency-Key"))
        asked, _ = parsed(RefundRequest, await call.request.read())
        session, state = await self._refunds.refund(call.match["id"], asked, key)
        return await self._now(session.id, state)

    async def _capture(self, call: Call) -> Answer:
        asked, _ = parsed(CaptureRequest, await call.request.read())
        session = await self._payments.capture(call.match["id"], asked.amount)
        return await self._now(session.id)

    async def _do(self, call: Call) -> Answer:
        deed, _ = parsed(Deed, await call.request.read())
        id = call.match["id"]
        story = await self._orders.story(id)
        amount = _minor(deed.amount, story.session.currency)
        match deed.do:
            case "refund":
                asked = RefundRequest(amount=amount, reason=deed.reason.strip() or None)
                _, state = await self._refunds.refund(id, asked, f"desk {deed.attempt}")
                return await self._now(id, state)
            case "capture":
                await self._payments.capture(id, amount)
            case "cancel":
                await self._api.cancel(id)
            case _:
                assert_never(deed.do)
        return await self._now(id)

    async def _now(self, id: str, refund: str | None = None) -> Answer:
        """The order as it is, and how its refund stands."""
        story = await self._orders.story(id)
        said = shown(story.session, story.payment, self._host.prefix)
        match refund:
            case None:
                return Answer(said)
            case "declined":
                said["detail"] = "the provider declined the refund"
        return Answer({**said, "refund": refund}, status={"done": 200, "asked": 202}.get(refund, 409))

    async def _orphans(self, call: Call) -> Answer:
        found = await self._orders.orphans(MOST)
        return self._front.orphans(call, found) if wants_html(call) else Answer({"orphans": found})


def _minor(text: str, currency: str) -> int | None:
    """The amount that a person wrote; None: all of it. Raises Problem."""
    if not text.strip():
        return None
    try:
        minor = money(text.strip(), currency).minor
    except ValueError:
        minor = 0
    if minor <= 0:
        example = decimal(Money(8_500_000, currency))
        raise wrong("amount", text, f"an amount in {currency} above 0, such as {example}, or nothing for all")
    return minor


def _row(session: Session) -> Sequence[Cell]:
    document, currency = session.document, session.currency
    opened = datetime.fromtimestamp(session.created_at, UTC).isoformat(timespec="seconds")
    amounts = (decimal(Money(minor, currency)) for minor in (session.total, session.paid, session.refunded))
    return (
        session.id, opened, session.state, session.review, document.get("email") or "",
        document.get("reference") or "", currency, *amounts,
    )  # fmt: skip


def _document(story: Story, prefix: str) -> dict[str, Any]:
    session = story.session
    return {
        **shown(session, story.payment, prefix),
        "stock": session.stock,
        "review": session.review,
        "reviews": session.reviews,
        "payments": [asdict(one) for one in story.payments],
        "refunds": story.refunds,
        "transfers": story.transfers,
        "history": [{"at": one.at, "what": one.what} for one in story.moments],
    }
