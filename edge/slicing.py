"""Bodies that are here in parts: taking parts in, and fetching what a reader lacks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Protocol, assert_never

from edge.asking import as_it_is
from edge.clock import Clock
from edge.http.message import Answer, Fields, Request
from edge.http.ranges import Part, content_range
from edge.intake import Exchange, Heard, Intake, must_be_whole
from edge.policy.entry import Entry
from edge.policy.freshness import Freshness, response_date
from edge.policy.partial import (
    Arrival,
    Lack,
    arrival,
    completes,
    is_sliced,
    knows_ranges,
    same_version,
    strong_validator,
    to_fetch,
    validator,
)
from edge.policy.reasons import NotStored
from edge.policy.storing import left_out
from edge.policy.validation import unconditional
from edge.ranging import Window
from edge.store.contract import Store
from edge.store.cutting import Cutting
from edge.store.fill import AHEAD, Cut, Fill
from edge.store.parts import Parts
from edge.upstream.collapse import (
    Arrived,
    Excused,
    Failed,
    Flight,
    Flights,
    Landing,
    Own,
    Portion,
    Shared,
    close,
)

FORSAKEN_SECONDS = 600.0  # how long an object is not fetched in parts whose origin gave none when asked
FORSAKEN = 10_000
Ask = Callable[[Exchange, Request], Awaitable[Heard]]


class Go(Protocol):
    """Fetches what lacks of an entry, or waits for who does; tells whether the fetch was its own."""

    async def __call__(
        self, x: Exchange, stale: Entry | None, lacks: Lack | None = None, *, alone: bool
    ) -> tuple[Landing, bool]: ...


@dataclass(frozen=True, slots=True)
class Slicing:
    """The way of parts into the store, and of readers to the parts that are not there.

    `forsaken`: until when an object, by its key, is not fetched in parts.
    """

    store: Store
    flights: Flights
    intake: Intake
    clock: Clock
    ask: Ask
    go: Go
    forsaken: dict[str, float] = field(default_factory=dict)

    def takes(self, x: Exchange, heard: Heard) -> bool:
        """Whether an answer brings a body that is kept in parts, be it all of them at once."""
        answer = heard.answer
        if answer.status == 206:
            return True
        size = _length(answer.fields)
        if answer.status != 200 or size is None or must_be_whole(x, answer.fields):
            return False
        knows = knows_ranges(x.request.path, answer.fields, x.rules.slices)
        fetched = self._is_sliced(x, size) and knows and _vouched(heard) and not self._is_forsaken(x.key)
        return fetched or self._is_kept_at_once(size)

    def _is_kept_at_once(self, size: int) -> bool:
        """Whether a large body is kept in parts though none of them could be fetched alone: on disk."""
        return self.store.max_object < size <= self.store.largest

    async def take(
        self,
        flight: Flight,
        x: Exchange,
        heard: Heard,
        whole: Heard,
        fresh: Freshness,
        about: Entry | None,
        *,
        named: bool,
    ) -> NotStored | None:
        """Land `flight` with the part that an answer brings, for `about` if it is of the same version.

        `whole` is `heard` as the head of the whole, `fresh` its freshness; `named`: the part was asked for as
        the visitor named it. Returns why, if nobody else may have it; nothing is landed then.
        """
        size = _length(whole.answer.fields) or 0
        came = (
            arrival(heard.answer.fields) if heard.answer.status == 206 else Arrival(Part(0, size - 1), size)
        )
        assert came is not None
        at_once = heard.answer.status == 200
        entry = self._entry(flight, x, whole, fresh, about, size, at_once=at_once)
        if isinstance(entry, NotStored):
            return entry
        parts = entry.content
        assert isinstance(parts, Parts)
        most = x.rules.slices.size if parts.sliced else self.store.max_object
        limit = came.part.size if came.part.size <= most else 0
        fill = Fill(limit, first=came.part.first, end=came.part.end)
        parts.fills.append(fill)
        self.flights.note_shareable(x.group)
        flight.land(
            Shared(
                entry,
                heard.origin,
                stored=parts.slot is not None,
                own_lines=left_out(whole.answer.fields),
                portion=_portion(heard.answer.fields, came.part, fill, named=named),
            )
        )
        self.flights.close(flight)
        body: AsyncIterator[bytes] = Window(heard.answer.body)
        if not limit:
            body = Cutting(body, came.part.first, parts, self.store, x.rules.slices.size)
        await self._pour(parts, fill, body)
        return None

    def _entry(
        self,
        flight: Flight,
        x: Exchange,
        whole: Heard,
        fresh: Freshness,
        about: Entry | None,
        size: int,
        *,
        at_once: bool,
    ) -> Entry | NotStored:
        """What has come a part of: `about` with newer fields (RFC 9111 §3.4), or an entry of its own.

        `at_once`: all of it comes.
        """
        parts = None if about is None else about.content
        joins = isinstance(parts, Parts) and parts.size == size
        if about is not None and joins and same_version(about, whole.answer.fields):
            stored = next((each for each in self.store.get(x.key) if each.content is parts), None)
            return about if stored is None else self.intake.freshen(flight, x, stored, whole)
        knows = knows_ranges(x.request.path, whole.answer.fields, x.rules.slices)
        sliced = self._is_sliced(x, size) and (knows or not at_once)
        completable = not self._is_forsaken(x.key)
        if size > self.store.max_object and not (sliced and completable and _vouched(whole)):
            if not (at_once and self._is_kept_at_once(size)):
                return NotStored.TOO_LARGE
            sliced = completable = False
        return self.intake.begin(flight, x, whole, fresh, Parts(size, sliced=sliced, completable=completable))

    def _is_sliced(self, x: Exchange, size: int) -> bool:
        return is_sliced(x.request.path, size, x.rules.slices, self.store.max_object)

    def is_refused(self, entry: Entry, answer: Answer) -> bool:
        """Whether the origin gave all of `entry`'s body when it was asked for a part of just that version."""
        return answer.status == 200 and same_version(entry, answer.fields)

    def forsake(self, key: str, entry: Entry) -> None:
        """Do not ask for parts of what is stored under `key` for a while, and forget those of `entry`."""
        for stored in tuple(self.store.get(key)):
            if stored.content is entry.content:
                self.store.drop(stored)
        self.forsaken.pop(key, None)
        if len(self.forsaken) >= FORSAKEN:
            del self.forsaken[next(iter(self.forsaken))]
        self.forsaken[key] = self.clock.monotonic() + FORSAKEN_SECONDS

    def _is_forsaken(self, key: str) -> bool:
        until = self.forsaken.get(key)
        return until is not None and self.clock.monotonic() < until

    def to_fetch(self, x: Exchange, entry: Entry, lacks: Lack) -> Part:
        """The part to ask for where `lacks` is met."""
        parts = entry.content
        assert isinstance(parts, Parts)
        return to_fetch(lacks, parts.size, x.rules.slices.size, sliced=parts.sliced)

    async def _pour(self, parts: Parts, fill: Fill, body: AsyncIterator[bytes]) -> None:
        """Take `body` in, and keep what has come of it, however it ends."""
        try:
            await self.intake.pour(fill, body)
        finally:
            parts.fills.remove(fill)
            if fill.keeping and fill.received:
                self.store.keep(parts, fill.first, fill.whole() if fill.done else fill.so_far())

    async def more(self, x: Exchange, entry: Entry, at: int, last: int, run: int) -> AsyncIterator[bytes]:
        """A reader of `entry`'s bytes from `at` on, fetched or waited for; `last` is the last one wanted.

        `run` counts the fetches for this answer, this one included. Raises Cut where the origin has another
        version by now, or none of its parts.
        """
        parts = entry.content
        assert isinstance(parts, Parts)
        want = Part(at, last)
        gap = parts.gap(want)
        if gap is None or not completes(entry):
            raise Cut(f"byte {at} could not be had")
        x = _for_part(x, want)
        lacks = Lack(max(at, gap.first), gap, want, run=run)
        alone = "authorization" in x.request.fields
        landing, owner = await self.go(x, entry, lacks, alone=alone)
        reader = await self._reader(landing, entry, at, owner=owner)
        if reader is None:
            landing, owner = await self.go(x, entry, lacks, alone=True)
            reader = await self._reader(landing, entry, at, owner=owner)
        if reader is None:
            raise Cut(f"byte {at} could not be had")
        return reader

    async def _reader(
        self, landing: Landing, entry: Entry, at: int, *, owner: bool
    ) -> AsyncIterator[bytes] | None:
        """What `landing` has of `entry` from byte `at` on; None if another's fetch had nothing for us."""
        match landing:
            case Shared(landed, portion=Portion(fill)) if same_version(entry, landed.fields):
                if fill.reaches(at, AHEAD):
                    return fill.attach(at)
            case Own(answer) if owner:
                came = arrival(answer.fields) if answer.status == 206 else None
                if came is not None and _brings(came, at) and same_version(entry, answer.fields):
                    return Window(answer.body, skip=at - came.part.first)
                await close(answer.body)
            case Failed(error):
                raise error
            case Shared() | Own() | Excused() | Arrived():
                pass
            case _:
                assert_never(landing)
        if owner:
            raise Cut("the origin has another version by now")
        return None

    async def rest(
        self, x: Exchange, entry: Entry, first: int, last: int | None = None
    ) -> AsyncIterator[bytes]:
        """A whole body's bytes from `first` to `last`, fetched anew for one reader.

        Raises Cut if the origin's is another by now, or nothing vouches that it is not.
        """
        condition = validator(entry)
        if condition is None:
            raise Cut(f"nothing vouches for the bytes from {first} on")
        asked = f"bytes={first}-" if last is None else f"bytes={first}-{last}"
        sent = unconditional(replace(x.request, method="GET", on_interim=None))
        fields = sent.fields.plus(("Range", asked), ("If-Range", condition))
        answer = (await self.ask(x, as_it_is(replace(sent, fields=fields)))).answer
        if same_version(entry, answer.fields):
            part = content_range(answer.fields.get("content-range"))
            if answer.status == 206 and part is not None and part[0].first == first:
                return Window(answer.body)
            if answer.status == 200:
                return Window(answer.body, skip=first)
        await close(answer.body)
        raise Cut(f"the bytes from {first} on could not be had")


def _vouched(heard: Heard) -> bool:
    """Whether an answer's bytes can be told from those of another version."""
    fields = heard.answer.fields
    return strong_validator(fields, response_date(fields, heard.timing)) is not None


def _length(fields: Fields) -> int | None:
    value = fields.get("content-length")
    return int(value) if value is not None and value.isascii() and value.isdigit() else None


def _for_part(x: Exchange, part: Part) -> Exchange:
    """`x` as if just `part` had been asked for."""
    asked = ("Range", f"bytes={part.first}-{part.last}")

    def narrowed(request: Request) -> Request:
        fields = unconditional(request).fields.plus(asked)
        return replace(request, method="GET", fields=fields, on_interim=None)

    return replace(x, request=narrowed(x.request), asked=narrowed(x.asked))


def _brings(came: Arrival, at: int) -> bool:
    return came.part.first <= at <= came.part.last


def _portion(fields: Fields, part: Part, fill: Fill, *, named: bool) -> Portion:
    length = fields.get("content-length")
    size = part.size if length is None else int(length)
    said = fields.get("content-range") if named else None
    return Portion(fill, Part(part.first, part.first + size - 1), said)
