"""What was sold, given back and kept, by period and by what one asks (pure): figures from summed entries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal, get_args

from origin.contract import Chart

Period = Literal["day", "week", "month", "all"]
Dimension = Literal["provider", "method", "currency"]
LONGEST = 366 * 5  # days of one report

COUNTS = ("payments", "refunds")
AMOUNTS = (
    "gross", "sales", "shipping", "taxes", "refunded", "charged_back", "fees", "net", "paid_out",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sum:
    """What one account got on one day from the transfers of one occasion, provider and method."""

    day: date
    occasion: str
    provider: str
    method: str
    currency: str
    account: str
    amount: int
    transfers: int


@dataclass(frozen=True, slots=True)
class Wish:
    """What is reported: days `first` to `last`, both included."""

    first: date
    last: date
    period: Period = "day"
    by: tuple[Dimension, ...] = ()

    @property
    def by_others(self) -> tuple[Dimension, ...]:
        """What lines are told apart by beside the currency, which they always are."""
        return tuple(name for name in ("provider", "method") if name in self.by)


@dataclass(slots=True)
class Line:
    """The figures of one period and one provider, method, currency: minor units, and numbers of transfers.

    `gross` is what buyers paid; `net` is what is left of it after refunds, chargebacks and providers' fees.
    """

    start: date
    currency: str
    provider: str = ""
    method: str = ""
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    amounts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(AMOUNTS, 0))


def wish(words: dict[str, str], today: date) -> Wish:
    """What `words` (first, last, period, by) ask for; without them the last 30 days, by day.

    ValueError: the word, and what would be accepted.
    """
    last = _day("last", words.get("last", ""), today)
    first = _day("first", words.get("first", ""), last - timedelta(days=29))
    if first > last:
        raise ValueError(f"first: got {first}, expected a day up to {last}")
    if (last - first).days > LONGEST:
        raise ValueError(f"first: got {first}, expected at most {LONGEST} days before {last}")
    period = words.get("period") or "day"
    if period not in get_args(Period):
        raise ValueError(f"period: got {period[:20]!r}, expected one of {', '.join(get_args(Period))}")
    by = tuple(part for part in words.get("by", "").split(",") if part)
    for part in by:
        if part not in get_args(Dimension):
            raise ValueError(f"by: got {part[:20]!r}, expected some of {', '.join(get_args(Dimension))}")
    return Wish(first, last, period, by)  # type: ignore[arg-type]


def _day(name: str, text: str, otherwise: date) -> date:
    if not text:
        return otherwise
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{name}: got {text[:20]!r}, expected a day such as 2027-01-31") from None


def start_of(day: date, period: Period, first: date) -> date:
    """The first day of the period that `day` lies in; weeks begin on Monday."""
    match period:
        case "day":
            return day
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case "all":
            return first


def lines(sums: Iterable[Sum], asked: Wish) -> list[Line]:
    """A line for each period and combination that something was booked in; currencies are never mixed."""
    made: dict[tuple[date, str, str, str], Line] = {}
    for one in sums:
        start = start_of(one.day, asked.period, asked.first)
        provider = one.provider if "provider" in asked.by else ""
        method = one.method if "method" in asked.by else ""
        key = (start, one.currency, provider, method)
        line = made.setdefault(key, Line(start, one.currency, provider, method))
        _add(line, one)
    return [made[key] for key in sorted(made)]


def totals(found: Sequence[Line]) -> list[Line]:
    """One line a currency."""
    made: dict[str, Line] = {}
    for line in found:
        total = made.setdefault(line.currency, Line(line.start, line.currency))
        for count in COUNTS:
            total.counts[count] += line.counts[count]
        for amount in AMOUNTS:
            total.amounts[amount] += line.amounts[amount]
    return [made[currency] for currency in sorted(made)]


def _add(line: Line, one: Sum) -> None:
    amounts, fee = line.amounts, one.account.startswith("Expenses:Fees:")
    clearing = one.account.startswith("Assets:Clearing:")
    if fee:
        amounts["fees"] += one.amount
        amounts["net"] -= one.amount
    if clearing or fee or one.account == Chart.BANK:
        match one.occasion:
            case "payment":
                amounts["gross"] += one.amount
                amounts["net"] += one.amount
                line.counts["payments"] += one.transfers if clearing else 0
            case "refund":
                amounts["refunded"] -= one.amount
                amounts["net"] += one.amount
                line.counts["refunds"] += one.transfers if clearing else 0
            case "chargeback" | "reversal":
                amounts["charged_back"] -= one.amount
                amounts["net"] += one.amount
            case "payout" if one.account == Chart.BANK:
                amounts["paid_out"] += one.amount
    match one.account:
        case Chart.SALES:
            amounts["sales"] -= one.amount
        case Chart.SHIPPING:
            amounts["shipping"] -= one.amount
        case Chart.TAXES:
            amounts["taxes"] -= one.amount
