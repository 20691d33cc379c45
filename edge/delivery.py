"""From what is stored, or arriving, to what this visitor gets: 304, ranges, an encoding, or all of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from edge.http.etags import parse_etag
from edge.http.message import Answer, Fields, Line, Request
from edge.http.ranges import Part
from edge.policy.entry import Entry
from edge.policy.partial import accepts_ranges, completes, is_ranged, validator, wanted
from edge.policy.rules import Compression
from edge.policy.tags import HIDDEN_FIELDS
from edge.policy.validation import not_modified
from edge.ranging import Window, one, ranged
from edge.store.content import Stored
from edge.store.contract import Store
from edge.store.fill import AHEAD, Cut, Fill
from edge.store.lent import body_of, part_of
from edge.store.parts import More, Parts, Spliced
from edge.transform.compress import (
    Compressor,
    Encoded,
    choose,
    compressible,
    decode,
    encode_once,
    undecodable,
)
from edge.upstream.collapse import Following, Portion, close

PROMPT = (
    0.05  # seconds that a body may take to arrive whole, to be encoded once for all instead of as a stream
)
# What a 304 does not repeat: it describes a body that is not there (RFC 9110 §15.4.5).
_OF_THE_BODY = frozenset(
    {
        "content-length",
        "content-type",
        "content-encoding",
        "content-language",
        "content-range",
        "accept-ranges",
    }
)
_BODILESS = frozenset({204, 304})
# For who applies the site's rules himself: fields and body as the origin sent them.
AS_IT_IS = Compression(encodings=(), types=())


class GoOn(Protocol):
    """Fetches an entry's bytes anew, from `first` on, to `last` or the end. Raises Cut where it cannot."""

    async def __call__(self, first: int, last: int | None = None) -> AsyncIterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """Makes answers of entries."""

    store: Store
    compress: Compressor

    async def entry(self, request: Request, entry: Entry, rules: Compression, go_on: GoOn) -> Answer | None:
        """`entry` as `request` wants it; None if its body can no longer be had from the first byte.

        `go_on` fetches the rest of the body from an offset on, for a reader who was left behind.
        """
        content = entry.content
        assert isinstance(content, Stored)
        fields = request.fields
        if request.method == "GET" and "range" in fields and entry.status == 200:
            ranged = await self._ranged(request, entry, content, rules, go_on)
            if ranged is not None:
                return ranged
        coding = self._coding(request, entry, content, rules)
        if not_modified(fields, entry.status, entry.fields, entry.date):
            return Answer(304, _unmodified(self._lines(entry, content, coding, rules)))
        if request.method == "HEAD":
            if coding is not None and content.identity is not None:
                coding = coding if await self._encoded(entry, content, coding) is not None else None
            return Answer(entry.status, Fields(self._lines(entry, content, coding, rules)))
        if content.identity is None:
            return await self._arriving(entry, content, coding, rules, go_on)
        if coding is not None:
            encoded = await self._encoded(entry, content, coding)
            if encoded is not None:
                return Answer(entry.status, Fields(self._lines(entry, content, coding, rules)), encoded)
        undone = undecodable(fields, entry.fields)
        if undone is not None and rules is not AS_IT_IS:
            plain = decode(undone, content.plain or b"", self.store.max_object)
            if plain is not None:
                return Answer(entry.status, _decoded(entry.fields, len(plain)), plain)
        return Answer(
            entry.status, Fields(self._lines(entry, content, None, rules)), body_of(content.identity)
        )

    def parts(
        self,
        request: Request,
        entry: Entry,
        parts: Parts,
        rules: Compression,
        more: More,
        portion: Portion | None = None,
    ) -> Answer | None:
        """`entry`, whose body is here in parts; None if it lacks some, and nothing vouches for others.

        `portion` is a part that has just been fetched; `more` fetches those that lack.
        """
        if not_modified(request.fields, entry.status, entry.fields, entry.date):
            return Answer(304, _unmodified(self._lines_of_parts(entry, parts, None, rules)))
        if portion is not None and portion.said is not None:
            body = Spliced(parts, portion.part, more, portion.fill)
            shown = _shown(entry, rules).without("content-length")
            return one(shown, portion.said, portion.part.size, body)
        asked = wanted(request, entry.fields, entry.date, parts.size)
        if request.method == "HEAD" or asked is None:
            coding = choose(request.fields, rules) if self._encodes(entry, parts, rules) else None
            lines = Fields(self._lines_of_parts(entry, parts, coding, rules))
            if request.method == "HEAD":
                return Answer(entry.status, lines)
        needs = (Part(0, parts.size - 1),) if asked is None else asked
        if not completes(entry) and any(parts.gap(part) is not None for part in needs):
            return None
        arriving, several = None if portion is None else portion.fill, len(needs) > 1

        def read(part: Part) -> Spliced:
            return Spliced(parts, part, more, arriving, later=several)

        if asked is not None:
            return ranged(entry, _shown(entry, rules), asked, parts.size, read)
        whole = read(needs[0])
        return Answer(entry.status, lines, whole if coding is None else Encoded(whole, coding))

    def _encodes(self, entry: Entry, parts: Parts, rules: Compression) -> bool:
        return compressible(entry.status, entry.fields, parts.size, rules)

    def _lines_of_parts(
        self, entry: Entry, parts: Parts, coding: str | None, rules: Compression
    ) -> tuple[Line, ...]:
        varies = self._encodes(entry, parts, rules)
        size = parts.size if coding is None else None
        lines = _encoded_lines(_shown(entry, rules).lines, coding, size, varies=varies)
        said = coding is not None or varies or "accept-ranges" in entry.fields
        return lines if said else (*lines, ("Accept-Ranges", "bytes"))

    async def own(
        self, request: Request, answer: Answer, rules: Compression, date: int, *, conditions_told: bool
    ) -> Answer:
        """An answer that is this visitor's alone, as he wants it.

        `conditions_told`: the origin has heard his preconditions (RFC 9111 §4.3.2).
        """
        status, fields, body = answer.status, visible(answer.fields), answer.body
        asks = request.method in ("GET", "HEAD") and not conditions_told
        if asks and not_modified(request.fields, status, fields, date):
            await close(body)
            return replace(answer, status=304, fields=_unmodified(fields.lines), body=b"")
        if request.method == "HEAD" or body == b"":
            return replace(answer, fields=fields)
        size = len(body) if isinstance(body, bytes) else length_of(fields)
        if not compressible(status, fields, size, rules):
            return replace(answer, fields=fields)
        coding = choose(request.fields, rules)
        encoded = (
            body
            if coding is None
            else encode_once(coding, body)
            if isinstance(body, bytes)
            else Encoded(body, coding)
        )
        size = len(encoded) if isinstance(encoded, bytes) else size if coding is None else None
        return replace(
            answer, fields=Fields(_encoded_lines(fields.lines, coding, size, varies=True)), body=encoded
        )

    def _coding(self, request: Request, entry: Entry, content: Stored, rules: Compression) -> str | None:
        """The encoding that this visitor would get."""
        if not self._is_compressible(entry, content, rules):
            return None
        return choose(request.fields, rules)

    def _is_compressible(self, entry: Entry, content: Stored, rules: Compression) -> bool:
        known = content.compressible
        if known is not None and known[0] is rules:
            return known[1]
        size = content.size if content.identity is not None else length_of(entry.fields)
        verdict = compressible(entry.status, entry.fields, size, rules)
        content.compressible = (rules, verdict)
        return verdict

    async def _encoded(self, entry: Entry, content: Stored, coding: str) -> bytes | None:
        made = content.coded(coding)
        if made is None:
            made = await self.compress.encoded(content, coding)
            self.store.reweigh(entry)
        elif coding not in content.encoded:
            self.compress.improve(content, coding, partial(self._improved, entry))
        return made or None

    def _improved(self, entry: Entry) -> None:
        """An encoding of `entry` has become smaller: nothing may be answered by copies of what it was."""
        self.store.reweigh(entry)
        slot = self.store.slot(entry)
        if slot is not None:
            slot.let_go()

    def _lines(
        self, entry: Entry, content: Stored, coding: str | None, rules: Compression
    ) -> tuple[Line, ...]:
        """What visitors see of the fields under `coding`; made once for a body that is whole."""
        if rules is AS_IT_IS:
            size = length_of(entry.fields) if content.identity is None else len(content.identity)
            size = None if entry.status in _BODILESS else size
            return _encoded_lines(entry.fields.lines, None, size, varies=False)
        lines = content.lines.get(coding)
        if lines is None:
            if content.identity is None:
                size = length_of(entry.fields) if coding is None else None
            else:
                size = len(content.identity) if coding is None else len(content.coded(coding) or b"") or None
            varies = self._is_compressible(entry, content, rules)
            shown = visible(entry.fields)
            lines = _encoded_lines(
                shown.lines, coding, None if entry.status in _BODILESS else size, varies=varies
            )
            if (
                content.identity is not None
                and coding is None
                and not varies
                and "accept-ranges" not in shown
            ):
                lines = (*lines, ("Accept-Ranges", "bytes")) if entry.status == 200 else lines
            if content.identity is not None and (coding is None or content.encoded.get(coding)):
                content.lines[coding] = lines
        return lines

    async def _arriving(
        self, entry: Entry, content: Stored, coding: str | None, rules: Compression, go_on: GoOn
    ) -> Answer | None:
        fill = content.fill
        if fill is None or not fill.joinable:
            return None
        reader = fill.attach()
        if coding is not None and await fill.finished(PROMPT) and content.identity is not None:
            await reader.aclose()
            encoded = await self._encoded(entry, content, coding)
            if encoded is not None:
                return Answer(entry.status, Fields(self._lines(entry, content, coding, rules)), encoded)
            whole = body_of(content.identity)
            return Answer(entry.status, Fields(self._lines(entry, content, None, rules)), whole)
        body: AsyncIterator[bytes] = Following(reader, go_on)
        if coding is not None:
            body = Encoded(body, coding)
        return Answer(entry.status, Fields(self._lines(entry, content, coding, rules)), body)

    async def _ranged(
        self, request: Request, entry: Entry, content: Stored, rules: Compression, go_on: GoOn
    ) -> Answer | None:
        """206 or 416 (RFC 9110 §14.2); None: the whole is to be sent.

        Of a body under way what has come, or soon will, is read as it comes; what lies further off is fetched
        on its own.
        """
        if not is_ranged(request, entry.fields, entry.date):
            return None
        if not_modified(request.fields, entry.status, entry.fields, entry.date):
            return None  # §13.2.2: If-None-Match and If-Modified-Since come first
        fill = content.fill
        size = length_of(entry.fields) if content.identity is None else len(content.identity)
        if size is None and fill is not None and await fill.finished():
            size = content.size
        parts = None if size is None else wanted(request, entry.fields, entry.date, size)
        if size is None or parts is None:
            return None
        if len(parts) > 1 and fill is not None and not await fill.finished():
            return None
        body, shown = content.identity, _shown(entry, rules)
        if body is not None or not parts:
            return ranged(entry, shown, parts, size, lambda part: part_of(body or b"", part.first, part.end))
        stream = None if fill is None else await self._part(entry, fill, parts[0], go_on)
        return None if stream is None else ranged(entry, shown, parts, size, lambda part: stream)

    async def _part(self, entry: Entry, fill: Fill, part: Part, go_on: GoOn) -> AsyncIterator[bytes] | None:
        """`part` of a body under way; None if it can no longer be had."""
        apart = validator(entry) is not None and accepts_ranges(entry.fields)
        if apart and not fill.reaches(part.first, AHEAD):
            with suppress(Cut):
                return Window(await go_on(part.first, part.last), size=part.size)
        if part.first < fill.begin or fill.error is not None:
            return None
        return Window(Following(fill.attach(part.first), partial(_up_to, go_on, part.last)), size=part.size)


async def _up_to(go_on: GoOn, last: int, first: int) -> AsyncIterator[bytes]:
    return await go_on(first, last)


def _shown(entry: Entry, rules: Compression) -> Fields:
    return entry.fields if rules is AS_IT_IS else visible(entry.fields)


def visible(fields: Fields) -> Fields:
    """`fields` less those that are for caches only."""
    return fields.without(*HIDDEN_FIELDS)


def _encoded_lines(
    lines: tuple[Line, ...], coding: str | None, size: int | None, *, varies: bool
) -> tuple[Line, ...]:
    """`lines` for a body of `size` bytes (None: not known) in `coding`. `varies`: other encodings exist."""
    made: list[Line] = []
    vary: list[str] = []
    for name, value in lines:
        lower = name.lower()
        if lower == "content-length":
            continue
        if varies and lower == "vary":
            vary.append(value)
        elif coding is not None and lower == "etag":
            made.append((name, _weak(value)))
        elif coding is None or lower != "accept-ranges":
            made.append((name, value))
    if varies:
        said = ", ".join(vary)
        listed = any(part.strip().lower() == "accept-encoding" for part in said.split(","))
        made.append(("Vary", said if listed else f"{said}, Accept-Encoding" if said else "Accept-Encoding"))
    if coding is not None:
        made.append(("Content-Encoding", coding))
    if size is not None:
        made.append(("Content-Length", str(size)))
    return tuple(made)


def _weak(value: str) -> str:
    """An entity tag for other bytes that mean the same (RFC 9110 §8.8.1)."""
    tag = parse_etag(value)
    return value if tag is None else str(replace(tag, weak=True))


def _decoded(fields: Fields, size: int) -> Fields:
    lines = _encoded_lines(visible(fields).without("content-encoding").lines, None, size, varies=True)
    return Fields((name, _weak(value) if name.lower() == "etag" else value) for name, value in lines)


def _unmodified(lines: tuple[Line, ...]) -> Fields:
    kept = Fields(line for line in lines if line[0].lower() not in _OF_THE_BODY)
    return kept.without("last-modified") if "etag" in kept else kept


def length_of(fields: Fields) -> int | None:
    """The body's length as its head tells it."""
    value = fields.get("content-length")
    return int(value) if value is not None and value.isascii() and value.isdigit() else None
