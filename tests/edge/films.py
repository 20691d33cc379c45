"""An origin that knows ranges: a body of some version, parts of it on demand, and all that it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from edge.http.etags import parse_etag
from edge.http.message import Answer, Fields, Line, Request
from edge.http.ranges import satisfiable
from edge.store.fill import Cut
from edge.upstream.contract import UpstreamError
from tests.edge.stage import pieces

CHUNK = 16 * 1024


def content(size: int, salt: int = 0) -> bytes:
    """Bytes that differ from place to place, and from version to version."""
    block = bytes((number * 131 + salt * 29) % 251 for number in range(251))
    return b"".join(block[number % 251 :] + block[: number % 251] for number in range(size // 251 + 1))[:size]


@dataclass
class Film:
    """Answers as a file server does. What is asked is noted as Range, If-Range and what came of it."""

    body: bytes
    etag: str | None = '"v1"'
    control: str = "max-age=60"
    kind: str = "video/mp4"
    ranges: bool = True  # whether it knows them
    more: tuple[Line, ...] = ()
    cut: int | None = None  # where the next body breaks off
    chunk: int = CHUNK
    hold: int | None = None  # after so many bytes the next body waits for `gate`
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[tuple[str | None, str | None, int]] = field(default_factory=list)
    sent: int = 0

    def __call__(self, request: Request) -> Answer:
        answer = self._answer(request)
        self.asked.append((request.fields.get("range"), request.fields.get("if-range"), answer.status))
        return answer

    def _answer(self, request: Request) -> Answer:
        lines: list[Line] = [
            ("Cache-Control", self.control),
            ("Content-Type", self.kind),
            *self.more,
            *([("Accept-Ranges", "bytes")] if self.ranges else []),
            *([("ETag", self.etag)] if self.etag is not None else []),
        ]
        if self.etag is not None and request.fields.get("if-none-match") == self.etag:
            return Answer(304, Fields(lines))
        asked = request.fields.get("range")
        condition = request.fields.get("if-range")
        holds = condition is None or (parse_etag(condition) is not None and condition == self.etag)
        parts = satisfiable(asked, len(self.body)) if asked is not None and self.ranges and holds else None
        if parts is None:
            return self._says(200, lines, self.body, request)
        if len(parts) != 1:
            return Answer(416, Fields([("Content-Range", f"bytes */{len(self.body)}")]))
        part = parts[0]
        lines.append(("Content-Range", part.of(len(self.body))))
        return self._says(206, lines, self.body[part.first : part.end], request)

    def _says(self, status: int, lines: list[Line], body: bytes, request: Request) -> Answer:
        lines.append(("Content-Length", str(len(body))))
        if request.method == "HEAD" or not body:
            return Answer(status, Fields(lines))
        cut, self.cut = self.cut, None
        hold, self.hold = self.hold, None
        sent = [body[start : start + self.chunk] for start in range(0, len(body), self.chunk)]
        return Answer(status, Fields(lines), self._counted(sent, cut, hold))

    async def _counted(self, chunks: list[bytes], cut: int | None, hold: int | None) -> AsyncIterator[bytes]:
        left, held = cut, 0
        async for chunk in pieces(chunks):
            if left is not None and len(chunk) > left:
                self.sent += left
                if left:
                    yield chunk[:left]
                raise UpstreamError("reset", "origin-1", "closed in the middle of the body", sent=True)
            if left is not None:
                left -= len(chunk)
            if hold is not None and held + len(chunk) > hold:
                await self.gate.wait()
            held += len(chunk)
            self.sent += len(chunk)
            yield chunk

    @property
    def ranges_asked(self) -> list[str | None]:
        return [asked for asked, _, _ in self.asked]


def part(text: str, **more: str) -> dict[str, str]:
    return {"Range": f"bytes={text}", **{name.replace("_", "-"): value for name, value in more.items()}}


async def until_cut(reply: Answer) -> bytes:
    """All that comes before the answer is cut."""
    assert not isinstance(reply.body, bytes)
    got = b""
    with pytest.raises(Cut):
        async for chunk in reply.body:
            got += chunk
    return got
