"""The life of a payment, and of the session that it pays, as one table. Pure.

A provider's news come late, twice and out of order: a row says what each of them makes of each state.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

State = Literal[
    "open",
    "pending",
    "authorized",
    "paid",
    "partially_refunded",
    "refunded",
    "failed",
    "expired",
    "cancelled",
]
Signal = Literal["pending", "authorized", "paid", "failed", "expired", "cancelled"]
STATES: tuple[State, ...] = get_args(State)
SIGNALS: tuple[Signal, ...] = get_args(Signal)

# Money that came is true whatever was thought before; what is older than what is known changes nothing.
TABLE: Mapping[State, Mapping[Signal, State]] = {
    "open": {
        "pending": "pending", "authorized": "authorized", "paid": "paid",
        "failed": "failed", "expired": "expired", "cancelled": "cancelled",
    },
    "pending": {
        "pending": "pending", "authorized": "authorized", "paid": "paid",
        "failed": "failed", "expired": "expired", "cancelled": "cancelled",
    },
    "authorized": {
        "pending": "authorized", "authorized": "authorized", "paid": "paid",
        "failed": "failed", "expired": "expired", "cancelled": "cancelled",
    },
    "failed": {
        "pending": "pending", "authorized": "authorized", "paid": "paid",
        "failed": "failed", "expired": "expired", "cancelled": "cancelled",
    },
    "expired": {
        "pending": "expired", "authorized": "expired", "paid": "paid",
        "failed": "expired", "expired": "expired", "cancelled": "expired",
    },
    "cancelled": {
        "pending": "cancelled", "authorized": "cancelled", "paid": "paid",
        "failed": "cancelled", "expired": "cancelled", "cancelled": "cancelled",
    },
    "paid": dict.fromkeys(SIGNALS, "paid"),
    "partially_refunded": dict.fromkeys(SIGNALS, "partially_refunded"),
    "refunded": dict.fromkeys(SIGNALS, "refunded"),
}  # fmt: skip

PAYABLE: frozenset[State] = frozenset({"open", "failed"})  # another payment may begin
EXPIRES: frozenset[State] = frozenset({"open", "pending", "failed"})
CANCELLABLE: frozenset[State] = frozenset({"open", "pending", "failed", "authorized"})
PLACED: frozenset[State] = frozenset({"authorized", "paid", "partially_refunded", "refunded"})
OVER: frozenset[State] = frozenset({"expired", "cancelled"})
SETTLED: frozenset[State] = frozenset({"paid", "partially_refunded", "refunded"})


def after(state: State, signal: Signal) -> State:
    """What `signal` makes of `state`."""
    return TABLE[state][signal]


def with_refunds(state: State, captured: int, refunded: int) -> State:
    """A paid state as its refunds make it; both amounts in minor units of one currency."""
    if state not in SETTLED or refunded <= 0:
        return state
    return "refunded" if refunded >= captured else "partially_refunded"
