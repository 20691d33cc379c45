"""Making memos: an answer of the pipeline, and the conditions under which it would make the same again.

The conditions are every question that policy asked of the request, with what it was told. They are kept as
they were asked ("no session cookie", "encoding class br"), so that what nobody looked at does not matter.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from edge.access_log import AccessLog, Mould
from edge.http.message import Answer, Outcome, Request
from edge.http.recording import Condition, Conditions, Recording, Watched
from edge.lane import Broken, Lane, Memo, Pieces, Profile
from edge.policy.entry import Entry
from edge.policy.reasons import RuleReason
from edge.series import Series
from edge.sites import Sites
from edge.store.content import Stored
from edge.store.contract import Store
from edge.store.lent import Lending
from edge.telemetry import CLIENT_GONE, Telemetry

CONDITIONS = 2_048  # sets of them that are known at once
Text = TypeVar("Text", bytes, str)
PLACE = frozenset({"country", "asn"})  # what may tell visitors apart beside their fields


class Ticket:
    """A request that the lane would have taken, had it had a memo: `line` is what it asked, and of whom."""

    __slots__ = ("_client", "_fields", "entry", "line", "profile")

    def __init__(self, profile: Profile, line: bytes) -> None:
        self.profile = profile
        self.line = line
        self.entry: Entry | None = None  # what the pipeline answered with
        self._fields: Recording | None = None
        self._client: Watched | None = None

    def watched(self, request: Request) -> Request:
        """`request`, writing down what is asked of it."""
        self._fields, self._client = Recording(request.fields.lines), Watched(request.client)
        return replace(request, fields=self._fields, client=self._client, on_hit=self.served)

    def served(self, entry: Entry) -> None:
        """The answer is a plain hit on `entry`."""
        self.entry = entry

    def conditions(self) -> tuple[Condition, ...]:
        """What was asked of the fields on the way to the answer, and what they said."""
        return () if self._fields is None else self._fields.conditions()

    def looked_at(self) -> frozenset[str]:
        """What was looked at of the client."""
        return frozenset() if self._client is None else self._client.seen()


class Memos:
    """Keeps answers as memos where they can be."""

    def __init__(
        self,
        *,
        lanes: Mapping[str, Lane],
        store: Store,
        sites: Sites,
        telemetry: Telemetry,
        access_log: Callable[[], AccessLog | None],
    ) -> None:
        """`lanes` are the short ways, by scheme."""
        self._lanes = lanes
        for scheme, lane in lanes.items():
            lane.stand_beside(scheme, lanes)
        self._store = store
        self._sites = sites
        self._telemetry = telemetry
        self._access_log = access_log
        self._known: dict[tuple[Condition, ...], Conditions] = {}
        self._texts: dict[bytes | str, Any] = {}

    def keep(self, ticket: Ticket, request: Request, answer: Answer, head: bytes) -> bool:
        """Makes a memo of `answer` to `request`, written under `head`; False if it can't be one."""
        entry, outcome = ticket.entry, answer.outcome
        body = answer.body.lent if isinstance(answer.body, Lending) else answer.body
        looked_at = ticket.looked_at()
        if entry is None or body is None or isinstance(body, AsyncIterator) or looked_at - PLACE:
            return False
        if outcome.verdict != "hit" or outcome.fwd is not None:  # who waited for another's fetch is told so
            return False
        if not _is_everybodys(entry, answer):
            return False
        if RuleReason.ERROR_PAGE in outcome.rules:  # it goes, whatever becomes of the entry
            return False
        slot, served = self._store.slot(entry), self._sites.find(request.host)
        pieces = cut(head, outcome.age, outcome.ttl, request.id)
        conditions = self._shared(ticket.conditions())
        if slot is None or served is None or pieces is None or not ticket.profile.meets(conditions):
            return False
        if request.method == "HEAD" or answer.status in (204, 205, 304):
            body = b""
        log = self._access_log()
        mould = None if log is None else log.mould(request, answer.status, len(body), outcome)
        if mould is not None:
            mould = tuple([part if request.path in part else self._same(part) for part in mould])
        before, between, after, tail = pieces
        memo = Memo(
            ticket.line,
            conditions,
            slot,
            served,
            (before, self._same(between), self._same(after), self._same(tail)),
            body,
            entry.freshness.born,
            entry.freshness.expires,
            self._telemetry.series(outcome, answer.status),
            mould,
            (request.client.country, request.client.asn) if looked_at else None,
            self._store.noted(entry),
            None if isinstance(body, bytes) else self._broken(request, outcome),
        )
        self._lanes[request.scheme].keep(ticket.profile, memo)
        self._store.front.fit()
        return True

    def _same(self, text: Text) -> Text:
        """One object for all memos that say the same."""
        if len(self._texts) >= CONDITIONS:
            self._texts.clear()
        same: Text = self._texts.setdefault(text, text)
        return same

    def _broken(self, request: Request, outcome: Outcome) -> Broken:
        """How an answer to requests like `request` counts whose client went before it had all of it."""

        def broken(sent: int) -> tuple[Series, Mould | None]:
            log = self._access_log()
            mould = None if log is None else log.mould(request, CLIENT_GONE, sent, outcome)
            return self._telemetry.series(outcome, CLIENT_GONE), mould

        return broken

    def _shared(self, items: tuple[Condition, ...]) -> Conditions:
        """One object for all memos with the same conditions, so that a profile judges them once."""
        conditions = self._known.get(items)
        if conditions is None:
            if len(self._known) >= CONDITIONS:
                self._known.clear()
            conditions = self._known[items] = Conditions(items)
        return conditions


def _is_everybodys(entry: Entry, answer: Answer) -> bool:
    """Whether the next visitor may get the same bytes: nothing was filled in for this one, no cookie set."""
    content = entry.content
    as_stored = isinstance(content, Stored) and content.identity is not None and content.template is None
    return as_stored and "set-cookie" not in answer.fields


def cut(head: bytes, age: int | None, ttl: int | None, named: str) -> Pieces | None:
    """`head` in four pieces: Age's value, Cache-Status's ttl and the id `named` are what is between them."""
    if age is None or ttl is None or not named or head.count(named.encode()) != 1:
        return None
    pieces = []
    start = 0
    for before, value in (
        (b"\r\nAge: ", b"%d" % age),
        (b"; hit; ttl=", b"%d" % ttl),
        (b"\r\nX-Request-Id: ", named.encode()),
    ):
        at = head.rfind(before + value)
        if at < start:
            return None
        at += len(before)
        pieces.append(head[start:at])
        start = at + len(value)
    return pieces[0], pieces[1], pieces[2], head[start:]
