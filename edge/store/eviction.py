"""Eviction: who goes when there is no room (by edge.store.ranking), and how much is hot.

This is Python that Cython compiles as it stands, with the types of eviction.pxd.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import cython

from edge.policy.entry import Entry
from edge.store.ranking import TICKS, Ranking
from edge.store.remembered import Remembered

if TYPE_CHECKING:
    from weakref import ReferenceType

    from edge.store.packing import Body, Shape
    from edge.store.parts import Piece

_SPREAD = 0x9E3779B1  # has pieces of one body differ in all bits of their names


class Copy(Protocol):
    """Something made of an entry that holds its bytes; `weight` are those that it takes itself."""

    @property
    def weight(self) -> int: ...

    def forget(self) -> None:
        """Let them go."""
        ...


class Heat:
    """The moment, in ticks, and how many bytes were used lately: since the turn before the last one.
    `copied` are the bytes that copies take.

    How long there is between turns is up to who calls `turn`.
    """

    __slots__ = ("_before", "_before_last", "_last", "_now", "copied", "on_touch", "period", "ranking")

    def __init__(self) -> None:
        self.ranking = Ranking()
        self.period = 1  # the tick; a slot that was never used has 0
        self._last = 1  # the first tick since the last turn, and since the one before
        self._before_last = 1
        self._now = 0
        self._before = 0
        self.copied = 0
        self.on_touch: Callable[[Slot], None] | None = None  # who else wants to know of uses

    @property
    def hot(self) -> int:
        """Bytes used lately."""
        return self._now + self._before

    def tick(self) -> None:
        """Let a moment pass: what is used from now on was used later than what was used so far."""
        self.period += 1
        self.ranking.now = self.period

    def turn(self) -> None:
        """What was used before the last turn is not hot any more."""
        self.tick()
        self._last, self._before_last = self.period, self._last
        self._now, self._before = 0, self._now

    def of(self, slot: Slot) -> int:
        """The hot bytes of `slot`."""
        return slot.size if slot.used >= self._before_last else 0

    def mark(self, slot: Slot, period: cython.longlong) -> None:
        """`slot` was last used in `period`; 0: never."""
        used: cython.longlong = slot.used
        size: cython.longlong = slot.size
        if used >= self._last:
            self._now -= size
        elif used >= self._before_last:
            self._before -= size
        slot.used = period
        if period >= self._last:
            self._now += size
        elif period >= self._before_last:
            self._before += size

    def resize(self, slot: Slot, size: cython.longlong) -> None:
        """`slot` holds `size` bytes from now on."""
        used = slot.used
        self.mark(slot, 0)
        slot.size = size
        self.mark(slot, used)
        if slot.place >= 0:
            self.ranking.resize(slot.place, size)


class Slot:
    """An entry's place in the store, or that of a `piece` of its body.

    `name` is a number of 32 bits that it has again when it comes again. `used` is the tick of its last use, 0
    if it was not. `alive` turns false, for good, when it leaves the store. `memos` are the copies that must
    not outlive it. An entry that nobody looks at is `shape`, `record` and `body` (edge.store.opened).
    """

    __slots__ = (
        "alive",
        "at",
        "body",
        "entry",
        "heat",
        "key",
        "memos",
        "name",
        "piece",
        "place",
        "record",
        "shape",
        "size",
        "used",
    )

    def __init__(self, entry: Entry, size: int, heat: Heat, piece: Piece | None = None) -> None:
        self.key = entry.key
        self.entry: Entry | ReferenceType[Entry] | None = entry
        self.shape: Shape | None = None
        self.record = b""
        self.body: Body | None = None
        self.at = -1  # its number among those of its site
        self.piece = piece
        self.size = size
        self.heat = heat
        self.used = 0
        self.place = -1  # its number among all, while it is stored
        self.name = 0
        self.alive = True
        self.memos: tuple[Copy, ...] = ()

    def use(self) -> None:
        """Note a hit."""
        heat = self.heat
        if self.used is not heat.period:  # the same number, but another object now and then: that is no harm
            heat.mark(self, heat.period)
            self.used = heat.period  # that very object
            if self.place >= 0:
                heat.ranking.use(self.place)

    def touch(self) -> None:
        """Tell of hits that are answered from a copy, once in a while."""
        if self.heat.on_touch is not None:
            self.heat.on_touch(self)

    def die(self) -> None:
        """The entry is not in the store any more, or is not what the store would answer with."""
        self.alive = False
        self.let_go()

    def bear(self, memo: Copy, most: cython.Py_ssize_t) -> None:
        """`memo` is a copy; of more than `most` all others let go."""
        if len(self.memos) >= most:
            self.let_go()
        self.memos = (*self.memos, memo)
        self.heat.copied += memo.weight

    def part(self, memo: Copy) -> None:
        """`memo` is no copy any more."""
        if memo in self.memos:
            self.memos = tuple([each for each in self.memos if each is not memo])
            self.heat.copied -= memo.weight
        memo.forget()

    def let_go(self) -> None:
        """Have every copy let go of the entry's bytes."""
        memos, self.memos = self.memos, ()
        for memo in memos:
            self.heat.copied -= memo.weight
            memo.forget()


class Places:
    """What is stored, each with a place, and which of it goes next; and what went, by name, for a while.

    `room` is how many bytes there may be: while as much comes, TICKS ticks pass.
    """

    __slots__ = ("_came", "_heat", "_ranking", "_remembered", "_slots", "_tick")

    def __init__(self, heat: Heat, room: int) -> None:
        self._heat = heat
        self._ranking = heat.ranking
        self._remembered = Remembered()
        self._slots: list[Slot] = []
        self._tick = max(1, room // TICKS)
        self._came = 0

    def __len__(self) -> int:
        return len(self._slots)

    def add(self, slot: Slot) -> None:
        """Give `slot` a place. If it went not long ago, it is taken for used as often as it was."""
        self._came += slot.size
        while self._came >= self._tick:
            self._came -= self._tick
            self._heat.tick()
        entry, piece, slots = slot.entry, slot.piece, self._slots
        part = 0 if piece is None else piece.first + 1
        selection = getattr(entry, "selection", ())
        chosen = hash(selection) if selection else 0
        known = hash(slot.key)
        slot.name = (known ^ chosen ^ part * _SPREAD) & 0xFFFFFFFF
        slot.place = self._ranking.enter(slot.size, self._remembered.take(slot.name) + 1)
        slots.append(slot)
        self._remembered.fit(len(slots))

    def remove(self, slot: Slot) -> None:
        """Take `slot` out, and remember it."""
        place = slot.place
        self._remembered.put(slot.name, self._ranking.uses(place))
        self._ranking.leave(place)
        last = self._slots.pop()
        if last is not slot:
            self._slots[place] = last
            last.place = place
        slot.place = -1
        if slot.used:
            slot.heat.mark(slot, 0)

    def victim(self) -> Slot | None:
        """The slot to go next; the caller removes it. None if there is none."""
        number = self._ranking.victim()
        return None if number < 0 else self._slots[number]
