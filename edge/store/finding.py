"""From what the index says to entries: those that are here already where that will do."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge.policy.entry import Entry
from edge.purge import Mark
from edge.store.catalogue import Found
from edge.store.content import Stored
from edge.store.marks import Distrust
from edge.store.parts import Parts, Piece, Recall
from edge.store.record import Broken, Clocks, entry_of
from edge.store.shelf import Shelf
from edge.store.shelving import shelf_of, softened

TRUSTED = 2**62  # an order that no purge of this process reaches
DISTRUSTED = -1


@dataclass(frozen=True, slots=True)
class Finding:
    """Makes entries of records. `striking`: purges on their way to the disk; `recall` reads pieces."""

    clocks: Clocks
    recall: Recall
    striking: list[Mark | Distrust] = field(default_factory=list)

    def entry(self, found: Found, entry: Entry | None) -> Entry | None:
        """What was found: `entry`, here before, if that is it; None if a purge under way strikes it."""
        shelf = None if entry is None else shelf_of(entry)
        if entry is not None and shelf is not None and not self.striking:
            if shelf.stamp == found.stamp:
                return entry
            if isinstance(entry.content, Parts) and entry.fields.lines == found.record.fields:
                _learn(entry.content, found)
        made = self._made(found, entry)
        for mark in self.striking if made is not None else ():
            assert made is not None
            if isinstance(mark, Distrust) or not mark.strikes(made):
                continue
            if not mark.soft:
                return None
            made = softened(made, self.clocks.monotonic())
        return made

    def _made(self, found: Found, before: Entry | None) -> Entry | None:
        record = found.record
        bodies = record.bodies
        content: Stored | Parts
        shelf = None if before is None else shelf_of(before)
        if before is not None and shelf is not None and _has_same(before, shelf, found):
            assert isinstance(before.content, Stored | Parts)
            content = before.content.renewed()
            shelf.bodies, shelf.stamp = bodies, found.stamp
        elif bodies.parts is not None:
            content = Parts(bodies.size, sliced=bodies.sliced, completable=bodies.completable)
            content.shelf, content.recall = Shelf(found.id, bodies, found.stamp), self.recall
            _learn(content, found)
        else:
            content = Stored(None)
            content.shelf = Shelf(found.id, bodies, found.stamp)
        trusted = found.trusted and not any(isinstance(mark, Distrust) for mark in self.striking)
        try:
            entry = entry_of(record, content, TRUSTED if trusted else DISTRUSTED, self.clocks)
        except Broken:
            return None
        if found.stale_since is not None:
            entry = softened(entry, found.stale_since - self.clocks.ahead)
        return entry


def _learn(parts: Parts, found: Found) -> None:
    """Know of the pieces that lie on disk."""
    for ref in found.record.bodies.parts or ():
        if ref.first not in parts.pieces:
            parts.pieces[ref.first] = Piece(ref.first, None, ref)
    if parts.shelf is not None:
        parts.shelf.stamp = found.stamp


def _has_same(entry: Entry, shelf: Shelf, found: Found) -> bool:
    """Whether what was found is `entry` under other fields: of the same bodies, or parts of the same."""
    return isinstance(entry.content, Parts) or shelf.bodies == found.record.bodies
