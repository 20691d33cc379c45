"""Orders as the operator looks for them, and everything that is known of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, func, or_, select
from sqlalchemy.sql import ColumnElement

from origin.checkout.problems import wrong
from origin.checkout.records import Payment, Session, payment_of, session_of
from origin.checkout.sessions import Sessions
from origin.checkout.states import STATES
from origin.checkout.tables import orphans, payments, refunds, sessions
from origin.contract import Host, Ledger, Risk
from origin.db.tables import outbox

LONGEST_TEXT = 254


@dataclass(frozen=True, slots=True)
class Search:
    """Which orders. `text` is an order's id, a provider's or the shop's reference, or an e-mail address;
    `before` is the id of the order that they are older than."""

    text: str = ""
    state: str = ""
    before: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Search:
        """What a page's query asks for. Raises Problem."""
        text, state = query.get("q", "").strip(), query.get("state", "")
        if len(text) > LONGEST_TEXT:
            raise wrong("q", text, f"at most {LONGEST_TEXT} characters")
        if state and state not in STATES:
            raise wrong("state", state, " or ".join(STATES))
        return cls(text, state, query.get("before", ""))


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened to an order, at seconds since 1970."""

    at: float
    what: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Story:
    """An order with its payments, refunds, what was booked of it, what risk decided, and what happened."""

    session: Session
    payment: Payment | None
    payments: Sequence[Payment]
    refunds: Sequence[Mapping[str, Any]]
    transfers: Sequence[Mapping[str, Any]]
    decisions: Sequence[Mapping[str, Any]]
    moments: Sequence[Moment]


class Orders:
    """Reads; changes nothing."""

    def __init__(self, host: Host, kept: Sessions) -> None:
        self._host = host
        self._sessions = kept

    async def found(self, search: Search, most: int) -> Sequence[Session]:
        """The latest orders that `search` is for. Raises Problem."""
        asked = select(sessions).order_by(sessions.c.created_at.desc(), sessions.c.id.desc()).limit(most)
        if search.state:
            asked = asked.where(sessions.c.state == search.state)
        if search.text:
            asked = asked.where(_named(search.text))
        if search.before:
            last, _ = await self._sessions.find(search.before)
            asked = asked.where(
                or_(
                    sessions.c.created_at < last.created_at,
                    and_(sessions.c.created_at == last.created_at, sessions.c.id < last.id),
                )
            )
        async with self._host.read() as connection:
            return [session_of(row) for row in await connection.execute(asked)]

    async def story(self, id: str) -> Story:
        """Everything of one order. Raises Problem."""
        session, payment = await self._sessions.find(id)
        ledger, risk = self._ledger(), self._risk()
        async with self._host.read() as connection:
            tried = await connection.execute(
                select(payments).where(payments.c.session == id).order_by(payments.c.created_at)
            )
            attempts = [payment_of(row) for row in tried]
            back = await connection.execute(
                select(refunds)
                .where(refunds.c.payment.in_([one.id for one in attempts]))
                .order_by(refunds.c.created_at)
            )
            given = [dict(row._mapping) for row in back]
            happened = await connection.execute(
                select(outbox.c.name, outbox.c.body, outbox.c.created_at)
                .where(
                    outbox.c.kind == "event",
                    outbox.c.created_at >= session.created_at,
                    or_(outbox.c.name.startswith("order."), outbox.c.name.startswith("payment.")),
                    outbox.c.body["session"].as_string() == id,
                )
                .order_by(outbox.c.number)
            )
            events = [Moment(row.created_at, row.name, row.body) for row in happened]
        return Story(
            session,
            payment,
            attempts,
            given,
            [] if ledger is None else await ledger.of_order(id),
            [] if risk is None else await risk.of_order(id),
            _in_order(session, attempts, given, events),
        )

    async def orphans(self, most: int) -> Sequence[Mapping[str, Any]]:
        """The latest webhooks about payments that nobody here knows."""
        async with self._host.read() as connection:
            found = await connection.execute(select(orphans).order_by(orphans.c.number.desc()).limit(most))
            return [dict(row._mapping) for row in found]

    async def counted(self) -> Mapping[str, int]:
        """How many sessions there are in each state."""
        async with self._host.read() as connection:
            found = await connection.execute(
                select(sessions.c.state, func.count()).group_by(sessions.c.state)
            )
            return dict.fromkeys(STATES, 0) | {str(row[0]): int(row[1]) for row in found}

    async def orphaned(self) -> int:
        """How many orphans there are."""
        async with self._host.read() as connection:
            return int((await connection.execute(select(func.count()).select_from(orphans))).scalar_one())

    def _ledger(self) -> Ledger | None:
        try:
            found: Ledger = self._host.use("ledger")
        except LookupError:
            return None
        return found

    def _risk(self) -> Risk | None:
        try:
            found: Risk = self._host.use("risk")
        except LookupError:
            return None
        return found


def _named(text: str) -> ColumnElement[bool]:
    """Whether an order is what `text` says."""
    paid = select(payments.c.session).where(or_(payments.c.reference == text, payments.c.id == text))
    return or_(
        sessions.c.id == text,
        sessions.c.id.in_(paid),
        sessions.c.document["reference"].as_string() == text,
        func.lower(sessions.c.document["email"].as_string()) == text.lower(),
    )


def _in_order(
    session: Session,
    attempts: Sequence[Payment],
    given: Sequence[Mapping[str, Any]],
    events: Sequence[Moment],
) -> Sequence[Moment]:
    """What happened, the first thing first."""
    moments = [Moment(session.created_at, "opened", {}), *events]
    for one in attempts:
        moments.append(Moment(one.created_at, "payment", {"provider": one.provider, "method": one.method}))
        if one.reason:
            moments.append(
                Moment(one.changed_at, "refused", {"provider": one.provider, "reason": one.reason})
            )
    moments += [Moment(one["created_at"], "refund", {"amount": one["amount"]}) for one in given]
    return sorted(moments, key=lambda one: one.at)
