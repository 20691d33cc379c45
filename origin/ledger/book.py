"""The ledger in the database: transfers booked once, reserved, posted and voided; balances read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, tzinfo
from typing import Any

from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError

from origin.contract import About, Balance, Host, Money, Posting, Statements, Unbookable
from origin.ledger.tables import accounts, balances, entries, orders, postings, resolutions, transfers
from origin.ledger.transfer import NOTHING, Bound, Phase, Transfer, bound_of, checked_transfer
from origin.money import decimal

# Built once: what is written often is not composed anew each time.
WRITE_POSTING, WRITE_TRANSFER = insert(postings), insert(transfers)
OPEN_ACCOUNT = text(
    "INSERT INTO ledger_accounts (name, bound, opened_at) VALUES (:name, :bound, :at) ON CONFLICT DO NOTHING"
)

# What the database refuses, by the word in its error: the field, and what is wrong with it.
REFUSALS = {
    "ledger_bound": ("postings", "a bounded account would hold less than nothing"),
    "ledger_refund_within_payment": ("about.order", "more would be refunded than was paid"),
    "ledger_chargeback_within_payment": ("about.order", "more would be charged back than was paid"),
    "ledger_direction": ("about.order", "more would be taken back than was there"),
    "ledger_overflow": ("postings", "a total would no longer fit"),
    "ledger_unbalanced": ("postings", "the sides are not equal"),
    "ledger_amount": ("postings", "an amount is nothing, or too large"),
}


class Book:
    """Implements `Ledger`. Days are those of `zone`; `own` are accounts beside the chart."""

    def __init__(self, host: Host, zone: tzinfo, own: Mapping[str, Bound]) -> None:
        self._host = host
        self._zone = zone
        self._own = own
        self._opened: set[str] = set()
        self._behind = True

    def today(self) -> date:
        """The day by the shop's clock."""
        return self.day(self._host.now())

    def day(self, at: float) -> date:
        """The shop's day in which `at` lies."""
        return datetime.fromtimestamp(at, self._zone).date()

    async def post(
        self,
        connection: Statements,
        transfer: str,
        postings: Sequence[Posting],
        memo: str,
        about: About = NOTHING,
    ) -> None:
        """Books a transfer. Raises Unbookable."""
        await self._write(connection, transfer, "posted", postings, memo, about)

    async def reserve(
        self,
        connection: Statements,
        transfer: str,
        postings: Sequence[Posting],
        memo: str,
        about: About = NOTHING,
    ) -> None:
        """Reserves a transfer until it is posted or voided. Raises Unbookable."""
        await self._write(connection, transfer, "pending", postings, memo, about)

    async def post_pending(self, connection: Statements, transfer: str) -> None:
        """Books what was reserved."""
        await self._resolve(connection, transfer, "posted")

    async def void_pending(self, connection: Statements, transfer: str) -> None:
        """Gives back what was reserved."""
        await self._resolve(connection, transfer, "voided")

    async def balance(self, account: str) -> Mapping[str, Balance]:
        """The account's balances by currency. Raises Unbookable: no account of the chart."""
        bound_of("account", account, self._own)
        async with self._host.read() as connection:
            rows = await connection.execute(select(balances).where(balances.c.account == account))
            return {row.currency: _balance(row) for row in rows}

    async def of_order(self, order: str) -> Sequence[Mapping[str, Any]]:
        """Everything booked for an order, a posting each, in the order of writing."""
        e = entries.c
        asked = select(
            e.transfer_id.label("transfer"), e.at, e.occasion, e.memo, e.account, e.currency, e.amount
        )
        async with self._host.read() as connection:
            found = await connection.execute(asked.where(e.order_id == order).order_by(e.number, e.line))
            return [dict(row._mapping) for row in found]

    async def learn_accounts(self) -> None:
        """Remembers which accounts are committed, so that transfers need not open them again."""
        if self._behind:
            self._behind = False
            async with self._host.read() as connection:
                self._opened.update((await connection.execute(select(accounts.c.name))).scalars())

    async def open_accounts(self) -> None:
        """Opens the operator's own accounts. ValueError: one was opened with another bound before."""
        if not self._own:
            return
        async with self._host.write() as connection:
            await self._open(connection, self._own)
            rows = await connection.execute(select(accounts).where(accounts.c.name.in_(self._own)))
            for row in rows:
                if row.bound != self._own[row.name]:
                    raise ValueError(
                        f"accounts.{row.name}.bound: got {self._own[row.name]!r}, expected {row.bound!r}, "
                        "with which it was opened: an account's bound never changes"
                    )

    async def _write(
        self,
        connection: Statements,
        id: str,
        phase: Phase,
        lines: Sequence[Posting],
        memo: str,
        about: About,
    ) -> None:
        transfer = checked_transfer(id, phase, lines, memo, about, self._own)
        await connection.lock(f"ledger:{id}")
        known = await connection.execute(select(transfers.c.digest).where(transfers.c.id == id))
        digest = known.scalar()
        if digest == transfer.digest:
            return
        if digest is not None:
            raise Unbookable("transfer", f"{id!r} is booked with other content, expected an id of its own")
        await self._check_refund(connection, transfer)
        try:
            await self._insert(connection, transfer)
        except IntegrityError as error:
            raise _refusal(error, transfer) from error
        name = "ledger.booked" if phase == "posted" else "ledger.reserved"
        await self._host.events.emit(connection, name, {"transfer": id})

    async def _insert(self, connection: Statements, transfer: Transfer) -> None:
        """Postings first: the transfer's own row seals them."""
        await self._open(connection, transfer.accounts)
        lines = [
            {
                "transfer_id": transfer.id,
                "line": line,
                "account": one.account,
                "currency": one.amount.currency,
                "amount": one.amount.minor,
            }
            for line, one in enumerate(transfer.postings)
        ]
        await connection.execute(WRITE_POSTING, lines)
        now, about = self._host.now(), transfer.about
        row = {
            "id": transfer.id,
            "phase": transfer.phase,
            "occasion": about.occasion,
            "order_id": about.order,
            "provider": about.provider,
            "method": about.method,
            "reference": about.reference,
            "memo": transfer.memo,
            "digest": transfer.digest,
            "booked_on": self.day(now),
            "at": now,
        }
        await connection.execute(WRITE_TRANSFER, [row])

    async def _open(self, connection: Statements, bounds: Mapping[str, Bound]) -> None:
        """Opens accounts that are not known to be there: known are those that are committed."""
        if bounds.keys() <= self._opened:
            return
        self._behind = True
        now = self._host.now()
        rows = [{"name": name, "bound": bound, "at": now} for name, bound in sorted(bounds.items())]
        await connection.execute(OPEN_ACCOUNT, rows)

    async def _check_refund(self, connection: Statements, transfer: Transfer) -> None:
        """Says what is left, before the database would only say that it is not enough."""
        if transfer.about.occasion != "refund":
            return
        found = await connection.execute(select(orders).where(orders.c.order_id == transfer.about.order))
        left = {row.currency: row.paid - row.refunded - row.refunding for row in found}
        for currency, worth in transfer.worth.items():
            if -worth > left.get(currency, 0):
                asked, rest = Money(-worth, currency), Money(left.get(currency, 0), currency)
                raise Unbookable(
                    "about.order",
                    f"a refund of {decimal(asked)} {currency} for order {transfer.about.order!r}, "
                    f"expected at most {decimal(rest)}, which is what is left of what was paid",
                )

    async def _resolve(self, connection: Statements, id: str, outcome: str) -> None:
        await connection.lock(f"ledger:{id}")
        both = transfers.outerjoin(resolutions, resolutions.c.transfer_id == transfers.c.id)
        found = await connection.execute(
            select(transfers.c.phase, resolutions.c.outcome).select_from(both).where(transfers.c.id == id)
        )
        row = found.first()
        if row is None or row.phase != "pending":
            raise Unbookable("transfer", f"got {id[:200]!r}, expected one that was reserved")
        if row.outcome == outcome:
            return
        if row.outcome is not None:
            raise Unbookable("transfer", f"{id!r} was {row.outcome} already, it can't be {outcome}")
        now = self._host.now()
        try:
            await connection.execute(
                insert(resolutions).values(transfer_id=id, outcome=outcome, booked_on=self.day(now), at=now)
            )
        except IntegrityError as error:
            raise _refusal(error, None) from error
        name = "ledger.booked" if outcome == "posted" else "ledger.voided"
        await self._host.events.emit(connection, name, {"transfer": id})


def _balance(row: Any) -> Balance:
    return Balance(
        row.account, row.currency, row.debits, row.credits, row.pending_debits, row.pending_credits
    )


def _refusal(error: IntegrityError, transfer: Transfer | None) -> Unbookable | IntegrityError:
    said = str(error.orig)
    for word, (field, detail) in REFUSALS.items():
        if word in said:
            bounded = [
                name
                for name, bound in ({} if transfer is None else transfer.accounts).items()
                if bound != "none"
            ]
            return Unbookable(field, f"{', '.join(bounded)}: {detail}" if bounded else detail)
    return error
