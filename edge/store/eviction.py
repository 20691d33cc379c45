"""Eviction by SIEVE (Zhang et al., NSDI 2024): one queue, one mark, one hand; and how much is hot.

What was used since the hand last passed is spared once; what was not is evicted. New entries do not
push used ones out. The mark is the period of the last use, so that a hit costs a comparison, and once a
period an assignment.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from edge.policy.entry import Entry

if TYPE_CHECKING:
    from edge.store.parts import Piece


class Copy(Protocol):
    """Something made of an entry that holds its bytes."""

    def forget(self) -> None:
        """Let them go."""
        ...


class Heat:
    """How many bytes were used lately: in this period or the one before.

    How long a period is, is up to who calls `turn`.
    """

    __slots__ = ("_before", "_now", "on_touch", "period")

    def __init__(self) -> None:
        self.period = 2  # a slot that was never used has 0
        self._now = 0
        self._before = 0
        self.on_touch: Callable[[Entry], None] | None = None  # who else wants to know of uses

    @property
    def hot(self) -> int:
        """Bytes used lately."""
        return self._now + self._before

    def turn(self) -> None:
        """Begin a period."""
        self.period += 1
        self._now, self._before = 0, self._now

    def of(self, slot: Slot) -> int:
        """The hot bytes of `slot`."""
        return slot.size if slot.used >= self.period - 1 else 0

    def mark(self, slot: Slot, period: int) -> None:
        """`slot` was last used in `period`; 0: never."""
        if slot.used == self.period:
            self._now -= slot.size
        elif slot.used == self.period - 1:
            self._before -= slot.size
        slot.used = period
        if period == self.period:
            self._now += slot.size
        elif period == self.period - 1:
            self._before += slot.size

    def resize(self, slot: Slot, size: int) -> None:
        """`slot` holds `size` bytes from now on."""
        used = slot.used
        self.mark(slot, 0)
        slot.size = size
        self.mark(slot, used)


class Slot:
    """An entry's place in the queue, or that of a `piece` of its body.

    `used` is the period of its last use, 0 once the hand has passed. `alive` turns false, for good, when it
    leaves the store. `memos` are the copies that must not outlive it.
    """

    __slots__ = ("alive", "entry", "heat", "memos", "newer", "older", "piece", "size", "used")

    def __init__(self, entry: Entry, size: int, heat: Heat, piece: Piece | None = None) -> None:
        self.entry = entry
        self.piece = piece
        self.size = size
        self.heat = heat
        self.used = 0
        self.alive = True
        self.memos: list[Copy] = []
        self.newer: Slot | None = None
        self.older: Slot | None = None

    def use(self) -> None:
        """Note a hit."""
        heat = self.heat
        if self.used is not heat.period:  # the same number, but another object now and then: that is no harm
            heat.mark(self, heat.period)

    def touch(self) -> None:
        """Tell of hits that are answered from a copy, once in a while."""
        if self.heat.on_touch is not None:
            self.heat.on_touch(self.entry)

    def die(self) -> None:
        """The entry is not in the store any more, or is not what the store would answer with."""
        self.alive = False
        self.let_go()

    def let_go(self) -> None:
        """Have every copy let go of the entry's bytes."""
        for memo in self.memos:
            memo.forget()
        self.memos.clear()


class Sieve:
    """The queue from newest to oldest, and the hand that walks it from the oldest on."""

    __slots__ = ("_hand", "_newest", "_oldest")

    def __init__(self) -> None:
        self._newest: Slot | None = None
        self._oldest: Slot | None = None
        self._hand: Slot | None = None

    def add(self, slot: Slot) -> None:
        """Put `slot` in as the newest."""
        slot.older = self._newest
        slot.newer = None
        if self._newest is not None:
            self._newest.newer = slot
        self._newest = slot
        if self._oldest is None:
            self._oldest = slot

    def remove(self, slot: Slot) -> None:
        """Take `slot` out."""
        if self._hand is slot:
            self._hand = slot.newer
        if slot.newer is not None:
            slot.newer.older = slot.older
        else:
            self._newest = slot.older
        if slot.older is not None:
            slot.older.newer = slot.newer
        else:
            self._oldest = slot.newer
        slot.newer = slot.older = None
        slot.heat.mark(slot, 0)

    def victim(self) -> Slot | None:
        """The slot to evict next; the caller removes it. None if the queue is empty."""
        hand = self._hand or self._oldest
        while hand is not None and hand.used:
            hand.heat.mark(hand, 0)
            hand = hand.newer or self._oldest
        self._hand = hand
        return hand
