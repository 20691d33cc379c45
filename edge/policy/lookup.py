"""Lookup (RFC 9111 §4): what to do with a request, given what is stored under its key. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from edge.http.cache_control import SILENT_REQUEST, RequestDirectives, parse_request
from edge.http.lists import names
from edge.http.message import Request
from edge.policy.classes import PAGE, Class, Never, Personal
from edge.policy.decisions import Complete, Decision, Hit, Miss, Pass, Revalidate, Stale, Unavailable
from edge.policy.entry import Entry
from edge.policy.freshness import usable_while_revalidating
from edge.policy.needs import Needs
from edge.policy.partial import Asks, asks, completes, lack
from edge.policy.reasons import MissReason, PassReason, RevalidateReason, StaleReason
from edge.policy.rules import SiteRules
from edge.policy.vary import matches


def lookup(
    request: Request,
    entries: Sequence[Entry],
    rules: SiteRules,
    now: float,
    trusted: int = 0,
    kind: Class = PAGE,
    needs: Needs | None = None,
) -> Decision:
    """The decision for `request`; `entries` are all variants stored under its key.

    `now` is monotonic. Entries whose `order` is below `trusted` must be revalidated before their next use,
    and so must those that are not as new as who asks `needs` them.
    """
    passed = bypass(request, kind)
    wishes = request_directives(request)
    if passed is not None:
        kept_out = wishes.only_if_cached and request.method in ("GET", "HEAD")  # others are written through
        return Unavailable() if kept_out else Pass(passed)
    selected = select_entry(request, entries, now)
    decision: Decision
    if isinstance(selected, MissReason):
        decision = _absent(request, selected)
    else:
        decision = _judge(selected, wishes if rules.obey_reload else _mild(wishes), now, trusted)
        if needs is not None and not needs.are_met_by(selected):
            decision = Revalidate(selected, RevalidateReason.BEHIND)
        if selected.content.partial:
            decision = _of_parts(request, selected, decision, thorough=wishes.only_if_cached)
    if wishes.only_if_cached and not isinstance(decision, Hit | Stale):
        return Unavailable()
    return decision


def bypass(request: Request, kind: Class = PAGE) -> PassReason | None:
    """Why the store has no say in `request` at all, or None."""
    if isinstance(kind, Never):
        return PassReason.NEVER
    if request.method != "GET" and request.method != "HEAD":
        return PassReason.METHOD
    if request.body is not None:
        return PassReason.BODY
    if "if-match" in request.fields or "if-unmodified-since" in request.fields:
        return PassReason.PRECONDITION
    return kind.why if isinstance(kind, Personal) else None


def _absent(request: Request, reason: MissReason) -> Miss | Pass:
    """The decision where nothing that is stored can help."""
    return Pass(PassReason.RANGE) if asks(request) is Asks.AS_IT_IS else Miss(reason)


def _of_parts(request: Request, entry: Entry, decision: Decision, *, thorough: bool) -> Decision:
    """`decision` for an entry of which only parts are here (RFC 9111 §3.3).

    `thorough`: all that is needed must be here, even of a body in slices.
    """
    lacks = lack(request, entry, at_once=isinstance(decision, Hit) and not thorough)
    if lacks is None:
        return decision
    if not lacks.only or not completes(entry):
        return _absent(request, MissReason.PARTIAL)
    match decision:
        case Hit():
            return Complete(entry, lacks)
        case Stale():  # what is fetched must not be of another version than what is here
            return Revalidate(entry, RevalidateReason.STALE)
        case Revalidate() | Complete() | Miss() | Pass() | Unavailable():
            return decision
        case _:
            assert_never(decision)


def request_directives(request: Request) -> RequestDirectives:
    """What the client asks of caches (§5.2.1); Pragma speaks only where Cache-Control is silent (§5.4)."""
    value = request.fields.get("cache-control")
    if value is not None:
        return parse_request(value)
    pragma = request.fields.get("pragma")
    if pragma is not None and "no-cache" in names(pragma):
        return _PRAGMA
    return SILENT_REQUEST


_PRAGMA = RequestDirectives(no_cache=True)


def _mild(wishes: RequestDirectives) -> RequestDirectives:
    """What is heeded of a client that may not force revalidations: only that he would take older answers."""
    if wishes.max_stale is None:
        return SILENT_REQUEST
    return RequestDirectives(max_stale=wishes.max_stale)


def select_entry(request: Request, entries: Sequence[Entry], now: float) -> Entry | MissReason:
    """The best entry that fits `request` (§4, §4.1), or why there is none."""
    if not entries:
        return MissReason.COLD
    authorized = "authorization" in request.fields
    best: Entry | None = None
    withheld = False
    for entry in entries:
        if entry.selection and not matches(entry.selection, entry.fields, request.fields):
            continue
        if authorized and not entry.for_authorized:
            withheld = True
            continue
        if best is None or _rank(entry) > _rank(best):
            best = entry
    if best is not None:
        return best
    return MissReason.AUTHORIZATION if withheld else MissReason.VARY


def _rank(entry: Entry) -> tuple[bool, int, float]:
    """What is chosen among entries that fit: one with Vary, for another may have forgotten it (§4.1), the
    most recent by Date (§4)."""
    return "vary" in entry.fields, entry.date, entry.freshness.heard


def could_answer(request: Request, entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """The entries that could be chosen for `request`, were they fresh (§4.3.4, §4.3.5)."""
    return tuple(
        entry
        for entry in entries
        if matches(entry.selection, entry.fields, request.fields)
        and (entry.for_authorized or "authorization" not in request.fields)
    )


def _judge(entry: Entry, wishes: RequestDirectives, now: float, trusted: int) -> Decision:
    fresh = entry.freshness
    if entry.order < trusted:
        return Revalidate(entry, RevalidateReason.DISTRUSTED)
    if fresh.no_cache:
        return Revalidate(entry, RevalidateReason.NO_CACHE)
    if wishes.no_cache or (wishes.max_age is not None and fresh.age(now) > wishes.max_age):
        return Revalidate(entry, RevalidateReason.REQUEST)
    ttl = fresh.ttl(now)
    if wishes.min_fresh is not None and ttl < wishes.min_fresh:
        return Revalidate(entry, RevalidateReason.REQUEST)
    if ttl > 0:
        return Hit(entry)
    if wishes.max_age is not None and wishes.max_stale is None:  # §5.2.1.1: he wants nothing stale
        return Revalidate(entry, RevalidateReason.REQUEST)
    if usable_while_revalidating(fresh, now):
        return Stale(entry, StaleReason.WHILE_REVALIDATE)
    if wishes.max_stale is not None and not fresh.must_revalidate and -ttl <= wishes.max_stale:
        return Stale(entry, StaleReason.REQUEST)
    return Revalidate(entry, RevalidateReason.STALE)
