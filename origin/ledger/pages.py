"""Reports, exports and reconciliation for the dashboard, commands and spreadsheets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from origin.contract import PRIVATE, Answer, Call, Money, Page
from origin.ledger.beancount import Entry, render
from origin.ledger.book import Book
from origin.ledger.comparing import Comparing
from origin.ledger.front import Front, money_document
from origin.ledger.reading import Reading
from origin.ledger.reports import AMOUNTS, COUNTS, Line, Wish, lines, totals, wish
from origin.money import decimal
from origin.sheets import CSV, XLSX, Cell, as_csv, as_xlsx

PERMISSION = "ledger.read"
GENESIS = date(1970, 1, 1)
EXPORT_HEADS = (
    "day", "transfer", "occasion", "order", "provider", "method", "reference", "memo", "account", "amount",
    "currency",
)  # fmt: skip
DAY_AT = datetime.min.time()
LONGEST_NAME, MOST_PARTS = 80, 6  # of a chart's series


class Pages:
    """Answers at the admin listener."""

    def __init__(self, book: Book, reading: Reading) -> None:
        self._book = book
        self._reading = reading
        self._front = Front()
        self._comparing = Comparing(book, reading, self._front)

    def all(self) -> Iterator[Page]:
        """What the plugin shows."""
        report, books = {"en": "Money", "id": "Keuangan"}, {"en": "Books", "id": "Pembukuan"}
        yield Page("", report, self._overview, PERMISSION)
        yield Page("/report", report, self._report, PERMISSION)
        yield Page("/entries", books, self._entries, PERMISSION)
        yield Page("/payouts", books, self._payouts, PERMISSION)
        yield Page("/accounts", books, self._accounts, PERMISSION)
        yield Page("/check", books, self._check, PERMISSION)
        yield Page("/settlement", books, self._comparing.show, PERMISSION)
        yield Page("/reconcile", books, self._comparing.take, PERMISSION, method="POST")

    async def _report(self, call: Call) -> Answer:
        asked = self._wish(call)
        if isinstance(asked, Answer):
            return asked
        found = lines(await self._reading.sums(asked.first, asked.last), asked)
        heads = ("start", "currency", *asked.by_others, *COUNTS, *AMOUNTS)
        match call.request.query.get("as", "json"):
            case "csv":
                body = as_csv(heads, (_row(line, asked) for line in found))
                return _file(body, CSV, f"report-{asked.first}-{asked.last}.csv")
            case "xlsx":
                body = as_xlsx("report", heads, (_row(line, asked) for line in found))
                return _file(body, XLSX, f"report-{asked.first}-{asked.last}.xlsx")
            case "json":
                return Answer(
                    {
                        "first": str(asked.first),
                        "last": str(asked.last),
                        "lines": [_described(line) for line in found],
                        "totals": [_described(line) for line in totals(found)],
                    }
                )
            case other:
                return _wrong(f"as: got {other[:20]!r}, expected json, csv or xlsx")

    async def _entries(self, call: Call) -> Answer:
        asked = self._wish(call)
        if isinstance(asked, Answer):
            return asked
        kind = call.request.query.get("as", "csv")
        name = f"books-{asked.first}-{asked.last}"
        if kind == "beancount":
            found = [entry async for entry in self._reading.booked(GENESIS, self._book.today())]
            body = "".join(render(found, await self._reading.balances(), self._book.today()))
            return _file(body.encode(), "text/plain; charset=utf-8", "books.beancount")
        rows = [row async for entry in self._reading.booked(asked.first, asked.last) for row in _rows(entry)]
        if kind == "csv":
            return _file(as_csv(EXPORT_HEADS, rows), CSV, f"{name}.csv")
        if kind == "xlsx":
            return _file(as_xlsx("books", EXPORT_HEADS, rows), XLSX, f"{name}.xlsx")
        return _wrong(f"as: got {kind[:20]!r}, expected csv, xlsx or beancount")

    async def _payouts(self, call: Call) -> Answer:
        asked = self._wish(call)
        if isinstance(asked, Answer):
            return asked
        return Answer({"payouts": await self._comparing.payouts(asked)})

    async def _accounts(self, _call: Call) -> Answer:
        found = await self._reading.balances()
        return Answer(
            {"accounts": [{"account": account, **money_document(amount)} for account, amount in found]}
        )

    async def _check(self, _call: Call) -> Answer:
        wrong = [
            {"account": account, "currency": currency, "says": says, "sums": sums}
            for account, currency, says, sums in await self._reading.wrong()
        ]
        return Answer({"wrong": wrong})

    async def _overview(self, call: Call) -> Answer:
        asked = self._wish(call)
        if isinstance(asked, Answer):
            return asked
        found = lines(await self._reading.sums(asked.first, asked.last), asked)
        texts = self._front.texts(call)
        html = self._front.render(
            call,
            "overview.html",
            names=texts["figures"],
            asked=asked,
            query=call.request.query,
            figures=("gross", "refunded", "charged_back", "fees", "net", "paid_out"),
            lines=found,
            totals=totals(found),
            accounts=await self._reading.balances(),
            charts=[json.dumps(one) for one in _charts(found, asked, texts)],
        )
        return Answer(html, PRIVATE)

    def _wish(self, call: Call) -> Wish | Answer:
        try:
            return wish(dict(call.request.query), self._book.today())
        except ValueError as error:
            return _wrong(str(error))


def _charts(found: Sequence[Line], asked: Wish, texts: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One for each currency, a point a day: what control draws (see docs/ledger.md)."""
    if asked.period != "day":
        return
    days = [asked.first + timedelta(days=one) for one in range((asked.last - asked.first).days + 1)]
    start = int(datetime.combine(asked.first, DAY_AT, UTC).timestamp())
    for currency in sorted({line.currency for line in found}):
        own = [line for line in found if line.currency == currency]
        series = _by_parts(own, asked, days) if asked.by_others else _by_figures(own, texts, days)
        yield {
            "id": f"money-{currency}",
            "title": texts["chart"],
            "unit": currency,
            "start": start,
            "step": 86_400,
            "series": series,
        }


def _by_figures(found: Sequence[Line], texts: dict[str, Any], days: Sequence[date]) -> list[dict[str, Any]]:
    """What was taken, what was left of it, and what went back."""
    colours = (("gross", "store"), ("net", "origin"), ("refunded", "failed"))
    return [
        {"name": texts["figures"][figure], "colour": colour, "points": _points(found, figure, days)}
        for figure, colour in colours
    ]


def _by_parts(found: Sequence[Line], asked: Wish, days: Sequence[date]) -> list[dict[str, Any]]:
    """What was taken by the providers or methods that took most."""
    parts: dict[str, list[Line]] = {}
    for line in found:
        name = " · ".join(getattr(line, part) or "–" for part in asked.by_others)
        parts.setdefault(name, []).append(line)
    largest = sorted(parts, key=lambda name: -sum(line.amounts["gross"] for line in parts[name]))
    return [
        {
            "name": name[:LONGEST_NAME],
            "colour": f"node-{number}",
            "points": _points(parts[name], "gross", days),
        }
        for number, name in enumerate(largest[:MOST_PARTS])
    ]


def _points(found: Sequence[Line], figure: str, days: Sequence[date]) -> list[float]:
    by_day = {line.start: float(decimal(Money(line.amounts[figure], line.currency))) for line in found}
    return [by_day.get(day, 0.0) for day in days]


def _row(line: Line, asked: Wish) -> list[Cell]:
    others: list[Cell] = [getattr(line, name) for name in asked.by_others]
    counts: list[Cell] = [line.counts[name] for name in COUNTS]
    amounts: list[Cell] = [decimal(Money(line.amounts[name], line.currency)) for name in AMOUNTS]
    return [line.start, line.currency, *others, *counts, *amounts]


def _rows(entry: Entry) -> Iterator[list[Cell]]:
    for one in entry.postings:
        yield [
            entry.day, entry.transfer, entry.occasion, entry.order, entry.provider, entry.method,
            entry.reference, entry.memo, one.account, decimal(one.amount), one.amount.currency,
        ]  # fmt: skip


def _described(line: Line) -> dict[str, Any]:
    return {
        "start": str(line.start),
        "currency": line.currency,
        "provider": line.provider,
        "method": line.method,
        **line.counts,
        **{name: money_document(Money(minor, line.currency)) for name, minor in line.amounts.items()},
    }


def _file(body: bytes, kind: str, name: str) -> Answer:
    fields = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Answer(body, PRIVATE, content_type=kind, fields=fields)


def _wrong(detail: str) -> Answer:
    return Answer({"detail": detail}, status=422)
