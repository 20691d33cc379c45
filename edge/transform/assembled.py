"""The body of a page in pieces, as it is put together: in order, fragments asked for ahead of their turn."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from itertools import islice
from typing import Any, assert_never

from edge.transform.template import Hole, Include, Parser, Piece, Text, Variable

HELD = 256 * 1024  # bytes of pieces beyond which a page is not read on while a fragment is awaited

Fetch = Callable[[Include], Coroutine[Any, Any, bytes] | None]
Fill = Callable[[Variable | Hole], bytes]


class Pieces:
    """Where a page's pieces come from: they are there, or a parser finds them in a body as it arrives."""

    __slots__ = ("_body", "_parser", "_pieces")

    def __init__(
        self,
        pieces: Sequence[Piece] = (),
        body: AsyncIterator[bytes] | None = None,
        parser: Parser | None = None,
    ) -> None:
        self._pieces: Sequence[Piece] | None = pieces or None
        self._body = body
        self._parser = parser

    async def more(self) -> Sequence[Piece] | None:
        """The next pieces, as soon as there are any; None at the end. Raises what the body raises."""
        if self._pieces is not None:
            pieces, self._pieces = self._pieces, None
            return pieces
        while self._body is not None and self._parser is not None:
            try:
                found = self._parser.feed(await anext(self._body))
            except StopAsyncIteration:
                self._body, found = None, self._parser.end()
            if found:
                return found
        return None

    async def aclose(self) -> None:
        """Want no more."""
        aclose = getattr(self._body, "aclose", None)
        self._body = None
        if aclose is not None:
            await aclose()


class Assembled(AsyncIterator[bytes]):
    """The bytes of a page. `fetch`, which never fails, is under way or done for `ahead` fragments at most.

    Where it gives None, nothing comes. Nothing is begun before the first byte is wanted. To be read to its
    end or closed.
    """

    __slots__ = ("_ahead", "_ended", "_fetch", "_fill", "_pieces", "_reading", "_ready", "_waiting")

    def __init__(self, pieces: Pieces, fetch: Fetch, fill: Fill, ahead: int) -> None:
        self._pieces = pieces
        self._fetch = fetch
        self._fill = fill
        self._ahead = ahead
        self._waiting: deque[Piece] = deque()
        self._ready: deque[bytes | asyncio.Task[bytes]] = deque()
        self._reading: asyncio.Task[Sequence[Piece] | None] | None = None
        self._ended = False

    async def __anext__(self) -> bytes:
        while True:
            self._begin()
            made = self._take()
            if made:
                return made
            if self._ready or self._reading is not None:
                await self._wait()
            elif self._ended:
                raise StopAsyncIteration
            else:
                self._arrived(await self._pieces.more())

    async def aclose(self) -> None:
        """Want no more: what is still asked for is given up."""
        self._ended = True
        self._waiting.clear()
        tasks: list[asyncio.Task[Any]] = [part for part in self._ready if not isinstance(part, bytes)]
        self._ready.clear()
        if self._reading is not None:
            tasks.append(self._reading)
            self._reading = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._pieces.aclose()

    def _begin(self) -> None:
        """Ask for the fragments whose turn has come."""
        under_way = sum(not isinstance(part, bytes) for part in self._ready)
        while self._waiting:
            piece = self._waiting[0]
            match piece:
                case Text(data):
                    self._ready.append(data)
                case Variable() | Hole():
                    self._ready.append(self._fill(piece))
                case Include():
                    if under_way >= self._ahead:
                        return
                    fetching = self._fetch(piece)
                    if fetching is not None:
                        under_way += 1
                        self._ready.append(asyncio.get_running_loop().create_task(fetching))
                case _:
                    assert_never(piece)
            self._waiting.popleft()

    def _take(self) -> bytes:
        """What can go out now."""
        made: list[bytes] = []
        while self._ready:
            part = self._ready[0]
            if not isinstance(part, bytes):
                if not part.done():
                    break
                part = part.result()
            made.append(part)
            self._ready.popleft()
        return made[0] if len(made) == 1 else b"".join(made)

    async def _wait(self) -> None:
        """Wait for the fragment at the front, and read on meanwhile, so that later ones are asked for too."""
        wanted: set[asyncio.Task[Any]] = {
            part for part in islice(self._ready, 1) if not isinstance(part, bytes)
        }
        if self._reading is None and not self._ended and not self._waiting and self._held() < HELD:
            self._reading = asyncio.get_running_loop().create_task(self._pieces.more())
        if self._reading is not None:
            wanted.add(self._reading)
        await asyncio.wait(wanted, return_when=asyncio.FIRST_COMPLETED)
        if self._reading is not None and self._reading.done():
            reading, self._reading = self._reading, None
            self._arrived(reading.result())

    def _arrived(self, pieces: Sequence[Piece] | None) -> None:
        if pieces is None:
            self._ended = True
        else:
            self._waiting.extend(pieces)

    def _held(self) -> int:
        return sum(len(part) for part in self._ready if isinstance(part, bytes))
