"""What an origin is asked, and what it is told of who asks."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from edge.clock import Clock
from edge.http.cache_status import of_caches_before
from edge.http.forwarding import towards_commerce, towards_origin
from edge.http.message import Answer, Fields, Outcome, Request
from edge.http.passing import of_an_origin
from edge.intake import Exchange, Heard
from edge.outbound import ruled, unruled
from edge.policy.freshness import Timing
from edge.policy.key import normal_escapes
from edge.policy.keying import variant_of
from edge.policy.passing import is_passed_on
from edge.policy.paths import covers
from edge.policy.rules import EsiRules
from edge.policy.standins import without_secrets
from edge.policy.surrogate import CAPABLE, obeyed, wanted_by
from edge.position import Position
from edge.purge import Mark
from edge.store.shared import SharedStore
from edge.tiers.hopping import Hopping, Passed
from edge.upstream.collapse import close
from edge.upstream.contract import Standing, Upstream


@dataclass(frozen=True, slots=True)
class Asking:
    """Sends requests to a site's origins, for the cache that is called `identity`."""

    upstream: Upstream
    clock: Clock
    identity: str
    hopping: Hopping | None = None
    shared: SharedStore | None = None

    async def ask(self, x: Exchange, request: Request) -> Heard:
        """Send `request` in the place of `x`'s. Raises UpstreamError."""
        asked = self.clock.monotonic()
        answer = await self._of_origin(x, request)
        if x.rules.esi is not None:
            answer = answer.but(fields=obeyed(answer.fields))
        return Heard(unruled(answer, x), Timing(asked, self.clock.monotonic(), self.clock.wall()))

    async def through(self, x: Exchange, question: Request, holder: int | None) -> Heard:
        """What the PoP shares, or another node answers to `question`; else the origin. Its body as it is.

        `holder` is the process that fetches it, where another of this node's workers does.

        Raises UpstreamError.
        """
        asked = self.clock.monotonic()
        question, passed = as_it_is(question), None
        if self.shared is not None and holder is None:
            passed = await self._of_pop(x, question, self.shared)
        if passed is None and self.hopping is not None and not self.hopping.goes_straight(holder):
            passed = await self.hopping.ask(x, question, partial(self._of_origin, x), holder)
        if passed is None:
            return await self.hear(x, question)
        timing = Timing(asked, self.clock.monotonic(), self.clock.wall())
        answer = passed.answer.but(fields=of_caches_before(passed.answer.fields))
        return Heard(answer, timing, passed.template, passed.expires, passed.near, passed.here)

    async def _of_pop(self, x: Exchange, question: Request, shared: SharedStore) -> Passed | None:
        """What the nodes of this PoP share, unless who asks knows of purges that this node does not."""
        if x.needs is not None or "range" in question.fields:
            return None
        found = await shared.find(x.key, x.rules.name, x.request.fields)
        if found is None:
            return None
        told = (
            ("Age", str(int(found.age))),
            ("Cache-Status", f"{self.identity}-shared; hit; ttl={int(found.ttl)}"),
        )
        answer = Answer(found.status, found.fields.plus(*told), found.body, Outcome("none", origin="shared"))
        return Passed(answer, self.clock.monotonic() + found.ttl, near=True)

    async def _of_origin(self, x: Exchange, request: Request) -> Answer:
        if request.query != x.asked.query:  # the key's spelling is ours alone
            request = replace(request, query=x.asked.query)
        if x.rules.classes.pages is not None:
            request = replace(request, fields=without_secrets(request.fields))
        outbound = towards_origin(request, self.identity)
        variant = variant_of(x.asked, x.rules.key)
        if variant is not None:
            outbound = outbound.bearing(outbound.fields.grown(("Tepi-Variant", variant)))
        outbound = ruled(outbound, x)
        prefix = x.rules.commerce_prefix
        if prefix is not None and covers(prefix, normal_escapes(request.path)):
            outbound = towards_commerce(outbound, x.rules.name)
        if x.rules.esi is not None:
            outbound = outbound.bearing(outbound.fields.grown(CAPABLE))
        answer = await self.upstream.fetch(x.rules.name, outbound)
        return answer.bearing(of_an_origin(of_caches_before(answer.fields)))

    def origins_of(self, x: Exchange) -> Sequence[Standing]:
        """The origins that answer for what `x` asks, as they stand; the visitor's URL may be rewritten."""
        return self.upstream.standing(x.rules.name, ruled(x.asked, x).path)

    def struck(self, mark: Mark, at: Position | None, here: Position) -> None:
        """`mark` has struck at this node, which stands `here`: what others have may be older than that.

        `at` is where in the journal it stands, if it is a purge.
        """
        if self.shared is not None:
            self.shared.struck(mark, at or here)
        if self.hopping is not None and (at is None or here.reaches(at)):  # the journal tells others not
            self.hopping.outdated.record(mark, self.clock.monotonic())

    def before_the_origin(self, x: Exchange) -> list[str]:
        """Who would be asked before an origin for what `x` wants, in words."""
        if not is_passed_on(x.request, x.kind):
            return []
        shared = [] if self.shared is None or not self.shared.open else ["the PoP's shared store"]
        return shared + ([] if self.hopping is None else self.hopping.would_ask(x))

    async def for_one(self, x: Exchange) -> Heard:
        """What the origin says to the visitor himself. A page that is taken apart is asked for as it is."""
        return await (self.ask(x, x.asked) if x.rules.esi is None else self.hear(x, x.asked))

    def hear(self, x: Exchange, question: Request) -> Awaitable[Heard]:
        """The answer to `question`, its body as it is; a page that is taken apart comes whole."""
        esi = x.rules.esi
        return self.ask(x, as_it_is(question)) if esi is None else self._whole(x, question, esi)

    async def _whole(self, x: Exchange, question: Request, esi: EsiRules) -> Heard:
        heard = await self.ask(x, as_it_is(question))
        if heard.answer.status != 206:
            return heard
        if wanted_by(esi, x.request.path, heard.answer.fields):
            await close(heard.answer.body)  # RFC 9110 §14.2: ranges may be ignored
            whole = replace(question, fields=question.fields.without("range", "if-range"))
            heard = await self.ask(x, as_it_is(whole))
        return heard


def as_it_is(request: Request) -> Request:
    """`request` for the body as it is: the edge encodes it by itself."""
    return request.bearing(request.fields.derived(_unencoded))


def _unencoded(fields: Fields) -> Fields:
    return fields.replaced("Accept-Encoding", "identity")
