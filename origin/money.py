"""Money and decimals: minor units by ISO 4217 on our side, whole units with a point on everybody else's."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from functools import cache

from iso4217 import Currency

from origin.contract import Money

LARGEST = 10**15  # minor units of one amount: ten thousand billion rupiah


@cache
def exponent(currency: str) -> int:
    """How many decimals `currency` has (ISO 4217). ValueError: none known, as for metals."""
    try:
        found = Currency(currency).exponent
    except ValueError:
        found = None
    if found is None:
        raise ValueError(f"currency: got {currency[:10]!r}, expected a code of ISO 4217 such as IDR or USD")
    return int(found)


def checked(amount: Money) -> Money:
    """`amount` itself. ValueError: no whole number of minor units, too large, or of an unknown currency."""
    if type(amount.minor) is not int:
        raise ValueError(f"amount: got {amount.minor!r}, expected a whole number of minor units")
    if abs(amount.minor) > LARGEST:
        raise ValueError(f"amount: got {amount.minor}, expected at most {LARGEST} minor units")
    exponent(amount.currency)
    return amount


def money(text: str | Decimal, currency: str) -> Money:
    """`text`, in whole units such as 85000.00, as minor units. ValueError: more decimals than there are,
    no number, too large, or an unknown currency."""
    places = exponent(currency)
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise ValueError(f"amount: got {str(text)[:40]!r}, expected a number such as 85000.00")
    if abs(value) > LARGEST:
        raise ValueError(f"amount: got {str(text)[:40]!r}, expected at most {LARGEST} minor units")
    minor = value.scaleb(places)
    if minor != minor.to_integral_value():
        raise ValueError(f"amount: got {str(text)[:40]!r}, expected at most {places} decimals of {currency}")
    return checked(Money(int(minor), currency))


def decimal(amount: Money) -> Decimal:
    """`amount` in whole units, with all decimals of its currency: 8500000 of IDR is 85000.00."""
    return Decimal(amount.minor).scaleb(-exponent(amount.currency))
