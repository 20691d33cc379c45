"""Whatever a provider says, in whatever order: amounts only grow, books balance, and money is never lost."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from origin.checkout.books import Shares, payment_postings, refund_postings, shares_of, takes_reservation
from origin.checkout.progress import NotThisPayment, step, with_reservation
from origin.checkout.providers.contract import Charge
from origin.checkout.records import Payment, Session
from origin.checkout.states import SIGNALS
from origin.contract import Chart, Money

TOTAL = 1_332
LINES = [
    {"kind": "item", "amount": 1_000, "names": {}, "sku": "A", "quantity": 1, "price": 1_000},
    {"kind": "shipping", "amount": 200, "names": {}},
    {"kind": "tax", "amount": 132, "names": {}, "included": False},
]


def session(**changes: object) -> Session:
    known: dict[str, object] = {
        "id": "cs", "site": None, "state": "pending", "currency": "IDR", "total": TOTAL, "paid": 0,
        "refunded": 0, "document": {"lines": LINES, "language": "id"}, "holds": [], "stock": "held",
        "payment": "py", "created_at": 0.0, "changed_at": 0.0, "until": 1.0,
    }  # fmt: skip
    return Session(**{**known, **changes})  # type: ignore[arg-type]


def payment(**changes: object) -> Payment:
    known: dict[str, object] = {
        "id": "py", "session": "cs", "provider": "sandbox", "method": "card", "channel": None,
        "reference": None, "state": "pending", "currency": "IDR", "amount": TOTAL, "captured": 0,
        "refunded": 0, "action": None, "reason": "", "return_url": "", "created_at": 0.0,
        "changed_at": 0.0, "next_at": 0.0, "tries": 0,
    }  # fmt: skip
    return Payment(**{**known, **changes})  # type: ignore[arg-type]


def charge(state: str, captured: int = 0, refunded: int = 0, currency: str = "IDR") -> Charge:
    return Charge("ref", state, Money(captured, currency), refunded)  # type: ignore[arg-type]


charges = st.builds(
    charge,
    st.sampled_from(SIGNALS),
    st.sampled_from([0, 1, TOTAL - 1, TOTAL, TOTAL + 1]),
    st.sampled_from([0, 1, 500, TOTAL, TOTAL + 5]),
)


@given(st.lists(charges, max_size=10))
def test_amounts_only_grow_and_what_moved_is_what_changed(news: list[Charge]) -> None:
    order, paying = session(), payment()
    captured = refunded = 0
    for one in news:
        made = step(order, paying, one, 5.0)
        captured, refunded = captured + made.captured, refunded + made.refunded
        assert made.captured >= 0
        assert made.refunded >= 0
        order, paying = made.session, made.payment
        assert 0 <= paying.refunded <= paying.captured
        assert (order.paid, order.refunded) == (captured, refunded) == (paying.captured, paying.refunded)
        again = step(order, paying, one, 9.0)
        assert (again.session, again.payment) == (order, paying)
        assert again.events == ()


@given(st.integers(1, 10**15), st.data())
def test_shares_sum_to_what_is_shared_and_grow_with_it(total: int, data: st.DataObject) -> None:
    shipping = data.draw(st.integers(0, total))
    shares = Shares(total, shipping, data.draw(st.integers(0, total - shipping)))
    less, more = sorted((data.draw(st.integers(0, total)), data.draw(st.integers(0, total))))
    assert sum(shares.of(more)) == more
    assert all(
        before <= after for before, after in zip(shares.of(less)[1:], shares.of(more)[1:], strict=True)
    )
    assert min(shares.of(more)) >= 0


@given(st.lists(charges, min_size=1, max_size=10))
@example([charge("authorized"), charge("paid", TOTAL - 1), charge("paid", TOTAL, TOTAL)])
def test_every_transfer_balances_and_a_whole_refund_takes_all_taxes_back(news: list[Charge]) -> None:
    order, paying = session(), payment()
    balance: dict[str, int] = {}
    for one in news:
        made = step(order, paying, one, 5.0)
        order, paying = made.session, made.payment
        for posting in (
            *(payment_postings(order, paying, made) if made.captured else ()),
            *(refund_postings(order, paying, made) if made.refunded else ()),
        ):
            balance[posting.account] = balance.get(posting.account, 0) + posting.amount.minor
    assert sum(balance.values()) == 0
    assert balance.get(Chart.clearing("sandbox"), 0) == paying.captured - paying.refunded
    if paying.captured == paying.refunded == TOTAL:
        assert balance.get(Chart.TAXES, 0) == 0


@given(st.lists(charges, max_size=12))
def test_money_is_reserved_exactly_while_a_payment_is_authorized_and_booked_once(news: list[Charge]) -> None:
    order, paying = session(), payment()
    open_reservations: set[int] = set()
    booked = 0
    for one in news:
        made = with_reservation(paying, step(order, paying, one, 5.0))
        order, paying = made.session, made.payment
        if made.reserved:
            assert paying.reserved not in open_reservations
            open_reservations.add(paying.reserved)
        if made.released:
            open_reservations.remove(paying.reserved)
        booked += paying.amount if takes_reservation(made) else made.captured
        assert len(open_reservations) == (paying.state == "authorized")
        assert booked == paying.captured


def test_a_payment_authorized_before_reservations_were_kept_releases_none() -> None:
    old = payment(state="authorized")
    made = with_reservation(old, step(session(state="authorized"), old, charge("paid", TOTAL), 5.0))
    assert (made.released, made.captured, takes_reservation(made)) == (False, TOTAL, False)


def test_included_taxes_are_taken_out_of_goods_and_shipping() -> None:
    lines = [
        {"kind": "item", "amount": 1_110},
        {"kind": "shipping", "amount": 222},
        {"kind": "tax", "amount": 132, "included": True},
    ]
    shares = shares_of(session(total=1_332, document={"lines": lines, "language": "id"}))
    assert shares.of(1_332) == (1_000, 200, 132)


def test_a_second_payment_of_the_same_session_is_a_surplus() -> None:
    order = session(state="paid", paid=TOTAL, payment="other")
    made = step(order, payment(), charge("paid", TOTAL), 5.0)
    assert made.surplus
    assert made.session == order
    assert made.events == ("payment.surplus",)


def test_less_than_was_asked_for_is_not_paid() -> None:
    made = step(session(), payment(), charge("paid", TOTAL - 1), 5.0)
    assert (made.session.state, made.captured) == ("pending", 0)
    assert made.payment.reason == f"short: {TOTAL - 1} of {TOTAL}"


def test_another_currency_is_another_payment() -> None:
    with pytest.raises(NotThisPayment):
        step(session(), payment(), charge("paid", TOTAL, currency="USD"), 5.0)


@pytest.mark.parametrize("state", ["expired", "cancelled"])
def test_a_session_that_is_over_stays_so_until_money_comes(state: str) -> None:
    over = session(state=state)
    assert step(over, payment(), charge("authorized"), 5.0).session.state == state
    made = step(over, payment(), charge("paid", TOTAL), 5.0)
    assert (made.session.state, made.events) == ("paid", ("order.paid",))
