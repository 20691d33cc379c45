"""An answer's way into the store: shared as it arrives, kept when it is whole and no purge came meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from edge.http.hops import end_to_end
from edge.http.message import Answer, Fields, Request
from edge.http.values import dataclass
from edge.policy.classes import Anonymous, Class, for_all, is_for_all
from edge.policy.entry import Entry
from edge.policy.freshness import Freshness, Timing, dated
from edge.policy.keying import VARIANT
from edge.policy.lookup import could_answer
from edge.policy.needs import Needs
from edge.policy.pages import is_page, ungiven
from edge.policy.partial import arrival, as_whole, divisible, same_version, validator
from edge.policy.reasons import NotStored
from edge.policy.rules import SiteRules
from edge.policy.storing import COOKIES, judge, left_out, make_entry
from edge.policy.surrogate import esi_because
from edge.policy.validation import confirmed_by_head, updated
from edge.purge import PurgeLog
from edge.store.content import Stored
from edge.store.contract import Store
from edge.store.fill import Fill
from edge.store.lent import body_of
from edge.store.parts import Parts
from edge.transform.esi import EsiParser
from edge.transform.template import Template, Unread
from edge.upstream.collapse import Flight, Flights, Landing, Origin, Own, Shared, close
from edge.upstream.contract import UpstreamError

ROUNDED = 2.0  # seconds by which two nodes may count an age differently


@dataclass(slots=True)
class Budget:
    """How many more fragments one page may ask for, those of its fragments included."""

    left: int
    overdrawn: bool = False


@dataclass(frozen=True, slots=True)
class Within:
    """The pages that a fragment is a part of, by key, the outermost first; all of one site."""

    site: str
    keys: tuple[str, ...]
    budget: Budget


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request on its way through the edge, as the cache sees it (`keyed`). `started` is monotonic.

    `asked` is the request as the visitor sent it; `within` tells what page it is for, if it is a fragment.
    `needs` tells how new an answer must be for the node that asks for him.
    """

    request: Request
    rules: SiteRules
    key: str
    started: float
    kind: Class
    asked: Request
    within: Within | None = None
    needs: Needs | None = None

    @property
    def group(self) -> str:
        """The key and the site's own variant: whose answers prove shareable, or not, together."""
        return f"{self.key}\x00{self.request.fields.get(VARIANT) or ''}"

    @property
    def by_variant(self) -> bool:
        """Whether the site tells variants apart that Vary does not name."""
        return self.rules.key.varies or self.rules.classes.pages is not None


def is_disguised(x: Exchange) -> bool:
    """Whether the visitor's own request differs from the one that is sent for everybody's sake."""
    return x.asked.fields.get("cookie") != x.request.fields.get("cookie")


@dataclass(frozen=True, slots=True)
class Heard:
    """The head of an origin's answer, and when it came; `template` is its body, if that is in pieces.

    Another node's is stale there when it `expires`, in monotonic seconds; `near`: this PoP has it already;
    `here`: this node's other worker keeps it.
    """

    answer: Answer
    timing: Timing
    template: Template | None = None
    expires: float | None = None
    near: bool = False
    here: bool = False

    @property
    def origin(self) -> Origin:
        seconds = self.timing.heard - self.timing.asked
        return Origin(self.answer.status, seconds, self.answer.outcome.origin)


class Intake:
    """Takes answers in for the store, under the order of purges."""

    def __init__(
        self,
        store: Store,
        flights: Flights,
        log: PurgeLog,
        on_kept: Callable[[Exchange, Entry, Heard], None],
    ) -> None:
        """`on_kept` is told of each entry that is stored whole, or whose freshness was renewed."""
        self._on_kept = on_kept
        self._store = store
        self._flights = flights
        self._log = log

    async def take(
        self, flight: Flight, x: Exchange, heard: Heard, fresh: Freshness, stale: Entry | None = None
    ) -> NotStored | None:
        """Land `flight` with an entry that can be followed as it arrives; store it when it is whole.

        If a purge has struck meanwhile nothing is landed, and the reason returned.
        """
        body = heard.answer.body
        too_large = self._is_too_large(heard.answer.fields)
        template = unread(x, heard.answer.status, heard.answer.fields)
        if isinstance(body, bytes):
            content = (
                Stored(body, template=template)
                if heard.template is None
                else Stored(None, None, heard.template)
            )
        else:
            content = Stored(None, Fill(0 if too_large else self._store.max_object), template)
        entry = _entry(flight, x, heard, fresh, content)
        mark = self._log.struck(flight.order, entry)
        if mark is not None and not mark.soft:
            return NotStored.PURGED
        struck = mark is not None
        if struck:  # who comes while it arrives must find it stale
            entry = replace(entry, freshness=fresh.expired_at(heard.timing.heard))
        self._flights.note_shareable(x.group)
        own_lines = left_out(heard.answer.fields)
        flight.land(Shared(entry, heard.origin, stored=not too_large, own_lines=own_lines, struck=struck))
        if content.fill is not None and not isinstance(body, bytes):
            self._flights.join(entry)
            self._flights.close(flight)
            try:
                await self.pour(content.fill, body)
            except UpstreamError:
                if template is None and not heard.here and (stale is None or stale.content.partial):
                    self._keep_what_came(flight, entry, content.fill)
                raise
            finally:
                self._flights.leave(entry)
            if not content.fill.keeping:
                if stale is not None and not heard.here:
                    self._store.drop(stale)
                return None
            content.complete()
        if heard.here:
            return None
        mark = self._log.struck(flight.order, entry)
        if mark is not None and mark.soft:
            entry = replace(entry, freshness=fresh.expired_at(heard.timing.heard))
        if mark is None or mark.soft:
            self._store.put(entry)
            if stale is not None:  # superseded, though the new one may vary by other fields
                self._store.drop(stale)
            self._on_kept(x, entry, heard)
        return None

    def freshen(self, flight: Flight, x: Exchange, stale: Entry, heard: Heard) -> Entry | NotStored:
        """`stale` with the fields of a 304, a HEAD's 200 or a 206 (§3.4, §4.3.4), or why it is not kept."""
        newer = dated(end_to_end(heard.answer.fields), heard.timing)
        if not x.rules.share_set_cookie:
            newer = newer.without(*COOKIES)
        shaped = for_all(x.kind, x.request, stale.status, updated(ungiven(stale.fields), newer))
        if isinstance(shaped, NotStored):
            self._store.drop(stale)
            return shaped
        merged = shaped
        x = replace(x, request=replace(x.request, method="GET"))
        fresh = until(heard, judge(x.request, stale.status, merged, heard.timing, x.rules))
        content = stale.content
        assert isinstance(content, Stored | Parts)
        if isinstance(fresh, NotStored):
            self._store.drop(stale)
            return fresh
        whole = replace(heard, answer=Answer(stale.status, merged))
        entry = _entry(flight, x, whole, fresh, content.renewed())
        if [name for name, _ in entry.selection] == [name for name, _ in stale.selection]:
            entry = replace(entry, selection=stale.selection)
        mark = self._log.struck(flight.order, entry)
        if mark is not None and not mark.soft:
            self._store.drop(stale)
            return NotStored.PURGED
        if mark is not None:
            entry = replace(entry, freshness=fresh.expired_at(heard.timing.heard))
        if not self._store.swap(stale, entry):
            self._store.put(entry)
        self._on_kept(x, entry, heard)
        return entry

    def freshen_by_head(self, flight: Flight, x: Exchange, heard: Heard) -> None:
        """Renew each answer that a HEAD's 200 describes, drop those it does not (§4.3.5).

        With a cookie it says nothing of what others may have.
        """
        if not x.rules.share_set_cookie and any(name in heard.answer.fields for name in COOKIES):
            return
        for entry in could_answer(x.request, self._store.get(x.key)):
            if entry.status != 200:
                continue
            if confirmed_by_head(entry, heard.answer.fields):
                self.freshen(flight, x, entry, heard)
            else:
                self._store.drop(entry)

    def _is_too_large(self, fields: Fields) -> bool:
        length = _length(fields)
        return length is not None and length > self._store.max_object

    def confirmed(self, flight: Flight, x: Exchange, stale: Entry, heard: Heard) -> Landing | None:
        """The origin says that `stale` still holds. None if it may not be kept, and the whole is gone."""
        newer = self.freshen(flight, x, stale, heard)
        for_all = is_for_all(x.kind)
        if isinstance(newer, NotStored):
            return None if for_all else own_of(x, stale, heard, newer)
        if for_all or is_disguised(x):
            return Shared(newer, heard.origin, revalidated=True)
        own = newer.directives.no_cache_fields | newer.directives.private_fields
        own |= frozenset() if x.rules.share_set_cookie else COOKIES
        lines = tuple(line for line in heard.answer.fields.lines if line[0].lower() in own)
        return Shared(newer, heard.origin, revalidated=True, own_lines=lines)

    def _keep_what_came(self, flight: Flight, entry: Entry, fill: Fill) -> None:
        """Keep the first part of a body that broke off, if the rest can be fetched later (RFC 9111 §3.3)."""
        size = _length(entry.fields)
        if not fill.keeping or entry.status != 200 or size is None or fill.received >= size:
            return
        if validator(entry) is None or not divisible(entry.fields):
            return
        if self._log.struck(flight.order, entry) is None:
            parts = Parts(size, sliced=False)
            self._store.put(replace(entry, content=parts))
            self._store.keep(parts, 0, fill.so_far())

    def begin(
        self, flight: Flight, x: Exchange, heard: Heard, fresh: Freshness, content: Parts
    ) -> Entry | NotStored:
        """The entry of a body that comes in parts, stored at once; or why it may not be."""
        entry = _entry(flight, x, heard, fresh, content)
        mark = self._log.struck(flight.order, entry)
        if mark is not None and not mark.soft:
            return NotStored.PURGED
        if mark is not None:
            entry = replace(entry, freshness=fresh.expired_at(heard.timing.heard))
        self._store.put(entry)
        return entry

    async def pour(self, fill: Fill, body: AsyncIterator[bytes]) -> None:
        """Take `body` in, with room for what is kept of it."""
        reserved = 0

        def may_grow(size: int) -> bool:
            nonlocal reserved
            if not self._store.reserve(size):
                return False
            reserved += size
            return True

        try:
            await fill.pour(body, may_grow)
        finally:
            self._store.release(reserved)
            await close(body)


def _length(fields: Fields) -> int | None:
    value = fields.get("content-length")
    return int(value) if value is not None and value.isascii() and value.isdigit() else None


def _entry(flight: Flight, x: Exchange, heard: Heard, fresh: Freshness, content: Stored | Parts) -> Entry:
    return make_entry(
        x.request,
        heard.answer.status,
        heard.answer.fields,
        heard.timing,
        fresh,
        content,
        site=x.rules.name,
        order=flight.order,
        position=flight.position,
        number=flight.number,
        by_variant=x.by_variant,
    )


def judged(
    x: Exchange, heard: Heard, about: Entry | None = None, *, ranged: bool = False
) -> tuple[Heard, Freshness | NotStored]:
    """What came as everybody may have it, and the freshness under which it is kept, or why it is not.

    `ranged`: a part was asked for. One that comes is judged as the whole that it is of (RFC 9111 §3.3); a
    part of `about`, which need not say again what was said of that (RFC 9110 §15.3.7), by the fields of both.
    """
    answer = heard.answer
    status, fields = answer.status, answer.fields
    came = arrival(fields) if ranged and status == 206 else None
    if came is not None and about is not None and about.content.partial and same_version(about, fields):
        fields = updated(about.fields, dated(end_to_end(fields), heard.timing))
    given = fields if status >= 500 else for_all(x.kind, x.request, status, fields)
    if isinstance(given, NotStored):
        return heard, given
    if ranged and status == 206:
        if came is None or must_be_whole(x, given):
            return heard, NotStored.PARTIAL
        status, given = 200, as_whole(given, came.size)
    request = replace(x.request, method="GET") if x.request.method == "HEAD" else x.request
    fresh = until(heard, judge(request, status, given, heard.timing, x.rules))
    if given is answer.fields and status == answer.status:
        return heard, fresh
    return replace(heard, answer=answer.but(status=status, fields=given)), fresh


def until(heard: Heard, fresh: Freshness | NotStored) -> Freshness | NotStored:
    """`fresh`, but no longer than the node that answered has it: a purge may have made it stale there."""
    if heard.expires is None or isinstance(fresh, NotStored):
        return fresh
    early = heard.expires <= heard.timing.heard or heard.expires < fresh.expires - ROUNDED
    return fresh.expired_at(heard.expires) if early else fresh


def must_be_whole(x: Exchange, fields: Fields) -> bool:
    """Whether the edge has to look into a body with `fields`, so that it may not be kept in parts."""
    if isinstance(x.kind, Anonymous) and is_page(x.kind.rule, fields):
        return True
    return not divisible(fields) or unread(x, 200, fields) is not None


def unread(x: Exchange, status: int, fields: Fields) -> Unread | None:
    """How the body of an answer is to be taken apart, if it is to be."""
    rules = x.rules.esi
    why = None if rules is None else esi_because(rules, x.request.path, status, fields)
    return None if why is None else Unread(EsiParser, why)


def own_of(x: Exchange, stale: Entry, heard: Heard, reason: NotStored) -> Own | None:
    """What a 304 confirmed, for the asker alone; None where only pieces of it are there."""
    content = stale.content
    if not isinstance(content, Stored) or content.identity is None:
        return None
    fields = dated(updated(stale.fields, end_to_end(heard.answer.fields)), heard.timing)
    return Own(Answer(stale.status, fields, body_of(content.identity)), heard.origin, reason)


def is_here(entry: Entry) -> bool:
    """Whether `entry`'s body does not depend on a fill that may yet fail: it is whole, or kept in parts."""
    return entry.content.partial or (isinstance(entry.content, Stored) and entry.content.whole)
