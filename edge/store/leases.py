"""Which of a node's workers fetches a key, or has yet to write what is new under it.

A lease is a lock on one byte of a file that all workers open (fcntl(2), F_SETLK). The kernel tells by its
number which process holds one, and takes those of a process back that dies.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import threading
from pathlib import Path
from zlib import crc32

# struct flock of Linux: l_type, l_whence, l_start, l_len, l_pid
_FLOCK = struct.Struct("hhqqi4x")
PATIENCE = 1.0  # seconds
LOOK = 0.01  # seconds between looks


class Leases:
    """The leases in `file`, of which one process may have one object only. Raises OSError."""

    __slots__ = ("_file", "_held", "_turn")

    def __init__(self, file: Path) -> None:
        self._file = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._held: dict[int, int] = {}  # byte -> how often it was taken
        self._turn = threading.Lock()

    def take(self, key: str) -> int | None:
        """Takes `key`'s lease, once more if this process has it. None: it has; else the number of who has."""
        at = _byte_of(key)
        with self._turn:
            held = self._held.get(at)
            while held is None:
                try:
                    fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, at)
                    held = 0
                except (BlockingIOError, PermissionError):
                    holder = self._holder(at)
                    if holder is not None:
                        return holder
            self._held[at] = held + 1
        return None

    def give_back(self, key: str) -> None:
        """Gives back what was taken once. From any thread."""
        at = _byte_of(key)
        with self._turn:
            self._held[at] -= 1
            if not self._held[at]:
                del self._held[at]
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, at)

    async def given_back(self, key: str) -> None:
        """Wait until no other process has `key`'s lease, `PATIENCE` at most."""
        for _ in range(round(PATIENCE / LOOK)):
            if self._holder(_byte_of(key)) is None:
                return
            await asyncio.sleep(LOOK)

    def close(self) -> None:
        """Gives back all."""
        os.close(self._file)

    def _holder(self, at: int) -> int | None:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, at, 1, 0)
        kind, _, _, _, process = _FLOCK.unpack(fcntl.fcntl(self._file, fcntl.F_GETLK, asked))
        return None if kind == fcntl.F_UNLCK else int(process)


def _byte_of(key: str) -> int:
    """Keys that meet here share a lease, which costs a turn to another worker and nothing else."""
    return crc32(key.encode("utf-8", "surrogatepass"))
