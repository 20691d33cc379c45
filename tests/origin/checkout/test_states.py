"""The table of states is whole, and holds what money demands of it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from origin.checkout.states import (
    OVER,
    PLACED,
    SETTLED,
    SIGNALS,
    STATES,
    TABLE,
    Signal,
    State,
    after,
    with_refunds,
)


def test_every_state_has_an_answer_to_every_signal() -> None:
    assert set(TABLE) == set(STATES)
    assert all(set(row) == set(SIGNALS) for row in TABLE.values())


@given(st.sampled_from(STATES), st.lists(st.sampled_from(SIGNALS), max_size=12))
def test_money_that_came_is_never_forgotten(state: State, signals: list[Signal]) -> None:
    for signal in [*signals, "paid", *signals]:
        state = after(state, signal)
    assert state in SETTLED


@given(st.lists(st.sampled_from(SIGNALS), min_size=1, max_size=6))
def test_news_that_come_twice_change_nothing_the_second_time(signals: list[Signal]) -> None:
    for state in STATES:
        once = after(state, signals[0])
        assert after(once, signals[0]) == once


@pytest.mark.parametrize("order", list(itertools.permutations(("pending", "authorized", "paid"))))
def test_in_whatever_order_a_good_payment_is_told_of_it_ends_paid(order: tuple[Signal, ...]) -> None:
    state: State = "open"
    for signal in order:
        state = after(state, signal)
    assert state == "paid"


def test_what_is_over_is_left_by_money_alone() -> None:
    for state, signal in itertools.product(OVER, SIGNALS):
        assert after(state, signal) == ("paid" if signal == "paid" else state)


@pytest.mark.parametrize(
    ("state", "refunded", "then"),
    [
        ("paid", 0, "paid"),
        ("paid", 1, "partially_refunded"),
        ("partially_refunded", 100, "refunded"),
        ("pending", 5, "pending"),
    ],
)
def test_refunds_make_the_state(state: State, refunded: int, then: State) -> None:
    assert with_refunds(state, 100, refunded) == then


def test_placed_orders_are_those_whose_goods_are_sold() -> None:
    assert SETTLED | {"authorized"} == PLACED
