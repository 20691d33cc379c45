"""What a basket costs: goods, shipping and taxes as lines. Pure; whole minor units, never floats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Literal

from origin.contract import Money
from origin.money import LARGEST

Kind = Literal["item", "shipping", "tax"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an order. An `included` tax is part of other lines' amounts and adds nothing."""

    kind: Kind
    names: Mapping[str, str]  # by language
    amount: Money
    sku: str | None = None
    quantity: int = 1
    unit: Money | None = None
    included: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """So many of one product at today's price."""

    sku: str
    quantity: int
    price: Money
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Shipping:
    """A way to send an order; free where goods cost `free_from` or more."""

    id: str
    names: Mapping[str, str]
    price: Money
    countries: frozenset[str] = frozenset()  # none: everywhere
    free_from: int | None = None


@dataclass(frozen=True, slots=True)
class Tax:
    """A tax of `percent`, on goods and shipping that go to `countries`."""

    names: Mapping[str, str]
    percent: Decimal
    countries: frozenset[str] = frozenset()
    included: bool = True


class TooMuch(ValueError):
    """The order's total is more than can be charged."""


def lines_of(
    wanted: Sequence[Wanted], shipping: Shipping | None, taxes: Sequence[Tax], country: str | None
) -> tuple[Line, ...]:
    """The order's lines: goods, then shipping, then each tax that holds in `country`. Raises TooMuch."""
    lines = [
        Line("item", one.names, one.price.times(one.quantity), one.sku, one.quantity, one.price)
        for one in wanted
    ]
    currency = wanted[0].price.currency
    goods = sum(line.amount.minor for line in lines)
    if shipping is not None:
        free = shipping.free_from is not None and goods >= shipping.free_from
        lines.append(Line("shipping", shipping.names, Money(0 if free else shipping.price.minor, currency)))
    taxable = sum(line.amount.minor for line in lines)
    for tax in taxes:
        if not tax.countries or country in tax.countries:
            amount = Money(tax_on(taxable, tax.percent, included=tax.included), currency)
            lines.append(Line("tax", tax.names, amount, included=tax.included))
    if total_of(lines).minor > LARGEST:
        raise TooMuch(f"total: expected at most {LARGEST} minor units")
    return tuple(lines)


def total_of(lines: Sequence[Line]) -> Money:
    """What must be paid."""
    currency = lines[0].amount.currency
    return Money(sum(line.amount.minor for line in lines if not line.included), currency)


def tax_on(amount: int, percent: Decimal, *, included: bool) -> int:
    """The tax on `amount`, or the share of it that is tax; half to even."""
    share = percent / (100 + percent) if included else percent / 100
    return int((amount * share).to_integral_value(ROUND_HALF_EVEN))
