"""Providers' webhooks: believed where their signature proves them, else confirmed by asking."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import insert, select

from origin.checkout.accounts import Accounts
from origin.checkout.payments import Payments
from origin.checkout.progress import NotThisPayment
from origin.checkout.providers.contract import (
    Charge,
    Declined,
    Notice,
    Provider,
    Unanswered,
    Unavailable,
)
from origin.checkout.settling import Settling
from origin.checkout.tables import orphans, payments
from origin.checkout.watching import TOLD
from origin.contract import Card, Host, Money, NotNow, Statements, Webhook

log = logging.getLogger("tepi.checkout")

CONFIRMED = "tepi.confirmed"  # marks what a provider said when it was asked


class News:
    """Takes webhooks of every provider that the operator has an account at."""

    def __init__(self, host: Host, accounts: Accounts, paid: Payments, settling: Settling) -> None:
        self._host = host
        self._accounts = accounts
        self._payments = paid
        self._settling = settling

    def webhooks(self) -> Iterable[Webhook]:
        """One for each account."""
        for name, provider in self._accounts.providers.items():
            yield self._webhook(name, provider)

    def _webhook(self, name: str, provider: Provider) -> Webhook:
        async def take(connection: Statements, body: Mapping[str, Any]) -> None:
            notice = _confirmed(body) or provider.parse(body)
            if notice is None:
                return
            if notice.payout is not None:
                await self._settling.payout(connection, name, notice.payout)
                return
            payment = await self._payment(connection, name, notice)
            if payment is None:
                await self._orphan(connection, name, notice, body)
            elif notice.charge is None and notice.dispute is None:
                await self._soon(connection, payment)
            else:
                await self._apply(connection, name, payment, notice, body)

        async def confirm(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
            notice = provider.parse(body)
            if notice is None:
                return None
            async with self._host.read() as connection:
                payment = await self._payment(connection, name, notice)
            try:
                async with self._payments.answering(name):
                    charge = await provider.status(payment or notice.payment or "", notice.reference)
            except (Unavailable, Unanswered) as error:
                raise NotNow(f"{name}: {error}") from error
            except Declined as error:
                log.warning("a webhook of %s names a payment that it does not know: %s", name, error)
                return None
            return None if charge is None else _confirming(payment or notice.payment, charge)

        return Webhook(name, take, confirm)

    async def _payment(self, connection: Statements, provider: str, notice: Notice) -> str | None:
        """Our name of the payment, by its own name or by the provider's."""
        for which in (
            payments.c.id == notice.payment if notice.payment else None,
            payments.c.reference == notice.reference if notice.reference else None,
            payments.c.settled_as == notice.reference if notice.reference else None,
        ):
            if which is not None:
                found = await connection.execute(
                    select(payments.c.id).where(payments.c.provider == provider, which)
                )
                id = found.scalar()
                if id is not None:
                    return str(id)
        return None

    async def _apply(
        self, connection: Statements, name: str, payment: str, notice: Notice, body: Mapping[str, Any]
    ) -> None:
        try:
            if notice.charge is not None:
                await self._payments.take(connection, payment, notice.charge)
            if notice.dispute is not None:
                await self._settling.dispute(connection, payment, notice.dispute)
        except NotThisPayment as error:
            log.error("a webhook of %s can't be true of %s: %s", name, payment, error)
            await self._orphan(connection, name, notice, body)

    async def _soon(self, connection: Statements, payment: str) -> None:
        """The provider is asked after it in the next round."""
        await connection.execute(payments.update().where(payments.c.id == payment).values(next_at=TOLD))

    async def _orphan(
        self, connection: Statements, name: str, notice: Notice, body: Mapping[str, Any]
    ) -> None:
        reference = (notice.reference or notice.payment or "")[:255]
        await connection.execute(
            insert(orphans).values(provider=name, reference=reference, body=dict(body), at=self._host.now())
        )
        await self._host.events.emit(connection, "payment.orphan", {"provider": name, "reference": reference})
        log.error("a webhook of %s is about a payment that nobody knows: %s", name, reference)


def _confirming(payment: str | None, charge: Charge) -> dict[str, Any]:
    return {
        CONFIRMED: {
            "payment": payment,
            "reference": charge.reference,
            "state": charge.state,
            "captured": charge.captured.minor,
            "currency": charge.captured.currency,
            "refunded": charge.refunded,
            "card": None if charge.card is None else asdict(charge.card),
        }
    }


def _confirmed(body: Mapping[str, Any]) -> Notice | None:
    said = body.get(CONFIRMED)
    if said is None:
        return None
    card = said.get("card")
    charge = Charge(
        said["reference"],
        said["state"],
        Money(said["captured"], said["currency"]),
        said["refunded"],
        card=None if card is None else Card(**card),
    )
    return Notice(said["payment"], charge.reference, charge)
