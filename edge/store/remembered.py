# cython: boundscheck=False, wraparound=False, initializedcheck=False
"""What went is remembered for a while, as a number without a name: what comes back is not taken for new.

This is Python that Cython compiles as it stands, with the types of remembered.pxd.
"""

from __future__ import annotations

import cython

REMEMBERED = 2  # that went, for each that is held
WAYS = 4  # places in which one that went can be remembered
_SETS = 64


def room_for(places: int) -> int:
    """The bytes that it takes to remember so many, WAYS times a power of two."""
    return 8 * (1 + places)


class Remembered:
    """How often what went was used: eight bytes each, by a hash of its name, for about as many as there is
    room.

    A place is 32 bits of the hash, 24 of the turn in which it went, 8 of its uses; the oldest of WAYS places
    gives way."""

    def __init__(self, memory: memoryview | None = None) -> None:
        """In `memory`, of as many bytes as `room_for` says, and no more; else in its own."""
        self._fixed = memory is not None
        memory = memoryview(bytearray(room_for(WAYS * _SETS))) if memory is None else memory
        words = memory.cast("Q")
        self._turn = words[:1]
        self._places = words[1:]
        self._sets = len(self._places) // WAYS

    def __len__(self) -> int:
        """For how many there is room."""
        return WAYS * self._sets

    def fit(self, items: cython.Py_ssize_t) -> None:
        """Have room for what goes, where `items` are held. All is forgotten when there are far fewer than
        before."""
        if self._fixed:
            return
        if items * REMEMBERED > WAYS * self._sets:
            half, old = self._sets, self._places
            self._sets = 2 * half
            self._places = memoryview(bytearray(8 * WAYS * self._sets)).cast("Q")
            for place in range(WAYS * half):
                if old[place]:
                    # a set falls into two by the lowest bit of the hash that it did not look at
                    where = place // WAYS + (half if old[place] >> 32 & half else 0)
                    self._places[where * WAYS + place % WAYS] = old[place]
        elif items * REMEMBERED * 4 < WAYS * self._sets and self._sets > _SETS:
            self._sets = self._sets // 2
            self._places = memoryview(bytearray(8 * WAYS * self._sets)).cast("Q")

    def put(self, name: cython.ulonglong, uses: cython.int) -> cython.void:
        """`name`, 32 bits, went, used so often."""
        turn = (self._turn[0] + 1) & 0xFFFFFF
        self._turn[0] = turn
        begin = (name & (self._sets - 1)) * WAYS
        oldest, age = begin, -1
        for place in range(begin, begin + WAYS):
            held = self._places[place]
            if not held or held >> 32 == name:
                oldest = place
                break
            since = (turn - (held >> 8)) & 0xFFFFFF
            if since > age:
                oldest, age = place, since
        self._places[oldest] = name << 32 | turn << 8 | max(uses, 1)

    def take(self, name: cython.ulonglong) -> cython.int:
        """How often `name` was used, if it is remembered; else 0. It is forgotten."""
        begin = (name & (self._sets - 1)) * WAYS
        for place in range(begin, begin + WAYS):
            held = self._places[place]
            if held and held >> 32 == name:
                self._places[place] = 0
                return held & 0xFF
        return 0
