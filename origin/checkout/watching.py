"""What happens without anybody asking: time runs out, answers were lost, webhooks never came."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from sqlalchemy import and_, or_, select, update

from origin.checkout.accounts import Accounts
from origin.checkout.payments import Payments
from origin.checkout.providers.contract import Charge, Declined, Unanswered, Unavailable
from origin.checkout.records import Payment, payment_of
from origin.checkout.sessions import Sessions
from origin.checkout.states import EXPIRES, OVER, SETTLED
from origin.checkout.tables import payments, sessions
from origin.contract import Host, Money

log = logging.getLogger("tepi.checkout")

FIRST_PAUSE, LONGEST_PAUSE = 10.0, 900.0
BATCH = 50
TOLD = 0.0  # asked for by a webhook, whatever was known


class Watch:
    """The loops' work, a round at a time."""

    def __init__(self, host: Host, kept: Sessions, accounts: Accounts, paid: Payments) -> None:
        self._host = host
        self._sessions = kept
        self._accounts = accounts
        self._payments = paid

    async def expire(self) -> None:
        """Ends sessions whose time is over; what is under way at a provider is ended there first."""
        for one in await self._sessions.due(sorted(EXPIRES), BATCH):
            session, payment = await self._sessions.find(one.id)
            if session.state == "pending" and payment is not None and payment.provider in self._accounts:
                try:
                    await self._payments.let_go(payment)
                except (Unavailable, Unanswered, Declined) as error:
                    log.warning("%s can't end %s now: %s", payment.provider, payment.id, error)
                    continue
            async with self._host.write() as connection:
                session, payment = await self._sessions.read(connection, one.id, lock=True)
                if session.state in EXPIRES and (payment is None or payment.state not in ("open", "pending")):
                    await self._sessions.end(connection, session, "expired", "order.expired")

    async def resume(self) -> None:
        """At the start: whoever was being asked when an earlier process ended is asked again at once."""
        async with self._host.write() as connection:
            await connection.execute(
                update(payments)
                .where(payments.c.state == "open", payments.c.reference.is_(None))
                .values(next_at=self._host.now())
            )

    async def ask_after(self) -> None:
        """Asks providers after payments that they have not told of for a while."""
        for payment in await self._quiet():
            if payment.provider in self._accounts:
                await self._ask_after(payment)

    async def _quiet(self) -> Sequence[Payment]:
        under_way = payments.c.state.in_(("open", "pending"))
        told = payments.c.next_at == TOLD
        for_nothing = and_(payments.c.state == "authorized", sessions.c.state.in_(sorted(OVER)))
        async with self._host.read() as connection:
            found = await connection.execute(
                select(payments)
                .join(sessions, sessions.c.id == payments.c.session)
                .where(payments.c.next_at <= self._host.now(), or_(under_way, for_nothing, told))
                .order_by(payments.c.next_at)
                .limit(BATCH)
            )
            return [payment_of(row) for row in found]

    async def _ask_after(self, payment: Payment) -> None:
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(payment.tries, 10))
        async with self._host.write() as connection:
            await connection.execute(
                update(payments)
                .where(payments.c.id == payment.id)
                .values(next_at=self._host.now() + pause, tries=payment.tries + 1)
            )
        session, _ = await self._sessions.find(payment.session)
        wanted = session.payment == payment.id and session.state == "pending"
        try:
            if payment.state in SETTLED:
                await self._payments.look(payment)
            elif payment.state == "authorized" or not wanted:
                await self._payments.let_go(payment)
            elif payment.reference is None:
                await self._payments.ask(session, payment)  # with the same key: it is done once
            else:
                await self._payments.look(payment)
        except (Unavailable, Unanswered) as error:
            log.warning("%s does not say what became of %s: %s", payment.provider, payment.id, error)
        except Declined as error:
            failed = Charge("", "failed", Money(0, payment.currency), reason=str(error)[:500])
            await self._payments.apply(payment.id, failed)
