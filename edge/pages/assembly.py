"""Answers made of a page in pieces: text as it is, fragments, variables and holes as this visitor's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from edge.delivery import GoOn, visible
from edge.http.cache_control import parse_response
from edge.http.lists import names
from edge.http.message import Answer, Fields, Line
from edge.http.passing import IN_PIECES
from edge.intake import Exchange
from edge.pages.fragments import DEFAULTS, Fragments, within_page
from edge.policy.entry import Entry
from edge.policy.jar import parse, with_cookies
from edge.store.content import Stored
from edge.store.record import template_bytes
from edge.transform.assembled import Assembled, Pieces
from edge.transform.compress import DIGESTS, INLINE, Encoded, choose, compressible, encode_once
from edge.transform.template import Hole, Include, Template, Text, Unread, Variable
from edge.transform.variables import in_text
from edge.upstream.collapse import Following, close

# What was said of the body that the pieces were made of, and does not hold for what is made of them.
_OF_ITS_BYTES = ("content-length", "accept-ranges", "content-range", "trailer", *DIGESTS)
_OF_THE_SOURCE = (*_OF_ITS_BYTES, "etag", "last-modified")
_OF_SHARING = ("cache-control", "expires", "pragma")


@dataclass(frozen=True, slots=True)
class Filled:
    """What a visitor's holes are filled with, and the lines that go with it into the head."""

    values: Mapping[Hole, bytes] = field(default_factory=dict)
    lines: tuple[Line, ...] = ()


FillHoles = Callable[[Exchange, frozenset[Hole]], Awaitable[Filled]]


async def no_holes(x: Exchange, holes: frozenset[Hole]) -> Filled:
    """For sites without holes."""
    return Filled()


@dataclass(frozen=True, slots=True)
class Assembly:
    """Puts pages together. `fill` is asked once a page, before its head, if it has holes.

    The lines that it gives for a fragment are lost, as the head of the page is under way by then. So where
    fragments may have holes, the page's visitor gets all that they need with its head.
    """

    fragments: Fragments
    fill: FillHoles = no_holes

    async def entry(self, x: Exchange, entry: Entry, go_on: GoOn) -> Answer | None:
        """The page stored, or arriving, in `entry`; None if it can no longer be had from the first byte."""
        content = entry.content
        assert isinstance(content, Stored) and content.template is not None
        template, fill = content.template, content.fill
        if isinstance(template, Template):
            return await self._whole(x, entry.status, entry.fields, template)
        if fill is None or not fill.joinable:
            return None
        body = Following(fill.attach(), go_on)
        return await self._streamed(x, entry.status, entry.fields, template, body)

    async def for_node(self, entry: Entry, go_on: GoOn) -> Answer | None:
        """The same as it is kept, in pieces, for another node that puts it together for its own visitors."""
        content = entry.content
        assert isinstance(content, Stored) and content.template is not None
        template, fill = content.template, content.fill
        if isinstance(template, Unread):
            if fill is None or not fill.joinable:
                return None
            template = template.read(b"".join([chunk async for chunk in Following(fill.attach(), go_on)]))
        fields = entry.fields.without(*_OF_ITS_BYTES).plus(IN_PIECES)
        return Answer(entry.status, fields, template_bytes(template))

    async def own(self, x: Exchange, answer: Answer, template: Unread) -> Answer:
        """An answer that is this visitor's alone."""
        if not isinstance(answer.body, bytes):
            return await self._streamed(x, answer.status, answer.fields, template, answer.body)
        return await self._whole(x, answer.status, answer.fields, template.read(answer.body))

    async def _whole(self, x: Exchange, status: int, fields: Fields, template: Template) -> Answer:
        text = template.text
        everybodys = text is not None
        if x.request.method == "HEAD":
            size = None if text is None else len(text)
            return self._head(x, status, fields, size, everybodys=everybodys)
        x, filled = await self._filled(x, template.holes, waits=template.waits)
        if template.waits:
            body = self._put_together(x, Pieces(template.pieces), filled)
            return self._encoded_as_it_passes(x, status, page_fields(fields, filled.lines), body)
        made = b"".join(
            _value(x, piece, filled) for piece in template.pieces if not isinstance(piece, Include)
        )
        return await _encoded_whole(x, status, page_fields(fields, filled.lines, everybodys=everybodys), made)

    async def _streamed(
        self, x: Exchange, status: int, fields: Fields, template: Unread, body: AsyncIterator[bytes]
    ) -> Answer:
        if x.request.method == "HEAD":
            await close(body)
            return self._head(x, status, fields)
        try:
            x, filled = await self._filled(x, template.holes, waits=True)
        except BaseException:
            await close(body)
            raise
        pieces = Pieces(body=body, parser=template.parser())
        page = self._put_together(x, pieces, filled)
        return self._encoded_as_it_passes(x, status, page_fields(fields, filled.lines), page)

    async def _filled(self, x: Exchange, holes: frozenset[Hole], *, waits: bool) -> tuple[Exchange, Filled]:
        """What the holes are filled with, and `x` as its fragments are to see it, cookies included."""
        if waits and x.rules.classes.pages is not None:
            mine = {hole.rule for hole in holes}
            rules = (rule for rule in x.rules.classes.pages.tokens if rule.is_given)
            holes |= {Hole(rule.name, shown=False) for rule in rules if rule.name not in mine}
        if not holes:
            return x, Filled()
        filled = await self.fill(x, holes)
        given = [parse(value, "/", 0) for _, value in filled.lines]
        fields = with_cookies(x.asked.fields, [cookie for cookie in given if cookie is not None], "/")
        return replace(x, asked=replace(x.asked, fields=fields)), filled

    def _put_together(self, x: Exchange, pieces: Pieces, filled: Filled) -> Assembled:
        inner = within_page(x)
        return Assembled(
            pieces,
            lambda include: self.fragments.begin(x, include, inner),
            lambda piece: _value(x, piece, filled),
            (x.rules.esi or DEFAULTS).ahead,
        )

    def _head(
        self, x: Exchange, status: int, fields: Fields, size: int | None = None, *, everybodys: bool = False
    ) -> Answer:
        shown = page_fields(fields, (), everybodys=everybodys)
        coding = _coding(x, status, shown, size)
        return Answer(status, _coded(x, status, shown, coding))

    def _encoded_as_it_passes(self, x: Exchange, status: int, fields: Fields, body: Assembled) -> Answer:
        coding = _coding(x, status, fields, None)
        return Answer(
            status, _coded(x, status, fields, coding), body if coding is None else Encoded(body, coding)
        )


async def _encoded_whole(x: Exchange, status: int, fields: Fields, body: bytes) -> Answer:
    coding = _coding(x, status, fields, len(body))
    if coding is not None:
        if len(body) <= INLINE:
            body = encode_once(coding, body)
        else:
            body = await asyncio.get_running_loop().run_in_executor(None, encode_once, coding, body)
    return Answer(status, _coded(x, status, fields, coding), body)


def page_fields(fields: Fields, lines: tuple[Line, ...], *, everybodys: bool = False) -> Fields:
    """What a visitor sees of a page's fields, and `lines` of his own.

    The page is his alone, also for his browser and for caches between, unless it is `everybodys`.
    """
    shown = visible(fields).without(*_OF_THE_SOURCE)
    if everybodys:
        return shown.plus(*lines)
    control = parse_response(fields.get("cache-control") or "")
    words = ["private", "no-cache"]
    if control.no_store:
        words.append("no-store")
    if control.no_transform:
        words.append("no-transform")
    kept = [line for line in shown.lines if not _speaks_of_sharing(line[0].lower())]
    return Fields((*kept, ("Cache-Control", ", ".join(words)), *lines))


def _speaks_of_sharing(name: str) -> bool:
    return name in _OF_SHARING or name.endswith("-cache-control")


def _coding(x: Exchange, status: int, fields: Fields, size: int | None) -> str | None:
    rules = x.rules.compression
    if not compressible(status, fields, size, rules):
        return None
    return choose(x.request.fields, rules)


def _coded(x: Exchange, status: int, fields: Fields, coding: str | None) -> Fields:
    """`fields` of a page in `coding`, with the Vary that its type asks for (RFC 9110 §12.5.5)."""
    if compressible(status, fields, None, x.rules.compression):
        vary = fields.get("vary")
        if vary is None:
            fields = fields.plus(("Vary", "Accept-Encoding"))
        elif "accept-encoding" not in names(vary):
            fields = fields.replaced("Vary", f"{vary}, Accept-Encoding")
    return fields if coding is None else fields.plus(("Content-Encoding", coding))


def _value(x: Exchange, piece: Text | Variable | Hole, filled: Filled) -> bytes:
    match piece:
        case Text(data):
            return data
        case Variable():
            return in_text(piece, x.asked, (x.rules.esi or DEFAULTS).cookies)
        case Hole():
            return filled.values.get(piece, b"") if piece.shown else b""
