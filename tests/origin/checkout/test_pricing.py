"""What a basket costs, to the sen."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from origin.checkout.pricing import (
    Shipping,
    Tax,
    TooMuch,
    Wanted,
    lines_of,
    tax_on,
    total_of,
)
from origin.contract import Money
from origin.money import LARGEST

NAMES = {"id": "Kopi", "en": "Coffee"}


def wanted(price: int, quantity: int = 1, sku: str = "A") -> Wanted:
    return Wanted(sku, quantity, Money(price, "IDR"), NAMES)


@pytest.mark.parametrize(
    ("amount", "percent", "included", "tax"),
    [
        pytest.param(11_100, "11", True, 1_100, id="part-of-the-price"),
        pytest.param(10_000, "11", False, 1_100, id="on-top"),
        pytest.param(50, "1", False, 0, id="half-to-even-down"),
        pytest.param(150, "1", False, 2, id="half-to-even-up"),
        pytest.param(10_000, "8.875", False, 888, id="fractions-of-percents"),
        pytest.param(0, "11", True, 0, id="nothing"),
    ],
)
def test_a_tax_is_exact(amount: int, percent: str, included: bool, tax: int) -> None:
    assert tax_on(amount, Decimal(percent), included=included) == tax


@given(st.integers(0, LARGEST), st.decimals(0, 100, places=3))
def test_an_included_tax_never_exceeds_what_includes_it(amount: int, percent: Decimal) -> None:
    assert 0 <= tax_on(amount, percent, included=True) <= amount


def test_goods_shipping_and_taxes_are_lines_of_one_total() -> None:
    shipping = Shipping("regular", NAMES, Money(2_000, ""), frozenset({"ID"}))
    taxes = [
        Tax(NAMES, Decimal(11), included=False),
        Tax(NAMES, Decimal(10), included=True),
        Tax(NAMES, Decimal(19), frozenset({"DE"}), included=False),
    ]
    lines = lines_of([wanted(5_000, 2)], shipping, taxes, "ID")
    assert [(line.kind, line.amount.minor, line.included) for line in lines] == [
        ("item", 10_000, False),
        ("shipping", 2_000, False),
        ("tax", 1_320, False),
        ("tax", 1_091, True),
    ]
    assert total_of(lines) == Money(13_320, "IDR")


@pytest.mark.parametrize(("goods", "price"), [(9_999, 2_000), (10_000, 0)])
def test_goods_for_enough_are_sent_for_nothing(goods: int, price: int) -> None:
    shipping = Shipping("regular", NAMES, Money(2_000, ""), free_from=10_000)
    assert lines_of([wanted(goods)], shipping, [], None)[1].amount.minor == price


def test_a_total_beyond_all_orders_is_refused() -> None:
    assert total_of(lines_of([wanted(LARGEST)], None, [], None)).minor == LARGEST
    with pytest.raises(TooMuch):
        lines_of([wanted(LARGEST), wanted(1, sku="B")], None, [], None)
