"""Who is asked to take a payment: the operator's wish, then success, then cost; and who is left alone."""

from __future__ import annotations

from typing import Any

import pytest

from origin.checkout.breaker import LONGEST_REST, Breaker
from origin.checkout.routing import Candidate, Wish, cost_of, methods_of, ordered
from origin.checkout.settings import Cost, Preference
from origin.contract import Money

CARDS = {"card": (), "bank_transfer": ("bca", "bni")}
WISH = Wish("card", None, Money(100_000, "IDR"), "ID")


def candidate(name: str, **changes: Any) -> Candidate:
    return Candidate(name, **{"methods": CARDS, "takes": True, **changes})


def test_who_succeeds_is_asked_before_who_is_cheap() -> None:
    costs = [Cost(provider="good", percent="3"), Cost(provider="better", fixed=5_000)]
    found = [
        candidate("poor", tried=100, worked=50),
        candidate("good", tried=100, worked=96),
        candidate("better", tried=100, worked=97),
    ]
    assert ordered(WISH, found, [], costs) == ["good", "better", "poor"]


def test_few_payments_say_nothing() -> None:
    assert ordered(WISH, [candidate("b"), candidate("a", tried=19, worked=0)], [], []) == ["a", "b"]


@pytest.mark.parametrize(
    ("wish", "first"),
    [
        pytest.param(WISH, "b", id="the-first-that-fits"),
        pytest.param(Wish("card", None, Money(99, "IDR"), "ID"), "c", id="by-amount"),
        pytest.param(Wish("card", None, Money(100_000, "IDR"), "SG"), "c", id="by-country"),
        pytest.param(Wish("bank_transfer", "bca", Money(100_000, "IDR"), "ID"), "a", id="by-method"),
    ],
)
def test_the_operators_preference_decides(wish: Wish, first: str) -> None:
    rules = [
        Preference(providers=["b", "c"], method="card", country="ID", at_least=100),
        Preference(providers=["c"], method="card", currency="IDR"),
    ]
    assert ordered(wish, [candidate(name) for name in "abc"], rules, [])[0] == first


def test_who_rests_is_asked_only_if_nobody_else_can() -> None:
    found = [candidate("a", resting=True), candidate("b", tried=50, worked=1)]
    assert ordered(WISH, found, [Preference(providers=["a"])], []) == ["b", "a"]


def test_who_cannot_is_not_asked() -> None:
    found = [candidate("a", takes=False), candidate("b", methods={"qris": ()}), candidate("c")]
    assert ordered(WISH, found, [], []) == ["c"]
    assert ordered(Wish("bank_transfer", None, WISH.amount, None), found, [], []) == []
    assert ordered(Wish("card", "bca", WISH.amount, None), found, [], []) == []
    assert methods_of(found) == {"qris": [], "card": [], "bank_transfer": ["bca", "bni"]}


def test_costs_are_exact() -> None:
    costs = [Cost(provider="a", method="qris", percent="0.7"), Cost(provider="a", fixed=10, percent="2.9")]
    assert cost_of("a", WISH, costs) == 2_910
    assert cost_of("b", WISH, costs) == 0


def test_a_breaker_opens_after_failures_in_a_row_and_rests_longer_each_time() -> None:
    breaker = Breaker(failures=3, rest=30)
    for _ in range(2):
        breaker.failed(100.0)
    breaker.worked()
    for _ in range(2):
        breaker.failed(100.0)
        assert not breaker.resting(100.0)
    breaker.failed(100.0)
    assert breaker.resting(129.9)
    assert not breaker.resting(130.0)
    breaker.failed(130.0)  # the one that tried
    assert breaker.resting(189.9)
    for _ in range(50):
        breaker.failed(1000.0)
    assert not breaker.resting(1000.0 + LONGEST_REST)
    breaker.worked()
    assert not breaker.resting(1000.0)
