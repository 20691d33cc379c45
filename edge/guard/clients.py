"""What a node's workers count of clients together, in memory that all of them map.

Each worker writes only its own rows of counts, so that none needs a lock; what is asked is the sum. Who falls
into which cells is decided by a key that nobody outside knows; an address is taken for another's only where
both of its cells are, and then held for the busier of the two.
"""

from __future__ import annotations

import mmap
import os
from hashlib import blake2b
from pathlib import Path

from edge.guard.connections import Connections
from edge.guard.networks import counted_as
from edge.guard.rate import Rate

KEY = 64  # bytes
CELLS = 1 << 13  # of counts, twice for each worker, after its total
RATES = 1 << 15  # of moments, twice
ROW = (2 * CELLS + 1) * 8
MOMENTS = 2 * RATES * 8


class Clients:
    """The memory in `file`, as one of `workers` sees it. Raises OSError."""

    def __init__(self, file: Path, own: int, workers: int) -> None:
        descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._map = mmap.mmap(descriptor, size_for(workers))
        finally:
            os.close(descriptor)
        whole = memoryview(self._map)
        self._key = bytes(whole[:KEY])
        self.moments = whole[KEY : KEY + MOMENTS].cast("d")
        begin = KEY + MOMENTS
        self._rows = [whole[at : at + ROW].cast("q") for at in range(begin, begin + workers * ROW, ROW)]
        self._own = self._rows[own]
        for at in range(len(self._own)):  # whoever had the place before is gone
            self._own[at] = 0

    def cells(self, who: str) -> tuple[int, int]:
        """The two places of `who`, as large numbers."""
        digest = blake2b(who.encode(), digest_size=8, key=self._key).digest()
        return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")

    def add(self, who: str, change: int) -> tuple[int, int]:
        """Counts `change` connections of `who` here; how many he, and how many all have with all workers."""
        first, second = self.cells(who)
        one, other = 1 + first % CELLS, 1 + CELLS + second % CELLS
        for at in (0, one, other):
            self._own[at] += change
        held = min(self._sum(one), self._sum(other))
        return held, self._sum(0)

    def _sum(self, at: int) -> int:
        return sum(max(0, row[at]) for row in self._rows)


class SharedConnections(Connections):
    """Counts open connections of all workers."""

    def __init__(self, clients: Clients) -> None:
        super().__init__()
        self._clients = clients

    def opened(self, address: str) -> int:
        """Counts one more; how many `address` now holds."""
        super().opened(address)
        held, self.of_node = self._clients.add(counted_as(address), 1)
        return held

    def closed(self, address: str) -> None:
        """Counts one less."""
        super().closed(address)
        _, self.of_node = self._clients.add(counted_as(address), -1)


class SharedRate(Rate):
    """Token buckets of all workers. Where two let one client in at the same instant, one may go uncounted."""

    def __init__(self, per_second: float, burst: int, clients: Clients) -> None:
        super().__init__(per_second, burst)
        self._clients = clients

    def take(self, who: str, now: float) -> float:
        """0 if `who` may ask at `now`; else the seconds after which he may."""
        moments = self._clients.moments
        first, second = self._clients.cells(who)
        one, other = first % RATES, RATES + second % RATES
        full_at = max(min(moments[one], moments[other]), now) + self._interval
        wait = full_at - now - self._depth
        if wait > 1e-9:
            return wait
        for at in (one, other):
            moments[at] = max(moments[at], full_at)
        return 0.0


def make(file: Path, workers: int, key: bytes) -> None:
    """Empty memory for so many workers."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.truncate(descriptor, size_for(workers))
        os.pwrite(descriptor, key[:KEY], 0)
    finally:
        os.close(descriptor)


def size_for(workers: int) -> int:
    """Bytes."""
    return KEY + MOMENTS + workers * ROW
