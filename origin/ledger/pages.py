"""Reports, exports and reconciliation for the dashboard, commands and spreadsheets."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from origin.contract import PRIVATE, Answer, Call, Money, Page
from origin.ledger.beancount import Entry, render
from origin.ledger.book import Book
from origin.ledger.reading import Reading
from origin.ledger.reports import AMOUNTS, COUNTS, Line, Wish, lines, totals, wish
from origin.ledger.settlement import Finding, reconcile
from origin.ledger.statements import FORMATS, BadStatement, read
from origin.money import decimal
from origin.sheets import CSV, XLSX, Cell, as_csv, as_xlsx

HERE = Path(__file__).parent
PERMISSION = "ledger.read"
LARGEST_STATEMENT = 900_000  # characters: a request's body is bounded
GENESIS = date(1970, 1, 1)
EXPORT_HEADS = (
    "day", "transfer", "occasion", "order", "provider", "method", "reference", "memo", "account", "amount",
    "currency",
)  # fmt: skip
DAY_AT = datetime.min.time()


class _Reconcile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    provider: str = Field(min_length=1, max_length=63)
    format: str
    statement: str = Field(max_length=LARGEST_STATEMENT)
    first: str = ""
    last: str = ""


class Pages:
    """Answers at the admin listener."""

    def __init__(self, book: Book, reading: Reading) -> None:
        self._book = book
        self._reading = reading
        self._texts: dict[str, dict[str, Any]] = tomllib.loads(
            (HERE / "data" / "texts.toml").read_text(encoding="utf-8")
        )
        self._jinja = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
        )

    def all(self) -> Iterator[Page]:
        """What the plugin shows."""
        report, books = {"en": "Money", "id": "Keuangan"}, {"en": "Books", "id": "Pembukuan"}
        yield Page("", report, self._overview, PERMISSION)
        yield Page("/report", report, self._report, PERMISSION)
        yield Page("/entries", books, self._entries, PERMISSION)
        yield Page("/payouts", books, self._payouts, PERMISSION)
        yield Page("/accounts", books, self._accounts, PERMISSION)
        yield Page("/check", books, self._check, PERMISSION)
        yield Page("/reconcile", books, self._reconcile, PERMISSION, method="POST")

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
        found = [
            {
                "day": str(entry.day),
                "transfer": entry.transfer,
                "provider": entry.provider,
                "reference": entry.reference,
                "lines": [{"account": one.account, **_money(one.amount)} for one in entry.postings],
            }
            async for entry in self._reading.booked(asked.first, asked.last)
            if entry.occasion == "payout"
        ]
        return Answer({"payouts": found})

    async def _accounts(self, _call: Call) -> Answer:
        found = await self._reading.balances()
        return Answer({"accounts": [{"account": account, **_money(amount)} for account, amount in found]})

    async def _check(self, _call: Call) -> Answer:
        wrong = [
            {"account": account, "currency": currency, "says": says, "sums": sums}
            for account, currency, says, sums in await self._reading.wrong()
        ]
        return Answer({"wrong": wrong})

    async def _reconcile(self, call: Call) -> Answer:
        try:
            asked = _Reconcile.model_validate_json(await call.request.read())
            span = wish({"first": asked.first, "last": asked.last}, self._book.today())
            stated = read(asked.format, asked.statement)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            return _wrong(f"{'.'.join(str(step) for step in first['loc']) or 'document'}: {first['msg']}")
        except (BadStatement, ValueError) as error:
            return _wrong(str(error))
        made = reconcile(stated, await self._reading.held(asked.provider, span.first, span.last))
        return Answer(
            {
                "counts": made.counts(),
                "stated": {code: _money(Money(minor, code)) for code, minor in made.stated.items()},
                "booked": {code: _money(Money(minor, code)) for code, minor in made.booked.items()},
                "findings": [_finding(one) for one in made.findings if one.state != "matched"],
            }
        )

    async def _overview(self, call: Call) -> Answer:
        asked = self._wish(call)
        if isinstance(asked, Answer):
            return asked
        found = lines(await self._reading.sums(asked.first, asked.last), asked)
        language = "id" if call.request.headers.get("Accept-Language", "").startswith("id") else "en"
        texts = self._texts[language]
        html = self._jinja.get_template("overview.html").render(
            t=SimpleNamespace(**texts),
            names=texts["figures"],
            asked=asked,
            query=call.request.query,
            figures=("gross", "refunded", "charged_back", "fees", "net", "paid_out"),
            lines=found,
            totals=totals(found),
            accounts=await self._reading.balances(),
            charts=[json.dumps(one) for one in _charts(found, asked, texts)],
            shown=_shown,
            formats=list(FORMATS),
        )
        return Answer(html, PRIVATE)

    def _wish(self, call: Call) -> Wish | Answer:
        try:
            return wish(dict(call.request.query), self._book.today())
        except ValueError as error:
            return _wrong(str(error))


def _charts(found: Sequence[Line], asked: Wish, texts: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One for each currency, a point a day: what control draws (see docs/ledger.md)."""
    if asked.period != "day" or asked.by_others:
        return
    days = [asked.first + timedelta(days=one) for one in range((asked.last - asked.first).days + 1)]
    start = int(datetime.combine(asked.first, DAY_AT, UTC).timestamp())
    for total in totals(found):
        by_day = {line.start: line for line in found if line.currency == total.currency}

        def points(figure: str, by_day: dict[date, Line] = by_day) -> list[float]:
            return [
                float(decimal(Money(by_day[day].amounts[figure], by_day[day].currency)))
                if day in by_day
                else 0.0
                for day in days
            ]

        yield {
            "id": f"money-{total.currency}",
            "title": texts["chart"],
            "unit": total.currency,
            "start": start,
            "step": 86_400,
            "series": [
                {"name": texts["figures"]["gross"], "colour": "store", "points": points("gross")},
                {"name": texts["figures"]["net"], "colour": "origin", "points": points("net")},
                {"name": texts["figures"]["refunded"], "colour": "failed", "points": points("refunded")},
            ],
        }


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
        **{name: _money(Money(minor, line.currency)) for name, minor in line.amounts.items()},
    }


def _money(amount: Money) -> dict[str, Any]:
    return {"minor": amount.minor, "currency": amount.currency, "text": str(decimal(amount))}


def _shown(minor: int, currency: str) -> str:
    return f"{decimal(Money(minor, currency)):,}"


def _finding(one: Finding) -> dict[str, Any]:
    side = one.settled or one.booked
    assert side is not None
    return {
        "state": one.state,
        "line": None if one.settled is None else one.settled.line,
        "transfer": None if one.booked is None else one.booked.transfer,
        "occasion": side.occasion,
        "order": side.order,
        "reference": side.reference,
        "amount": _money(side.gross),
        "reasons": list(one.reasons),
    }


def _file(body: bytes, kind: str, name: str) -> Answer:
    fields = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Answer(body, PRIVATE, content_type=kind, fields=fields)


def _wrong(detail: str) -> Answer:
    return Answer({"detail": detail}, status=422)
