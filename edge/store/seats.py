"""Which of what lies on disk goes next: ranked (edge.store.ranking) in memory that all processes map.

An entry's number ends in that of its seat, so that a hit is noted by arithmetic alone. The index knows who
has which seat; what stands here is what is known of its use, and may be wrong: after a crash an entry may
count for less than it was used, never for stored or gone. Whoever changes the index, one at a time, seats
and chooses.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from edge.store.ranking import HEAD, TICKS, Ranking
from edge.store.remembered import Remembered, room_for

SEATS = 1 << 24  # entries at most
STEP = 8192  # seats that are set up in one go
SMALLEST = 8192  # bytes of the store for each that is remembered after it went
MOST = 1 << 24  # remembered
MIXED, BYTES = 0.12, 0.0  # preference for small entries: for hits and bytes alike, and for bytes
_CAME = 8  # bytes before the rest: how much came since the last tick


class Seats:
    """The seats in `file`, of a store of `room` bytes. Raises OSError."""

    __slots__ = ("_came", "_file", "_first", "_map", "_ranking", "_ready", "_remembered", "_tick")

    def __init__(self, file: Path, room: int, pull: float) -> None:
        places = 1 << max(8, min(room // SMALLEST, MOST).bit_length() - 1)
        names = _CAME + HEAD
        self._first = names + room_for(places)
        self._file = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._ready = 0
        self._reserve()
        whole = self._first + 8 * SEATS
        if os.fstat(self._file).st_size < whole:
            os.ftruncate(self._file, whole)
        self._map = mmap.mmap(self._file, whole)
        memory = memoryview(self._map)
        self._came = memory[:_CAME].cast("q")
        self._remembered = Remembered(memory[names : self._first])
        items = memory[self._first :].cast("q")
        self._ranking = Ranking(pull=pull, head=memory[_CAME:names], items=items)
        self._tick = max(1, room // TICKS)
        self._ranking.doubt_vacant()  # somebody may have died over a change that came to nothing

    def close(self) -> None:
        """There is nobody left to note."""
        os.close(self._file)

    @property
    def bytes(self) -> int:
        """That it takes."""
        return self._first + 8 * STEP * -(-self._ranking.count // STEP)

    def note(self, id: int) -> None:
        """Entry `id` was used."""
        self._ranking.use(id % SEATS)

    def uses(self, id: int) -> int:
        """How often entry `id` was used, what is remembered of it included."""
        uses: int = self._ranking.uses(id % SEATS)
        return uses

    def reweigh(self, id: int, size: int) -> None:
        """Entry `id` takes `size` bytes."""
        self._ranking.resize(id % SEATS, size)

    def sit(self, id: int, size: int, name: int) -> None:
        """Entry `id` came. If its `name`, of 32 bits, went not long ago, it is taken for used as it was.

        Raises OSError where there is no room to note it.
        """
        seat = id % SEATS
        if seat >= self._ready:
            self._reserve(seat + 1)
        came = self._came[0] + size
        self._ranking.now += came // self._tick
        self._came[0] = came % self._tick
        self._ranking.sit(seat, size, self._remembered.take(name) + 1)

    def remember(self, id: int, name: int) -> None:
        """Entry `id`, which is about to go, is known by its `name` when it comes again."""
        self._remembered.put(name, self._ranking.uses(id % SEATS))

    def vacate(self, seat: int) -> None:
        """Nobody has `seat`, once the change that is under way holds."""
        self._ranking.vacate(seat)

    def doubt(self, seat: int) -> None:
        """It came to nothing: who had `seat` may have it still."""
        self._ranking.doubt(seat)

    def next(self) -> int:
        """The seat of who is to go next, if anybody has it; -1 if nobody has any."""
        seat: int = self._ranking.victim()
        return seat

    def _reserve(self, seats: int = STEP) -> None:
        """Have room for so many: a page that the disk lacks kills who writes to it."""
        ready = -(-seats // STEP) * STEP
        os.posix_fallocate(self._file, 0, self._first + 8 * ready)
        self._ready = ready
