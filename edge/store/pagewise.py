"""Bodies in the index, cut so that they fill pages: the ends of several lie in one page together.

A body is known by its number: its pieces stand in a row, each a page but the last, which tells in which page
its end lies. An end goes to the page that it fills best; what is left free of a page is known by size.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct

import lmdb

from edge.store.record import Gone

PAGE = 4096
ALONE = PAGE - 16  # bytes of a value that has a page for itself
END = ALONE - 200  # bytes of an end that shares a page at most
NODE = 36  # bytes that each piece takes besides
FULL = 0.9  # of pages that are shared, about

_PIECE = Struct(">QH")  # of which body, and which of its pieces
_PLACE = Struct(">Q")  # the page with an end
_ITEM = Struct(">QH")  # of which body an end in a page is, and how many bytes
_GAP = Struct(">HQ")  # bytes that are free, and in which page
TABLES = ("bodies", "ends", "gaps")


def taken(size: int) -> int:
    """The bytes that a body of `size` takes."""
    whole, end = divmod(size, ALONE)
    if end > END:
        whole, end = whole + 1, 0
    return whole * (PAGE + NODE) + (int((end + _ITEM.size) / FULL) + NODE if end else 0)


class Pages:
    """The bodies in `tables`, TABLES of the index, as `txn` sees and changes them. Raises lmdb.Error."""

    __slots__ = ("_bodies", "_ends", "_gaps", "_txn")

    def __init__(self, txn: lmdb.Transaction, tables: dict[str, lmdb._Database]) -> None:
        self._txn = txn
        self._bodies, self._ends, self._gaps = (tables[name] for name in TABLES)

    def write(self, number: int, data: bytes) -> None:
        """Keep `data` as body `number`, which is new."""
        at = piece = 0
        while len(data) - at > END:
            self._txn.put(_PIECE.pack(number, piece), data[at : at + ALONE], db=self._bodies)
            at, piece = at + ALONE, piece + 1
        if at < len(data):
            page = self._lay(number, data[at:])
            self._txn.put(_PIECE.pack(number, piece), _PLACE.pack(page), db=self._bodies)

    def read(self, number: int) -> bytes:
        """Body `number`. Raises Gone if it is gone."""
        found = bytearray()
        for value in self._pieces(number):
            if len(value) != _PLACE.size:
                found += value
                continue
            found += next((data for of, data in _items(self._page(value)) if of == number), b"")
        if not found:
            raise Gone("it is gone")
        return bytes(found)

    def forget(self, number: int) -> None:
        """Nobody needs body `number` any more."""
        pieces = list(self._pieces(number))
        if pieces and len(pieces[-1]) == _PLACE.size:
            self._lift(number, pieces[-1])
        for piece in range(len(pieces)):
            self._txn.delete(_PIECE.pack(number, piece), db=self._bodies)

    def _pieces(self, number: int) -> Iterator[bytes]:
        begin = _PIECE.pack(number, 0)
        with self._txn.cursor(db=self._bodies) as cursor:
            there = cursor.set_key(begin)
            while there and cursor.key()[:8] == begin[:8]:
                yield bytes(cursor.value())
                there = cursor.next()

    def _lay(self, number: int, end: bytes) -> int:
        """Put an end where it fits best; the page."""
        item = _ITEM.pack(number, len(end)) + end
        with self._txn.cursor(db=self._gaps) as cursor:
            page, held = number, b""  # a new one, named after who is first in it
            if cursor.set_range(_GAP.pack(len(item), 0)):
                page = _GAP.unpack(cursor.key())[1]
                cursor.delete()
                held = self._page(_PLACE.pack(page))
        self._put(page, held + item)
        return page

    def _lift(self, number: int, place: bytes) -> None:
        """Take an end out of the page at `place`."""
        held = self._page(place)
        page = _PLACE.unpack(place)[0]
        self._txn.delete(_GAP.pack(ALONE - len(held), page), db=self._gaps)
        left = b"".join(_ITEM.pack(of, len(data)) + data for of, data in _items(held) if of != number)
        if left:
            self._put(page, left)
        else:
            self._txn.delete(place, db=self._ends)

    def _page(self, place: bytes) -> bytes:
        return bytes(self._txn.get(place, db=self._ends) or b"")

    def _put(self, page: int, held: bytes) -> None:
        self._txn.put(_PLACE.pack(page), held, db=self._ends)
        self._txn.put(_GAP.pack(ALONE - len(held), page), b"", db=self._gaps)


def _items(page: bytes) -> Iterator[tuple[int, bytes]]:
    """Of which body each end in `page` is, and the end."""
    at = 0
    while at + _ITEM.size < len(page):
        of, size = _ITEM.unpack_from(page, at)
        at += _ITEM.size
        yield of, page[at : at + size]
        at += size
