"""What reports say, by hand and against the books as a whole."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from origin.contract import About, Chart
from origin.ledger.reading import Reading
from origin.ledger.reports import Sum, Wish, lines, start_of, totals, wish
from tests.origin.ledger.books import Books, paid, refund, refunded, sale, sides

TODAY = date(2027, 1, 15)
STRIPE = Chart.clearing("stripe")
DAYS = 86_400


async def told(books: Books, **words: str) -> dict[tuple[str, ...], dict[str, int]]:
    asked = wish(words, books.book.today())
    found = lines(await Reading(books.host).sums(asked.first, asked.last), asked)
    return {
        (str(line.start), line.currency, line.provider, line.method): {**line.counts, **line.amounts}
        for line in found
    }


async def test_a_day_has_what_was_taken_given_back_and_kept(books: Books) -> None:
    order = sides(
        (STRIPE, 108),
        (Chart.fees("stripe"), 3),
        (Chart.SALES, -90),
        (Chart.SHIPPING, -10),
        (Chart.TAXES, -11),
    )
    await books.post("payment:1", order, paid("1"))
    await books.post("payment:2", sale(500, "midtrans"), paid("2", "midtrans", "qris"))
    await books.post("payment:3", sale(7, currency="USD"), paid("3"))
    await books.post("refund:1", refund(20), refunded("1"))
    lost = sides((Chart.CHARGEBACKS, 50), (STRIPE, -50))
    await books.post("chargeback:1", lost, About("chargeback", "1", "stripe", "card"))
    fee = sides((Chart.fees("stripe"), 15), (STRIPE, -15))
    await books.post("fee:1", fee, About("fee", "1", "stripe", "card"))
    await books.reserve("payout:1", sides((Chart.BANK, 9), (STRIPE, -9)), About("payout", "", "stripe"))
    books.clock.now += DAYS
    await books.settle("payout:1")
    day, next_day = "2027-01-15", "2027-01-16"
    found = await told(books, first=day, last=next_day)
    assert found[day, "IDR", "", ""] == {
        "payments": 2, "refunds": 1, "gross": 611, "sales": 590, "shipping": 10, "taxes": 11,
        "refunded": 20, "charged_back": 50, "fees": 18, "net": 611 - 20 - 50 - 18, "paid_out": 0,
    }  # fmt: skip
    assert found[day, "USD", "", ""]["gross"] == 7
    assert found[next_day, "IDR", "", ""]["paid_out"] == 9, "on the day it was posted, not reserved"
    apart = await told(books, first=day, last=next_day, by="provider,method", period="all")
    assert apart[day, "IDR", "midtrans", "qris"]["gross"] == 500
    assert apart[day, "IDR", "stripe", "card"]["net"] == 111 - 20 - 50 - 18
    assert await told(books, first="2027-02-01", last="2027-02-02") == {}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"first": "yesterday"}, "first: got 'yesterday', expected a day such as"),
        ({"first": "2027-02-01"}, "first: got 2027-02-01, expected a day up to 2027-01-15"),
        ({"first": "1999-01-01"}, "expected at most"),
        ({"period": "hour"}, "period: got 'hour', expected one of day, week, month, all"),
        ({"by": "provider,colour"}, "by: got 'colour', expected some of provider, method, currency"),
    ],
)
def test_what_cannot_be_reported_says_what_can(words: dict[str, str], says: str) -> None:
    with pytest.raises(ValueError) as refused:
        wish(words, TODAY)
    assert says in str(refused.value)


days = st.dates(date(2026, 12, 1), date(2027, 2, 1))
sums = st.lists(
    st.builds(
        Sum, days, st.sampled_from(("payment", "refund", "chargeback", "payout", "fee")),
        st.sampled_from(("stripe", "xendit")), st.sampled_from(("card", "qris")),
        st.sampled_from(("IDR", "USD")),
        st.sampled_from((STRIPE, Chart.SALES, Chart.TAXES, Chart.fees("stripe"), Chart.BANK)),
        st.integers(-1000, 1000), st.integers(0, 5),
    )
)  # fmt: skip


@given(
    sums,
    st.sampled_from(("day", "week", "month", "all")),
    st.sampled_from(((), ("provider",), ("provider", "method"))),
)
def test_however_it_is_divided_the_totals_are_the_same(
    found: list[Sum], period: str, by: tuple[str, ...]
) -> None:
    asked = Wish(date(2026, 12, 1), date(2027, 2, 1), period, by)  # type: ignore[arg-type]
    whole = {
        line.currency: line.amounts for line in totals(lines(found, Wish(asked.first, asked.last, "all")))
    }
    assert {line.currency: line.amounts for line in totals(lines(found, asked))} == whole


@given(days)
def test_weeks_begin_on_monday_and_months_on_the_first(day: date) -> None:
    week, month = start_of(day, "week", day), start_of(day, "month", day)
    assert (week.weekday(), month.day) == (0, 1)
    assert (
        week <= day
        and month <= day
        and (day - week).days < 7
        and (day.year, day.month) == (month.year, month.month)
    )
