"""A provider's statement held against the books (pure): matched, missing, differing, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from origin.contract import Money
from origin.money import decimal

State = Literal["matched", "missing-in-books", "missing-at-provider", "differing"]


@dataclass(frozen=True, slots=True)
class Settled:
    """One line of a provider's statement. `gross` is positive for what came in; `fee` is what was kept."""

    line: int
    occasion: str
    order: str
    reference: str
    gross: Money
    fee: Money
    day: date | None = None


@dataclass(frozen=True, slots=True)
class Booked:
    """One transfer of the books, as the provider should have it."""

    transfer: str
    occasion: str
    order: str
    reference: str
    gross: Money
    fee: Money
    day: date


@dataclass(frozen=True, slots=True)
class Finding:
    """What one line, one transfer, or both together came to. `reasons` say what differs."""

    state: State
    settled: Settled | None
    booked: Booked | None
    reasons: tuple[str, ...] = ()


@dataclass(slots=True)
class Reconciliation:
    """All findings, and both sides' totals of gross less fees by currency."""

    findings: list[Finding] = field(default_factory=list)
    stated: dict[str, int] = field(default_factory=dict)
    booked: dict[str, int] = field(default_factory=dict)

    def counts(self) -> dict[str, int]:
        """How many findings there are of each state."""
        found = dict.fromkeys(("matched", "differing", "missing-in-books", "missing-at-provider"), 0)
        for one in self.findings:
            found[one.state] += 1
        return found


def reconcile(statement: Sequence[Settled], books: Sequence[Booked]) -> Reconciliation:
    """Pairs by the provider's reference, then by order and occasion; each line and transfer once.

    Where several could be meant, the one of the same amount is.
    """
    left = _Left(books)
    made = Reconciliation()
    seen: dict[tuple[str, str, Money], int] = {}
    waiting = []
    for one in statement:
        before = seen.setdefault((one.reference, one.occasion, one.gross), one.line)
        found = left.by_reference(one)
        if found is not None:
            made.findings.append(_compared(one, found))
        elif one.reference and before != one.line:
            reason = f"stated twice, in line {before} already"
            made.findings.append(Finding("missing-in-books", one, None, (reason,)))
        else:
            waiting.append(one)
    for one in waiting:
        found = left.by_order(one)
        if found is None:
            reason = f"nothing is booked with reference {one.reference!r} or order {one.order!r}"
            made.findings.append(Finding("missing-in-books", one, None, (reason,)))
        else:
            made.findings.append(_compared(one, found))
    made.findings += [
        Finding("missing-at-provider", None, one, ("the statement has no such line",)) for one in left.rest()
    ]
    made.stated = _net((one.gross, one.fee) for one in statement)
    made.booked = _net((one.gross, one.fee) for one in books)
    return made


class _Left:
    """Transfers that no line was matched with yet."""

    def __init__(self, books: Sequence[Booked]) -> None:
        self._books = books
        self._taken: set[int] = set()
        self._references: dict[tuple[str, str], list[int]] = defaultdict(list)
        self._orders: dict[tuple[str, str], list[int]] = defaultdict(list)
        for number, one in enumerate(books):
            self._references[one.reference, one.occasion].append(number)
            self._orders[one.order, one.occasion].append(number)

    def by_reference(self, wanted: Settled) -> Booked | None:
        return self._take(self._references.get((wanted.reference, wanted.occasion)), wanted, wanted.reference)

    def by_order(self, wanted: Settled) -> Booked | None:
        return self._take(self._orders.get((wanted.order, wanted.occasion)), wanted, wanted.order)

    def rest(self) -> list[Booked]:
        return [one for number, one in enumerate(self._books) if number not in self._taken]

    def _take(self, numbers: list[int] | None, wanted: Settled, key: str) -> Booked | None:
        free = [number for number in numbers or () if key and number not in self._taken]
        if not free:
            return None
        chosen = next((number for number in free if self._books[number].gross == wanted.gross), free[0])
        self._taken.add(chosen)
        return self._books[chosen]


def _compared(one: Settled, other: Booked) -> Finding:
    reasons = []
    if one.gross != other.gross:
        reasons.append(f"amount: stated {_shown(one.gross)}, booked {_shown(other.gross)}")
    if one.fee != other.fee and one.gross.currency == other.gross.currency:
        reasons.append(f"fee: stated {_shown(one.fee)}, booked {_shown(other.fee)}")
    if one.reference and other.reference and one.reference != other.reference:
        reasons.append(f"reference: stated {one.reference!r}, booked {other.reference!r}")
    if one.order and other.order and one.order != other.order:
        reasons.append(f"order: stated {one.order!r}, booked {other.order!r}")
    return Finding("differing" if reasons else "matched", one, other, tuple(reasons))


def _shown(amount: Money) -> str:
    return f"{decimal(amount)} {amount.currency}"


def _net(lines: Iterable[tuple[Money, Money]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for gross, fee in lines:
        sums[gross.currency] = sums.get(gross.currency, 0) + gross.minor
        sums[fee.currency] = sums.get(fee.currency, 0) - fee.minor
    return {currency: total for currency, total in sorted(sums.items()) if total}
