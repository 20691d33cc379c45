"""A body on its way in: read once from the origin, followed by any number of readers at their own pace."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

WINDOW = 1024 * 1024  # bytes held of a body that is not kept whole
PIECE = 64 * 1024  # bytes that a reader gets at a time of a body that is there, whole
AHEAD = 1024 * 1024  # bytes before those that come next: what lies further off is fetched on its own
PATIENCE = 1.0  # seconds that readers wait for a slower one before he is left behind


class Lagged(Exception):
    """The reader was left behind by a body that is not kept; it had `offset` bytes."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"left behind at byte {offset}")
        self.offset = offset


class Cut(Exception):
    """The body ended before it was whole."""


class Fill:
    """Bytes as they arrive: the body's from `first` on, up to `end` if that is known.

    While the body may be kept whole (up to `limit` bytes), nobody waits for anybody. Beyond that only a
    window of it is held: the origin is read as fast as the slowest reader, who is left behind once others
    have had to wait for him. Memory is bounded either way, however slow a reader is.
    """

    __slots__ = (
        "_begin",
        "_changed",
        "_chunks",
        "_first",
        "_held",
        "_lagging",
        "_limit",
        "_patience",
        "_readers",
        "_room",
        "_whole",
        "_window",
        "done",
        "end",
        "error",
        "first",
        "keeping",
        "received",
    )

    def __init__(
        self,
        limit: int,
        *,
        first: int = 0,
        end: int | None = None,
        window: int = WINDOW,
        patience: float = PATIENCE,
    ) -> None:
        self.first = first
        self.end = end
        self._limit = limit
        self._window = window
        self._patience = patience
        self._chunks: deque[bytes] = deque()
        self._first = 0  # the number of the first chunk held
        self._begin = first  # the offset of its first byte
        self._held = 0
        self._readers: set[Reader] = set()
        self._lagging = 0  # readers that still want the first chunk held
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._whole: bytes | None = None
        self.received = 0
        self.keeping = limit > 0
        self.done = False
        self.error: Exception | None = None

    @property
    def joinable(self) -> bool:
        """Whether a new reader can still have all of it."""
        return self._first == 0 and self.error is None

    @property
    def begin(self) -> int:
        """The offset of the first byte that is still held."""
        return self._begin

    @property
    def position(self) -> int:
        """The offset of the byte that comes next."""
        return self.first + self.received

    def reaches(self, at: int, ahead: int) -> bool:
        """Whether byte `at` can be had from here, or will come within `ahead` bytes."""
        if at < self._begin or self.error is not None or (self.end is not None and at >= self.end):
            return False
        return at - self.position < (0 if self.done else ahead)

    @property
    def held(self) -> int:
        """Bytes in memory."""
        return self._held

    def whole(self) -> bytes:
        """All that came; only if kept. From now on readers share it, and its pieces are let go."""
        if self._whole is None:
            self._whole = b"".join(self._chunks)
            self._chunks.clear()
        return self._whole

    def so_far(self) -> bytes:
        """What has come; only if kept."""
        return b"".join(self._chunks) if self._whole is None else self._whole

    async def pour(self, source: AsyncIterator[bytes], may_grow: Callable[[int], bool]) -> None:
        """Take `source` to its end; `may_grow(bytes)` is asked for room before each chunk that would be kept.

        Raises what the source raises, and Cut when more comes than was announced, or when the body is not
        kept and nobody reads it any more.
        """
        try:
            async for chunk in source:
                if not chunk:
                    continue
                if self.end is not None and self.position + len(chunk) > self.end:
                    raise Cut("more came than was announced")
                if self.keeping and not (self.received + len(chunk) <= self._limit and may_grow(len(chunk))):
                    self.keeping = False
                self._chunks.append(chunk)
                self.received += len(chunk)
                self._held += len(chunk)
                self._wake()
                if not self.keeping and not await self._make_room():
                    raise Cut("nobody reads it any more")
            self.done = True
        except asyncio.CancelledError:
            self.error = Cut("the fetch was given up")
            raise
        except Exception as error:
            self.error = error
            raise
        finally:
            self._wake()

    def attach(self, at: int | None = None) -> Reader:
        """A new reader from byte `at` on, the first if None; only where it can still be had."""
        number, skip = (0, 0) if at is None else self._place(at)
        reader = Reader(self, number, self.first if at is None else at, skip)
        self._readers.add(reader)
        if number == self._first:
            self._lagging += 1
        self._room.set()
        return reader

    def _place(self, at: int) -> tuple[int, int]:
        """The number of the chunk that holds byte `at`, or will, and how many bytes go before it there."""
        begin = self._begin
        for number, chunk in enumerate(self._chunks, self._first):
            if at < begin + len(chunk):
                return number, at - begin
            begin += len(chunk)
        return self._first + len(self._chunks), at - begin

    async def finished(self, timeout: float | None = None) -> bool:
        """Wait for the end, `timeout` seconds at most; whether the body is there, whole."""
        try:
            async with asyncio.timeout(timeout):
                while self.keeping and not self.done and self.error is None:
                    await self._changed.wait()
        except TimeoutError:
            return False
        return self.done and self.keeping

    async def next_for(self, reader: Reader) -> bytes | None:
        """The reader's next chunk, or None at the end. Raises Lagged, or Cut if the body ended too early."""
        while True:
            if reader not in self._readers:
                raise Lagged(reader.offset)
            if self._whole is not None:
                begin, reader.skip = reader.offset - self.first, 0
                return self._whole[begin : begin + PIECE] or None
            if reader.at < self._first + len(self._chunks):
                chunk = self._chunks[reader.at - self._first]
                self._advance(reader)
                return chunk
            if self.error is not None:
                # One of his own for each reader: an exception gathers the tracebacks of all who raise it.
                raise Cut(str(self.error))
            if self.done:
                return None
            await self._changed.wait()

    def detach(self, reader: Reader) -> None:
        """`reader` wants no more."""
        if reader in self._readers:
            self._readers.discard(reader)
            if reader.at == self._first:
                self._lagging -= 1
            self._trim()

    def _advance(self, reader: Reader) -> None:
        was_lagging = reader.at == self._first
        reader.at += 1
        if was_lagging:
            self._lagging -= 1
            self._trim()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _trim(self) -> None:
        """Let go of what every reader has had, once room is needed; until then others may still join."""
        if self.keeping or self._held < self._window or (self._lagging and self._readers):
            return
        newest = self._first + len(self._chunks)
        slowest = min((reader.at for reader in self._readers), default=newest)
        while self._first < slowest:
            gone = len(self._chunks.popleft())
            self._held -= gone
            self._begin += gone
            self._first += 1
        self._lagging = sum(reader.at == self._first for reader in self._readers)
        if self._held < self._window:
            self._room.set()

    async def _make_room(self) -> bool:
        """Wait until the window has room; False if nobody reads."""
        if self._readers:
            self._trim()
        while self._held >= self._window:
            self._room.clear()
            try:
                async with asyncio.timeout(self._patience):
                    await self._room.wait()
            except TimeoutError:
                if not self._readers:
                    return False
                self._leave_laggards()
        return True

    def _leave_laggards(self) -> None:
        """Leave the slowest behind if somebody waits for him; alone, he may be as slow as he likes."""
        newest = self._first + len(self._chunks)
        if any(reader.at == newest for reader in self._readers):
            self._readers -= {reader for reader in self._readers if reader.at == self._first}
            self._lagging = 0
            self._trim()
            self._wake()


class Reader(AsyncIterator[bytes]):
    """One who follows a fill. To be read to its end or closed."""

    __slots__ = ("_fill", "at", "offset", "skip")

    def __init__(self, fill: Fill, at: int, offset: int, skip: int) -> None:
        self._fill = fill
        self.skip = skip  # bytes of the next chunks that go before his first
        self.at = at  # the next chunk
        self.offset = offset  # of the byte that he wants next

    async def __anext__(self) -> bytes:
        while True:
            chunk = await self._fill.next_for(self)
            if chunk is None:
                self._fill.detach(self)
                raise StopAsyncIteration
            if self.skip < len(chunk):
                break
            self.skip -= len(chunk)
        if self.skip:
            chunk, self.skip = chunk[self.skip :], 0
        self.offset += len(chunk)
        return chunk

    async def aclose(self) -> None:
        """Want no more."""
        self._fill.detach(self)
