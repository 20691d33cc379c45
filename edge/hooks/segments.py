"""The spool's files: records with a length and a checksum, appended to segments, and marks beside them.

A segment begins with a head that holds a salt of its own; a checksum covers salt, place, length and content,
so that nothing which a stranger writes into a body can pass for a record. A record that was finished is
marked in a file beside the segment; a mark that is lost costs a repetition, nothing else.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

MAGIC = b"TEPISPL1"
SALT = 16
HEAD = len(MAGIC) + SALT
FLAG = b"\xf5TR\x01"  # begins each record, so that those behind a damaged one are found
FRAME = struct.Struct("<4sII")  # flag, length, checksum
MARK = struct.Struct("<QI")  # a finished record's place, checksum
LARGEST = 64 * 2**20


class Disk(Protocol):
    """What the spool asks of an operating system. Everything raises OSError; nothing is durable unsynced."""

    def names(self, directory: Path) -> Sequence[str]: ...

    def create(self, path: Path) -> int:
        """A new file to append to."""
        ...

    def extend(self, path: Path) -> int:
        """A file, made where it is missing, to append to."""
        ...

    def append(self, file: int, data: bytes) -> None:
        """All of `data`, or OSError with some of it."""
        ...

    def cut(self, file: int, size: int) -> None: ...

    def sync(self, file: int) -> None:
        """Returns once the file's content would survive a power cut."""
        ...

    def sync_directory(self, directory: Path) -> None:
        """Returns once the directory's names would survive a power cut."""
        ...

    def close(self, file: int) -> None: ...

    def read(self, path: Path) -> bytes: ...

    def read_at(self, path: Path, place: int, length: int) -> bytes: ...

    def shorten(self, path: Path, size: int) -> None:
        """Cuts a file that nobody writes to, durably."""
        ...

    def remove(self, path: Path) -> None: ...


class RealDisk:
    """The machine's own."""

    def names(self, directory: Path) -> Sequence[str]:
        return [path.name for path in directory.iterdir()]

    def create(self, path: Path) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)

    def extend(self, path: Path) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def append(self, file: int, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(file, left) :]

    def cut(self, file: int, size: int) -> None:
        os.ftruncate(file, size)

    def sync(self, file: int) -> None:
        os.fdatasync(file)

    def sync_directory(self, directory: Path) -> None:
        file = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(file)
        finally:
            os.close(file)

    def close(self, file: int) -> None:
        os.close(file)

    def read(self, path: Path) -> bytes:
        return path.read_bytes()

    def read_at(self, path: Path, place: int, length: int) -> bytes:
        file = os.open(path, os.O_RDONLY)
        try:
            return os.pread(file, length, place)
        finally:
            os.close(file)

    def shorten(self, path: Path, size: int) -> None:
        file = os.open(path, os.O_WRONLY)
        try:
            os.ftruncate(file, size)
            os.fsync(file)
        finally:
            os.close(file)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)


# The format -------------------------------------------------------------------------------------


def head(salt: bytes) -> bytes:
    """The first bytes of a segment."""
    return MAGIC + salt


def salt_of(data: bytes) -> bytes | None:
    """The salt of a segment that begins with `data`, or None where that is no head."""
    return data[len(MAGIC) : HEAD] if len(data) >= HEAD and data.startswith(MAGIC) else None


def framed(salt: bytes, place: int, content: bytes) -> bytes:
    """`content` as a record that stands at `place`."""
    return FRAME.pack(FLAG, len(content), _checksum(salt, place, content)) + content


def unframed(salt: bytes, place: int, frame: bytes) -> bytes | None:
    """The content of exactly one record at `place`, or None where it is damaged."""
    found = _record(salt, frame, 0, place)
    return found if found is not None and len(found) + FRAME.size == len(frame) else None


@dataclass(frozen=True, slots=True)
class Found:
    """A whole record: where its frame begins, and what it holds."""

    place: int
    content: bytes

    @property
    def end(self) -> int:
        """Where the next one may begin."""
        return self.place + FRAME.size + len(self.content)


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a segment holds. Behind `end` nothing is whole; `damaged` bytes before it are not either."""

    records: tuple[Found, ...]
    end: int
    damaged: int


def scan(data: bytes) -> Scanned | None:
    """Every whole record of a segment, damaged ones skipped; None where its head is none."""
    salt = salt_of(data)
    if salt is None:
        return None
    records, end, damaged, place = [], HEAD, 0, HEAD
    while place < len(data):
        content = _record(salt, data, place, place)
        if content is None:
            place = data.find(FLAG, place + 1)
            if place == -1:
                break
            continue
        found = Found(place, content)
        damaged += place - end
        records.append(found)
        end = place = found.end
    return Scanned(tuple(records), end, damaged)


def mark(salt: bytes, place: int) -> bytes:
    """That the record at `place` is finished."""
    return MARK.pack(place, zlib.crc32(place.to_bytes(8, "little"), zlib.crc32(salt)))


def marked(salt: bytes, data: bytes) -> Iterator[int]:
    """The places that are marked as finished; what is torn marks nothing."""
    for at in range(0, len(data) - MARK.size + 1, MARK.size):
        place = MARK.unpack_from(data, at)[0]
        if data[at : at + MARK.size] == mark(salt, place):
            yield place


def _record(salt: bytes, data: bytes, at: int, place: int) -> bytes | None:
    if len(data) - at < FRAME.size:
        return None
    flag, length, checksum = FRAME.unpack_from(data, at)
    begin = at + FRAME.size
    if flag != FLAG or length > min(LARGEST, len(data) - begin):
        return None
    content = data[begin : begin + length]
    return content if _checksum(salt, place, content) == checksum else None


def _checksum(salt: bytes, place: int, content: bytes) -> int:
    seed = zlib.crc32(place.to_bytes(8, "little") + len(content).to_bytes(4, "little"), zlib.crc32(salt))
    return zlib.crc32(content, seed)
