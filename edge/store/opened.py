"""Entries that somebody looks at, among those that are at rest."""

from __future__ import annotations

from typing import Self
from weakref import ReferenceType

from edge.policy.entry import Content, Entry
from edge.policy.vary import Selection
from edge.store.content import Stored
from edge.store.eviction import Slot
from edge.store.packing import Names, Shapes, at_rest, awake, names, pack, unpack

OPEN_OVERHEAD = 1_900  # of an entry that is not at rest, beside what it takes there
LINE_OVERHEAD = 190
NAME_OVERHEAD = 60
SHAPE_OVERHEAD = 1_200
MOST = 4_096  # are open at once
SHARE = 16  # of the budget, that they may take
LARGE = 4_000  # bytes of one


class Loan(ReferenceType[Entry]):
    """An entry at rest that somebody still has: who asks for it gets the same."""

    __slots__ = ("slot",)
    slot: Slot

    def __new__(cls, entry: Entry, slot: Slot) -> Self:
        self = super().__new__(cls, entry, _ended)
        self.slot = slot
        return self


def _ended(loan: ReferenceType[Entry]) -> None:
    assert isinstance(loan, Loan)
    if loan.slot.entry is loan:
        loan.slot.entry = None


def taken_by(entry: Entry) -> int:
    """The bytes that `entry` takes while it is open, beside what it takes at rest."""
    lines = len(entry.fields.lines) + len(entry.selection)
    return OPEN_OVERHEAD + LINE_OVERHEAD * lines + NAME_OVERHEAD * len(entry.tags)


def looked_at(slot: Slot) -> Entry | None:
    """The entry at `slot`, if somebody has it."""
    entry = slot.entry
    return entry() if isinstance(entry, ReferenceType) else entry


def selection_of(slot: Slot) -> Selection:
    """What tells the entry at `slot` from others of its key."""
    entry = looked_at(slot)
    if entry is not None:
        return entry.selection
    assert slot.shape is not None
    return slot.shape.selection


def content_of(slot: Slot) -> Content | None:
    """The content of the entry at `slot`; None if nobody has it."""
    entry = looked_at(slot)
    if entry is not None:
        return entry.content
    return slot.body if isinstance(slot.body, Stored) else None


def names_of(slot: Slot) -> tuple[str, Names, Names]:
    """The site, tags and groups of the entry at `slot`."""
    entry = looked_at(slot)
    if entry is not None:
        return entry.site, entry.tags, entry.groups
    assert slot.shape is not None
    return slot.shape.site, *names(slot.shape, slot.record)


class Opened:
    """Opens entries, and closes the oldest of those that are open. One whose body is on its way, in parts or
    in pieces stays open.

    `size` is what they take beside what they would take at rest.
    """

    def __init__(self, budget: int) -> None:
        self.size = 0
        self._most = min(MOST, max(1, budget // SHARE // LARGE))
        self._open: dict[Slot, int] = {}  # the oldest first; and what each takes
        self._staying: dict[Slot, int] = {}
        self._shapes = Shapes()

    def hold(self, slot: Slot, entry: Entry) -> None:
        """`slot` is that of `entry`, which is open."""
        slot.entry = entry
        takes = self._open[slot] = taken_by(entry)
        self.size += takes
        while len(self._open) > self._most:
            if not self._close(next(iter(self._open))):
                break

    def entry(self, slot: Slot) -> Entry:
        """The entry at `slot`, open from now on."""
        entry = slot.entry
        if isinstance(entry, Entry):
            return entry
        again = None if entry is None else entry()
        if again is None:
            assert slot.shape is not None and slot.body is not None
            again = unpack(slot.key, slot.shape, slot.record, awake(slot.body))
        self.hold(slot, again)
        return again

    def release(self, slot: Slot) -> None:
        """`slot` has left the store."""
        self.size -= self._open.pop(slot, 0) or self._staying.pop(slot, 0)
        self._unshape(slot)
        slot.entry = slot.body = None

    def _close(self, slot: Slot) -> bool:
        """Leave `slot`'s entry to who may still have it; False if it is not to be closed yet."""
        entry = slot.entry
        assert isinstance(entry, Entry)
        takes = self._open.pop(slot)
        content = entry.content
        body = at_rest(content) if isinstance(content, Stored) else None
        if body is None:
            busy = isinstance(content, Stored) and not content.settled
            (self._open if busy else self._staying)[slot] = takes
            return not busy
        if slot.shape is None:
            packed = pack(entry)
            if packed is None:
                self._staying[slot] = takes
                return True
            shape, slot.record = packed
            slot.shape = self._shapes.take(shape)
            if slot.shape is shape:
                self.size += SHAPE_OVERHEAD + shape.weight
        slot.body = body
        self.size -= takes
        slot.entry = Loan(entry, slot)
        return True

    def _unshape(self, slot: Slot) -> None:
        if slot.shape is not None:
            shape, slot.shape = slot.shape, None
            if self._shapes.leave(shape):
                self.size -= SHAPE_OVERHEAD + shape.weight
