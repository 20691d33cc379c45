"""A body of which only parts are here: pieces that are stored, and fills that bring more."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

from sortedcontainers import SortedDict

from edge.http.ranges import Part
from edge.store.fill import AHEAD, PIECE, Cut, Fill, Lagged, Reader
from edge.store.lent import READ, Held, read

if TYPE_CHECKING:
    from edge.store.eviction import Slot
    from edge.store.record import Ref
    from edge.store.shelf import Shelf


# Fetches from byte `at` of a body on, as far as byte `last` is wanted, for an answer for which so many parts
# were fetched before: a reader of what comes.
More = Callable[[int, int, int], Awaitable[AsyncIterator[bytes]]]
# Reads a piece from where it lies on disk; None if that can't be done.
Recall = Callable[["Ref"], Awaitable[bytes | Held | None]]


class Piece:
    """Bytes of a body from `first` on: in memory, with a place in the store's queue, on disk, or both.

    `coming` are those that are on their way to the disk.
    """

    __slots__ = ("coming", "data", "end", "first", "ref", "slot")

    def __init__(self, first: int, data: bytes | Held | None, ref: Ref | None = None) -> None:
        assert data is not None or ref is not None
        self.first = first
        self.data = data
        self.ref = ref
        self.coming: bytes | None = None
        self.slot: Slot | None = None
        self.end = first + (len(data) if data is not None else ref.size if ref is not None else 0)


class Parts:
    """What is here of a body of `size` bytes, all of one version.

    A `sliced` one is never made whole: slices of it are fetched as they are read. One that is not
    `completable` gets no others. `slot` is the entry's place in the store's queue, while it is stored: only
    then may pieces be kept. A body that has been made whole serves who still reads its parts from `whole`.
    """

    __slots__ = ("completable", "fills", "pieces", "recall", "shelf", "size", "sliced", "slot", "whole")
    partial = True

    def __init__(self, size: int, *, sliced: bool, completable: bool = True) -> None:
        self.size = size
        self.sliced = sliced
        self.completable = completable
        self.pieces: SortedDict[int, Piece] = SortedDict()
        self.fills: list[Fill] = []
        self.slot: Slot | None = None
        self.whole: bytes | None = None
        self.shelf: Shelf | None = None
        self.recall: Recall | None = None

    def renewed(self) -> Parts:
        """The same: its pieces know it."""
        return self

    def piece(self, at: int) -> Piece | None:
        """The piece that holds byte `at`."""
        number = self.pieces.bisect_right(at) - 1
        if number < 0:
            return None
        piece = self.pieces.peekitem(number)[1]
        return piece if at < piece.end else None

    def holds(self, at: int) -> bool:
        """Whether byte `at` is stored."""
        return self.whole is not None or self.piece(at) is not None

    async def read(self, piece: Piece) -> bytes | Held | None:
        """What `piece` holds; it and the entry are noted as used, for eviction. None if it is lost."""
        for slot in (piece.slot, self.slot):
            if slot is not None:
                slot.use()
        if piece.data is not None or piece.coming is not None:
            return piece.data or piece.coming
        data = None if self.recall is None or piece.ref is None else await self.recall(piece.ref)
        if data is None and self.pieces.get(piece.first) is piece:
            del self.pieces[piece.first]
        return data

    def fill(self, at: int) -> Fill | None:
        """The fill that has byte `at`, or will have it soon."""
        return next((fill for fill in self.fills if fill.reaches(at, AHEAD)), None)

    def gap(self, part: Part) -> Part | None:
        """The whole of the first gap that lies in or reaches into `part`; None if all of that is here."""
        at = part.first
        while self.whole is None and at < part.end:
            after = self._covered(at)
            if after is None:
                return Part(self._gap_begin(at), self._gap_end(at) - 1)
            at = after
        return None

    def missing(self, first: int, data: bytes) -> list[tuple[int, bytes]]:
        """What of `data`, the bytes from `first` on, is in no piece."""
        found: list[tuple[int, bytes]] = []
        at, end = first, min(first + len(data), self.size)
        while at < end:
            piece = self.piece(at)
            if piece is not None:
                at = piece.end
                continue
            until = min(end, self._next_piece(at))
            found.append((at, data[at - first : until - first]))
            at = until
        return found

    def joined(self) -> bytes | None:
        """The whole body, if all of it is in pieces, and in memory."""
        found: list[bytes] = []
        at = 0
        for piece in self.pieces.values():
            if piece.first != at or piece.data is None:
                return None
            found.append(piece.data if isinstance(piece.data, bytes) else piece.data.read())
            at = piece.end
        return b"".join(found) if at == self.size else None

    def held(self) -> list[Part]:
        """The parts that are stored, those that touch made one."""
        parts: list[Part] = []
        for piece in self.pieces.values():
            if parts and parts[-1].end == piece.first:
                parts[-1] = Part(parts[-1].first, piece.end - 1)
            else:
                parts.append(Part(piece.first, piece.end - 1))
        return parts

    def _covered(self, at: int) -> int | None:
        """Until where the bytes from `at` on are here or on their way; None if that one is not."""
        piece = self.piece(at)
        if piece is not None:
            return piece.end
        fill = self.fill(at)
        return None if fill is None else fill.end or self.size

    def _next_piece(self, at: int) -> int:
        number = self.pieces.bisect_right(at)
        return self.pieces.peekitem(number)[0] if number < len(self.pieces) else self.size

    def _gap_begin(self, at: int) -> int:
        number = self.pieces.bisect_right(at) - 1
        before = self.pieces.peekitem(number)[1].end if number >= 0 else 0
        coming = (min(fill.position, fill.end or at) for fill in self.fills)
        return max([before, *(offset for offset in coming if offset <= at)])

    def _gap_end(self, at: int) -> int:
        return min([self._next_piece(at), *(fill.begin for fill in self.fills if fill.begin > at)])


class Spliced(AsyncIterator[bytes]):
    """One part of a body, read across pieces and fills; what lacks is fetched when its turn comes.

    All of it is of one version: `more` gives no other, but raises Cut. `arriving` is a fill that is asked
    before anything is fetched, whether the store keeps what it brings or not. `later`: it will not be read
    at once.
    """

    __slots__ = ("_arriving", "_at", "_end", "_fresh", "_more", "_parts", "_piece", "_run", "_source")

    def __init__(
        self, parts: Parts, part: Part, more: More, arriving: Fill | None = None, *, later: bool = False
    ) -> None:
        self._parts = parts
        self._at = part.first
        self._end = part.end
        self._more = more
        self._arriving = arriving
        self._source: AsyncIterator[bytes] | None = None
        self._fresh = False  # whether what is read now was fetched just for this, and has brought nothing yet
        self._run = 0  # how often something was fetched
        # The stored one that is read now, and where it begins.
        self._piece: tuple[int, bytes | Held] | None = None
        if not later and not parts.holds(self._at):
            self._source = self._follow()

    async def __anext__(self) -> bytes:
        came = await self._next()
        return came if isinstance(came, bytes) else await self._of(came)

    async def lend(self) -> bytes | Held:
        """What comes next, lent where it is stored so."""
        came = await self._next()
        if isinstance(came, Held):
            self._at += came.size
        return came

    async def _of(self, held: Held) -> bytes:
        """The first of what comes next."""
        data = await read(held, 0, min(READ, held.size))
        self._at += len(data)
        return data

    async def _next(self) -> bytes | Held:
        """What comes next; what is lent is not counted as read. Raises StopAsyncIteration at the end."""
        while self._at < self._end:
            chunk = await (self._stored() if self._source is None else self._followed(self._source))
            if chunk:
                self._fresh = False
                most = self._end - self._at
                if isinstance(chunk, Held):
                    return chunk.part(0, min(chunk.size, most))
                chunk = chunk[:most]
                self._at += len(chunk)
                return chunk
            if self._source is None and not self._parts.holds(self._at):
                self._source = self._follow() or await self._fetched()
        await self.aclose()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Want no more."""
        aclose = getattr(self._source, "aclose", None)
        self._source = None
        if aclose is not None:
            await aclose()

    async def _stored(self) -> bytes | Held | None:
        """The next bytes that are stored, or None."""
        at = self._at
        if self._parts.whole is not None:
            return self._parts.whole[at : at + PIECE]
        data: bytes | Held
        first, data = self._piece or (0, b"")
        if not first <= at < first + len(data):
            piece = self._parts.piece(at)
            got = None if piece is None else await self._parts.read(piece)
            if piece is None or got is None:
                self._piece = None
                return None
            first, data = self._piece = piece.first, got
        if isinstance(data, Held):
            return data.part(at - first, first + data.size - at)
        return data[at - first : at - first + PIECE]

    def _follow(self) -> Reader | None:
        """A reader of a fill that has the next byte, or soon will."""
        fill = self._parts.fill(self._at)
        if fill is None and self._arriving is not None and self._arriving.reaches(self._at, AHEAD):
            fill = self._arriving
        return None if fill is None else fill.attach(self._at)

    async def _fetched(self) -> AsyncIterator[bytes]:
        if self._fresh:
            raise Cut(f"nothing came from byte {self._at} on")
        self._fresh = True
        self._run += 1
        return await self._more(self._at, self._end - 1, self._run)

    async def _followed(self, source: AsyncIterator[bytes]) -> bytes | None:
        """The next bytes of `source`; None where it ends, or leaves its reader behind."""
        try:
            return await anext(source)
        except (StopAsyncIteration, Lagged, Cut):
            self._source = None
            return None
