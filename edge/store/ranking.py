# cython: boundscheck=False, wraparound=False, initializedcheck=False
"""What of all that is stored is worth its place least: learned from what was asked for again. Pure.

An item has a number from 0 on, and of it are known its size, how often it was used, and when last, in ticks
of the store's turnover. The more often and the later it was used, the sooner it is expected again; how much
sooner is learned: per row (times used) and column (ticks since) it is counted how many were asked for again,
against how many stood there; a cell learns from its neighbours too. What is expected again soonest per byte
to the power of `PULL` is worth most. The least worthy of a few drawn by lot goes; the next least are looked
at again, at the next turn. What went is remembered for a while, as a number without a name, so that what
comes back is not taken for new. This forgives what SIEVE, S3-FIFO and LRU each fall for, because none of
their rules is fixed here: docs/eviction.md has the figures.

This is Python that Cython compiles as it stands, with the types of ranking.pxd.
"""

from __future__ import annotations

from array import array
from typing import TypeAlias

import cython

ROWS = 8  # of the table: used once, twice, thrice, up to 5, 9, 17, 39 times, more
COLUMNS = 24  # of the table: ticks since the last use, two for each doubling
PULL = 0.2  # 0 weighs all items alike, and so keeps the most bytes of hits; 1 keeps the most hits
FADE = 0.3  # how much less an item is expected the longer it was not used, before anything is learned
TICKS = 32  # in the time in which as much comes as there is room for
DRAWN = 16  # by lot, at each turn
KEPT = 5  # of the least worthy; all but the one that goes are looked at again
LESSON = 1024  # turns after which the table is made anew, at most
FIRST_LESSON = 256
USES = 16  # from which a lesson can be drawn: a scan, from which nothing is used again, teaches nothing
DOUBT = 5.0  # uses that what was expected before counts for
FORGETTING = 0.9  # of what was counted, at each lesson
NEAR = 1.0  # what a cell learns of the columns beside its own, as against of itself
FAR = 0.5  # of those beside these
ABOVE = 0.1  # of the rows above and below
REMEMBERED = 2  # that went, for each that is held
WAYS = 4  # places in which one that went can be remembered
_MOST = 255
_WORD = 0xFFFFFFFF
_SETS = 64
_ALL = 1e300  # more than anything is worth
_AGE = 16  # an item is a word: the tick of its last use, 8 bits of size in steps, 8 of uses
_SIZE = 8
_BYTE = 0xFF
_USED = (1.0, 2.0, 3.0, 4.5, 7.5, 13.5, 29.0, 60.0)  # times, in the middle of a row
_ROW = bytes(
    0
    if n < 2
    else 1
    if n < 3
    else 2
    if n < 4
    else 3
    if n < 6
    else 4
    if n < 10
    else 5
    if n < 18
    else 6
    if n < 40
    else 7
    for n in range(_MOST + 1)
)


def steps(number: cython.longlong) -> cython.int:
    """Two for each time that `number` doubles from 1 on."""
    doubled: cython.int = 0
    while number > 3:
        number >>= 1
        doubled += 2
    return doubled + number if number > 1 else 0


_OLDEST = 1 << COLUMNS // 2  # ticks; what was not used for longer stands in the last column with it
_COLUMN = bytes(steps(ticks) for ticks in range(_OLDEST))
_BY_SIZE = tuple(2.0 ** (-PULL * half / 2) for half in range(128))


Table: TypeAlias = "array[float]"  # a number a cell


class Ranking:
    """Ranks items by what they are worth."""

    def __init__(self, seed: int = 88172645) -> None:
        self.now = 1  # the tick
        self.count = 0
        self._chance = seed & _WORD or 1
        self._room = 64
        self._items = array("q", bytes(8 * self._room))
        self._again = array("d", bytes(8 * ROWS * COLUMNS))
        self._stood = array("d", bytes(8 * ROWS * COLUMNS))
        self._again_about = array("d", self._again)  # with what stands about each cell
        self._stood_about = array("d", self._again)
        self._beside = array("d", self._again)
        self._expected = array(
            "d",
            (_USED[row] * 2.0 ** (-FADE * column / 2) for row in range(ROWS) for column in range(COLUMNS)),
        )
        self._worth = array("d", self._expected)
        self._by_size = array("d", _BY_SIZE)
        self._row = bytearray(_ROW)
        self._column = bytearray(_COLUMN)
        self._least = array("q", [-1] * KEPT)
        self._worths = array("d", bytes(8 * KEPT))
        self._turns = 0
        self._used = 0  # uses since the last lesson

    def enter(self, size: cython.longlong, uses: cython.int) -> cython.Py_ssize_t:
        """The number of a new item of `size` bytes, which was used so often, this time included."""
        number = self.count
        if number == self._room:
            self._grow()
        uses = min(max(uses, 1), _MOST)
        self._items[number] = self.now << _AGE | min(steps(size), 127) << _SIZE | uses
        self.count = number + 1
        return number

    def leave(self, number: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Item `number` is gone; the one whose number was this has its number from now on."""
        last = self.count - 1
        self._items[number] = self._items[last]
        self.count = last
        return last

    def use(self, number: cython.Py_ssize_t) -> cython.void:
        """Item `number` was used. What is used twice in a tick, or came in it, was used once."""
        item = self._items[number]
        if item >> _AGE == self.now:
            return
        self._again[self._cell(item)] += 1.0
        self._used += 1
        if item & _BYTE < _MOST:
            item += 1
        self._items[number] = self.now << _AGE | item & 0xFFFF

    def resize(self, number: cython.Py_ssize_t, size: cython.longlong) -> cython.void:
        """Item `number` has `size` bytes."""
        item = self._items[number]
        self._items[number] = item >> _AGE << _AGE | min(steps(size), 127) << _SIZE | item & _BYTE

    def uses(self, number: cython.Py_ssize_t) -> cython.int:
        """How often item `number` was used."""
        return self._items[number] & _BYTE

    def victim(self) -> cython.Py_ssize_t:
        """The number of the item to go next; -1 if there is none."""
        count = self.count
        if not count:
            return -1
        for place in range(KEPT):
            number = self._least[place]
            if number >= count:
                self._least[place] = -1
            elif number >= 0:
                item = self._items[number]
                self._worths[place] = self._worth[self._cell(item)] * self._by_size[item >> _SIZE & _BYTE]
        bar = self._bar()
        chance = self._chance
        for draw in range(DRAWN if count > DRAWN else count):
            chance ^= chance << 13 & _WORD
            chance ^= chance >> 17
            chance ^= chance << 5 & _WORD
            number = chance * count >> 32 if count > DRAWN else draw
            item = self._items[number]
            cell = self._cell(item)
            if item >> _AGE != self.now:  # further uses in this tick would not be counted either
                self._stood[cell] += self._expected[cell]
            worth = self._worth[cell] * self._by_size[item >> _SIZE & _BYTE]
            if worth < bar:
                bar = self._keep(number, worth)
        self._chance = chance
        lowest = -1
        for place in range(KEPT):
            if self._least[place] >= 0 and (lowest < 0 or self._worths[place] < self._worths[lowest]):
                lowest = place
        number = self._least[lowest]
        self._least[lowest] = -1
        self._turns += 1
        if self._used >= USES and self._turns >= max(FIRST_LESSON, min(count, LESSON)):
            self._learn()
        return number

    def _cell(self, item: cython.longlong) -> cython.Py_ssize_t:
        ticks = self.now - (item >> _AGE)
        column = self._column[ticks] if ticks < _OLDEST else COLUMNS - 1
        return self._row[item & _BYTE] * COLUMNS + column

    def _keep(self, number: cython.Py_ssize_t, worth: cython.double) -> cython.double:
        """Have `number` among the least worthy; what another must be below, to come among them too."""
        where = -1
        for place in range(KEPT):
            if self._least[place] == number:
                return self._bar()
            if where >= 0 and self._least[where] < 0:
                continue
            if where < 0 or self._least[place] < 0 or self._worths[place] > self._worths[where]:
                where = place
        self._least[where] = number
        self._worths[where] = worth
        return self._bar()

    def _bar(self) -> cython.double:
        bar = 0.0
        for place in range(KEPT):
            if self._least[place] < 0:
                return _ALL
            if self._worths[place] > bar:
                bar = self._worths[place]
        return bar

    def _learn(self) -> cython.void:
        """Make the table anew of what was counted."""
        again, stood = self._again, self._stood
        total = rate = 0.0
        for cell in range(ROWS * COLUMNS):
            total += stood[cell]
            rate += again[cell]
        if total and rate:
            self._spread(again, self._again_about)
            self._spread(stood, self._stood_about)
            rate /= total
            for cell in range(ROWS * COLUMNS):
                found = (self._again_about[cell] + DOUBT) / (self._stood_about[cell] * rate + DOUBT)
                self._worth[cell] = self._expected[cell] * found
        for cell in range(ROWS * COLUMNS):
            again[cell] *= FORGETTING
            stood[cell] *= FORGETTING
        self._turns = self._used = 0

    def _spread(self, counts: Table, about: Table) -> cython.void:
        """Make `about` of `counts`, each cell with its neighbours."""
        for cell in range(ROWS * COLUMNS):
            column = cell % COLUMNS
            found = counts[cell]
            if column > 0:
                found += NEAR * counts[cell - 1]
            if column > 1:
                found += FAR * counts[cell - 2]
            if column < COLUMNS - 1:
                found += NEAR * counts[cell + 1]
            if column < COLUMNS - 2:
                found += FAR * counts[cell + 2]
            self._beside[cell] = found
        for cell in range(ROWS * COLUMNS):
            found = self._beside[cell]
            if cell >= COLUMNS:
                found += ABOVE * self._beside[cell - COLUMNS]
            if cell < (ROWS - 1) * COLUMNS:
                found += ABOVE * self._beside[cell + COLUMNS]
            about[cell] = found

    def _grow(self) -> None:
        more = self._room
        self._room = 2 * more
        self._items = array("q", self._items) + array("q", bytes(8 * more))


class Remembered:
    """How often what went was used: eight bytes each, by a hash of its name, for about as many as there is
    room.

    A place is 32 bits of the hash, 24 of the turn in which it went, 8 of its uses; the oldest of WAYS places
    gives way."""

    def __init__(self) -> None:
        self._sets = _SETS
        self._places = array("Q", bytes(8 * WAYS * self._sets))
        self._turn = 0

    def __len__(self) -> int:
        """For how many there is room."""
        return WAYS * self._sets

    def fit(self, items: cython.Py_ssize_t) -> None:
        """Have room for what goes, where `items` are held. All is forgotten when there are far fewer than
        before."""
        if items * REMEMBERED > WAYS * self._sets:
            half, old = self._sets, self._places
            self._sets = 2 * half
            self._places = array("Q", bytes(8 * WAYS * self._sets))
            for place in range(WAYS * half):
                if old[place]:
                    # a set falls into two by the lowest bit of the hash that it did not look at
                    where = place // WAYS + (half if old[place] >> 32 & half else 0)
                    self._places[where * WAYS + place % WAYS] = old[place]
        elif items * REMEMBERED * 4 < WAYS * self._sets and self._sets > _SETS:
            self._sets = self._sets // 2
            self._places = array("Q", bytes(8 * WAYS * self._sets))

    def put(self, name: cython.ulonglong, uses: cython.int) -> cython.void:
        """`name`, 32 bits, went, used so often."""
        self._turn = (self._turn + 1) & 0xFFFFFF
        begin = (name & (self._sets - 1)) * WAYS
        oldest, age = begin, -1
        for place in range(begin, begin + WAYS):
            held = self._places[place]
            if not held or held >> 32 == name:
                oldest = place
                break
            since = (self._turn - (held >> 8)) & 0xFFFFFF
            if since > age:
                oldest, age = place, since
        self._places[oldest] = name << 32 | self._turn << 8 | max(uses, 1)

    def take(self, name: cython.ulonglong) -> cython.int:
        """How often `name` was used, if it is remembered; else 0. It is forgotten."""
        begin = (name & (self._sets - 1)) * WAYS
        for place in range(begin, begin + WAYS):
            held = self._places[place]
            if held and held >> 32 == name:
                self._places[place] = 0
                return held & 0xFF
        return 0
