"""Where a store lies that processes share, and what follows from that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.store.lent import LENT
from edge.store.seats import BYTES, MIXED

INLINE = 16 * 1024  # bytes: a file costs four times as much to write, and an inode


@dataclass(frozen=True, slots=True)
class Place:
    """A directory for `size` bytes: once they are reached, it is emptied down to `low` of them."""

    directory: Path
    size: int
    low: float = 0.95
    synced: bool = True  # whether it outlives the machine's memory
    shared: bool = False  # whether other processes use it too

    @property
    def inline(self) -> int:
        """Bytes of a body that is kept in the index; in memory, all that need not be lent."""
        return INLINE if self.synced else LENT

    @property
    def pull(self) -> float:
        """How much small entries are preferred: memory saves time, a disk saves the origin bytes."""
        return BYTES if self.synced else MIXED
