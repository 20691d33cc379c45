"""What may be booked, decided without a database."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from origin.contract import About, Chart, Money, Posting, Unbookable
from origin.ledger.transfer import NOTHING, Phase, bound_of, checked_transfer
from origin.money import LARGEST
from tests.origin.ledger.books import paid, refund, refunded, sale, sides

STRIPE = Chart.clearing("stripe")


@pytest.mark.parametrize(
    ("postings", "about", "says"),
    [
        pytest.param([], NOTHING, "postings: got 0, expected two or more", id="nothing"),
        pytest.param(sides((STRIPE, 5)), NOTHING, "postings: got 1", id="one-side"),
        pytest.param(
            sides((STRIPE, 5), (Chart.SALES, -4)), NOTHING, "IDR sums to 1, expected 0", id="unequal"
        ),
        pytest.param(
            [Posting(STRIPE, Money(5, "IDR")), Posting(Chart.SALES, Money(-5, "USD"))],
            NOTHING, "IDR sums to 5, expected 0", id="two-currencies",
        ),
        pytest.param(
            sides((STRIPE, 0), (Chart.SALES, 0)), NOTHING, "postings.0.amount: got 0", id="moves-nothing"
        ),
        pytest.param(
            sides((STRIPE, 5), (Chart.SALES, -5), currency="BTC"), NOTHING,
            "postings.0: currency: got 'BTC'", id="currency",
        ),
        pytest.param(sale(LARGEST + 1), paid("1"), "expected at most", id="overflow"),
        pytest.param(
            sides(("Income:Tips", 5), (STRIPE, -5)), NOTHING,
            "postings.0.account: got 'Income:Tips', expected one of", id="account",
        ),
        pytest.param(
            sides(("Assets:Clearing:bad name", 5), (STRIPE, -5)), NOTHING, "postings.0.account", id="name"
        ),
        pytest.param(sale(5), About("payment"), "about.order: got nothing", id="order"),
        pytest.param(sale(-5), paid("1"), "a payment of -5 IDR, expected one that debits", id="backwards"),
        pytest.param(refund(-5), refunded("1"), "a refund of 5 IDR, expected one that credits", id="refund"),
        pytest.param(
            sides((Chart.TAXES, 5), (Chart.SALES, -5)), paid("1"), "moves no asset", id="no-asset"
        ),
        pytest.param(sale(5), About("tip"), "about.occasion: got 'tip'", id="occasion"),  # type: ignore[arg-type]
        pytest.param(sale(5), About("payment", "1" * 121), "order: got", id="long-order"),
        pytest.param(sale(5), About("payment", "1\0"), "no NUL", id="nul"),
    ],
)  # fmt: skip
def test_what_cannot_be_booked_says_why(postings: list[Posting], about: About, says: str) -> None:
    with pytest.raises(Unbookable) as refused:
        checked_transfer("t", "posted", postings, "", about, {})
    assert says in str(refused.value)


@pytest.mark.parametrize("minor", [1.5, True, "5", None])
def test_only_whole_minor_units_are_booked(minor: object) -> None:
    wrong = [Posting(STRIPE, Money(minor, "IDR")), Posting(Chart.SALES, Money(-5, "IDR"))]  # type: ignore[arg-type]
    with pytest.raises(Unbookable, match=r"postings.0: amount: got"):
        checked_transfer("t", "posted", wrong, "", NOTHING, {})


@given(
    st.permutations(sides((STRIPE, 97), (Chart.fees("stripe"), 3), (Chart.SALES, -90), (Chart.TAXES, -10)))
)
def test_the_order_of_postings_is_no_content(postings: list[Posting]) -> None:
    found = checked_transfer("t", "posted", postings, "m", paid("1"), {})
    assert (
        found.digest == checked_transfer("t", "posted", sorted(postings, key=str), "m", paid("1"), {}).digest
    )
    assert found.worth == {"IDR": 100}


@given(st.integers(1, LARGEST), st.integers(1, LARGEST), st.booleans(), st.text(max_size=3))
def test_other_content_has_another_digest(one: int, other: int, pending: bool, memo: str) -> None:
    phase: Phase = "pending" if pending else "posted"
    first = checked_transfer("t", "posted", sale(one), "", paid("1"), {})
    if "\0" in memo:
        with pytest.raises(Unbookable, match="memo"):
            checked_transfer("t", phase, sale(other), memo, paid("1"), {})
        return
    second = checked_transfer("t", phase, sale(other), memo, paid("1"), {})
    assert (first.digest == second.digest) == (one == other and not pending and not memo)


def test_sellers_are_bounded_and_the_operators_accounts_as_he_says() -> None:
    assert bound_of("a", Chart.seller("warung"), {}) == "debits"
    assert bound_of("a", STRIPE, {}) == "none"
    assert bound_of("a", "Liabilities:Vouchers", {"Liabilities:Vouchers": "debits"}) == "debits"
