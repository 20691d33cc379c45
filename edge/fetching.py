"""Asking the origin: one flight for all who want the same, and what came of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

from edge.asking import Asking, as_it_is
from edge.http.message import Answer, Request
from edge.http.ranges import Part
from edge.intake import Exchange, Heard, Intake, is_disguised, is_here, judged
from edge.pages.proving import Approach, Proving, Verdict, unattended
from edge.policy.classes import Page, is_for_all
from edge.policy.decisions import Decision
from edge.policy.entry import Entry
from edge.policy.freshness import Freshness, usable_on_error
from edge.policy.groups import invalidated_groups
from edge.policy.invalidation import invalidated, is_unsafe
from edge.policy.key import origin_of
from edge.policy.keying import is_nobodys, spelled
from edge.policy.lookup import lookup, request_directives
from edge.policy.partial import Lack, lack, named_by, to_ask
from edge.policy.passing import is_passed_on
from edge.policy.reasons import LASTING, OF_THE_ASKER, NotStored, StaleReason
from edge.policy.statuses import is_error
from edge.policy.storing import judge
from edge.policy.validation import can_ask, selected_by, unconditional, with_conditions
from edge.policy.vary import select
from edge.position import Position
from edge.purge import Groups, Keys, Mark, PurgeLog
from edge.slicing import Slicing
from edge.store.contract import Store
from edge.store.fill import Cut
from edge.store.sweeping import SLICE
from edge.turns import Turns
from edge.upstream.collapse import (
    Arrived,
    Excused,
    Failed,
    Flight,
    FlightKey,
    Flights,
    Landing,
    Origin,
    Own,
    Shared,
    close,
)
from edge.upstream.contract import UpstreamError

logger = logging.getLogger("tepi.edge")

SHY_SECONDS = 60.0  # how long requests do not wait for each other after an unshareable answer


class Fetching:
    """The side of the pipeline that faces the origin."""

    def __init__(
        self,
        *,
        store: Store,
        asking: Asking,
        on_background: Callable[[Coroutine[Any, Any, None]], None],
        position: Callable[[], Position],
    ) -> None:
        self._store = store
        self.asking = asking
        self._shared = asking.shared
        self._clock = clock = asking.clock
        self._on_background = on_background
        self._position = position
        self.flights = Flights()
        self.log = PurgeLog()
        self._intake = Intake(store, self.flights, self.log, self._share)
        self.slicing = Slicing(store, self.flights, self._intake, clock, self.asking.ask, self.go)
        self.proving = Proving(self, clock, store.max_object)
        self._turns = Turns(store, self.decide)
        self.on_outdated: Callable[[Mark], Awaitable[None]] | None = None  # where others store the same
        self.trusted = 0  # entries of an older order must be revalidated before their next use

    def candidates(self, key: str) -> Sequence[Entry]:
        """All that could answer a request for `key`: what is stored, and what is arriving."""
        stored = self._store.get(key)
        arriving = tuple(self.flights.filling(key))
        return (*stored, *arriving) if arriving else stored

    def decide(self, x: Exchange) -> Decision:
        """What policy says to `x`, by what could answer it now."""
        entries, now = self.candidates(x.key), self._clock.monotonic()
        return lookup(x.request, entries, x.rules, now, self.trusted, x.kind, x.needs)

    async def go(
        self, x: Exchange, stale: Entry | None, lacks: Lack | None = None, *, alone: bool
    ) -> tuple[Landing, bool]:
        """Fetch, or wait for who fetches the same; how it ended, and whether the fetch was our own.

        With `lacks` it is what lacks of `stale`, whose parts are fresh.
        """
        part = None if lacks is None or stale is None else self.slicing.to_fetch(x, stale, lacks)
        key = self._flight_key(x, part)
        if not alone:
            under_way = self.flights.find(key)
            if under_way is not None:
                return await under_way.wait(owner=False), False
        flight = self._flight(key, x)
        if not alone:
            self.flights.open(flight)
        self._on_background(self._fly(flight, x, stale, part, alone=alone))
        try:
            return await flight.wait(owner=True), True
        except asyncio.CancelledError:
            if isinstance(flight.landing, Own):
                self._on_background(close(flight.landing.answer.body))
            raise

    def refresh(self, x: Exchange, stale: Entry) -> None:
        """Fetch behind a visitor's back, unless somebody does already."""
        key = self._flight_key(x)
        if self.flights.find(key) is None:
            flight = self._flight(key, x, pinned=True)
            self.flights.open(flight)
            x = unattended(x, stale) if x.rules.guard else x
            behind = replace(x, request=replace(x.request, method="GET", on_interim=None))
            self._on_background(self._fly(flight, behind, stale))

    def behind(self, x: Exchange, work: Callable[[Flight], Awaitable[None]]) -> None:
        """Do `work` behind a visitor's back, as a flight for which others wait unless there is one."""
        flight = self._flight(self._flight_key(x), x, pinned=True)
        if self.flights.find(flight.key) is None:
            self.flights.open(flight)
        self._on_background(self._tend(flight, work(flight)))

    async def ask(self, x: Exchange, request: Request) -> Heard:
        """Send `request` in the place of `x`'s. Raises UpstreamError."""
        return await self.asking.hear(x, request)

    async def settle(self, flight: Flight, x: Exchange, verdict: Verdict, stale: Entry | None = None) -> None:
        """Take in what a page proved to be, or give it to its asker alone."""
        if isinstance(verdict, Own):
            await self._disown(flight, x, stale, verdict)
        else:
            await self._take(flight, x, *verdict, stale)

    async def passed(self, x: Exchange) -> tuple[Answer | Entry, Origin]:
        """Ask for this client alone, his conditions and ranges untouched; forget what the answer outdates."""
        request = x.request
        try:
            heard = await self.asking.for_one(x)
        except UpstreamError as error:
            if error.sent and is_unsafe(request.method) and self._may_outdate(x, x.key):
                await self.invalidate(Keys((x.key,)))  # it may have been done all the same
            raise
        answer = heard.answer
        outdated = tuple(
            key
            for named in invalidated(request, answer.status, answer.fields)
            if self._may_outdate(x, key := spelled(named, x.rules.key.query))
        )
        if outdated:
            await self.invalidate(Keys(outdated))
        if groups := invalidated_groups(request, answer.status, answer.fields):
            await self.invalidate(Groups(origin_of(x.key), frozenset(groups)))
        guarded = x.rules.guard and "cookie" in request.fields
        if request.method == "POST" and not guarded and "content-encoding" not in answer.fields:
            fresh = judge(request, answer.status, answer.fields, heard.timing, x.rules)
            if isinstance(fresh, Freshness):
                flight = self._flight((x.key, ()), x)
                self._turns.take(flight, x, part=True)
                self._on_background(self._tend(flight, self._take(flight, x, heard, fresh, None)))
                landing = await flight.wait(owner=True)
                if isinstance(landing, Shared):
                    return landing.entry, heard.origin
        return answer, heard.origin

    def _may_outdate(self, x: Exchange, key: str) -> bool:
        """Whether an unsafe request tells anything of what is stored under `key` (RFC 9111 §4.4)."""
        pages = x.rules.classes.pages
        if pages is None or pages.outdate:
            return True
        stored = self.candidates(key)
        return not stored or not all(is_nobodys(entry.selection, x.rules) for entry in stored)

    async def head(self, x: Exchange) -> tuple[Answer, Origin]:
        """Ask by HEAD. A 200 updates what is stored, or tells that it is obsolete (RFC 9111 §4.3.5)."""
        flight = self._flight((x.key, ()), x)
        try:
            heard = await self.asking.ask(x, as_it_is(unconditional(x.request)))
            if is_for_all(x.kind):
                shared, fresh = judged(x, heard)
                if isinstance(fresh, NotStored):
                    own = await self._own(x, heard, fresh)
                    return own.answer, own.origin
                heard = shared
            if x.rules.guard and "cookie" in x.request.fields:
                return heard.answer, heard.origin  # what it says may be of this visitor alone
            if heard.answer.status == 200:
                self._intake.freshen_by_head(flight, x, heard)
            return heard.answer, heard.origin
        finally:
            self.log.end(flight.order)

    def _share(self, x: Exchange, entry: Entry, heard: Heard) -> None:
        """Let the PoP's other nodes have `entry`, if it is for everybody and they have it not."""
        if self._shared is not None and not heard.near and is_passed_on(x.request, x.kind):
            self._shared.offer(entry, heard.timing.asked_at)

    async def invalidate(self, mark: Mark, at: Position | None = None) -> int:
        """Refuse from now on what `mark` strikes: a purge `at` its place in the journal, or else what
        a visitor's request has outdated, of which the node's other workers are told.

        Returns how many entries that are, once a crash can't undo it.
        """
        self.log.record(mark)
        self.asking.struck(mark, at, self._position())
        for entry in self.flights.struck(mark):
            self.flights.leave(entry)
        sweep = self._store.strike(mark, self._clock.monotonic())
        if not sweep.step(SLICE):
            self._on_background(sweep.finish())
        found = await sweep.hold()
        if at is None and self.on_outdated is not None:
            await self.on_outdated(mark)
        return found

    def _flight(self, key: FlightKey, x: Exchange, *, pinned: bool = False) -> Flight:
        at = (x.needs and x.needs.position) or self._position()
        return Flight(key, self.log.begin(), at, self._store.number, pinned=pinned)

    def _flight_key(self, x: Exchange, part: Part | None = None) -> FlightKey:
        """The key, the variant if what is stored tells on what it depends, and where a part begins.

        What was asked for before a purge that `x` knows of is not for him.
        """
        stored = self._store.get(x.key)
        listed = tuple(name for name, _ in stored[-1].selection) if stored else ()
        variant = select(listed, x.request.fields) if listed else ()
        if x.needs is not None:
            variant = (*variant, ("tepi-position", x.needs.word()))
        return x.key, variant if part is None else (*variant, ("range", str(part.first)))

    async def _fly(
        self,
        flight: Flight,
        x: Exchange,
        stale: Entry | None,
        part: Part | None = None,
        *,
        alone: bool = False,
    ) -> None:
        flight.depart()
        await self._tend(flight, self._fetch(flight, x, stale, part, alone=alone))

    async def _tend(self, flight: Flight, flying: Awaitable[None]) -> None:
        """See that `flight` lands, whatever comes."""
        try:
            await flying
        except UpstreamError as error:
            flight.land(Failed(error))
        except Cut as cut:
            logger.debug("fill given up", extra={"key": flight.key[0], "why": str(cut)})
        except Exception:
            logger.exception("a fetch ended unexpectedly", extra={"key": flight.key[0]})
        finally:
            self.flights.close(flight)
            self.log.end(flight.order)
            self._turns.end(flight)
            flight.give_up()

    async def _fetch(
        self, flight: Flight, x: Exchange, stale: Entry | None, part: Part | None, *, alone: bool
    ) -> None:
        if stale is not None and not await self._store.recall(stale):
            stale = part = None
        why_shy = self.flights.why_shy(x.group, self._clock.monotonic()) if stale is None else None
        if why_shy is not None and is_disguised(x):
            heard = await self.asking.hear(x, with_conditions(named_by(x.asked), x.asked))
            flight.land(Own(heard.answer, heard.origin, *why_shy, conditions_told=True))
            return
        whole = stale if part is None and stale is not None and is_here(stale) else None
        asked_about = whole if whole is not None and can_ask(whole) else None
        approach = self.proving.approach(x, stale)
        x = approach.x
        question = to_ask(x.request, asked_about if part is None else stale, part, x.rules.slices)
        # Nothing is stored and nobody waits: his conditions are for the origin (RFC 9111 §4.3.2).
        told = alone and stale is None and isinstance(x.kind, Page) and approach.template is None
        question = with_conditions(question, x.request) if told else question
        by_way = not alone and why_shy is None and not approach.as_himself
        if by_way and is_passed_on(question, x.kind):
            turn = self._turns.take(flight, x, part=part is not None)
            if isinstance(turn, Arrived):
                flight.land(turn)
                return
            heard = await self.asking.through(x, question, turn)
        else:
            heard = await self.asking.hear(x, question)
        if asked_about is not None and heard.answer.status == 304:
            if selected_by(asked_about, heard.answer.fields):
                landing = self._intake.confirmed(flight, x, asked_about, heard)
                if landing is not None:
                    flight.land(landing)
                    return
            # The 304 speaks of another representation than ours: ask for the whole (RFC 9111 §4.3.3).
            question = named_by(x.request) if asked_about.content.partial else unconditional(x.request)
            heard = await self.asking.hear(x, question)
        if part is not None and stale is not None and self.slicing.is_refused(stale, heard.answer):
            self.slicing.forsake(x.key, stale)
            question, stale = named_by(x.request), None
            heard = await self._again(x, heard, question)
        if (
            stale is not None
            and is_error(heard.answer.status)
            and self.excuse(x, stale, heard.timing.heard, reachable=True) is not None
        ):
            await close(heard.answer.body)
            flight.land(Excused(heard.origin))
            return
        if approach.template is not None:
            approach, heard = await self.proving.corrected(approach, heard)
        await self._took(flight, approach, heard, stale, question, told=told)

    async def _took(
        self,
        flight: Flight,
        approach: Approach,
        heard: Heard,
        stale: Entry | None,
        question: Request,
        *,
        told: bool,
    ) -> None:
        """Take in what came for `question`, for everybody if it is; `told`: with the visitor's conditions."""
        x, asked = approach.x, question.fields.get("range")
        named = asked is None or asked == x.request.fields.get("range")
        shared, fresh = judged(x, heard, stale, ranged=asked is not None)
        refused: NotStored | None
        if isinstance(fresh, NotStored):
            refused = fresh
        elif self.slicing.takes(x, heard) and not (approach.as_himself and approach.concerns(heard, shared)):
            refused = await self.slicing.take(flight, x, heard, shared, fresh, stale, named=named)
        elif approach.concerns(heard, shared):
            verdict = await self.proving.verdict(flight, approach, heard, shared, fresh)
            await self.settle(flight, x, verdict, stale)
            refused = None
        else:
            refused = await self._intake.take(flight, x, shared, fresh, stale)
        if refused is not None:
            heard = await self._own(x, heard, refused, named=named) if flight.owner_aboard else heard
            own = Own(heard.answer, heard.origin, refused, conditions_told=told)
            await self._disown(flight, x, stale, own)

    async def _again(self, x: Exchange, heard: Heard, question: Request) -> Heard:
        """The answer to `question`; `heard`, which is for the whole, if that is what it asks for."""
        if "range" not in question.fields:
            return heard
        await close(heard.answer.body)
        return await self.asking.hear(x, question)

    async def _own(self, x: Exchange, heard: Heard, why: NotStored, *, named: bool = True) -> Heard:
        """What was asked for everybody's sake is not for everybody: the visitor's own, asked as himself.

        So is a part that he has not `named`, and what another node has taken apart.
        """
        unasked = not named and heard.answer.status in (206, 416)
        disguised = is_disguised(x) and heard.answer.status < 500 and why is not NotStored.PURGED
        if not unasked and not disguised and heard.template is None:
            return heard
        await close(heard.answer.body)
        return await self.asking.hear(x, named_by(x.asked))

    def excuse(self, x: Exchange, stale: Entry, now: float, *, reachable: bool) -> StaleReason | None:
        """Why `stale` may stand in for an error, or None; `reachable`: the origin answered with it."""
        if stale.order < self.trusted or lack(x.request, stale) is not None:
            return None
        if x.needs is not None and not x.needs.are_met_by(stale):
            return None
        wished = request_directives(x.request).stale_if_error
        return usable_on_error(stale.freshness, now, reachable=reachable, wished=wished)

    async def _take(
        self, flight: Flight, x: Exchange, heard: Heard, fresh: Freshness, stale: Entry | None
    ) -> None:
        struck = await self._intake.take(flight, x, heard, fresh, stale)
        if struck is not None:
            if flight.owner_aboard and (heard.template or x.rules.classes.pages):  # filled by a cookie
                heard = await self.asking.hear(x, unconditional(x.asked))
            await self._disown(flight, x, stale, Own(heard.answer, heard.origin, struck))

    async def _disown(self, flight: Flight, x: Exchange, stale: Entry | None, own: Own) -> None:
        """The answer is for its asker alone."""
        if own.reason in LASTING and own.answer.status != 304:  # which tells nothing of the whole
            self.flights.note_shy(x.group, self._clock.monotonic() + SHY_SECONDS, own.reason, own.what)
        if stale is not None and own.reason not in OF_THE_ASKER and own.answer.status < 500:
            self._store.drop(stale)
        flight.land(own)
        if not flight.owner_aboard:
            await close(own.answer.body)
