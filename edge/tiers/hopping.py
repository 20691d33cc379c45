"""Asking other nodes before the origin: what they are told, whose answers count, bodies made whole."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Self

from edge.clock import Clock
from edge.document.origins import Timeouts
from edge.http.asker import Tier
from edge.http.forwarding import towards_peer
from edge.http.message import Answer, Request
from edge.http.passing import FAILURE, PIECES, TOLD, hop_lines, position_in, position_line, ttl_in
from edge.http.ranges import content_range
from edge.intake import Exchange
from edge.outdated import Outdated
from edge.policy.freshness import Timing, response_date
from edge.policy.keying import variant_of
from edge.policy.partial import strong_validator
from edge.policy.validation import unconditional
from edge.position import Position
from edge.store.record import Broken, template_of
from edge.transform.template import Template
from edge.upstream.collapse import close
from edge.upstream.contract import UpstreamError
from edge.upstream.peers import Peers, named
from edge.upstream.tiers import Next

logger = logging.getLogger("tepi.edge")

Ask = Callable[[Request], Awaitable[Answer]]
_TOLD = (*TOLD, "x-request-id")
LARGEST = 64 * 2**20  # bytes of a page in pieces


@dataclass(frozen=True, slots=True)
class Passed:
    """An answer of the fleet. `expires` is when it is stale there, in this node's monotonic seconds.

    `near`: this node's PoP has it already; `here`: this node, whose other worker keeps it. `template` is its
    body, if that is in pieces.
    """

    answer: Answer
    expires: float | None
    near: bool
    here: bool = False
    template: Template | None = None


class Unreliable(UpstreamError):
    """A neighbour's answer may be older than a purge that this node has applied, or is none."""


@dataclass(frozen=True, slots=True)
class Hopping:
    """Passes requests on to `peers`. `position` is this node's, `timeouts` what a site gives its origins."""

    peers: Peers
    clock: Clock
    position: Callable[[], Position]
    timeouts: Callable[[str], Timeouts]
    identity: str
    outdated: Outdated = field(default_factory=Outdated)

    def goes_straight(self, holder: int | None) -> bool:
        """Whether there is nobody before the origin, whatever is asked for."""
        return holder is None and not self.peers.fleet.peers

    async def ask(
        self, x: Exchange, request: Request, origin: Ask, holder: int | None = None
    ) -> Passed | None:
        """The answer of the fleet to `request`; None where the origin itself is to be asked.

        `holder` is the process that fetches it, where another of this node's workers does. `origin` asks it
        for the rest of a body that breaks off. Raises UpstreamError where a neighbour has waited in vain for
        the origin for as long as anybody may.
        """
        for to in self.peers.route(x.key, x.rules.shield, x.asked.asker, holder):
            needed = (x.needs and x.needs.position) or self.position()
            try:
                answer = await self._ask(x, request, to, needed)
                template = await _template(answer, to) if PIECES in answer.fields else None
            except Unreliable as error:
                self.peers.count(to, "unreliable")
                logger.info("an answer was not relied on", extra={"of": named(to), "why": error.detail})
                continue
            except UpstreamError as error:
                self.peers.count(to, error.failure)
                if isinstance(error, _InVain):
                    raise
                continue
            self.peers.count(to, "answered")
            ttl = ttl_in(answer.fields)
            expires = None if ttl is None else self.clock.monotonic() + ttl
            answer = answer.but(fields=answer.fields.without(*_TOLD))
            near = to.tier is not Tier.SHIELD
            if template is not None:
                return Passed(answer.but(body=b""), expires, near, to.inner, template)
            return Passed(self._mended(answer, request, to, origin), expires, near, to.inner)
        return None

    def _ago(self, x: Exchange, to: Next) -> float | None:
        """The seconds since which an answer of `to` for `x` must be; workers know of each other's purges."""
        own = None if to.inner else self.outdated.since(x.key, x.rules.name)
        asked = None if x.needs is None else x.needs.since
        moments = [moment for moment in (own, asked) if moment is not None]
        return max(0.0, self.clock.monotonic() - max(moments)) if moments else None

    def would_ask(self, x: Exchange) -> list[str]:
        """Whom `x` would be passed on to, one after another where one does not answer."""
        return [self.peers.standing(to) for to in self.peers.route(x.key, x.rules.shield, x.asked.asker)]

    def _mended(self, answer: Answer, request: Request, to: Next, origin: Ask) -> Answer:
        """`answer`, whose body goes on with what the origin sends if the neighbour's breaks off."""
        if isinstance(answer.body, bytes):
            return answer
        now = self.clock.monotonic()
        date = response_date(answer.fields, Timing(now, now, self.clock.wall()))
        validator = strong_validator(answer.fields, date)
        said = content_range(answer.fields.get("content-range")) if answer.status == 206 else None
        first, last = (0, None) if said is None else (said[0].first, said[0].last)
        fit = validator is not None and (answer.status == 200 or said is not None)
        rest = _Rest(request, validator, last) if fit and validator is not None else None
        body = _Mended(answer.body, first, rest, origin, partial(self.peers.failed, to))
        return answer.but(body=body)

    async def _ask(self, x: Exchange, request: Request, to: Next, needed: Position) -> Answer:
        variant = variant_of(x.asked, x.rules.key)
        if to.inner and "range" not in request.fields:
            request = unconditional(request)  # what is stored here, too, is the one who has it to renew
        sent = towards_peer(replace(request, query=x.asked.query), self.identity)
        name, ago = self.peers.fleet.name, self._ago(x, to)
        lines = hop_lines(x.asked, name, to.tier, inner=to.inner, variant=variant, ago=ago)
        sent = replace(sent, fields=sent.fields.plus(("Host", x.asked.host), *lines, position_line(needed)))
        answer = await self.peers.ask(to, sent, self.timeouts(x.rules.name))
        reached = position_in(answer.fields)
        if reached is not None and reached.reaches(needed):
            return answer
        await close(answer.body)
        if answer.fields.get(FAILURE) == "timeout":
            raise _InVain("timeout", named(to), "the origin did not answer it", sent=True)
        detail = f"status {answer.status}" if reached is None else f"it stands at {reached.number}"
        raise Unreliable("protocol", named(to), detail, sent=True)


async def _template(answer: Answer, of: Next) -> Template:
    """The page that another node sends in pieces. Raises UpstreamError."""
    chunks: list[bytes] = []
    left = LARGEST
    async for chunk in _stream(answer):
        left -= len(chunk)
        if left < 0:
            raise Unreliable(
                "protocol", named(of), f"a page in more than {LARGEST} bytes of pieces", sent=True
            )
        chunks.append(chunk)
    try:
        return template_of(b"".join(chunks))
    except Broken as error:
        raise Unreliable("protocol", named(of), f"no page in pieces: {error}", sent=True) from error


class _InVain(UpstreamError):
    """A neighbour has waited for the origin until its time was up."""


@dataclass(frozen=True, slots=True)
class _Rest:
    """How the rest of a body is asked for: of what `validator` vouches for, up to `last`."""

    request: Request
    validator: str
    last: int | None

    def since(self, at: int) -> Request:
        asked = f"bytes={at}-" if self.last is None else f"bytes={at}-{self.last}"
        fields = self.request.fields.without("if-none-match", "if-modified-since", "range", "if-range")
        fields = fields.plus(("Range", asked), ("If-Range", self.validator))
        return replace(self.request, fields=fields, on_interim=None)

    def is_in(self, answer: Answer, at: int) -> bool:
        """Whether `answer` bears just that, from byte `at` on."""
        said = content_range(answer.fields.get("content-range"))
        same = self.validator in (answer.fields.get("etag"), answer.fields.get("last-modified"))
        return answer.status == 206 and same and said is not None and said[0].first == at


class _Mended(AsyncIterator[bytes]):
    """A neighbour's body; where it breaks off, the same version's rest from the origin."""

    __slots__ = ("_at", "_broken", "_on_break", "_origin", "_rest", "_source")

    def __init__(
        self,
        source: AsyncIterator[bytes],
        at: int,
        rest: _Rest | None,
        origin: Ask,
        on_break: Callable[[UpstreamError], None],
    ) -> None:
        """`at` is the number of its first byte; without `rest` it is not mended."""
        self._source = source
        self._at = at
        self._rest = rest
        self._origin = origin
        self._on_break = on_break
        self._broken = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await anext(self._source)
        except UpstreamError as error:
            if self._broken:
                raise
            self._broken = True
            self._on_break(error)
            self._source = await self._go_on(error)
            chunk = await anext(self._source)
        self._at += len(chunk)
        return chunk

    async def aclose(self) -> None:
        """Want no more."""
        await close(self._source)

    async def _go_on(self, error: UpstreamError) -> AsyncIterator[bytes]:
        if self._rest is None:
            raise error
        answer = await self._origin(self._rest.since(self._at))
        if self._rest.is_in(answer, self._at):
            return _stream(answer)
        await close(answer.body)
        raise error


async def _stream(answer: Answer) -> AsyncIterator[bytes]:
    if isinstance(answer.body, bytes):
        yield answer.body
        return
    try:
        async for chunk in answer.body:
            yield chunk
    finally:
        await close(answer.body)
