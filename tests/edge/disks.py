"""A disk in memory that forgets what was not synced when the power is cut, and fails when a test says so."""

from __future__ import annotations

import errno
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class File:
    data: bytearray = field(default_factory=bytearray)
    durable: int = 0  # bytes that are synced


class MemoryDisk:
    """edge.hooks.segments.Disk. Call `cut_power` for a disk as it comes up again."""

    def __init__(self, chance: random.Random, room: int = 1 << 30) -> None:
        self.chance = chance
        self.room = room
        self.failing: set[str] = set()  # names of calls that fail
        self.calls: list[str] = []
        self._names: dict[Path, File] = {}
        self._durable: dict[Path, File] = {}
        self._open: dict[int, File] = {}
        self._next = 3

    def _did(self, call: str) -> None:
        self.calls.append(call)
        if call in self.failing:
            raise OSError(errno.EIO, "the disk fails")

    def names(self, directory: Path) -> Sequence[str]:
        return [path.name for path in self._names if path.parent == directory]

    def create(self, path: Path) -> int:
        self._did("create")
        if path in self._names:
            raise FileExistsError(path)
        self._names[path] = File()
        return self.extend(path)

    def extend(self, path: Path) -> int:
        self._next += 1
        self._open[self._next] = self._names.setdefault(path, File())
        return self._next

    def append(self, file: int, data: bytes) -> None:
        self._did("append")
        used = sum(len(each.data) for each in self._names.values())
        fits = max(0, min(len(data), self.room - used))
        self._open[file].data += data[:fits]
        if fits < len(data):
            raise OSError(errno.ENOSPC, "no space left on device")

    def cut(self, file: int, size: int) -> None:
        self._did("cut")
        del self._open[file].data[size:]

    def sync(self, file: int) -> None:
        self._did("sync")
        self._open[file].durable = len(self._open[file].data)

    def sync_directory(self, directory: Path) -> None:
        self._did("sync_directory")
        self._durable = dict(self._names)

    def close(self, file: int) -> None:
        del self._open[file]

    def read(self, path: Path) -> bytes:
        return bytes(self._names[path].data)

    def read_at(self, path: Path, place: int, length: int) -> bytes:
        return bytes(self._names[path].data[place : place + length])

    def shorten(self, path: Path, size: int) -> None:
        file = self._names[path]
        del file.data[size:]
        file.durable = len(file.data)

    def remove(self, path: Path) -> None:
        self._names.pop(path, None)

    def cut_power(self) -> MemoryDisk:
        """What is there afterwards: names that were synced, and of others some; of each file what was synced,
        and of the rest any beginning, now and then with a bit that fell over.
        """
        after = MemoryDisk(self.chance, self.room)
        for path in {*self._names, *self._durable}:
            file = self._durable.get(path) if path in self._durable else self._names[path]
            assert file is not None
            sure = self._durable.get(path) is file
            if not sure and self.chance.random() < 0.5:
                continue
            kept = self.chance.randint(min(file.durable, len(file.data)), len(file.data))
            data = bytearray(file.data[:kept])
            if kept > file.durable and self.chance.random() < 0.5:
                data[self.chance.randrange(file.durable, kept)] ^= 1 << self.chance.randrange(8)
            after._names[path] = after._durable[path] = File(data, len(data))
        return after
