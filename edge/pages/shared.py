"""Pages read whole, and made everybody's: with holes in place of tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

from edge.http.message import Answer, Body, Fields
from edge.intake import Exchange, Heard, is_disguised, unread
from edge.policy.freshness import Freshness, response_date
from edge.policy.jar import Cookie, parse
from edge.policy.likeness import Rendering
from edge.policy.rules import TokenRule
from edge.policy.tokens import LARGEST_PAGE, find, mask, unreadable
from edge.transform.template import Hole, Include, Piece, Template, Text, Variable
from edge.upstream.collapse import close

COMMON_SECONDS = 4 * 3600  # that a page is kept whose tokens are the same for all: such tokens grow old


@dataclass(frozen=True, slots=True)
class Read:
    """A page that was read: whole, as bytes; or `why` it can't be, and a body that is as good as new."""

    body: Body
    why: str | None = None


async def read(answer: Answer, limit: int = LARGEST_PAGE) -> Read:
    """The page in an answer. Raises what its body raises."""
    body = answer.body
    if not isinstance(body, bytes):
        chunks: list[bytes] = []
        size = 0
        try:
            async for chunk in body:
                chunks.append(chunk)
                size += len(chunk)
                if size > limit:
                    return Read(Resumed(b"".join(chunks), body), "size")
        except BaseException:
            await close(body)
            raise
        body = b"".join(chunks)
    return Read(body, "size" if len(body) > limit else unreadable(answer.fields, body))


class Resumed(AsyncIterator[bytes]):
    """A body of which the beginning has been read already."""

    __slots__ = ("_body", "start")

    def __init__(self, start: bytes, body: AsyncIterator[bytes]) -> None:
        self.start = start
        self._body = body

    async def __anext__(self) -> bytes:
        if self.start:
            start, self.start = self.start, b""
            return start
        return await anext(self._body)

    async def aclose(self) -> None:
        """Want no more."""
        self.start = b""
        await close(self._body)


class Overheard(AsyncIterator[bytes]):
    """A body on its way to its visitor. `told` gets all of it, or None if that won't come.

    It is told before the last byte is handed on where `length` is known, so that whoever has it knows that
    this has been done.
    """

    __slots__ = ("_body", "_chunks", "_length", "_limit", "_size", "_told")

    def __init__(
        self,
        body: AsyncIterator[bytes],
        length: int | None,
        limit: int,
        told: Callable[[bytes | None], None],
    ) -> None:
        self._body = body
        self._length = length
        self._limit = limit
        self._told: Callable[[bytes | None], None] | None = told
        self._chunks: list[bytes] = []
        self._size = 0

    async def __anext__(self) -> bytes:
        try:
            chunk = await anext(self._body)
        except StopAsyncIteration:
            self._tell(b"".join(self._chunks))
            raise
        except BaseException:
            self._tell(None)
            raise
        if self._told is not None:
            self._size += len(chunk)
            if self._size > self._limit:
                self._tell(None)
            else:
                self._chunks.append(chunk)
                if self._size == self._length:
                    self._tell(b"".join(self._chunks))
        return chunk

    async def aclose(self) -> None:
        """Want no more."""
        self._tell(None)
        await close(self._body)

    def _tell(self, whole: bytes | None) -> None:
        told, self._told = self._told, None
        self._chunks = []
        if told is not None:
            told(whole)


def rendering(x: Exchange, status: int, fields: Fields, page: bytes) -> Rendering:
    """A page as it is compared."""
    return Rendering(status, fields, mask(page, find(page, _rules(x))))


def everybodys(
    x: Exchange, heard: Heard, shared: Heard, fresh: Freshness, page: bytes
) -> tuple[Heard, Freshness] | None:
    """What is stored of `page`, and for how long: `heard` as it came, `shared` as everybody may have it.

    None if a token would stay in it, in the address of a fragment.
    """
    rules = _rules(x)
    if is_disguised(x):  # what is to be for the asker alone is not this one's
        shared = _as(shared, shared.answer.fields.without("set-cookie", "set-cookie2"))
    tokens = find(page, rules)
    sources = {rule.name: rule.source for rule in rules}
    own = [token for token in tokens if sources[token.hole.rule] != "common"]
    if len(own) < len(tokens):
        fresh = _bounded(fresh)
        shared = _as(shared, shared.answer.fields.without("etag", "last-modified"))
    tails = {cookie.name: cookie.tail for cookie in _set_by(x, heard)}
    by_name = {rule.name: rule for rule in rules}
    esi = unread(x, shared.answer.status, shared.answer.fields)
    pieces: list[Piece] = []
    for piece in (Text(page),) if esi is None else esi.read(page).pieces:
        if isinstance(piece, Text):
            pieces += (
                Text(part) if isinstance(part, bytes) else _hole(by_name[part.rule], part.ordinal, tails)
                for part in mask(piece.data, own)
            )
        elif any(token.written in _said(piece) for token in own):
            return None
        else:
            pieces.append(piece)
    shown = {token.hole.rule for token in own}
    # A cookie that the shop gives with the page, though no form on it has the token: a script may want it.
    pieces += (
        replace(_hole(rule, 0, tails), shown=False)
        for rule in rules
        if rule.name not in shown and rule.cookie in tails and (rule.source == "cookie" or rule.in_cookie)
    )
    shared = _as(shared, shared.answer.fields, page)
    if not any(isinstance(piece, Hole) for piece in pieces):
        return shared, fresh  # what ESI there is, is found as it is taken in
    return replace(shared, template=Template(tuple(pieces), len(page), "tokens")), fresh


def _said(piece: Variable | Include | Hole) -> bytes:
    """All that the page says in an element that the edge carries out."""
    match piece:
        case Include(src, alt, _):
            return b"\0".join(part for part in (*src, *(alt or ())) if isinstance(part, bytes))
        case Variable(_, _, default):
            return default
        case Hole():
            return b""


def _rules(x: Exchange) -> tuple[TokenRule, ...]:
    pages = x.rules.classes.pages
    return () if pages is None else pages.tokens


def _hole(rule: TokenRule, ordinal: int, tails: dict[str, str]) -> Hole:
    return Hole(rule.name, ordinal, tails.get(rule.cookie))


def _set_by(x: Exchange, heard: Heard) -> list[Cookie]:
    fields = heard.answer.fields
    date = response_date(fields, heard.timing)
    found = (parse(line, x.asked.path, date) for line in fields.all("set-cookie"))
    return [cookie for cookie in found if cookie is not None and cookie.value is not None]


def _bounded(fresh: Freshness) -> Freshness:
    return replace(
        fresh,
        lifetime=min(fresh.lifetime, COMMON_SECONDS),
        while_revalidate=min(fresh.while_revalidate, COMMON_SECONDS),
    )


def _as(heard: Heard, fields: Fields, body: bytes | None = None) -> Heard:
    answer = heard.answer
    return replace(heard, answer=answer.but(fields=fields, body=answer.body if body is None else body))
