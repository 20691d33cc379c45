"""What the admin listener shows of the books, and what commands make of it."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import html5lib
import openpyxl
import pytest
from click.testing import CliRunner, Result

from control.cli import main
from origin.app import Origin, Wiring
from origin.contract import About, Chart
from origin.ledger.plugin import LedgerPlugin
from tests.origin.ledger.books import Books, paid, refund, refunded, sale, sides
from tests.origin.ledger.judge import judged
from tests.origin.standing import Clock, running

EVIL = '=HYPERLINK("http://evil")'
SPAN = "first=2027-01-01&last=2027-01-31"
STATEMENT = "occasion,reference,gross,currency,fee\npayment,ch_1,1110.00,IDR,0\npayment,ch_9,5.00,IDR,0\n"


@dataclass(frozen=True, slots=True)
class Desk:
    """A running origin with two payments, and who looks at it."""

    books: Books
    admin: str
    session: aiohttp.ClientSession

    async def get(self, path: str, **headers: str) -> tuple[int, bytes, str]:
        async with self.session.get(f"{self.admin}/plugins/ledger{path}", headers=headers) as answer:
            return answer.status, await answer.read(), answer.content_type

    async def json(self, path: str) -> Any:
        status, body, _ = await self.get(path)
        assert status == 200, body
        return json.loads(body)

    async def post(self, path: str, body: Any) -> tuple[int, Any]:
        async with self.session.post(f"{self.admin}/plugins/ledger{path}", json=body) as answer:
            return answer.status, await answer.json()

    async def tepi(self, *words: str) -> Result:
        command = ["origin", "ledger", *words, "--admin", self.admin]
        return await asyncio.to_thread(CliRunner().invoke, main, command)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    clock = Clock()
    async with (
        running(tmp_path, LedgerPlugin, wiring=Wiring(clock, lambda: 0.5)) as (origin, bound),
        aiohttp.ClientSession() as session,
    ):
        books = Books(origin, plugin_of(origin), clock)
        await books.post("payment:1", sale(111_000), paid("1"), EVIL)
        await books.post("payment:2", sale(500, currency="USD"), paid("2", "xendit", "qris"))
        await books.post("refund:1", refund(11_000), refunded("1"))
        await books.post(
            "payout:1", sides((Chart.BANK, 5), (Chart.clearing("stripe"), -5)), About("payout", "", "stripe")
        )
        yield Desk(books, f"http://{bound.admin}", session)


def plugin_of(origin: Origin) -> LedgerPlugin:
    plugin = origin.plugins["ledger"]
    assert isinstance(plugin, LedgerPlugin)
    return plugin


async def test_a_report_as_json_csv_and_excel_says_the_same(desk: Desk) -> None:
    found = await desk.json(f"/report?{SPAN}&by=provider")
    assert [line["gross"]["text"] for line in found["lines"]] == ["1110.00", "5.00"]
    assert found["totals"][0]["net"] == {"minor": 100_000, "currency": "IDR", "text": "1000.00"}
    _, body, kind = await desk.get(f"/report?{SPAN}&by=provider&as=csv")
    rows = list(csv.DictReader(io.StringIO(body.decode(), newline="")))
    assert (kind, [row["gross"] for row in rows]) == ("text/csv", ["1110.00", "5.00"])
    _, body, _ = await desk.get(f"/report?{SPAN}&by=provider&as=xlsx")
    sheet = openpyxl.load_workbook(io.BytesIO(body)).active
    assert sheet is not None
    column = [cell.value for cell in sheet[1]].index("gross")
    assert [row[column].value for row in sheet.iter_rows(min_row=2)] == [1110, 5]


async def test_entries_are_exported_without_formulas_and_beancount_agrees(desk: Desk) -> None:
    _, body, _ = await desk.get(f"/entries?{SPAN}&as=csv")
    rows = list(csv.DictReader(io.StringIO(body.decode(), newline="")))
    assert len(rows) == 8
    assert rows[0]["memo"] == f"'{EVIL}"
    _, body, _ = await desk.get("/entries?as=beancount")
    assert judged(body.decode())[Chart.clearing("stripe"), "IDR"] * 100 == 111_000 - 11_000 - 5


async def test_a_statement_is_held_against_the_books(desk: Desk) -> None:
    asked = {"provider": "stripe", "format": "plain", "statement": STATEMENT, "first": "2027-01-01"}
    status, made = await desk.post("/reconcile", asked)
    assert status == 200
    assert made["counts"] == {
        "matched": 1, "differing": 0, "missing-in-books": 1, "missing-at-provider": 2,
    }  # fmt: skip
    assert [(one["line"], one["transfer"]) for one in made["findings"]] == [
        (3, None), (None, "refund:1"), (None, "payout:1"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": "abacus"}, "format: got 'abacus'"),
        ({"statement": "a,b\n"}, "columns: got a, b"),
        ({"first": "soon"}, "first: got 'soon'"),
        ({"provider": ""}, "provider:"),
        ({"extra": 1}, "extra:"),
    ],
)
async def test_a_statement_that_cannot_be_read_is_refused(
    desk: Desk, change: dict[str, Any], says: str
) -> None:
    asked = {"provider": "stripe", "format": "plain", "statement": STATEMENT, **change}
    status, answer = await desk.post("/reconcile", asked)
    assert status == 422
    assert says in answer["detail"]


@pytest.mark.parametrize(
    "path", ["/report?first=x", "/report?as=pdf", "/entries?as=pdf", "/payouts?first=x", "?period=x"]
)
async def test_questions_that_make_no_sense_are_refused(desk: Desk, path: str) -> None:
    status, body, _ = await desk.get(path)
    assert (status, "expected" in json.loads(body)["detail"]) == (422, True)


@pytest.mark.parametrize(("language", "word"), [("en", "Money"), ("id", "Keuangan")])
async def test_the_page_is_valid_in_both_languages_and_has_a_chart(
    desk: Desk, language: str, word: str
) -> None:
    status, body, _ = await desk.get(f"?{SPAN}", **{"Accept-Language": language})
    html = body.decode()
    assert status == 200
    html5lib.HTMLParser(strict=True).parseFragment(html)
    assert f"<h1>{word}</h1>" in html
    assert "1,110.00" in html
    charts = html.split('data-chart="')[1:]
    assert len(charts) == 2, "one a currency"


async def test_payouts_are_listed(desk: Desk) -> None:
    found = (await desk.json(f"/payouts?{SPAN}"))["payouts"]
    assert [(one["transfer"], one["lines"][0]["minor"]) for one in found] == [("payout:1", 5)]


async def test_commands_report_export_check_and_reconcile(desk: Desk, tmp_path: Path) -> None:
    report = await desk.tepi("report", "--first", "2027-01-01", "--last", "2027-01-31", "--by", "provider")
    assert report.exit_code == 0, report.output
    assert "1110.00" in report.output
    book = tmp_path / "books.beancount"
    assert (await desk.tepi("export", "--as", "beancount", "--output", str(book))).exit_code == 0
    judged(book.read_text())
    assert "Assets:Bank" in (await desk.tepi("balances")).output
    assert (await desk.tepi("check")).output == "every balance is the sum of its postings\n"
    statement = tmp_path / "statement.csv"
    statement.write_text(STATEMENT)
    made = await desk.tepi(
        "reconcile", "stripe", str(statement), "--format", "plain", "--first", "2027-01-01"
    )
    assert made.exit_code == 1
    assert "line 3: missing-in-books: 5.00 IDR" in made.output
    refused = await desk.tepi("reconcile", "stripe", str(statement), "--format", "abacus")
    assert "format: got 'abacus'" in refused.output


async def test_a_balance_that_was_written_by_hand_is_found(desk: Desk) -> None:
    await desk.books.change(f"UPDATE ledger_balances SET debits = debits + 7 WHERE account = '{Chart.BANK}'")
    assert (await desk.json("/check"))["wrong"] == [
        {"account": Chart.BANK, "currency": "IDR", "says": 12, "sums": 5}
    ]
    found = await desk.tepi("check")
    assert (found.exit_code, found.output) == (1, "Assets:Bank IDR: says 12, sums to 5\n")
