"""Bodies that are here in parts: taking parts in, and fetching what a reader lacks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol, assert_never

from edge.http.message import Fields, Request
from edge.http.ranges import Part, content_range
from edge.intake import Exchange, Heard, Intake
from edge.policy.entry import Entry
from edge.policy.freshness import Freshness
from edge.policy.partial import Arrival, Lack, arrival, same_version, to_fetch, validator
from edge.policy.reasons import NotStored
from edge.policy.storing import left_out
from edge.policy.validation import unconditional
from edge.ranging import Window
from edge.store.fill import Cut, Fill
from edge.store.memory import MemoryStore
from edge.store.parts import AHEAD, Parts
from edge.upstream.collapse import (
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

SLICE = 1024 * 1024
Ask = Callable[[Exchange, Request], Awaitable[Heard]]


class Go(Protocol):
    """Fetches what lacks of an entry, or waits for who does; tells whether the fetch was its own."""

    async def __call__(
        self, x: Exchange, stale: Entry | None, lacks: Lack | None = None, *, alone: bool
    ) -> tuple[Landing, bool]: ...


@dataclass(frozen=True, slots=True)
class Slicing:
    """The way of parts into the store, and of readers to the parts that are not there."""

    store: MemoryStore
    flights: Flights
    intake: Intake
    ask: Ask
    go: Go

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
        """Land `flight` with the part that a 206 brings, for `about` if it is of the same version.

        `whole` is `heard` as the head of the whole, `fresh` its freshness; `named`: the part was asked for as
        the visitor named it. Returns why, if nobody else may have it; nothing is landed then.
        """
        came = arrival(heard.answer.fields)
        assert came is not None
        entry = self._entry(flight, x, whole, fresh, about)
        if isinstance(entry, NotStored):
            return entry
        parts = entry.content
        assert isinstance(parts, Parts)
        fill = Fill(min(came.part.size, self.store.max_object), first=came.part.first, end=came.part.end)
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
        await self._pour(parts, fill, Window(heard.answer.body))
        return None

    def _entry(
        self, flight: Flight, x: Exchange, whole: Heard, fresh: Freshness, about: Entry | None
    ) -> Entry | NotStored:
        """What has come a part of: `about` with newer fields (RFC 9111 §3.4), or an entry of its own."""
        size = int(whole.answer.fields.get("content-length") or 0)
        parts = None if about is None else about.content
        if about is None or not isinstance(parts, Parts) or parts.size != size:
            return self._begun(flight, x, whole, fresh, size)
        if not same_version(about, whole.answer.fields):
            return self._begun(flight, x, whole, fresh, size)
        stored = next((each for each in self.store.get(x.key) if each.content is parts), None)
        return about if stored is None else self.intake.freshen(flight, x, stored, whole)

    def _begun(
        self, flight: Flight, x: Exchange, whole: Heard, fresh: Freshness, size: int
    ) -> Entry | NotStored:
        return self.intake.begin(flight, x, whole, fresh, Parts(size, sliced=size > self.store.max_object))

    def to_fetch(self, x: Exchange, entry: Entry, lacks: Lack) -> Part:
        """The part to ask for where `lacks` is met."""
        parts = entry.content
        assert isinstance(parts, Parts)
        return to_fetch(lacks, parts.size, SLICE, sliced=parts.sliced)

    async def _pour(self, parts: Parts, fill: Fill, body: AsyncIterator[bytes]) -> None:
        """Take `body` in, and keep what has come of it, however it ends."""
        try:
            await self.intake.pour(fill, body)
        finally:
            parts.fills.remove(fill)
            if fill.keeping and fill.received:
                self.store.keep(parts, fill.first, fill.whole() if fill.done else fill.so_far())

    async def more(self, x: Exchange, entry: Entry, at: int, last: int) -> AsyncIterator[bytes]:
        """A reader of `entry`'s bytes from `at` on, fetched or waited for; `last` is the last one wanted.

        Raises Cut where the origin has another version by now, or none of its parts.
        """
        parts = entry.content
        assert isinstance(parts, Parts)
        want = Part(at, last)
        gap = parts.gap(want)
        if gap is None or validator(entry) is None:
            raise Cut(f"byte {at} could not be had")
        x = _for_part(x, want)
        lacks = Lack(max(at, gap.first), gap, want)
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
            case Shared(landed, portion=Portion(fill)) if landed.content is entry.content:
                if fill.reaches(at, AHEAD):
                    return fill.attach(at)
            case Own(answer) if owner:
                came = arrival(answer.fields) if answer.status == 206 else None
                if came is not None and _brings(came, at) and same_version(entry, answer.fields):
                    return Window(answer.body, skip=at - came.part.first)
                await close(answer.body)
            case Failed(error):
                raise error
            case Shared() | Own() | Excused():
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
        answer = (await self.ask(x, identity(replace(sent, fields=fields)))).answer
        if same_version(entry, answer.fields):
            part = content_range(answer.fields.get("content-range"))
            if answer.status == 206 and part is not None and part[0].first == first:
                return Window(answer.body)
            if answer.status == 200:
                return Window(answer.body, skip=first)
        await close(answer.body)
        raise Cut(f"the bytes from {first} on could not be had")


def identity(request: Request) -> Request:
    """`request` for the body as it is: the edge encodes it by itself."""
    return replace(request, fields=request.fields.replaced("Accept-Encoding", "identity"))


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
