"""THE DATA PATH of a request, read from top to bottom."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any, assert_never

from edge import explain as story
from edge.asking import Asking
from edge.clock import Clock
from edge.delivery import AS_IT_IS, Delivery
from edge.document.origins import Timeouts
from edge.explain import Explanation
from edge.explain_rules import hop_steps, origin_steps, ruled_out, steps_of
from edge.fetching import Fetching
from edge.http.asker import Asker
from edge.http.dates import format_date, parse_date
from edge.http.hops import end_to_end, went_through
from edge.http.message import Answer, Fields, Outcome, Request
from edge.http.passing import answer_lines
from edge.intake import Exchange, Within, unread
from edge.pages.assembly import Assembly
from edge.pages.forms import Forms
from edge.pages.fragments import Fragments, Unfit, request_for, within_page
from edge.pages.holes import Holes
from edge.policy.alterations import shaped
from edge.policy.classes import classify, parting
from edge.policy.course import Onward, course
from edge.policy.decisions import Complete, Decision, Hit, Miss, Pass, Revalidate, Stale, Unavailable
from edge.policy.entry import Entry
from edge.policy.hints import early_hints, hinted
from edge.policy.key import host_name, key_of
from edge.policy.keying import keyed
from edge.policy.lookup import lookup
from edge.policy.needs import Needs, needs
from edge.policy.partial import Lack
from edge.policy.reasons import (
    FORWARDED,
    FragmentReason,
    MissReason,
    NotStored,
    PassReason,
    RefusedReason,
    RevalidateReason,
    StaleReason,
)
from edge.policy.rules import SiteRules
from edge.policy.statuses import is_error
from edge.position import Position
from edge.purge import Mark, Purge, Weight
from edge.purging import Purging
from edge.refusals import failure, refusal
from edge.ruling import Ruling, dressed
from edge.sealing import sealed
from edge.store.content import Stored
from edge.store.contract import Store
from edge.store.parts import Parts
from edge.store.shared import SharedStore
from edge.telemetry import Gauge
from edge.tiers.hopping import Hopping
from edge.transform.compress import Compressor
from edge.transform.template import Include, Template
from edge.upstream.collapse import Arrived, Excused, Failed, Landing, Origin, Own, Portion, Shared
from edge.upstream.contract import Upstream, UpstreamError
from edge.upstream.peers import Peers

logger = logging.getLogger("tepi.edge")

ForwardReason = MissReason | RevalidateReason | PassReason


class Pipeline:
    """From request to answer: site, key, lookup, fetch, store, transform.

    `identity` names this cache in Via, CDN-Loop and Cache-Status. `peers` are asked before an origin, and
    before them the store that is `shared` in the PoP; `timeouts` tells how long a site's origins may take.
    """

    def __init__(
        self,
        *,
        sites: Callable[[str], SiteRules | None],
        store: Store,
        upstream: Upstream,
        clock: Clock,
        compress: Compressor,
        on_background: Callable[[Coroutine[Any, Any, None]], None],
        position: Callable[[], Position],
        random: Callable[[int], bytes],
        identity: str = "tepi",
        peers: Peers | None = None,
        shared: SharedStore | None = None,
        timeouts: Callable[[str], Timeouts] = lambda site: Timeouts(),
    ) -> None:
        self._sites = sites
        self._store = store
        self._clock = clock
        self._identity = identity
        self._position = position
        self._shared = shared
        hopping = None if peers is None else Hopping(peers, clock, position, timeouts, identity)
        self.fragments = Fragments(self._fragment)
        self._delivery = Delivery(store, compress)
        self._assembly = Assembly(self.fragments, Holes(random).fill)
        self._fetching = Fetching(
            store=store,
            asking=Asking(upstream, clock, identity, hopping, shared),
            on_background=on_background,
            position=position,
        )
        self.proving = self._fetching.proving
        self.forms = Forms(self._fetching.ask, clock)
        self._ruling = Ruling(self._through, clock)
        self._purging = Purging(sites, store, self._fetching, self._ruling.pages.strike)

    async def handle(self, request: Request, within: Within | None = None) -> Answer:
        """Answer `request`; never raises but for cancellation, and Unfit if it is for a part of a page."""
        started = self._clock.monotonic()
        if request.asker is not None:
            return await self._for_peer(request, request.asker, started)
        rules = self._sites(host_name(request.host))
        refused = self._refusal(request, rules)
        if refused is not None or rules is None:
            answer = dressed(refusal(refused or RefusedReason.UNKNOWN_HOST, rules), request, rules)
        elif rules.traffic is not None and within is None:
            answer = await self._ruling.answer(request, rules, rules.traffic)
        else:
            answer = await self._through(request, rules, within)
        return sealed(answer, request, self._identity, (self._clock.monotonic() - started) * 1000)

    async def _for_peer(self, request: Request, asker: Asker, started: float) -> Answer:
        """The same for another node of the fleet: the origin's answer, and how new it is; nothing is dressed.

        Without a position it is no answer of an origin, and who asks goes on without this node.
        """
        here = self._position()
        since = None if asker.ago is None else started - asker.ago
        needed = needs(here, asker.position, since)
        rules = self._sites(host_name(request.host))
        refused = self._refusal(request, rules)
        if refused is not None or rules is None:
            answer = refusal(refused or RefusedReason.UNKNOWN_HOST, rules)
        else:
            answer = await self._through(request, rules, needed=needed)
        outcome = answer.outcome
        if outcome.verdict not in ("error", "refused"):
            as_of = (needed and needed.position) or here
            answer = answer.but(fields=answer.fields.plus(*answer_lines(as_of, outcome.ttl)))
        elif outcome.reason == "timeout":
            answer = answer.but(fields=answer.fields.plus(("Tepi-Failure", "timeout")))
        called = f"{self._identity}-{'worker' if asker.inner else asker.tier.name.lower()}"
        return sealed(answer, request, called, (self._clock.monotonic() - started) * 1000)

    async def _fragment(self, request: Request, within: Within) -> Answer:
        """Answer `request` for a part of a page. Raises Unfit where it must not be one."""
        self._rules_of(request, within)
        return await self.handle(request, within)

    def _rules_of(self, request: Request, within: Within) -> SiteRules:
        """The rules for a part of a page: those of its own site, or Unfit is raised."""
        rules = self._sites(host_name(request.host))
        if rules is None or rules.name != within.site:
            raise Unfit(FragmentReason.HOST)
        return rules

    async def _through(
        self,
        request: Request,
        rules: SiteRules,
        within: Within | None = None,
        *,
        needed: Needs | None = None,
    ) -> Answer:
        """The answer to `request` of the cache, or of an origin behind it."""
        x = _exchange(request, rules, self._clock.monotonic(), within, needed)
        try:
            answer = await self._answer(x)
        except UpstreamError as error:
            answer = failure(x, error)
        except Exception:
            logger.exception("a request ended unexpectedly", extra={"id": request.id, "url": request.url})
            answer = failure(x, UpstreamError("protocol", "edge", "an error of the edge", sent=False))
        if within is None and request.asker is None and rules.classes.pages is not None:
            answer = answer.but(fields=parting(x.kind, request, rules, answer.fields))
        return answer

    def _refusal(self, request: Request, rules: SiteRules | None) -> RefusedReason | None:
        """Why the edge will not take the request any further, or None."""
        if rules is None:
            return RefusedReason.UNKNOWN_HOST
        if went_through(request.fields, self._identity):
            return RefusedReason.LOOP
        if request.method in ("TRACE", "CONNECT"):
            return RefusedReason.METHOD_NOT_ALLOWED
        return None

    async def _answer(self, x: Exchange) -> Answer:
        """The decision, and what follows from it. Who waited for another's fetch looks again."""
        alone = False
        waited: ForwardReason | None = None
        while True:
            answer: Answer | None
            reason: ForwardReason | None = None
            decision = self._fetching.decide(x)
            match decision:
                case Hit(entry):
                    answer = await self._served(x, entry, None)
                case Stale(entry, stale_reason):
                    self._fetching.refresh(x, entry)
                    answer = await self._served(x, entry, stale_reason)
                case Revalidate(entry, reason):
                    if waited is None and x.asked.on_interim is not None:
                        self._hint(x, entry, reason)
                    answer, alone = await self._forwarded(x, reason, entry, alone=alone)
                case Complete(entry, lacks):
                    reason = MissReason.PARTIAL
                    answer, alone = await self._completed(x, entry, lacks, alone=alone)
                case Miss(reason):
                    answer, alone = await self._forwarded(x, reason, None, alone=alone)
                case Pass(pass_reason):
                    answer = await self._passed(x, pass_reason)
                case Unavailable():
                    answer = refusal(RefusedReason.ONLY_IF_CACHED, x.rules)
                case _:
                    assert_never(decision)
            if answer is not None:
                return answer if waited is None else _waited(answer, decision, waited)
            waited = reason or waited
            if x.needs is not None:
                x = replace(x, needs=x.needs.after_waiting())

    def _hint(self, x: Exchange, entry: Entry, reason: RevalidateReason) -> None:
        """Tell a browser that has to wait what `entry` links to (RFC 8297)."""
        if x.asked.on_interim is not None and early_hints(x.asked, entry, reason, x.rules):
            shown = Answer(entry.status, entry.fields)
            found = hinted(dressed(shown, x.asked, x.rules).fields)
            if found:
                x.asked.on_interim(103, found)

    async def _served(self, x: Exchange, entry: Entry, reason: StaleReason | None) -> Answer | None:
        """`entry`, fresh or stale, as it is. None if its body went away before it could be followed."""
        self._store.use(entry)
        answer = await self._delivered(x, entry)
        if answer is None:
            return None
        if reason is None and x.asked.on_hit is not None and not _is_in_pieces(entry):
            x.asked.on_hit(entry)
        age, ttl = self._age_and_ttl(entry)
        verdict = "hit" if reason is None else "stale"
        outcome = Outcome(verdict, reason, x.rules.name, x.key, stored=True, ttl=ttl, age=age)
        return Answer(answer.status, answer.fields, answer.body, outcome)

    async def _forwarded(
        self, x: Exchange, reason: MissReason | RevalidateReason, stale: Entry | None, *, alone: bool
    ) -> tuple[Answer | None, bool]:
        """Ask the origin, or wait for who does. Without an answer: look again, alone if the flag says so."""
        if x.request.method == "HEAD":
            return await self._headed(x, reason, stale), True
        if not alone:
            alone = self._goes_alone(x, reason)
        landing, owner = await self._fetching.go(x, stale, alone=alone)
        return await self._landed(x, reason, stale, landing, owner=owner)

    async def _headed(
        self, x: Exchange, reason: MissReason | RevalidateReason, stale: Entry | None
    ) -> Answer:
        """HEAD, asked for as such."""
        try:
            answer, origin = await self._fetching.head(x)
        except UpstreamError as error:
            excused = await self._excused(x, stale, reason, error=error)
            return excused or failure(x, error, FORWARDED[reason], stale)
        excused = await self._excused(x, stale, reason, origin) if is_error(answer.status) else None
        return excused or await self._own(x, answer, reason, origin, NotStored.METHOD)

    async def _completed(
        self, x: Exchange, entry: Entry, lacks: Lack, *, alone: bool
    ) -> tuple[Answer | None, bool]:
        """Fetch the first part that lacks before anything is answered, for it may be of another version."""
        reason = MissReason.PARTIAL
        landing, owner = await self._fetching.go(x, entry, lacks, alone=alone or self._goes_alone(x, reason))
        return await self._landed(x, reason, entry, landing, owner=owner)

    def _goes_alone(self, x: Exchange, reason: MissReason | RevalidateReason) -> bool:
        """Whether another's answer would not be for us, so that waiting for it cannot help."""
        return (
            reason in (RevalidateReason.NO_CACHE, RevalidateReason.REQUEST)
            or "authorization" in x.request.fields
            or self._fetching.flights.why_shy(x.group, self._clock.monotonic()) is not None
        )

    async def _landed(
        self,
        x: Exchange,
        reason: MissReason | RevalidateReason,
        stale: Entry | None,
        landing: Landing,
        *,
        owner: bool,
    ) -> tuple[Answer | None, bool]:
        """What a fetch brought. Those who only waited look again, for it may not be what they need."""
        match landing:
            case Shared(entry, origin):
                if not owner:
                    fresh = entry.freshness
                    old = fresh.ttl(self._clock.monotonic()) <= 0 and not landing.struck
                    return None, fresh.no_cache or old
                answer = await self._delivered(x, entry, landing.portion)
                if answer is None and entry.content.partial:  # what was here has been evicted meanwhile
                    return None, True
                if answer is None:
                    broken = UpstreamError("reset", x.rules.name, "the body broke off at once", sent=True)
                    answer = await self._excused(x, stale, reason, origin, error=broken)
                    return answer or failure(x, broken, FORWARDED[reason]), False
                if landing.own_lines:
                    answer = answer.bearing(answer.fields.plus(*landing.own_lines))
                verdict = "revalidated" if landing.revalidated else "miss"
                outcome = _outcome(verdict, reason, origin, stored=landing.stored)
                if not landing.stored:
                    in_parts = isinstance(entry.content, Parts)
                    why_not = NotStored.PURGED if in_parts else NotStored.TOO_LARGE
                    outcome = replace(outcome, detail=why_not)
                completed = stale is not None and entry.content is stale.content
                aged = landing.revalidated or completed
                return self._told(x, answer, entry, outcome, aged=aged), False
            case Own(answer, origin, why, conditions_told=told):
                if not owner:
                    return None, why is not NotStored.PURGED
                detail = landing.detail
                return await self._own(x, answer, reason, origin, detail, conditions_told=told), False
            case Excused(origin):
                return await self._excused(x, stale, reason, origin), True
            case Arrived():
                return None, False
            case Failed(error):
                answer = await self._excused(x, stale, reason, error=error)
                return answer or failure(x, error, FORWARDED[reason], stale), False
            case _:
                assert_never(landing)

    async def _excused(
        self,
        x: Exchange,
        stale: Entry | None,
        asked: MissReason | RevalidateReason,
        origin: Origin | None = None,
        *,
        error: UpstreamError | None = None,
    ) -> Answer | None:
        """`stale` in place of an error that an origin answered, or of none at all, if that is allowed.

        It is a hit only if nothing went forward.
        """
        if stale is None:
            return None
        reason = self._fetching.excuse(x, stale, self._clock.monotonic(), reachable=error is None)
        answer = None if reason is None else await self._delivered(x, stale)
        if answer is None:
            return None
        fwd = FORWARDED[asked] if error is None or error.sent else None
        outcome = Outcome("stale", reason, fwd=fwd)
        if origin is not None:
            outcome = replace(outcome, origin_status=origin.status, origin_seconds=origin.seconds)
        return self._told(x, answer, stale, outcome, aged=True)

    async def _passed(self, x: Exchange, reason: PassReason) -> Answer:
        """For this client alone; unsafe methods outdate what is stored (RFC 9111 §4.4)."""
        try:
            x, lines = await self.forms.prepared(x)
            answer, origin = await self._fetching.passed(x)
        except UpstreamError as error:
            return failure(x, error, FORWARDED[reason])
        if isinstance(answer, Answer):
            own = await self._own(x, answer, reason, origin, None, conditions_told=True)
            return own.but(fields=Fields((*lines, *own.fields.lines))) if lines else own
        delivered = await self._delivered(x, answer)
        if delivered is None:
            lost = UpstreamError("reset", x.rules.name, "the answer's body was lost", sent=True)
            return failure(x, lost, FORWARDED[reason])
        return self._told(x, delivered, answer, _outcome("pass", reason, origin, stored=True), aged=False)

    async def _own(
        self,
        x: Exchange,
        answer: Answer,
        reason: ForwardReason,
        origin: Origin,
        why: str | None,
        *,
        conditions_told: bool = False,
    ) -> Answer:
        """An answer that nobody else gets; `why` tells why it was not stored."""
        fields = end_to_end(answer.fields).without("x-request-id")
        verdict = "pass" if isinstance(reason, PassReason) else "miss"
        outcome = replace(
            _outcome(verdict, reason, origin, stored=False), site=x.rules.name, key=x.key, detail=why
        )
        if x.asked.asker is not None:
            return answer.but(fields=fields, outcome=outcome)
        date = parse_date(fields.get("date") or "")
        if date is None:
            date = int(self._clock.wall())
            fields = fields.replaced("Date", format_date(date))
        answer, rules = answer.but(fields=fields), x.rules.compression
        template = unread(x, answer.status, fields)
        if template is not None:
            own = await self._assembly.own(x, answer, template)
        else:
            own = await self._delivery.own(x.request, answer, rules, date, conditions_told=conditions_told)
        return own.but(outcome=outcome)

    async def _delivered(self, x: Exchange, entry: Entry, portion: Portion | None = None) -> Answer | None:
        slicing = self._fetching.slicing
        content = entry.content
        if isinstance(content, Stored) and not content.at_hand and not await self._store.recall(entry):
            return None
        compression = x.rules.compression if x.asked.asker is None else AS_IT_IS
        if isinstance(content, Parts):
            more = partial(slicing.more, x, entry)
            return self._delivery.parts(x.request, entry, content, compression, more, portion)
        go_on = partial(slicing.rest, x, entry)
        if isinstance(content, Stored) and content.template is not None:
            if x.asked.asker is not None:
                return await self._assembly.for_node(entry, go_on)
            return await self._assembly.entry(x, entry, go_on)
        return await self._delivery.entry(x.request, entry, compression, go_on)

    def _age_and_ttl(self, entry: Entry) -> tuple[int, int]:
        now = self._clock.monotonic()
        return int(entry.freshness.age(now)), int(entry.freshness.ttl(now) // 1)

    def _told(self, x: Exchange, answer: Answer, entry: Entry, outcome: Outcome, *, aged: bool) -> Answer:
        """`answer` with how it came about; `aged` if it is the store's rather than the origin's."""
        age, ttl = self._age_and_ttl(entry)
        told = outcome.of(x.rules.name, x.key, ttl, age if aged else None)
        return Answer(answer.status, answer.fields, answer.body, told)

    def counts(self) -> Iterator[Gauge]:
        """What is counted beside answers."""
        return chain(self.fragments.counts(), self.proving.counts(), self.forms.counts())

    async def explain(self, request: Request) -> Explanation:
        """What `handle` would do with `request` now, without doing it."""
        rules = self._sites(host_name(request.host))
        refused = self._refusal(request, rules)
        if refused is not None or rules is None:
            site = None if rules is None else rules.name
            return story.refused(request, refused or RefusedReason.UNKNOWN_HOST, site)
        told: tuple[story.Step, ...] = ()
        if rules.traffic is not None:
            way = course(request, rules.traffic)
            if not isinstance(way, Onward):
                return ruled_out(request, rules.name, way)
            told = steps_of(way, request, rules.traffic)
        x = _exchange(request, rules, self._clock.monotonic())
        if self._store.leases is not None:
            await self._store.leases.given_back(x.key)  # what another worker is writing is stored, too
        now = self._clock.monotonic()
        entries = self._fetching.candidates(x.key)
        decision = lookup(x.request, entries, rules, now, self._fetching.trusted, x.kind)
        if isinstance(decision, Hit | Stale | Revalidate):
            await self._store.recall(decision.entry)
        asking = self._fetching.asking
        before = (*told, *hop_steps(asking.before_the_origin(x)), *origin_steps(asking.origins_of(x)))
        parts, proved = self._parts(x, decision), self.proving.told(x)
        where = sorted(set(map(self._store.where, entries)))
        return story.explain(x, entries, decision, now, parts, proved, before, where)

    def _parts(self, x: Exchange, decision: Decision) -> list[story.Part]:
        """The fragments of the stored page that `decision` is about."""
        content = decision.entry.content if isinstance(decision, Hit | Stale | Revalidate) else None
        template = content.template if isinstance(content, Stored) else None
        return [
            self._part(x, piece)
            for piece in (template.pieces if isinstance(template, Template) else ())
            if isinstance(piece, Include)
        ]

    def _part(self, x: Exchange, include: Include) -> story.Part:
        url = None
        try:
            inner = within_page(x)
            request = request_for(x, include.src, inner)
            url = request.url
            part = _exchange(request, self._rules_of(request, inner), x.started, inner)
        except Unfit as unfit:
            return story.Part(include, url, unfit.reason)
        return story.Part(include, url, self._fetching.decide(part))

    async def purge(self, purge: Purge, at: Position) -> int:
        """Forget what matches, fills under way included; the number of entries found.

        `at` is the purge's place in the journal, for the log. Raises ValueError for a value that is no URL.
        """
        return await self._purging.purge(purge, at)

    async def weigh(self, purge: Purge) -> Weight:
        """What `purge` would drop, without dropping it. Raises ValueError for a value that is no URL."""
        return await self._purging.weigh(purge)

    async def tend(self, sites: Iterable[tuple[str | None, SiteRules]]) -> None:
        """Keep at hand what the rules of `sites`, each with a host, show when origins fail."""
        await self._ruling.pages.tend(sites)

    @property
    def lasts(self) -> bool:
        """Whether what is stored outlives the process."""
        return self._store.lasts

    def unlike(self, sites: Mapping[str, str]) -> frozenset[str]:
        """Which sites were others, or none, when what is stored was stored, than `sites` says by name."""
        return self._store.unlike(sites)

    def know(self, sites: Mapping[str, str]) -> None:
        """What is stored is of these sites."""
        self._store.know(sites)

    def begin(self, at: Position) -> None:
        """This node stands at `at` by a snapshot, which tells nothing of purges of before."""
        if self._shared is not None:
            self._shared.begin(at)

    def on_outdated(self, told: Callable[[Mark], Awaitable[None]]) -> None:
        """`told` is awaited before a client hears of what his unsafe request has outdated."""
        self._fetching.on_outdated = told

    async def strike(self, mark: Mark, at: Position) -> None:
        """Refuse from now on what `mark` strikes, of which another worker has told `at` our position."""
        await self._fetching.invalidate(mark, at)

    async def distrust(self) -> None:
        """Entries filled before now must be revalidated before their next use (after a snapshot)."""
        self._fetching.trusted = self._fetching.log.advance()
        await self._store.distrust()


def _is_in_pieces(entry: Entry) -> bool:
    """Whether `entry` is put together for each visitor, so that no two get the same."""
    return isinstance(entry.content, Stored) and entry.content.template is not None


def _exchange(
    request: Request,
    rules: SiteRules,
    started: float,
    within: Within | None = None,
    needed: Needs | None = None,
) -> Exchange:
    """`request` as the cache sees it. Raises Unfit where a page would become a part of itself."""
    if rules.traffic is not None and request.asker is None:
        request = shaped(request, rules.traffic)
    kind = classify(request, rules)
    seen = keyed(request, rules, kind)
    key = key_of(seen)
    if within is not None and key in within.keys:
        raise Unfit(FragmentReason.CYCLE)
    return Exchange(seen, rules, key, started, kind, request, within, needed)


def _waited(answer: Answer, decision: Decision, reason: ForwardReason) -> Answer:
    """`answer` to a request that for `reason` waited for another's fetch, in vain or not (RFC 9211 §2.6)."""
    outcome = answer.outcome
    if not isinstance(decision, Hit | Stale):
        return answer.but(outcome=replace(outcome, collapsed=False))
    content = decision.entry.content
    kept = not isinstance(content, Stored) or content.fill is None or content.fill.keeping
    return answer.but(outcome=replace(outcome, fwd=FORWARDED[reason], collapsed=True, stored=kept))


def _outcome(verdict: str, reason: ForwardReason, origin: Origin, *, stored: bool) -> Outcome:
    return Outcome(
        verdict,
        reason,
        stored=stored,
        origin=origin.name,
        origin_status=origin.status,
        origin_seconds=origin.seconds,
        fwd=FORWARDED[reason],
    )
