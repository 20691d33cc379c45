"""Which keys have changed, in memory that all workers of a node share.

Whoever changes what is stored under a key gives its bucket another value; who made a copy under the value of
before knows that it is void. Values are drawn at random, never counted up: of two that change a bucket at
once, each is noticed by who saw the other. An odd one says that a change is under way, which only the
process that makes it knows so far.
"""

from __future__ import annotations

import mmap
import os
import random
import secrets
from pathlib import Path
from zlib import crc32

BUCKETS = 1 << 20
STRUCK = 0  # the bucket of purges, which concern any key


class Generations:
    """The table in `file`. Raises OSError."""

    __slots__ = ("_drawn", "_map", "table")

    def __init__(self, file: Path) -> None:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, BUCKETS * 8)  # as in edge.store.seats
            self._map = mmap.mmap(descriptor, BUCKETS * 8)
        finally:
            os.close(descriptor)
        self.table = memoryview(self._map).cast("Q")
        self._drawn = random.Random(secrets.token_bytes(16)).getrandbits  # noqa: S311  # no secret is made of it

    def bump(self, bucket: int) -> None:
        """What was made under the value that `bucket` has is void."""
        self.table[bucket] = self._drawn(62) + 1 << 1

    def announce(self, bucket: int) -> None:
        """The same, and what is stored is not what holds before the next `bump`."""
        self.table[bucket] = self._drawn(62) << 1 | 1

    def is_announced(self, bucket: int) -> bool:
        """Whether what is stored is about to change."""
        return bool(self.table[bucket] & 1)

    @property
    def struck(self) -> int:
        """Changes with each purge."""
        return self.table[STRUCK]


def bucket_of(key: str) -> int:
    """Where changes under `key` are noted."""
    return crc32(key.encode("utf-8", "surrogatepass")) % (BUCKETS - 1) + 1
