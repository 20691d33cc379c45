"""How often each entry on disk was used lately, counted in memory that all processes share.

A byte an entry, by its number: two that fall together, or two processes that count at once, do no harm.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from edge.store.turnover import MOST_USES

SLOTS = 1 << 22


class Uses:
    """The counts in `file`. Raises OSError."""

    __slots__ = ("_map",)

    def __init__(self, file: Path) -> None:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, SLOTS)  # a page that the disk lacks kills who writes to it
            self._map = mmap.mmap(descriptor, SLOTS)
        finally:
            os.close(descriptor)

    def note(self, id: int) -> None:
        """Entry `id` was used."""
        at = id % SLOTS
        used = self._map[at]
        if used < MOST_USES:
            self._map[at] = used + 1

    def of(self, id: int) -> int:
        """How often entry `id` was used."""
        return self._map[id % SLOTS]

    def set(self, id: int, uses: int) -> None:
        """From now on it was used so often."""
        self._map[id % SLOTS] = uses
