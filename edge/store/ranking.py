# cython: boundscheck=False, wraparound=False, initializedcheck=False
"""What of all that is stored is worth its place least: learned from what was asked for again. Pure.

An item has a number from 0 on, and of it are known its size, how often it was used, and when last, in ticks
of the store's turnover. The more often and the later it was used, the sooner it is expected again; how much
sooner is learned: per row (times used) and column (ticks since) it is counted how many were asked for again,
against how many stood there; a cell learns from its neighbours too. What is expected again soonest per byte
to the power of `PULL` is worth most. The least worthy of a few drawn by lot goes; the next least are looked
at again, at the next turn. This forgives what SIEVE, S3-FIFO and LRU each fall for, because none of
their rules is fixed here: docs/eviction.md has the figures.

What is known may lie in memory that several processes map: one at a time lets items enter, leave and go, all
note uses whenever they like. A use that another overtakes is lost, and that is all that can go wrong.

This is Python that Cython compiles as it stands, with the types of ranking.pxd.
"""

from __future__ import annotations

from typing import TypeAlias

import cython

ROWS = 8  # of the table: used once, twice, thrice, up to 5, 9, 17, 39 times, more
COLUMNS = 24  # of the table: ticks since the last use, two for each doubling
PULL = 0.12  # 0 weighs all items alike, and so keeps the most bytes of hits; 1 keeps the most hits
FADE = 0.4  # how much less an item is expected the longer it was not used, before anything is learned
TICKS = 32  # in the time in which as much comes as there is room for
DRAWN = 16  # by lot, at each turn
KEPT = 5  # of the least worthy; all but the one that goes are looked at again
LESSON = 1024  # turns after which the table is made anew, at most
FIRST_LESSON = 256
USES = 16  # from which a lesson can be drawn: a scan, from which nothing is used again, teaches nothing
DOUBT = 20.0  # uses that what was expected before counts for
FORGETTING = 0.9  # of what was counted, at each lesson
NEAR = 1.0  # what a cell learns of the columns beside its own, as against of itself
FAR = 0.5  # of those beside these
ABOVE = 0.1  # of the rows above and below
_MOST = 255
_WORD = 0xFFFFFFFF
_ALL = 1e300  # more than anything is worth
_AGE = 16  # an item is a word: the tick of its last use, 8 bits of size in steps, 8 of uses
_SIZE = 8
_BYTE = 0xFF
_VACANT = -1  # in place of an item: there is none; 0: whether there is one is in doubt
_NOW, _COUNT, _CHANCE, _TURNS, _USES = range(5)  # words of the state
_STATE = 8
_CELLS = ROWS * COLUMNS
HEAD = 8 * (_STATE + KEPT + 3 * _CELLS)  # bytes of what is known beside the items, which have 8 each
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


Words: TypeAlias = "memoryview[int]"
Table: TypeAlias = "memoryview[float]"  # a number a cell


class Ranking:
    """Ranks items by what they are worth; `pull` as PULL.

    What is known lies in `head`, of HEAD bytes, and `items`, or else in memory of its own.
    """

    def __init__(
        self,
        seed: int = 88172645,
        pull: float = PULL,
        head: memoryview | None = None,
        items: Words | None = None,
    ) -> None:
        self._room = 64 if items is None else len(items)
        self._items = memoryview(bytearray(8 * self._room)).cast("q") if items is None else items
        head = memoryview(bytearray(HEAD)) if head is None else head
        words, cells = head.cast("q"), head.cast("d")
        self._state = words[:_STATE]
        self._least = words[_STATE : _STATE + KEPT]
        begin = _STATE + KEPT
        self._again = cells[begin : begin + _CELLS]
        self._stood = cells[begin + _CELLS : begin + 2 * _CELLS]
        self._worth = cells[begin + 2 * _CELLS : begin + 3 * _CELLS]
        self._again_about = _table([0.0] * _CELLS)  # with what stands about each cell
        self._stood_about = _table([0.0] * _CELLS)
        self._beside = _table([0.0] * _CELLS)
        self._expected = _table(
            [_USED[row] * 2.0 ** (-FADE * column / 2) for row in range(ROWS) for column in range(COLUMNS)]
        )
        self._by_size = _table([2.0 ** (-pull * half / 2) for half in range(128)])
        self._row = bytearray(_ROW)
        self._column = bytearray(_COLUMN)
        self._worths = _table([0.0] * KEPT)
        if not self._state[_NOW]:
            self._begin(seed)

    def _begin(self, seed: int) -> None:
        """Know nothing yet."""
        for cell in range(_CELLS):
            self._worth[cell] = self._expected[cell]
        for place in range(KEPT):
            self._least[place] = -1
        self._state[_CHANCE] = seed & _WORD or 1
        self._state[_NOW] = 1

    @property
    def now(self) -> int:
        """The tick."""
        return self._state[_NOW]

    @now.setter
    def now(self, tick: int) -> None:
        self._state[_NOW] = tick

    @property
    def count(self) -> int:
        """Numbers of items are below this; all of them, unless some were vacated."""
        return self._state[_COUNT]

    def enter(self, size: cython.longlong, uses: cython.int) -> cython.Py_ssize_t:
        """The number of a new item of `size` bytes, which was used so often, this time included."""
        number = self._state[_COUNT]
        if number == self._room:
            self._grow()
        self.sit(number, size, uses)
        return number

    def sit(self, number: cython.Py_ssize_t, size: cython.longlong, uses: cython.int) -> cython.void:
        """A new item has `number`, which nobody has, and for which there is room."""
        uses = min(max(uses, 1), _MOST)
        self._items[number] = self._state[_NOW] << _AGE | min(steps(size), 127) << _SIZE | uses
        if number >= self._state[_COUNT]:
            self._state[_COUNT] = number + 1

    def vacate(self, number: cython.Py_ssize_t) -> cython.void:
        """Nobody has `number` until it is given to a new item."""
        self._items[number] = _VACANT

    def doubt(self, number: cython.Py_ssize_t) -> cython.void:
        """Of `number` it is not known whether an item has it: it goes next, and is looked up then."""
        self._items[number] = 0

    def doubt_vacant(self) -> cython.void:
        """The same of all that nobody is said to have."""
        for number in range(self._state[_COUNT]):
            if self._items[number] == _VACANT:
                self._items[number] = 0

    def leave(self, number: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Item `number` is gone; the one whose number was this has its number from now on."""
        last = self._state[_COUNT] - 1
        self._items[number] = self._items[last]
        self._state[_COUNT] = last
        return last

    def use(self, number: cython.Py_ssize_t) -> cython.void:
        """Item `number` was used. What is used twice in a tick, or came in it, was used once."""
        item = self._items[number]
        now = self._state[_NOW]
        if item >> _AGE == now or item <= 0:
            return
        self._again[self._cell(item)] += 1.0
        self._state[_USES] += 1
        if item & _BYTE < _MOST:
            item += 1
        self._items[number] = now << _AGE | item & 0xFFFF

    def resize(self, number: cython.Py_ssize_t, size: cython.longlong) -> cython.void:
        """Item `number` has `size` bytes."""
        item = self._items[number]
        if item > 0:
            self._items[number] = item >> _AGE << _AGE | min(steps(size), 127) << _SIZE | item & _BYTE

    def uses(self, number: cython.Py_ssize_t) -> cython.int:
        """How often item `number` was used."""
        return max(self._items[number], 0) & _BYTE

    def victim(self) -> cython.Py_ssize_t:
        """The number of the item to go next; -1 if there is none."""
        count = self._state[_COUNT]
        now = self._state[_NOW]
        for place in range(KEPT):
            number = self._least[place]
            if number < 0:
                continue
            item = self._items[number] if number < count else _VACANT
            if item <= 0:
                self._least[place] = -1
            else:
                self._worths[place] = self._worth[self._cell(item)] * self._by_size[item >> _SIZE & _BYTE]
        bar = self._bar()
        chance = self._state[_CHANCE]
        for draw in range(DRAWN if count > DRAWN else count):
            chance ^= chance << 13 & _WORD
            chance ^= chance >> 17
            chance ^= chance << 5 & _WORD
            number = chance * count >> 32 if count > DRAWN else draw
            item = self._items[number]
            if item <= 0:
                number = self._next(number)
                item = self._items[number] if number >= 0 else 0
                if item == 0:
                    self._state[_CHANCE] = chance
                    return number
            cell = self._cell(item)
            if item >> _AGE != now:  # further uses in this tick would not be counted either
                self._stood[cell] += self._expected[cell]
            worth = self._worth[cell] * self._by_size[item >> _SIZE & _BYTE]
            if worth < bar:
                bar = self._keep(number, worth)
        self._state[_CHANCE] = chance
        lowest = -1
        for place in range(KEPT):
            if self._least[place] >= 0 and (lowest < 0 or self._worths[place] < self._worths[lowest]):
                lowest = place
        if lowest < 0:
            return -1
        number = self._least[lowest]
        self._least[lowest] = -1
        self._state[_TURNS] += 1
        if self._state[_USES] >= USES and self._state[_TURNS] >= max(FIRST_LESSON, min(count, LESSON)):
            self._learn()
        return number

    def _next(self, number: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """The first from `number` on, and round, that is not vacant; -1 if all are."""
        count = self._state[_COUNT]
        for _ in range(count):
            if self._items[number] != _VACANT:
                return number
            number = number + 1 if number + 1 < count else 0
        return -1

    def _cell(self, item: cython.longlong) -> cython.Py_ssize_t:
        ticks = self._state[_NOW] - (item >> _AGE)
        column = self._column[ticks] if 0 <= ticks < _OLDEST else COLUMNS - 1
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
        self._state[_TURNS] = self._state[_USES] = 0

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
        self._items = memoryview(bytearray(self._items) + bytes(8 * more)).cast("q")


def _table(values: list[float]) -> Table:
    table = memoryview(bytearray(8 * len(values))).cast("d")
    for cell, value in enumerate(values):
        table[cell] = value
    return table
