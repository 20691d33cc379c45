"""Beancount as the judge of the books: it reads what we export, and adds everything up by itself."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from decimal import Decimal

from beancount import loader
from beancount.core.data import Transaction

from origin.contract import Money
from origin.ledger.beancount import render
from origin.ledger.reading import Reading
from origin.money import decimal
from tests.origin.ledger.books import Books

GENESIS = date(1970, 1, 1)


async def exported(books: Books) -> str:
    """The whole books as a file of beancount's."""
    reading = Reading(books.host)
    entries = [entry async for entry in reading.booked(GENESIS, date(2999, 1, 1))]
    return "".join(render(entries, await reading.balances(), books.book.today()))


def judged(text: str) -> dict[tuple[str, str], Decimal]:
    """Every account's total by currency as beancount has it. Fails if it finds anything."""
    entries, errors, _ = loader.load_string(text)
    assert [error.message for error in errors] == []
    totals: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for entry in entries:
        if isinstance(entry, Transaction):
            for posting in entry.postings:
                assert posting.units is not None and posting.units.number is not None
                totals[posting.account, str(posting.units.currency)] += posting.units.number
    return dict(totals)


async def agrees(books: Books) -> dict[tuple[str, str], Decimal]:
    """Beancount finds nothing, and its totals are our balances; returns them."""
    reading = Reading(books.host)
    assert await reading.wrong() == []
    totals = judged(await exported(books))
    ours = {(account, money.currency): decimal(money) for account, money in await reading.balances()}
    assert {key: total for key, total in totals.items() if total} == {
        key: total for key, total in ours.items() if total
    }
    return totals


def whole(minor: int, currency: str = "IDR") -> Decimal:
    return decimal(Money(minor, currency))
