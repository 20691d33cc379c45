"""The ledger on both engines: booked once, never changed, balanced and bounded, by the database itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from origin.contract import About, Chart, Ledger, Unbookable
from origin.registry import BrokenPlugin
from tests.origin.ledger.books import Books, open_books, paid, refund, refunded, sale, sides

STRIPE = Chart.clearing("stripe")
SELLER = Chart.seller("warung")
OWED = sides((STRIPE, 100), (SELLER, -100))
PAYOUT = sides((SELLER, 60), (Chart.BANK, -60))


async def test_it_keeps_the_contract(books: Books) -> None:
    ledger: Ledger = books.book
    assert await ledger.balance(Chart.SALES) == {}
    assert books.origin.shared.use("ledger") is ledger


async def test_a_transfer_moves_both_sides_and_tells_it_in_the_same_transaction(books: Books) -> None:
    await books.post("payment:1", sale(8_500_000), paid("1"))
    assert await books.booked(STRIPE) == 8_500_000
    assert await books.booked(Chart.SALES) == -8_500_000
    assert await books.rows("SELECT kind, name FROM outbox") == [("event", "ledger.booked")]


async def test_the_same_transfer_is_booked_once_and_another_of_its_id_is_refused(books: Books) -> None:
    await books.post("payment:1", sale(100), paid("1"))
    await books.post("payment:1", list(reversed(sale(100))), paid("1"))
    for other in (sale(101), sale(100, "midtrans")):
        with pytest.raises(Unbookable, match="booked with other content"):
            await books.post("payment:1", other, paid("1"))
    with pytest.raises(Unbookable, match="booked with other content"):
        await books.reserve("payment:1", sale(100), paid("1"))
    assert await books.booked(STRIPE) == 100
    assert await books.rows("SELECT count(*) FROM outbox") == [(1,)]


async def test_the_same_transfer_from_many_sides_at_once_is_booked_once(books: Books) -> None:
    await asyncio.gather(*(books.post("payment:1", sale(100), paid("1")) for _ in range(12)))
    assert await books.booked(STRIPE) == 100


async def test_many_transfers_at_once_lose_nothing(books: Books) -> None:
    await asyncio.gather(
        *(
            books.post(f"payment:{n}", sale(n, "stripe" if n % 2 else "xendit"), paid(str(n)))
            for n in range(1, 41)
        )
    )
    assert await books.booked(Chart.SALES) == -sum(range(1, 41))


async def test_an_exception_of_the_caller_takes_it_back(books: Books) -> None:
    with pytest.raises(LookupError):
        async with books.host.write() as connection:
            await books.book.post(connection, "payment:1", sale(100), "", paid("1"))
            raise LookupError
    assert await books.book.balance(STRIPE) == {}
    await books.post("payment:1", sale(100), paid("1"))


async def test_what_is_reserved_is_not_booked_until_it_is_posted(books: Books) -> None:
    await books.post("payment:1", OWED, paid("1"))
    await books.reserve("payout:1", PAYOUT)
    before = (await books.book.balance(SELLER))["IDR"]
    assert (before.debits, before.pending_debits) == (0, 60)
    assert await books.rows("SELECT count(*) FROM ledger_entries") == [(2,)]
    await books.settle("payout:1")
    await books.settle("payout:1")
    after = (await books.book.balance(SELLER))["IDR"]
    assert (after.debits, after.pending_debits, after.booked.minor) == (60, 0, -40)
    assert await books.rows("SELECT count(*) FROM ledger_entries") == [(4,)]
    with pytest.raises(Unbookable, match="was posted already"):
        await books.void("payout:1")


async def test_what_is_voided_is_given_back(books: Books) -> None:
    await books.post("payment:1", OWED, paid("1"))
    await books.reserve("payout:1", PAYOUT)
    await books.void("payout:1")
    await books.void("payout:1")
    after = (await books.book.balance(SELLER))["IDR"]
    assert (after.debits, after.pending_debits) == (0, 0)
    with pytest.raises(Unbookable, match="was voided already"):
        await books.settle("payout:1")
    await books.reserve("payout:2", PAYOUT)


@pytest.mark.parametrize("id", ["nothing", "payment:1"])
async def test_only_what_was_reserved_is_posted_or_voided(books: Books, id: str) -> None:
    await books.post("payment:1", sale(100), paid("1"))
    for deed in (books.settle, books.void):
        with pytest.raises(Unbookable, match="expected one that was reserved"):
            await deed(id)


async def test_a_seller_is_never_paid_more_than_he_is_owed(books: Books) -> None:
    await books.post("payment:1", OWED, paid("1"))
    await books.reserve("payout:1", PAYOUT)
    with pytest.raises(Unbookable, match=r"Liabilities:Sellers:Warung: .* less than nothing"):
        await books.post("payout:2", PAYOUT)
    assert await books.booked(SELLER) == -100


async def test_sellers_are_not_overpaid_by_payouts_at_once(books: Books) -> None:
    await books.post("payment:1", OWED, paid("1"))
    done = await asyncio.gather(
        *(books.post(f"payout:{n}", PAYOUT) for n in range(8)), return_exceptions=True
    )
    assert [one for one in done if one is None] == [None]
    assert all(one is None or isinstance(one, Unbookable) for one in done)
    assert await books.booked(SELLER) == -40


async def test_no_more_is_refunded_than_was_paid(books: Books) -> None:
    await books.post("payment:1", sale(10_000), paid("1"))
    await books.post("refund:1", refund(4_000), refunded("1"))
    await books.reserve("refund:2", refund(5_000), refunded("1"))
    with pytest.raises(Unbookable, match=r"about.order: a refund of 20.00 IDR .* at most 10.00"):
        await books.post("refund:3", refund(2_000), refunded("1"))
    with pytest.raises(Unbookable, match=r"at most 0.00"):
        await books.post("refund:4", refund(1), refunded("another"))
    await books.void("refund:2")
    await books.post("refund:3", refund(6_000), refunded("1"))
    assert await books.booked(STRIPE) == 0


async def test_refunds_at_once_stay_within_what_was_paid(books: Books) -> None:
    await books.post("payment:1", sale(100), paid("1"))
    done = await asyncio.gather(
        *(books.post(f"refund:{n}", refund(30), refunded("1")) for n in range(8)), return_exceptions=True
    )
    assert done.count(None) == 3
    assert all(one is None or isinstance(one, Unbookable) for one in done)


async def test_a_payment_less_its_fee_can_be_refunded_whole(books: Books) -> None:
    lines = sides((STRIPE, 97), (Chart.fees("stripe"), 3), (Chart.SALES, -100))
    await books.post("payment:1", lines, paid("1"))
    await books.post("refund:1", refund(100), refunded("1"))
    assert await books.booked(STRIPE) == -3, "the fee is the shop's"


async def test_chargebacks_stay_within_what_was_paid_and_can_be_won(books: Books) -> None:
    lost = sides((Chart.CHARGEBACKS, 100), (STRIPE, -100))
    won = sides((STRIPE, 100), (Chart.CHARGEBACKS, -100))
    await books.post("payment:1", sale(100), paid("1"))
    await books.post("chargeback:1", lost, About("chargeback", "1", "stripe"))
    with pytest.raises(Unbookable, match="more would be charged back than was paid"):
        await books.post("chargeback:2", lost, About("chargeback", "1", "stripe"))
    await books.post("reversal:1", won, About("reversal", "1", "stripe"))
    with pytest.raises(Unbookable, match="more would be taken back than was there"):
        await books.post("reversal:2", won, About("reversal", "1", "stripe"))


STATEMENTS = [
    pytest.param("UPDATE ledger_transfers SET memo = 'x'", "ledger_immutable", id="memo"),
    pytest.param("DELETE FROM ledger_transfers", "ledger_immutable", id="transfers"),
    pytest.param("UPDATE ledger_postings SET amount = 2 * amount", "ledger_immutable", id="amount"),
    pytest.param("DELETE FROM ledger_postings", "ledger_immutable", id="postings"),
    pytest.param("DELETE FROM ledger_resolutions", "ledger_immutable", id="resolutions"),
    pytest.param("DELETE FROM ledger_accounts", "ledger_immutable", id="accounts"),
    pytest.param(
        "INSERT INTO ledger_postings VALUES ('payment:1', 9, 'Income:Sales', 'IDR', 5)",
        "ledger_sealed", id="a-line-too-many",
    ),
    pytest.param(
        "INSERT INTO ledger_postings VALUES ('later', 0, 'Income:Sales', 'IDR', 5)",
        "(?i)foreign key", id="a-line-without-transfer",
    ),
    pytest.param(
        "INSERT INTO ledger_postings VALUES ('later', 0, 'Income:Sales', 'IDR', 0)",
        "ledger_amount", id="nothing",
    ),
    pytest.param(
        "INSERT INTO ledger_resolutions VALUES ('payment:1', 'voided', '2027-01-01', 0)",
        "ledger_not_pending", id="not-reserved",
    ),
    pytest.param("UPDATE ledger_balances SET debits = -1", "ledger_overflow", id="negative"),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "says"), STATEMENTS)
async def test_the_database_itself_refuses(books: Books, sql: str, says: str) -> None:
    await books.post("payment:1", sale(100), paid("1"))
    await books.reserve("refund:1", refund(10), refunded("1"))
    await books.settle("refund:1")
    before = await books.rows("SELECT * FROM ledger_entries ORDER BY number, line")
    with pytest.raises(IntegrityError, match=says):
        await books.change(sql)
    assert await books.rows("SELECT * FROM ledger_entries ORDER BY number, line") == before


async def test_the_database_refuses_what_does_not_balance(books: Books) -> None:
    await books.post("payment:1", sale(100), paid("1"))
    columns = "id, phase, occasion, order_id, provider, method, reference, memo, digest, booked_on, at"
    values = "'x', 'posted', 'other', '', '', '', '', '', '', '2027-01-01', 0"
    seal = f"INSERT INTO ledger_transfers ({columns}) VALUES ({values})"
    for lines, says in (
        (("'Income:Sales', 'IDR', 5", "'Assets:Clearing:Stripe', 'IDR', -4"), "ledger_unbalanced"),
        (("'Income:Sales', 'IDR', 5", "'Income:Sales', 'USD', -5"), "ledger_unbalanced"),
        (("'Income:Sales', 'IDR', 5",), "ledger_too_few_lines"),
        ((), "ledger_too_few_lines"),
    ):
        with pytest.raises(IntegrityError, match=says):
            async with books.host.write() as connection:
                for number, line in enumerate(lines):
                    insert = f"INSERT INTO ledger_postings VALUES ('x', {number}, {line})"
                    await connection.execute(text(insert))
                await connection.execute(text(seal))
    assert await books.rows("SELECT count(*) FROM ledger_transfers") == [(1,)]


async def test_sqlite_does_not_replace_rows_behind_the_triggers(tmp_path: Path) -> None:
    async with open_books(tmp_path) as books:
        await books.post("payment:1", sale(100), paid("1"))
        for table in ("ledger_transfers", "ledger_postings"):
            with pytest.raises(IntegrityError, match="ledger_"):
                await books.change(f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}")
        with pytest.raises(IntegrityError, match="ledger_amount"):
            await books.change("INSERT INTO ledger_postings VALUES ('x', 0, 'Income:Sales', 'IDR', 1.5)")


async def test_totals_that_no_longer_fit_are_refused(books: Books) -> None:
    async with books.host.write() as connection:
        for number in range(4):
            await books.book.post(connection, f"p{number}", sale(10**15), "", paid(str(number)))
    nearly = 4 * 10**18 - 5
    await books.change(f"UPDATE ledger_balances SET debits = {nearly} WHERE account = '{STRIPE}'")
    with pytest.raises(Unbookable, match="would no longer fit"):
        await books.post("payment:9", sale(6), paid("9"))
    await books.post("payment:9", sale(5), paid("9"))


async def test_accounts_of_the_operators_own_are_bounded_as_he_says(tmp_path: Path) -> None:
    own = {"accounts": [{"name": "Assets:Vouchers", "bound": "credits"}]}
    async with open_books(tmp_path, table=own) as books:
        lines = sides(("Assets:Vouchers", -5), (Chart.BANK, 5))
        with pytest.raises(Unbookable, match="less than nothing"):
            await books.post("x", lines)
        await books.post("y", sides(("Assets:Vouchers", 5), (Chart.BANK, -5)))
        await books.post("x", lines)
    other = {"accounts": [{"name": "Assets:Vouchers", "bound": "none"}]}
    with pytest.raises(BrokenPlugin, match="an account's bound never changes"):
        async with open_books(tmp_path, table=other):
            pass


async def test_a_day_is_the_shops(tmp_path: Path) -> None:
    async with open_books(tmp_path, table={"timezone": "Asia/Jakarta"}) as books:
        books.clock.now = 1_800_000_000.0 + 10 * 3600  # 18:00 UTC on 15 January 2027
        await books.post("payment:1", sale(1), paid("1"))
        assert await books.rows("SELECT booked_on FROM ledger_transfers") == [("2027-01-16",)]


async def test_what_is_booked_is_there_after_a_restart(tmp_path: Path) -> None:
    async with open_books(tmp_path) as books:
        await books.post("payment:1", sale(100), paid("1"))
    async with open_books(tmp_path) as books:
        await books.post("payment:1", sale(100), paid("1"))
        assert await books.booked(STRIPE) == 100
