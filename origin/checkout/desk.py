"""The operator's side at the admin listener: orders, refunds, captures, and webhooks that nobody knows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from origin.checkout.api import refusing
from origin.checkout.order import RefundRequest, idempotency_key, parsed
from origin.checkout.payments import Payments
from origin.checkout.problems import wrong
from origin.checkout.records import payment_of, session_of, shown
from origin.checkout.refunding import Refunds
from origin.checkout.sessions import Sessions
from origin.checkout.states import STATES
from origin.checkout.tables import orphans, payments, refunds, sessions
from origin.contract import Answer, Call, Host, Page
from origin.money import LARGEST

SEE, MOVE = "checkout.orders", "checkout.money"
MOST = 200


class CaptureRequest(BaseModel):
    """How much of an authorized payment is taken, in minor units; all of it without an amount."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    amount: int | None = Field(None, ge=1, le=LARGEST)


class Desk:
    """What only the operator sees and does."""

    def __init__(self, host: Host, kept: Sessions, paid: Payments, back: Refunds) -> None:
        self._host = host
        self._sessions = kept
        self._payments = paid
        self._refunds = back

    def permissions(self) -> Iterable[str]:
        """Seeing orders, and moving money."""
        return (SEE, MOVE)

    def pages(self) -> Iterable[Page]:
        """Orders as JSON, and what is done with one."""
        titles = {"id": "Pesanan", "en": "Orders"}
        yield Page("/orders", titles, refusing(self._orders), SEE)
        yield Page("/orders/{id}", titles, refusing(self._order), SEE)
        yield Page("/orders/{id}/refunds", titles, refusing(self._refund), MOVE, method="POST")
        yield Page("/orders/{id}/capture", titles, refusing(self._capture), MOVE, method="POST")
        yield Page("/orphans", {"id": "Tanpa pesanan", "en": "Orphans"}, refusing(self._orphans), SEE)

    async def _orders(self, call: Call) -> Answer:
        state = call.request.query.get("state")
        if state is not None and state not in STATES:
            raise wrong("state", state, " or ".join(STATES))
        asked = select(sessions).order_by(sessions.c.created_at.desc()).limit(MOST)
        async with self._host.read() as connection:
            found = await connection.execute(
                asked if state is None else asked.where(sessions.c.state == state)
            )
            return Answer({"orders": [shown(session_of(row), None, self._host.prefix) for row in found]})

    async def _order(self, call: Call) -> Answer:
        session, payment = await self._sessions.find(call.match["id"])
        async with self._host.read() as connection:
            tried = await connection.execute(
                select(payments).where(payments.c.session == session.id).order_by(payments.c.created_at)
            )
            attempts = [asdict(payment_of(row)) for row in tried]
            back = await connection.execute(
                select(refunds)
                .where(refunds.c.payment.in_([one["id"] for one in attempts]))
                .order_by(refunds.c.created_at)
            )
            given = [dict(row._mapping) for row in back]
        said = shown(session, payment, self._host.prefix)
        return Answer(
            {
                **said,
                "stock": session.stock,
                "review": session.review,
                "reviews": session.reviews,
                "payments": attempts,
                "refunds": given,
            }
        )

    async def _refund(self, call: Call) -> Answer:
        key = idempotency_key(call.request.headers.get("Idempotency-Key"))
        asked, _ = parsed(RefundRequest, await call.request.read())
        session, state = await self._refunds.refund(call.match["id"], asked, key)
        _, payment = await self._sessions.find(session.id)
        said = shown(session, payment, self._host.prefix)
        return Answer({**said, "refund": state}, status={"done": 200, "asked": 202}.get(state, 409))

    async def _capture(self, call: Call) -> Answer:
        asked, _ = parsed(CaptureRequest, await call.request.read())
        session = await self._payments.capture(call.match["id"], asked.amount)
        _, payment = await self._sessions.find(session.id)
        return Answer(shown(session, payment, self._host.prefix))

    async def _orphans(self, _call: Call) -> Answer:
        async with self._host.read() as connection:
            found = await connection.execute(select(orphans).order_by(orphans.c.number.desc()).limit(MOST))
            return Answer({"orphans": [dict(row._mapping) for row in found]})
