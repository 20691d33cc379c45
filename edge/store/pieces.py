"""Pieces of a body on their way to the disk."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from edge.store.disk import Disk
from edge.store.parts import Parts, Piece
from edge.store.pending import Pending
from edge.store.record import Ref
from edge.store.shelf import Keep, Shelf


@dataclass(frozen=True, slots=True)
class Pieces:
    """Has pieces written; those that wait are read from memory."""

    disk: Disk
    pending: Pending

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
