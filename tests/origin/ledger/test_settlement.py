"""Statements as providers write them, read and held against the books."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from origin.contract import Money
from origin.ledger.settlement import Booked, Settled, reconcile
from origin.ledger.statements import BadStatement, read
from tests.origin.ledger.books import idr

DAY = date(2027, 1, 15)


def settled(
    line: int, reference: str, gross: int, fee: int = 0, occasion: str = "payment", order: str = ""
) -> Settled:
    return Settled(line, occasion, order, reference, idr(gross), idr(fee), DAY)


def booked(reference: str, gross: int, fee: int = 0, occasion: str = "payment", order: str = "") -> Booked:
    return Booked(f"{occasion}:{reference or order}", occasion, order, reference, idr(gross), idr(fee), DAY)


def test_what_agrees_is_matched_and_the_rest_says_why() -> None:
    made = reconcile(
        [
            settled(2, "ch_1", 100, 3),
            settled(3, "ch_2", 100, 4),
            settled(4, "ch_3", 250),
            settled(5, "ch_1", 100, 3),
            settled(6, "ch_9", 70),
            settled(7, "", 55, order="55"),
            settled(8, "re_1", -40, occasion="refund"),
        ],
        [
            booked("ch_1", 100, 3),
            booked("ch_2", 100, 3),
            booked("ch_3", 200),
            booked("ch_4", 10),
            booked("ch_55", 55, order="55"),
            booked("re_1", -40, occasion="refund"),
        ],
    )
    assert made.counts() == {
        "matched": 3, "differing": 2, "missing-in-books": 2, "missing-at-provider": 1,
    }  # fmt: skip
    told = {
        (one.settled.line if one.settled else one.booked and one.booked.transfer): one.reasons
        for one in made.findings
    }
    assert told[3] == ("fee: stated 0.04 IDR, booked 0.03 IDR",)
    assert told[4] == ("amount: stated 2.50 IDR, booked 2.00 IDR",)
    assert told[5] == ("stated twice, in line 2 already",)
    assert told[6] == ("nothing is booked with reference 'ch_9' or order ''",)
    assert told["payment:ch_4"] == ("the statement has no such line",)
    assert made.stated == {"IDR": 100 - 3 + 100 - 4 + 250 + 100 - 3 + 70 + 55 - 40}
    assert made.booked == {"IDR": 100 - 3 + 100 - 3 + 200 + 10 + 55 - 40}


rows = st.lists(
    st.tuples(st.sampled_from("abcd"), st.integers(1, 3), st.sampled_from(("payment", "refund"))), max_size=12
)


@given(rows, rows)
def test_each_line_and_each_transfer_is_told_once(
    stated: list[tuple[str, int, str]], books: list[tuple[str, int, str]]
) -> None:
    lines = [
        settled(number, reference, minor, 0, what) for number, (reference, minor, what) in enumerate(stated)
    ]
    transfers = [booked(reference, minor, 0, what) for reference, minor, what in books]
    made = reconcile(lines, transfers)
    assert sorted(one.settled.line for one in made.findings if one.settled) == list(range(len(lines)))
    assert sum(one.booked is not None for one in made.findings) == len(transfers)
    for one in made.findings:
        assert bool(one.reasons) == (one.state != "matched")


@given(rows)
def test_books_agree_with_themselves(books: list[tuple[str, int, str]]) -> None:
    lines = [
        settled(number, reference, minor, 0, what) for number, (reference, minor, what) in enumerate(books)
    ]
    made = reconcile(lines, [booked(reference, minor, 0, what) for reference, minor, what in books])
    assert made.counts()["matched"] == len(books)
    assert made.stated == made.booked


STRIPE = """balance_transaction_id,created_utc,available,currency,gross,fee,net,reporting_category,source_id
txn_1,2027-01-15 03:00:00,2027-01-20,idr,111000.00,3000.00,108000.00,charge,ch_1
txn_2,2027-01-15 04:00:00,2027-01-20,usd,-10.00,0.00,-10.00,refund,re_1
txn_3,2027-01-16 00:00:00,2027-01-16,idr,-98000.00,0.00,-98000.00,payout,po_1
txn_4,2027-01-16 00:00:00,2027-01-16,idr,-50000.00,20000.00,-70000.00,dispute,dp_1
"""
MIDTRANS = """\ufeffTransaction ID,Order ID,Payment Type,Transaction type,Status,Gross Amount,Fee,Date & Time
mt-1,1042,qris,payment,settlement,"Rp 111,000.00",777,2027-01-15 10:00:00
mt-2,1043,bank_transfer,payment,expire,50000,0,2027-01-15 10:00:00
mt-3,1042,qris,refund,refund,11000,0,2027-01-16 10:00:00
"""
XENDIT = """Status;Type;Channel;Product ID;Reference;Currency;Amount;Fee;Fee VAT;Created Date
SUCCESSFUL;PAYMENT;DANA;ewc_1;1044;IDR;85000;1275;140;2027-01-15T10:00:00Z
FAILED;PAYMENT;DANA;ewc_2;1045;IDR;85000;0;0;2027-01-15T10:00:00Z
SUCCESSFUL;TRANSFER;;t_1;;IDR;5;0;0;2027-01-15T10:00:00Z
SUCCESSFUL;WITHDRAWAL;BANK;w_1;;IDR;80000;0;0;2027-01-16T10:00:00Z
"""


def test_stripes_balance_report_is_read() -> None:
    assert read("stripe", STRIPE) == [
        Settled(2, "payment", "", "ch_1", idr(11_100_000), idr(300_000), date(2027, 1, 15)),
        Settled(3, "refund", "", "re_1", Money(-1000, "USD"), Money(0, "USD"), date(2027, 1, 15)),
        Settled(4, "payout", "", "po_1", idr(-9_800_000), idr(0), date(2027, 1, 16)),
        Settled(5, "chargeback", "", "dp_1", idr(-5_000_000), idr(2_000_000), date(2027, 1, 16)),
    ]


def test_midtrans_lines_that_settled_are_read() -> None:
    assert read("midtrans", MIDTRANS) == [
        Settled(2, "payment", "1042", "mt-1", idr(11_100_000), idr(77_700), date(2027, 1, 15)),
        Settled(4, "refund", "1042", "mt-3", idr(-1_100_000), idr(0), date(2027, 1, 16)),
    ]


def test_xendits_report_is_read_with_the_tax_on_its_fee() -> None:
    assert read("xendit", XENDIT) == [
        Settled(2, "payment", "1044", "ewc_1", idr(8_500_000), idr(141_500), date(2027, 1, 15)),
        Settled(5, "payout", "", "w_1", idr(-8_000_000), idr(0), date(2027, 1, 16)),
    ]


PLAIN = "occasion,reference,gross,currency,fee\n"


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        pytest.param("paypal", "", "format: got 'paypal', expected one of plain, stripe", id="format"),
        pytest.param("plain", "", "columns: got nothing; expected one called occasion", id="empty"),
        pytest.param("plain", "a,b\n1,2\n", "columns: got a, b; expected one called occasion", id="columns"),
        pytest.param("plain", PLAIN + "payment,x,1.005,USD,0\n", "line 2: amount: got '1.0", id="fraction"),
        pytest.param("plain", PLAIN + "payment,x,1,BTC,0\n", "line 2: currency: got 'BTC'", id="currency"),
        pytest.param("plain", PLAIN + "payment,x,one,IDR,0\n", "line 2: amount: got 'one'", id="words"),
        pytest.param("plain", PLAIN + "gift,x,1,IDR,0\n", "line 2: occasion: got 'gift'", id="occasion"),
        pytest.param("plain", PLAIN + 'payment,"x"y,1,IDR,0\n', "line 2:", id="quotes"),
        pytest.param("plain", PLAIN + "payment,x,1e999999,IDR,0\n", "line 2: amount", id="overflow"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_says_where_and_what_is_expected(name: str, text: str, says: str) -> None:
    with pytest.raises(BadStatement) as refused:
        read(name, text)
    assert says in str(refused.value)


@given(st.sampled_from(("plain", "stripe", "midtrans", "xendit")), st.text(max_size=200))
def test_any_text_is_read_or_refused(name: str, text: str) -> None:
    heads = {"plain": PLAIN, "stripe": STRIPE, "midtrans": MIDTRANS, "xendit": XENDIT}
    try:
        read(name, heads[name] + text)
    except BadStatement as refused:
        assert str(refused)
