"""Refunds: written down before the provider is asked, and asked again with the same key until it answers."""

from __future__ import annotations

import hashlib
import logging

from sqlalchemy import func, insert, select, update

from origin.checkout.accounts import Accounts
from origin.checkout.order import RefundRequest
from origin.checkout.payments import TWICE, Payments
from origin.checkout.problems import Problem, wrong
from origin.checkout.providers.contract import Declined, Unanswered, Unavailable
from origin.checkout.records import Payment, Session, payment_of
from origin.checkout.sessions import Sessions
from origin.checkout.settling import disputed
from origin.checkout.states import SETTLED
from origin.checkout.tables import payments, refunds
from origin.contract import Event, Host, Money, Statements

log = logging.getLogger("tepi.checkout")

AGAIN = 30.0  # seconds after which a refund that was not answered is asked for again


class Refunds:
    """Gives money back, never more than came."""

    def __init__(self, host: Host, kept: Sessions, accounts: Accounts, paid: Payments) -> None:
        self._host = host
        self._sessions = kept
        self._accounts = accounts
        self._payments = paid

    async def refund(self, id: str, asked: RefundRequest, key: str) -> tuple[Session, str]:
        """Gives a part or all of a session's money back, once for each key; the session, and how it stands.

        Raises Problem.
        """
        name = f"rf{hashlib.sha256(f'{id} {key}'.encode()).hexdigest()[:24]}"
        async with self._host.write() as connection:
            session, payment = await self._sessions.read(connection, id, lock=True)
            known = (await connection.execute(select(refunds).where(refunds.c.id == name))).first()
            if known is None:
                await self._write_ahead(connection, session, payment, name, asked)
            elif asked.amount is not None and known.amount != asked.amount:
                raise Problem(422, "key-reused", "Idempotency-Key: it was used for another amount")
        state = await self._ask(name)
        session, _ = await self._sessions.find(id)
        return session, state

    async def _write_ahead(
        self,
        connection: Statements,
        session: Session,
        payment: Payment | None,
        name: str,
        asked: RefundRequest,
    ) -> None:
        if payment is None or session.state not in SETTLED:
            raise Problem(409, "state", f"the session is {session.state}, expected paid")
        under_way = select(func.coalesce(func.sum(refunds.c.amount), 0)).where(
            refunds.c.payment == payment.id, refunds.c.state == "asked"
        )
        left = payment.captured - payment.refunded - int((await connection.execute(under_way)).scalar_one())
        left = max(0, left - await disputed(connection, payment.id))  # the buyer has that already
        amount = left if asked.amount is None else asked.amount
        if not 0 < amount <= left:
            raise wrong(
                "amount",
                amount,
                f"1 to {left}" if left else "nothing: all went back, or is disputed",
                kind="too-much",
            )
        now = self._host.now()
        await connection.execute(
            insert(refunds).values(
                id=name,
                payment=payment.id,
                amount=amount,
                state="asked",
                reason=asked.reason or "",
                created_at=now,
                changed_at=now,
            )
        )

    async def retry(self) -> None:
        """Asks again for every refund that was not answered."""
        async with self._host.read() as connection:
            found = await connection.execute(
                select(refunds.c.id).where(
                    refunds.c.state == "asked", refunds.c.changed_at <= self._host.now() - AGAIN
                )
            )
            names = list(found.scalars())
        for name in names:
            state = await self._ask(name)
            log.info("refund %s is %s", name, state)

    async def pay_back(self, event: Event) -> None:
        """What was paid twice goes back at once."""
        async with self._host.read() as connection:
            found = await connection.execute(
                select(refunds.c.id).where(refunds.c.state == "asked", refunds.c.reason == TWICE)
            )
            names = list(found.scalars())
        for name in names:
            await self._ask(name)

    async def _ask(self, name: str) -> str:
        """Asks the provider; what the refund is then: done, declined, or still asked."""
        async with self._host.read() as connection:
            row = (await connection.execute(select(refunds).where(refunds.c.id == name))).one()
            found = await connection.execute(select(payments).where(payments.c.id == row.payment))
            payment = payment_of(found.one())
        if row.state != "asked":
            return str(row.state)
        assert payment.reference is not None
        amount = Money(row.amount, payment.currency)
        try:
            async with self._payments.answering(payment.provider):
                charge = await self._accounts[payment.provider].refund(payment.reference, amount, name)
        except (Unavailable, Unanswered) as error:
            log.warning("refund %s: %s; it is asked for again", name, error)
            await self._settle(name, "asked")
            return "asked"
        except Declined as error:
            log.error("refund %s is declined: %s", name, error)
            await self._settle(name, "declined", str(error)[:500])
            return "declined"
        async with self._host.write() as connection:
            await self._write(connection, name, "done", row.reason)
            await self._payments.take(connection, payment.id, charge)
        return "done"

    async def _settle(self, name: str, state: str, reason: str | None = None) -> None:
        async with self._host.write() as connection:
            await self._write(connection, name, state, reason)

    async def _write(self, connection: Statements, name: str, state: str, reason: str | None) -> None:
        changed = {"state": state, "changed_at": self._host.now()}
        if reason is not None:
            changed["reason"] = reason
        await connection.execute(update(refunds).where(refunds.c.id == name).values(**changed))
