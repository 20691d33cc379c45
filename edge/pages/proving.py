"""The leak guard: a page is shared only once it has proved to be the same for all who are anonymous.

The first visitor of a template gets his own page, asked for as himself. Behind his back it is asked for once
more, as nobody in particular; if both are alike but for their tokens, the latter is everybody's, and for a
day the template's pages are asked for like that at once.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Protocol

from edge.clock import Clock
from edge.delivery import length_of
from edge.explain import Step
from edge.http.cookies import Pair, cookies, set_cookies
from edge.http.lists import names
from edge.http.message import Answer, Fields, Request
from edge.http.values import dataclass
from edge.intake import Exchange, Heard, is_disguised, judged
from edge.pages.proofs import Proofs, Template
from edge.pages.shared import Overheard, Read, everybodys, read, rendering
from edge.policy.classes import Anonymous, Page
from edge.policy.entry import Entry
from edge.policy.freshness import Freshness
from edge.policy.keying import VARIANT
from edge.policy.likeness import Rendering, canary, difference, traces
from edge.policy.pages import nobodys
from edge.policy.partial import named_by
from edge.policy.reasons import NotStored
from edge.policy.rules import PAGE_TYPES
from edge.policy.suspects import suspects
from edge.policy.templates import mark_of, shape_of
from edge.policy.tokens import LARGEST_PAGE
from edge.policy.validation import unconditional
from edge.telemetry import Gauge
from edge.upstream.collapse import Flight, Own, close
from edge.upstream.contract import UpstreamError

logger = logging.getLogger("tepi.edge")

Verdict = tuple[Heard, Freshness] | Own


class Fetches(Protocol):
    """What the guard needs of the side that faces the origin."""

    async def ask(self, x: Exchange, request: Request) -> Heard:
        """Send `request` in the place of `x`'s. Raises UpstreamError."""
        ...

    def behind(self, x: Exchange, work: Callable[[Flight], Awaitable[None]]) -> None:
        """Do `work` behind the visitor's back, as a flight that others may wait for."""
        ...

    async def settle(self, flight: Flight, x: Exchange, verdict: Verdict) -> None:
        """Store what `flight` brought, or disown it."""
        ...


@dataclass(frozen=True, slots=True)
class Approach:
    """How the origin is asked for `x`: as the visitor himself, or as nobody in particular.

    `template` None: nothing need be proven of what comes.
    """

    x: Exchange
    template: Template | None = None
    as_himself: bool = False

    def concerns(self, heard: Heard, shared: Heard) -> bool:
        """Whether `shared`, which may be everybody's of `heard`, must be looked at first."""
        if isinstance(self.x.kind, Anonymous):
            return self.as_himself or self.is_page(shared)
        if not self.is_page(shared):
            return False
        cookied = "cookie" in self.x.asked.fields or "set-cookie" in heard.answer.fields
        return self.template is not None and cookied

    def is_page(self, heard: Heard) -> bool:
        """Whether a page came, of which there is one for many, with or without cookies."""
        kind, fields = self.x.kind, heard.answer.fields
        types = kind.rule.types if isinstance(kind, Anonymous) else PAGE_TYPES
        if not types.fits((fields.get("content-type") or "").partition(";")[0].strip().lower()):
            return False
        return isinstance(kind, Anonymous) or "cookie" not in names(fields.get("vary") or "")


class Proving:
    """Looks at pages before they are shared.

    `done` counts by site what came of it: each second `fetch`, each template `proven`, and the reasons of
    those that were not.
    """

    def __init__(self, fetches: Fetches, clock: Clock, max_object: int) -> None:
        self._fetches = fetches
        self._clock = clock
        self._limit = min(LARGEST_PAGE, max_object)
        self.proofs = Proofs()
        self.done: Counter[tuple[str, str]] = Counter()

    def approach(self, x: Exchange, stale: Entry | None) -> Approach:
        """How to ask for `x`. Whether what is stored still holds, or for what lacks of it, nobody may ask."""
        if not x.rules.guard or not isinstance(x.kind, Anonymous | Page):
            return Approach(x)
        if stale is not None and (stale.content.partial or _is_by_cookie(stale)):
            return Approach(x)
        if isinstance(x.kind, Page) and not _is_cookied(x) and not x.rules.share_set_cookie:
            return Approach(x)
        template = self.proofs.of(x.rules, _place(x))
        if "authorization" not in x.asked.fields and (
            stale is not None or template.pageless or template.is_proven(self._clock.monotonic())
        ):
            return Approach(as_nobody(x), template)
        return Approach(as_himself(x), template, as_himself=True)

    async def corrected(self, approach: Approach, heard: Heard) -> tuple[Approach, Heard]:
        """The same; but where what came for nobody is no page, the visitor asks for it himself."""
        x = approach.x
        if not isinstance(x.kind, Page) or not is_disguised(x) or heard.answer.status >= 500:
            return approach, heard
        if approach.is_page(heard):
            return approach, heard
        await close(heard.answer.body)
        x = as_himself(x)
        return Approach(x), await self._fetches.ask(x, named_by(x.request))

    async def verdict(
        self, flight: Flight, approach: Approach, heard: Heard, shared: Heard, fresh: Freshness
    ) -> Verdict:
        """What everybody gets of `shared`; or the asker's own answer, and why it is his alone.

        `heard` is how it came. Raises UpstreamError.
        """
        x, template = approach.x, approach.template
        if template is not None and approach.as_himself:
            if not approach.is_page(shared):
                template.pageless = True  # the next one asks as nobody
                return Own(heard.answer, heard.origin, NotStored.UNPROVEN)
            return await self._first(flight, x, template, heard)
        if heard.template is not None:  # another node has proved it, and taken it apart
            text = page = heard.template.everybodys
        else:
            got = await read(shared.answer, self._limit)
            heard = replace(heard, answer=heard.answer.but(body=got.body))
            found = _page(got)
            if found is None:
                return await self._refused(x, heard, NotStored.UNREAD, got.why or "")
            page = found
            text = rendering(x, shared.answer.status, shared.answer.fields, page).text
        unknown = suspects(text, set_cookies(heard.answer.fields))
        if unknown:
            return await self._refused(x, heard, NotStored.TOKENS, unknown[0])
        if template is not None:
            proof = template.proof(_mark(shared, page), self._clock.monotonic())
            if proof is None:
                return await self._first(flight, x, template, await self._his(x, heard))
            what = canary(text, proof.traces, _own_cookies(x))
            if what is not None:
                return await self._refused(x, heard, NotStored.LEAK_GUARD, what)
        made = everybodys(x, heard, shared, fresh, page) if heard.template is None else (shared, fresh)
        return made or await self._refused(x, heard, NotStored.TOKENS, "the address of a fragment")

    # What is known ------------------------------------------------------------------------------

    def told(self, x: Exchange) -> tuple[Step, ...]:
        """What explanations say of the template of `x`."""
        if not x.rules.guard or not isinstance(x.kind, Anonymous | Page):
            return ()
        shape, now = shape_of(x.asked.path, x.asked.query), self._clock.monotonic()
        template = self.proofs.known(x.rules, _place(x))
        marks = {} if template is None else template.proofs
        left = {mark.strip(): int(proof.until - now) for mark, proof in marks.items() if now < proof.until}
        failure = None if template is None else template.failure(now, cookied=_is_cookied(x))
        facts: dict[str, object] = {"template": shape, "proven_for": left}
        if failure is not None:
            finding = f"pages like {shape} are not shared: {failure.reason}: {failure.what}"
            facts |= {"tried_again_in": int(failure.until - now)}
        elif left:
            finding = f"pages like {shape} are the same for all who are anonymous"
        else:
            finding = f"pages like {shape} are yet to prove that they are the same for all"
        return (Step("guard", finding, facts),)

    def failures(self) -> dict[str, dict[str, int]]:
        """How many pages were not shared, by site and reason: for heartbeats."""
        counted: dict[str, dict[str, int]] = {}
        for (site, what), count in self.done.items():
            if what not in ("fetch", "proven"):
                counted.setdefault(site, {})[what] = count
        return counted

    def counts(self) -> Iterator[Gauge]:
        """For metrics."""
        for (site, what), count in self.done.items():
            if what == "fetch":
                text = "Second fetches of pages, to prove that they are the same for all."
                yield Gauge("guard_fetches", text, count, {"site": site})
            else:
                text = "Pages that proved to be the same for all, and those that did not."
                yield Gauge("guard_verdicts", text, count, {"site": site, "result": what})

    # The first of a template --------------------------------------------------------------------

    async def _first(self, flight: Flight, x: Exchange, template: Template, his: Heard) -> Verdict:
        """The asker's own answer; if it is of use, a proof begins once he has all of it."""
        now = self._clock.monotonic()
        failure = template.failure(now, cookied=_is_cookied(x))
        if failure is not None:
            return Own(his.answer, his.origin, failure.reason, failure.what)
        shared, fresh = judged(x, his)
        if isinstance(fresh, NotStored):
            return Own(his.answer, his.origin, fresh)
        if his.answer.status >= 500 or "authorization" in x.asked.fields or not template.claim(now):
            return Own(his.answer, his.origin, NotStored.UNPROVEN)
        if not flight.owner_aboard:  # nobody waits, so that both renderings are nobody's
            return await self._compared(x, template, shared, _page(await read(shared.answer, self._limit)))
        body = his.answer.body
        if isinstance(body, bytes):
            self._prove(x, template, shared, body)
        else:
            length = length_of(his.answer.fields)
            body = Overheard(body, length, self._limit, lambda page: self._prove(x, template, shared, page))
        return Own(his.answer.but(body=body), his.origin, NotStored.UNPROVEN)

    def _prove(self, x: Exchange, template: Template, his: Heard, page: bytes | None) -> None:
        """Begin the proof, now that the asker has his `page`; None: he went away, or it was too large."""
        if page is None:
            template.claimed = 0.0
            return

        async def work(flight: Flight) -> None:
            try:
                verdict = await self._compared(x, template, his, page)
            except UpstreamError as error:
                template.claimed = 0.0
                logger.info("a page could not be asked for again", extra={"why": str(error)})
                verdict = Own(Answer(502), his.origin, NotStored.UNPROVEN)
            await self._fetches.settle(flight, as_nobody(x), verdict)

        self._fetches.behind(x, work)

    async def _compared(self, x: Exchange, template: Template, his: Heard, page: bytes | None) -> Verdict:
        """The page as nobody gets it, if it is like `page`, the asker's own, under the head `his`."""
        nobody = as_nobody(x)
        self.done[x.rules.name, "fetch"] += 1
        heard = await self._fetches.ask(nobody, unconditional(nobody.request))
        shared, fresh = judged(nobody, heard)
        reason, what = NotStored.LEAK_GUARD, f"asked for as nobody, {fresh}"
        if not isinstance(fresh, NotStored):
            got = await read(shared.answer, self._limit)
            heard = replace(heard, answer=heard.answer.but(body=got.body))
            theirs = _page(got)
            if page is None or theirs is None:
                reason, what = NotStored.UNREAD, got.why or "size"
            else:
                mine = rendering(x, his.answer.status, his.answer.fields, page)
                other = rendering(x, shared.answer.status, shared.answer.fields, theirs)
                reason, what = self._difference(x, mine, other, set_cookies(heard.answer.fields))
                made = None if what else everybodys(nobody, heard, shared, fresh, theirs)
                if made is not None:
                    template.proved(_mark(shared, theirs), traces(other.text), self._clock.monotonic())
                    self.done[x.rules.name, "proven"] += 1
                    return made
                if not what:
                    reason, what = NotStored.TOKENS, "the address of a fragment"
        template.failed(reason, what, self._clock.monotonic(), cookied=_is_cookied(x))
        self._tell(x, reason, what)
        return Own(heard.answer, heard.origin, reason, what)

    def _difference(
        self, x: Exchange, mine: Rendering, theirs: Rendering, came_with: list[Pair]
    ) -> tuple[NotStored, str]:
        """Why the second rendering may not be everybody's, and where that shows; empty if it may."""
        unknown = suspects(theirs.text, came_with)
        if unknown:
            return NotStored.TOKENS, unknown[0]
        told = canary(theirs.text, traces(theirs.text), _own_cookies(x))
        where = difference(mine, theirs, ("set-cookie",) if x.rules.share_set_cookie else ())
        return NotStored.LEAK_GUARD, told or where or ""

    # His alone ----------------------------------------------------------------------------------

    async def _refused(self, x: Exchange, heard: Heard, reason: NotStored, what: str) -> Own:
        self._tell(x, reason, what)
        his = await self._his(x, heard)
        return Own(his.answer, his.origin, reason, what)

    async def _his(self, x: Exchange, heard: Heard) -> Heard:
        """The asker's own answer: what came for nobody in particular is it only if he is nobody.

        Nor is what another node has taken apart.
        """
        if not is_disguised(x) and heard.template is None:
            return heard
        await close(heard.answer.body)
        return await self._fetches.ask(x, named_by(x.asked))

    def _tell(self, x: Exchange, reason: NotStored, what: str) -> None:
        self.done[x.rules.name, reason] += 1
        logger.warning(
            "a page is not shared",
            extra={
                "site": x.rules.name,
                "template": shape_of(x.asked.path, x.asked.query),
                "reason": reason,
                "what": what,
            },
        )


def unattended(x: Exchange, stale: Entry) -> Exchange:
    """`x` as if nobody had sent it: unattended nothing of its visitor's is used, unless `stale` is by it."""
    if not isinstance(x.kind, Anonymous | Page) or _is_by_cookie(stale):
        return x
    nobody = as_nobody(x)
    return replace(nobody, asked=replace(x.asked, fields=nobody.request.fields.without(VARIANT)))


def as_himself(x: Exchange) -> Exchange:
    """`x` asked for with all that its visitor sent."""
    return _with(x, x.asked.fields)


def as_nobody(x: Exchange) -> Exchange:
    """`x` asked for without what tells who asks, but for the cookies that count for the key."""
    key = x.rules.key
    fields = nobodys(x.asked.fields, key.cookies, key.fields)
    if isinstance(x.kind, Page):  # what RFC 9111 makes of its other fields is not ours to change
        kept = x.asked.fields.without("cookie", "authorization")
        fields = kept.plus(*(("Cookie", value) for value in fields.all("cookie")))
    return _with(x, fields)


def _with(x: Exchange, fields: Fields) -> Exchange:
    variant = x.request.fields.get(VARIANT)
    if variant is not None:
        fields = fields.replaced("Tepi-Variant", variant)
    return replace(x, request=replace(x.request, fields=fields))


def _place(x: Exchange) -> str:
    """What tells templates apart before there is a page: host, shape of the path, and the site's variant."""
    variant = x.request.fields.get(VARIANT) or ""
    return f"{x.asked.host}{shape_of(x.asked.path, x.asked.query)} {variant}"


def _mark(heard: Heard, page: bytes) -> str:
    """What tells templates apart by the page itself."""
    return f"{heard.answer.status} {mark_of(page)}"


def _is_by_cookie(entry: Entry) -> bool:
    """Whether an entry is for those alone who bear the same cookies."""
    return any(name == "cookie" for name, _ in entry.selection)


def _is_cookied(x: Exchange) -> bool:
    return "cookie" in x.asked.fields


def _own_cookies(x: Exchange) -> list[Pair]:
    """The cookies that only the asker has: those of the key may well show in the page."""
    return [pair for pair in cookies(x.asked.fields) if not x.rules.key.cookies.fits(pair[0])]


def _page(got: Read) -> bytes | None:
    return got.body if got.why is None and isinstance(got.body, bytes) else None
