"""Answers to Range (RFC 9110 §14.2, §15.3.7): one part, several in one multipart body, or none at all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from hashlib import blake2b

from edge.http.message import Answer, Body, Fields
from edge.http.ranges import Part, multipart_heads
from edge.policy.entry import Entry
from edge.upstream.collapse import close

BodyOf = Callable[[Part], Body]


def ranged(entry: Entry, shown: Fields, parts: tuple[Part, ...], size: int, body_of: BodyOf) -> Answer:
    """The answer to a request for `parts` of `entry`'s body of `size` bytes; for none of them 416.

    It bears the fields `shown`.
    """
    fields = shown.without("content-length")
    if not parts:
        lost = fields.without("etag", "last-modified", "content-type")
        return Answer(416, lost.plus(("Content-Range", f"bytes */{size}"), ("Content-Length", "0")))
    if len(parts) == 1:
        return one(fields, parts[0].of(size), parts[0].size, body_of(parts[0]))
    seed = f"{entry.etag} {entry.date} {entry.key}"
    boundary = blake2b(seed.encode(), digest_size=16).hexdigest()
    heads, end = multipart_heads(parts, size, fields.get("content-type"), boundary)
    length = sum(map(len, heads)) + sum(part.size for part in parts) + len(end)
    fields = fields.without("content-type").plus(
        ("Content-Type", f"multipart/byteranges; boundary={boundary}"), ("Content-Length", str(length))
    )
    bodies = [body_of(part) for part in parts]
    if all(isinstance(body, bytes) for body in bodies):
        pieces = [piece for pair in zip(heads, bodies, strict=True) for piece in pair]
        return Answer(206, fields, b"".join(piece for piece in (*pieces, end) if isinstance(piece, bytes)))
    return Answer(206, fields, _Multipart(heads, bodies, end))


def one(fields: Fields, said: str, length: int, body: Body) -> Answer:
    """206 for one part, of which Content-Range says `said`."""
    return Answer(206, fields.plus(("Content-Range", said), ("Content-Length", str(length))), body)


class Window(AsyncIterator[bytes]):
    """`body` less its first `skip` bytes, and no more than `size` bytes of the rest."""

    __slots__ = ("_left", "_skip", "_source")

    def __init__(self, body: Body, *, skip: int = 0, size: int | None = None) -> None:
        self._source: Body | None = body
        self._skip = skip
        self._left = size

    async def __anext__(self) -> bytes:
        while self._source is not None and self._left != 0:
            chunk = await self._next(self._source)
            if self._skip >= len(chunk):
                self._skip -= len(chunk)
                continue
            chunk, self._skip = chunk[self._skip :], 0
            if self._left is not None:
                chunk = chunk[: self._left]
                self._left -= len(chunk)
            return chunk
        await self.aclose()
        raise StopAsyncIteration

    async def _next(self, source: Body) -> bytes:
        if not isinstance(source, bytes):
            return await anext(source)
        self._source = None
        return source

    async def aclose(self) -> None:
        """Want no more."""
        source, self._source = self._source, None
        if source is not None:
            await close(source)


class _Multipart(AsyncIterator[bytes]):
    """Bodies one after another, each behind its head."""

    __slots__ = ("_bodies", "_pieces")

    def __init__(self, heads: list[bytes], bodies: list[Body], end: bytes) -> None:
        self._bodies = bodies
        self._pieces = self._joined(heads, end)

    async def _joined(self, heads: list[bytes], end: bytes) -> AsyncIterator[bytes]:
        for head, body in zip(heads, self._bodies, strict=True):
            yield head
            if isinstance(body, bytes):
                yield body
            else:
                async for chunk in body:
                    yield chunk
        yield end

    async def __anext__(self) -> bytes:
        return await anext(self._pieces)

    async def aclose(self) -> None:
        """Want no more."""
        await close(self._pieces)
        for body in self._bodies:
            await close(body)
