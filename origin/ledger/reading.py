"""What reports, exports and reconciliation read from the books."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import date
from itertools import groupby
from typing import Any

from sqlalchemy import distinct, func, select, text

from origin.contract import Host, Money, Posting
from origin.ledger.beancount import Entry
from origin.ledger.reports import Sum
from origin.ledger.settlement import Booked
from origin.ledger.tables import balances, entries, orders

PIECE = 2000  # transfers that are read at once
HELD_BY = ("payment", "refund", "chargeback", "reversal", "fee", "payout")

# Totals that are not those of the postings: nothing, unless somebody wrote them by hand.
WRONG = """SELECT b.account, b.currency, b.debits - b.credits AS says, COALESCE(p.total, 0) AS sums
  FROM ledger_balances b LEFT JOIN (
    SELECT account, currency, SUM(amount) AS total FROM ledger_entries GROUP BY account, currency
  ) p ON p.account = b.account AND p.currency = b.currency
  WHERE b.debits - b.credits <> COALESCE(p.total, 0) ORDER BY b.account, b.currency"""


class Reading:
    """Reads the books of `host`."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def sums(self, first: date, last: date) -> list[Sum]:
        """What every account got, by day, occasion, provider, method and currency."""
        e = entries.c
        keys = (e.booked_on, e.occasion, e.provider, e.method, e.currency, e.account)
        asked = (
            select(*keys, func.sum(e.amount), func.count(distinct(e.transfer_id)))
            .where(e.booked_on.between(first, last))
            .group_by(*keys)
        )
        async with self._host.read() as connection:
            return [
                Sum(day, occasion, provider, method, currency, account, int(amount), count)
                for day, occasion, provider, method, currency, account, amount, count in (
                    await connection.execute(asked)
                )
            ]

    async def booked(self, first: date, last: date) -> AsyncIterator[Entry]:
        """Every booked transfer, in the order of days and then of writing."""
        at: tuple[date, int] = (first, -1)
        e = entries.c
        while True:
            after = (e.booked_on > at[0]) | ((e.booked_on == at[0]) & (e.number > at[1]))
            numbers = (
                select(e.booked_on, e.number)
                .where(e.booked_on.between(first, last), after)
                .distinct()
                .order_by(e.booked_on, e.number)
                .limit(PIECE)
            )
            async with self._host.read() as connection:
                piece = (await connection.execute(numbers)).all()
                if not piece:
                    return
                rows = await connection.execute(
                    select(entries)
                    .where(e.number.in_([row.number for row in piece]))
                    .order_by(e.booked_on, e.number, e.line)
                )
            for _, lines in groupby(rows, lambda row: row.number):
                yield _entry(list(lines))
            at = (piece[-1].booked_on, piece[-1].number)

    async def balances(self) -> list[tuple[str, Money]]:
        """What every account holds."""
        async with self._host.read() as connection:
            rows = await connection.execute(
                select(balances).order_by(balances.c.account, balances.c.currency)
            )
            return [(row.account, Money(row.debits - row.credits, row.currency)) for row in rows]

    async def wrong(self) -> list[tuple[str, str, int, int]]:
        """Balances that are not the sum of their postings: account, currency, what it says, what it is."""
        async with self._host.read() as connection:
            found = await connection.execute(text(WRONG))
            return [(row.account, row.currency, row.says, int(row.sums)) for row in found]

    async def held(self, provider: str, first: date, last: date) -> list[Booked]:
        """What was booked at `provider`, a transfer and currency each."""
        found = []
        async for entry in self.booked(first, last):
            if entry.provider == provider and entry.occasion in HELD_BY:
                found += _booked(entry)
        return found

    async def order(self, order: str) -> list[dict[str, Any]]:
        """What was paid of an order, and given back."""
        async with self._host.read() as connection:
            rows = await connection.execute(select(orders).where(orders.c.order_id == order))
            return [dict(row._mapping) for row in rows]


def _entry(lines: Sequence[Any]) -> Entry:
    row = lines[0]
    return Entry(
        transfer=row.transfer_id,
        day=row.booked_on,
        occasion=row.occasion,
        memo=row.memo,
        order=row.order_id,
        provider=row.provider,
        method=row.method,
        reference=row.reference,
        postings=tuple(Posting(one.account, Money(one.amount, one.currency)) for one in lines),
    )


def _booked(entry: Entry) -> list[Booked]:
    """Gross is what moved for the buyer; the fee is what the provider kept of it."""
    made = []
    for currency in dict.fromkeys(one.amount.currency for one in entry.postings):
        lines = [one for one in entry.postings if one.amount.currency == currency]
        clearing = sum(one.amount.minor for one in lines if one.account.startswith("Assets:Clearing:"))
        fee = sum(one.amount.minor for one in lines if one.account.startswith("Expenses:Fees:"))
        made.append(
            Booked(
                entry.transfer,
                entry.occasion,
                entry.order,
                entry.reference,
                Money(clearing + fee, currency),
                Money(fee, currency),
                entry.day,
            )
        )
    return made
