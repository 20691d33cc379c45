"""The operator's pages of the checkout in the dashboard: orders, one order, and what nobody knows."""

from __future__ import annotations

import secrets
import tomllib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from origin.checkout.orders import Moment, Search, Story
from origin.checkout.pages import written
from origin.checkout.records import Session
from origin.checkout.states import CANCELLABLE, SETTLED, STATES
from origin.contract import PRIVATE, Answer, Call, Money
from origin.exchange import language_of
from origin.money import decimal

HERE = Path(__file__).parent
TOLD = ("country", "card_country", "shipping_country", "network_kind", "travel_kmh", "cards_day")


class Front:
    """Renders fragments in the language that is wished."""

    def __init__(self) -> None:
        self._texts: dict[str, dict[str, Any]] = tomllib.loads(
            (HERE / "data" / "desk.toml").read_text(encoding="utf-8")
        )
        self._jinja = Environment(
            loader=FileSystemLoader(HERE / "templates" / "desk"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def orders(
        self, call: Call, search: Search, found: Sequence[Session], *, more: bool, orphans: int
    ) -> Answer:
        """A list of orders, with the form that looks for others."""
        return self._answer(
            call,
            "orders.html",
            search=search,
            found=found,
            older=found[-1].id if more and found else None,
            orphans=orphans,
            states=STATES,
        )

    def order(self, call: Call, story: Story) -> Answer:
        """One order, what happened to it, and what can be done with it."""
        session = story.session
        left = 0 if story.payment is None else story.payment.captured - story.payment.refunded
        asked = sum(
            one["amount"]
            for one in story.refunds
            if one["state"] == "asked" and story.payment is not None and one["payment"] == story.payment.id
        )
        return self._answer(
            call,
            "order.html",
            session=session,
            story=story,
            attempt=secrets.token_hex(8),
            refundable=left - asked if session.state in SETTLED else 0,
            capturable=session.state == "authorized",
            cancellable=session.state in CANCELLABLE,
            told=TOLD,
            facts=lambda moment: self._facts(call, session, moment),
        )

    def orphans(self, call: Call, found: Sequence[Mapping[str, Any]]) -> Answer:
        """Webhooks about payments that nobody here knows."""
        return self._answer(call, "orphans.html", found=found)

    def _answer(self, call: Call, template: str, **values: object) -> Answer:
        language = language_of(call)
        texts = self._texts[language]
        html = self._jinja.get_template(template).render(
            t=SimpleNamespace(**texts),
            names=texts["states"],
            happened=texts["moments"],
            money=lambda minor, currency: written(Money(minor, currency), language),
            plain=lambda minor, currency: str(decimal(Money(minor, currency))),
            moment=lambda at: datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
            **values,
        )
        return Answer(html, PRIVATE)

    def _facts(self, call: Call, session: Session, moment: Moment) -> str:
        """What is worth saying of a moment beside its name."""
        facts = moment.facts
        match moment.what:
            case "refund":
                return written(Money(facts["amount"], session.currency), language_of(call))
            case "payment":
                return f"{facts['provider']} · {facts['method']}"
            case "refused":
                return f"{facts['provider']}: {facts['reason']}"
            case _:
                return ""
