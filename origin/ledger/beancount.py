"""The books as a beancount file (pure): accounts, transactions, and the balances that must come out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from origin.contract import Money, Posting
from origin.money import decimal


@dataclass(frozen=True, slots=True)
class Entry:
    """A booked transfer."""

    transfer: str
    day: date
    occasion: str
    memo: str
    order: str
    provider: str
    method: str
    reference: str
    postings: tuple[Posting, ...]


def render(entries: Iterable[Entry], balances: Sequence[tuple[str, Money]], last: date) -> Iterator[str]:
    """The file, piece by piece. `balances` are asserted on the day after `last`, to the last minor unit."""
    opened: set[str] = set()
    yield 'option "title" "Tepi"\n'
    for entry in entries:
        for account in sorted({one.account for one in entry.postings} - opened):
            opened.add(account)
            yield f"{entry.day} open {account}\n"
        yield _transaction(entry)
    after = last + timedelta(days=1)
    for account, amount in balances:
        if account in opened:
            yield f"{after} balance {account}  {decimal(amount)} ~ 0 {amount.currency}\n"


def _transaction(entry: Entry) -> str:
    head = f"\n{entry.day} * {_quoted(entry.memo)}\n  transfer: {_quoted(entry.transfer)}\n"
    facts = {
        "order": entry.order,
        "provider": entry.provider,
        "method": entry.method,
        "reference": entry.reference,
    }
    meta = "".join(f"  {name}: {_quoted(value)}\n" for name, value in facts.items() if value)
    lines = "".join(
        f"  {one.account}  {decimal(one.amount)} {one.amount.currency}\n" for one in entry.postings
    )
    return head + meta + lines


def _quoted(text: str) -> str:
    """A string of beancount's on one line."""
    shown = re.sub(r"[\x00-\x1f\x7f\u0085\u2028\u2029]", " ", text)
    return '"' + shown.replace("\\", "\\\\").replace('"', '\\"') + '"'
