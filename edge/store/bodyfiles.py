"""Bodies as files, 4096 directories of them: written once, under a name that nobody knows yet.

A file counts only once the index names it, so it needs no second name to be renamed from. One that no index
names (its process died before it could tell) is swept up later.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

from edge.store.record import Bodies, Broken, Ref

FILE = 1 << 63  # numbers of files have this bit, those of bodies in the index have not
DIRECTORIES = 4096
BLOCK = 4096
INODE = 512  # bytes that a file takes beside its blocks
YOUNG = 3600.0  # seconds in which a file may still be waiting for its place in the index


def is_file(number: int) -> bool:
    """Whether `number` names a file."""
    return bool(number & FILE)


def has_files(bodies: Bodies) -> bool:
    """Whether one of `bodies` is a file, so that reading it may have to wait for a disk."""
    return any(is_file(ref.number) for ref in bodies.refs())


def taken(size: int) -> int:
    """The bytes that a file of `size` takes."""
    return -(-size // BLOCK) * BLOCK + INODE


class BodyFiles:
    """The files below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, data: bytes, first: int = 0) -> Ref:
        """Write `data` to a file of its own. Raises OSError; nothing is left behind then."""
        number = secrets.randbits(63) | FILE
        path = self.path(number)
        try:
            descriptor = self._create(path)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = self._create(path)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except OSError:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        return Ref(number, len(data), crc32(data), first)

    def read(self, ref: Ref) -> bytes:
        """The body that `ref` names, if it is what was written. Raises Broken, OSError."""
        descriptor = os.open(self.path(ref.number), os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = os.read(descriptor, ref.size + 1)
            while 0 < len(data) < ref.size and (more := os.read(descriptor, ref.size - len(data))):
                data += more
        finally:
            os.close(descriptor)
        if len(data) != ref.size or crc32(data) != ref.crc:
            raise Broken("the body is not what was written")
        return data

    def remove(self, number: int) -> None:
        """Remove a file, if it is there."""
        with contextlib.suppress(OSError):  # it is swept up once that can be done
            self.path(number).unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove all of them."""
        shutil.rmtree(self.root, ignore_errors=True)

    def path(self, number: int) -> Path:
        """Where the file of that number lies."""
        return self.root / f"{number % DIRECTORIES:03x}" / f"{number:016x}"

    def sweep(self, directory: int, now: float, knows: Callable[[int], bool]) -> int:
        """Remove what nobody `knows` from one of the directories; how many that were. Raises OSError.

        `now` is the wall clock's.
        """
        gone = 0
        try:
            found = list(os.scandir(self.root / f"{directory:03x}"))
        except FileNotFoundError:
            return 0
        for each in found:
            try:
                number = int(each.name, 16)
                old = now - each.stat().st_mtime > YOUNG
            except (ValueError, FileNotFoundError):
                continue
            if old and not knows(number):
                self.remove(number)
                gone += 1
        return gone

    @staticmethod
    def _create(path: Path) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
