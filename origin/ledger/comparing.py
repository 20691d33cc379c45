"""Providers' statements against the books: the form that takes one, what came of it, and payouts."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from origin.contract import PRIVATE, Answer, Call, Money
from origin.exchange import wants_html
from origin.ledger.book import Book
from origin.ledger.front import Front, money_document
from origin.ledger.reading import Reading
from origin.ledger.reports import Wish, wish
from origin.ledger.settlement import Finding, Reconciliation, reconcile
from origin.ledger.statements import FORMATS, BadStatement, read

LARGEST_STATEMENT = 900_000  # characters: a request's body is bounded


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    provider: str = Field(min_length=1, max_length=63)
    format: str
    statement: str = Field(max_length=LARGEST_STATEMENT)
    first: str = ""
    last: str = ""


class Comparing:
    """Answers at the admin listener. Nothing is booked by it."""

    def __init__(self, book: Book, reading: Reading, front: Front) -> None:
        self._book = book
        self._reading = reading
        self._front = front

    async def show(self, call: Call) -> Answer:
        """The form, and the payouts of these days."""
        try:
            span = wish(dict(call.request.query), self._book.today())
        except ValueError as error:
            return Answer({"detail": str(error)}, status=422)
        return await self._page(call, span, {})

    async def take(self, call: Call) -> Answer:
        """A statement, held against what was booked; nothing where it can't be read."""
        today = self._book.today()
        form: dict[str, str] = {}
        try:
            asked = _Asked.model_validate_json(await call.request.read())
            form = {"provider": asked.provider, "format": asked.format}
            span = wish({"first": asked.first, "last": asked.last}, today)
            stated = read(asked.format, asked.statement)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(step) for step in first["loc"]) or "document"
            return await self._refused(call, form, f"{place}: {first['msg']}")
        except (BadStatement, ValueError) as error:
            return await self._refused(call, form, str(error))
        made = reconcile(stated, await self._reading.held(asked.provider, span.first, span.last))
        if wants_html(call):
            return await self._page(call, span, form, made=made)
        return Answer(
            {
                "counts": made.counts(),
                "stated": {code: money_document(Money(minor, code)) for code, minor in made.stated.items()},
                "booked": {code: money_document(Money(minor, code)) for code, minor in made.booked.items()},
                "findings": _unmatched(made),
            }
        )

    async def payouts(self, span: Wish) -> list[dict[str, Any]]:
        """What providers paid out in these days."""
        return [
            {
                "day": str(entry.day),
                "transfer": entry.transfer,
                "provider": entry.provider,
                "reference": entry.reference,
                "lines": [{"account": one.account, **money_document(one.amount)} for one in entry.postings],
            }
            async for entry in self._reading.booked(span.first, span.last)
            if entry.occasion == "payout"
        ]

    async def _refused(self, call: Call, form: dict[str, str], problem: str) -> Answer:
        if not wants_html(call):
            return Answer({"detail": problem}, status=422)
        return await self._page(call, wish({}, self._book.today()), form, problem=problem)

    async def _page(
        self,
        call: Call,
        span: Wish,
        form: dict[str, str],
        *,
        made: Reconciliation | None = None,
        problem: str = "",
    ) -> Answer:
        html = self._front.render(
            call,
            "settlement.html",
            form={
                "provider": "",
                "format": "plain",
                "first": str(span.first),
                "last": str(span.last),
                **form,
            },
            formats=list(FORMATS),
            problem=problem,
            made=made,
            counts={} if made is None else made.counts(),
            findings=[] if made is None else _unmatched(made),
            states=self._front.texts(call)["states"],
            payouts=await self.payouts(span),
        )
        return Answer(html, PRIVATE, status=422 if problem else 200)


def _unmatched(made: Reconciliation) -> list[dict[str, Any]]:
    return [_finding(one) for one in made.findings if one.state != "matched"]


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
        "amount": money_document(side.gross),
        "reasons": list(one.reasons),
    }
