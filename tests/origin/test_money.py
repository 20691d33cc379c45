"""Minor units and decimals: no sen lost, no guess about a currency."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from iso4217 import Currency

from origin.contract import Chart, Money, Unbookable
from origin.money import LARGEST, checked, decimal, exponent, money

CODES = sorted(one.code for one in Currency if one.exponent is not None)
amounts = st.builds(Money, st.integers(-LARGEST, LARGEST), st.sampled_from(CODES))


@pytest.mark.parametrize(("code", "places"), [("IDR", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4), ("ISK", 0)])
def test_a_currency_has_the_decimals_of_the_standard(code: str, places: int) -> None:
    assert exponent(code) == places


@given(amounts)
def test_what_is_written_out_is_read_back(amount: Money) -> None:
    assert money(str(decimal(amount)), amount.currency) == amount
    assert -decimal(amount).as_tuple().exponent == exponent(amount.currency)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("text", "currency", "says"),
    [
        pytest.param("1.005", "USD", "at most 2 decimals of USD", id="fraction"),
        pytest.param("1.5", "JPY", "at most 0 decimals of JPY", id="fraction-of-yen"),
        pytest.param("1e300", "IDR", "at most", id="overflow"),
        pytest.param("1" * 40, "IDR", "at most", id="many-digits"),
        pytest.param("NaN", "IDR", "expected a number", id="nan"),
        pytest.param("Infinity", "IDR", "expected a number", id="infinity"),
        pytest.param("Rp 1", "IDR", "expected a number", id="words"),
        pytest.param("1", "BTC", "ISO 4217", id="unknown"),
        pytest.param("1", "XAU", "ISO 4217", id="gold"),
        pytest.param("1", "idr", "ISO 4217", id="lower-case"),
    ],
)
def test_what_is_no_amount_is_refused(text: str, currency: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        money(text, currency)


@pytest.mark.parametrize("minor", [1.0, True, "1", Decimal(1), LARGEST + 1, -LARGEST - 1])
def test_only_whole_numbers_within_bounds_are_minor_units(minor: object) -> None:
    with pytest.raises(ValueError, match="amount: got"):
        checked(Money(minor, "IDR"))  # type: ignore[arg-type]


def test_accounts_of_providers_and_sellers_are_told_apart_or_refused() -> None:
    assert Chart.clearing("snap-bi") == "Assets:Clearing:Snap-bi"
    assert Chart.seller("7eleven") == "Liabilities:Sellers:7eleven"
    for name in ("", "Stripe", "a:b", "-a", "a" * 64, "tokó"):
        with pytest.raises(Unbookable, match="expected up to 63"):
            Chart.seller(name)
