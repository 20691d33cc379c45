"""Bodies, and pieces of bodies, on their way to the disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from edge.policy.entry import Entry
from edge.store.bodyfiles import Filed, is_lent
from edge.store.content import Stored
from edge.store.disk import Disk
from edge.store.memory import MemoryStore
from edge.store.parts import Parts, Piece
from edge.store.pending import Pending
from edge.store.record import Ref
from edge.store.shelf import Keep, Shelf
from edge.store.shelving import shelf_of


@dataclass(frozen=True, slots=True)
class Pieces:
    """Has pieces written; those that wait are read from memory. What is large `front` lets go of then."""

    disk: Disk
    pending: Pending
    front: MemoryStore

    def keep(self, parts: Parts, shelf: Shelf, first: int, data: bytes) -> None:
        """Have a piece written; until that is done it is here all the same."""

        def then(ref: Ref | None) -> None:
            self.pending.later(partial(self._placed, parts, first, ref))

        if not self.disk.submit(Keep(shelf, first, data, then)):
            return
        piece = parts.pieces.get(first)
        if piece is None:
            piece = parts.pieces[first] = Piece(first, data)
            piece.data = None
        piece.coming = data

    def _placed(self, parts: Parts, first: int, ref: Ref | None) -> None:
        """A piece of `parts` lies on disk by now, and need not stay in memory; or it could not be written."""
        piece = parts.pieces.get(first)
        if piece is None:
            return
        piece.coming = None
        piece.ref = piece.ref or ref
        if piece.data is None and piece.ref is None:
            del parts.pieces[first]
        elif ref is not None and is_lent(ref) and (parts.sliced or parts.size > self.front.max_object):
            self.front.let_lie(piece)

    def told(self, entry: Entry, settled: Callable[[], None]) -> Callable[[], None]:
        """What the writer is to call once `entry` is on disk, or could not be written; it calls `settled`."""

        def written() -> None:
            settled()
            self.pending.later(partial(self._lie, entry))

        return written

    def _lie(self, entry: Entry) -> None:
        content, shelf, slot = entry.content, shelf_of(entry), self.front.slot(entry)
        where = None if shelf is None or shelf.bodies is None else shelf.bodies.whole
        if slot is None or where is None or not is_lent(where) or not isinstance(content, Stored):
            return
        content.identity = Filed(self.disk.files, where)
        slot.let_go()
        self.front.reweigh(entry)
