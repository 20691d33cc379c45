"""Disputes and payouts as providers tell of them: kept, booked and told in the caller's transaction."""

from __future__ import annotations

import contextlib
import logging
from typing import Any

from sqlalchemy import func, insert, select, update

from origin.checkout.books import ledger_of
from origin.checkout.claims import AWAY, entries, later, movement
from origin.checkout.progress import NotThisPayment
from origin.checkout.providers.contract import Dispute, Payout
from origin.checkout.records import Payment, Session, payment_of
from origin.checkout.sessions import Sessions
from origin.checkout.tables import disputes, payments, payouts
from origin.contract import About, Chart, Host, Ledger, Money, NotNow, Posting, Statements

log = logging.getLogger("tepi.checkout")

EVENTS = {
    "opened": "order.disputed",
    "lost": "order.dispute_lost",
    "won": "order.dispute_won",
}


async def disputed(connection: Statements, payment: str) -> int:
    """How much of a payment buyers' banks have taken back, in minor units."""
    asked = select(func.coalesce(func.sum(disputes.c.amount), 0))
    found = await connection.execute(
        asked.where(disputes.c.payment == payment, disputes.c.state.in_(sorted(map(str, AWAY))))
    )
    return int(found.scalar_one())


class Settling:
    """Takes in disputes and payouts, however often they are told, in whatever order."""

    def __init__(self, host: Host, kept: Sessions) -> None:
        self._host = host
        self._sessions = kept

    async def dispute(self, connection: Statements, id: str, said: Dispute) -> None:
        """A word of a dispute about payment `id`. Raises NotThisPayment; NotNow: it is not paid yet."""
        found = await connection.execute(select(payments).where(payments.c.id == id))
        session, _ = await self._sessions.read(connection, found.one().session, lock=True)
        payment = payment_of((await connection.execute(select(payments).where(payments.c.id == id))).one())
        which = (disputes.c.provider == payment.provider) & (disputes.c.reference == said.reference)
        row = (await connection.execute(select(disputes).where(which))).first()
        before = None if row is None else row.state
        state = later(before, said.state)
        amount = row.amount if row is not None and before in AWAY else said.amount.minor
        if movement(before, state) == "chargeback":
            await self._check(connection, payment, said)
        values = {
            "state": state,
            "amount": amount,
            "fee": max(said.fee, 0 if row is None else row.fee),
            "reason": said.reason[:500],
            "changed_at": self._host.now(),
        }
        if row is None:
            names = {"provider": payment.provider, "reference": said.reference, "payment": id}
            await connection.execute(insert(disputes).values(created_at=self._host.now(), **names, **values))
        else:
            await connection.execute(update(disputes).where(which).values(**values))
        ledger = ledger_of(self._host)
        if ledger is not None:
            fee_before = 0 if row is None else row.fee
            await _book(ledger, connection, session, payment, said, before, values, fee_before)
        if state != before:
            await self._tell(connection, session, payment, state, amount)

    async def _check(self, connection: Statements, payment: Payment, said: Dispute) -> None:
        """That there is as much to take back."""
        if not payment.captured:
            raise NotNow(f"{payment.id} is disputed, and not known to be paid yet")
        left = payment.captured - await disputed(connection, payment.id)
        if said.amount.currency != payment.currency or not 0 < said.amount.minor <= left:
            amount = f"{said.amount.minor} {said.amount.currency}"
            raise NotThisPayment(f"{amount} is disputed of {left} {payment.currency}")

    async def _tell(
        self, connection: Statements, session: Session, payment: Payment, state: str, amount: int
    ) -> None:
        if state not in EVENTS:
            return
        more = {"provider": payment.provider, "method": payment.method, "disputed": amount}
        await self._sessions.tell(connection, EVENTS[state], session, more)
        log.warning("%s: %s of %s", EVENTS[state], amount, session.id)
        with contextlib.suppress(LookupError):
            await self._host.use("risk").learn(connection, session.id, "disputed")

    async def payout(self, connection: Statements, provider: str, said: Payout) -> None:
        """A word of a payout to the bank."""
        which = (payouts.c.provider == provider) & (payouts.c.reference == said.reference)
        await connection.lock(f"checkout-payout:{provider}:{said.reference}")
        row = (await connection.execute(select(payouts).where(which))).first()
        todo = entries(None if row is None else row.state, said.state)
        values = {"state": said.state, "changed_at": self._host.now()}
        if row is None:
            more = {"currency": said.amount.currency, "amount": said.amount.minor}
            await connection.execute(
                insert(payouts).values(provider=provider, reference=said.reference, **more, **values)
            )
        elif todo:
            await connection.execute(update(payouts).where(which).values(**values))
        ledger = ledger_of(self._host)
        if ledger is None or not said.amount.minor:
            return
        id, about = f"payout:{provider}:{said.reference}", About("payout", "", provider, "", said.reference)
        paid_out = _moved(said.amount, Chart.BANK, Chart.clearing(provider))
        for entry in todo:
            match entry:
                case "reserve":
                    await ledger.reserve(connection, id, paid_out, f"payout {said.reference}", about)
                case "post":
                    await ledger.post_pending(connection, id)
                case "void":
                    await ledger.void_pending(connection, id)
                case "reverse":
                    back = _moved(said.amount, Chart.clearing(provider), Chart.BANK)
                    memo = f"payout {said.reference} came back"
                    await ledger.post(connection, f"{id}:failed", back, memo, about)


async def _book(
    ledger: Ledger,
    connection: Statements,
    session: Session,
    payment: Payment,
    said: Dispute,
    before: Any,
    now: dict[str, Any],
    fee_before: int,
) -> None:
    id, clearing = f"{payment.provider}:{said.reference}", Chart.clearing(payment.provider)
    names = session.id, payment.provider, payment.method, said.reference
    amount = Money(now["amount"], payment.currency)
    match movement(before, now["state"]):
        case "chargeback":
            lines = _moved(amount, Chart.CHARGEBACKS, clearing)
            about = About("chargeback", *names)
            await ledger.post(connection, f"chargeback:{id}", lines, f"dispute {said.reference}", about)
        case "reversal":
            lines = _moved(amount, clearing, Chart.CHARGEBACKS)
            about = About("reversal", *names)
            await ledger.post(connection, f"reversal:{id}", lines, f"dispute {said.reference} won", about)
        case None:
            pass
    if now["fee"] > fee_before:
        kept = Money(now["fee"] - fee_before, payment.currency)
        lines = _moved(kept, Chart.fees(payment.provider), clearing)
        memo = f"fee of dispute {said.reference}"
        await ledger.post(connection, f"fee:{id}:{now['fee']}", lines, memo, About("fee", *names))


def _moved(amount: Money, debited: str, credited: str) -> list[Posting]:
    return [Posting(debited, amount), Posting(credited, Money(-amount.minor, amount.currency))]
