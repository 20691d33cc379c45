"""Bytes that lie in a file, so that the kernel can send them without their passing through this process.

Large bodies in memory lie in one nameless file that no disk backs (memfd_create(2)), those on disk in files
of their own. Who holds such bytes keeps them: they go once nobody does any more.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import tempfile
from collections.abc import AsyncIterator
from typing import Protocol

from edge.store.fill import Cut

LENT = 64 * 1024  # bytes of a body; larger ones are lent
READ = 256 * 1024  # bytes that are read at a time where they can't be lent
PAGE = mmap.ALLOCATIONGRANULARITY


class Keeper(Protocol):
    """Keeps the bytes of a file where they are, as long as it is there itself."""

    def near(self, first: int, size: int) -> bool:
        """Whether these bytes of the file can be had without waiting for a disk."""
        ...


class Held:
    """`size` bytes of a file from `first` on, which stay as long as somebody holds them."""

    __slots__ = ("descriptor", "first", "keeper", "size")

    def __init__(self, keeper: Keeper, descriptor: int, first: int, size: int) -> None:
        self.keeper = keeper
        self.descriptor = descriptor
        self.first = first
        self.size = size

    def __len__(self) -> int:
        return self.size

    def part(self, at: int, size: int) -> Held:
        """`size` of these bytes from byte `at` on."""
        return Held(self.keeper, self.descriptor, self.first + at, size)

    def near(self, at: int, size: int) -> bool:
        """Whether `size` of these bytes from byte `at` on can be had without waiting for a disk."""
        return self.keeper.near(self.first + at, size)

    def ready(self) -> Held | None:
        """Itself (see Lent)."""
        return self

    def read(self, at: int = 0, size: int | None = None) -> bytes:
        """`size` of these bytes from byte `at` on, or all. Raises OSError, and Cut where they are gone."""
        size = self.size - at if size is None else size
        data = os.pread(self.descriptor, size, self.first + at)
        while len(data) < size:
            more = os.pread(self.descriptor, size - len(data), self.first + at + len(data))
            if not more:
                raise Cut("a file has become shorter")
            data += more
        return data

    def bring(self, at: int, size: int) -> None:
        """Have the disk bring these bytes, however long that takes. Raises OSError, Cut."""
        for begin in range(at, at + size, READ):
            self.read(begin, min(READ, at + size - begin))


class Lent(Protocol):
    """A body that lies in a file, which need not be open."""

    def __len__(self) -> int:
        """How many bytes it has."""
        ...

    def ready(self) -> Held | None:
        """Its bytes, where they are known to be what they should be and the file is open."""
        ...

    def read(self) -> bytes:
        """All of it. Raises what reading raises."""
        ...


class _Extent:
    """A place in an arena, given back with the last who holds it."""

    __slots__ = ("_arena", "_first", "_size")

    def __init__(self, arena: Arena, first: int, size: int) -> None:
        self._arena = arena
        self._first = first
        self._size = size

    def near(self, first: int, size: int) -> bool:
        """It is memory."""
        return True

    def __del__(self) -> None:
        self._arena.give_back(self._first, self._size)


class Arena:
    """A nameless file in memory. No place in it is used twice; what is given back takes no memory."""

    __slots__ = ("_descriptor", "_end")

    def __init__(self) -> None:
        self._end = 0
        if hasattr(os, "memfd_create"):
            self._descriptor = os.memfd_create("bodies")
        else:
            with tempfile.TemporaryFile() as file:
                self._descriptor = os.dup(file.fileno())

    def keep(self, data: bytes) -> Held | None:
        """`data`, as long as somebody holds it here; None if there is no room."""
        first, rest = self._end, memoryview(data)
        try:
            while rest:
                rest = rest[os.pwrite(self._descriptor, rest, first + len(data) - len(rest)) :]
        except OSError:
            self.give_back(first, len(data))
            return None
        self._end += -(-len(data) // PAGE) * PAGE
        return Held(_Extent(self, first, len(data)), self._descriptor, first, len(data))

    def give_back(self, first: int, size: int) -> None:
        """Free the memory of a place. Where the system can't do that by halves it stays taken."""
        if self._descriptor >= 0 and hasattr(mmap, "MADV_REMOVE"):
            with mmap.mmap(self._descriptor, size, offset=first) as place:
                place.madvise(mmap.MADV_REMOVE)

    def __del__(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1  # extents may go after it, where all go together


class Lending(AsyncIterator[bytes]):
    """The body of an answer that is lent: all of `lent`, or else some bytes.

    `lend` gives it to whom the kernel may send it for; others read it.
    """

    __slots__ = ("_at", "_held", "lent")

    def __init__(self, held: Held, lent: Lent | None = None) -> None:
        self._held = held
        self._at = 0
        self.lent = lent

    async def lend(self) -> bytes | Held:
        """All that comes next."""
        at, held = self._at, self._held
        if at >= held.size:
            raise StopAsyncIteration
        self._at = held.size
        return held.part(at, held.size - at)

    async def __anext__(self) -> bytes:
        at = self._at
        size = min(READ, self._held.size - at)
        if not size:
            raise StopAsyncIteration
        self._at += size
        return await read(self._held, at, size)


async def read(held: Held, at: int, size: int) -> bytes:
    """Some of what is `held`, without making others wait for the disk. Raises OSError, Cut."""
    if not held.near(at, size):
        await asyncio.get_running_loop().run_in_executor(None, held.bring, at, size)
    return held.read(at, size)


def body_of(body: bytes | Lent) -> bytes | Lending:
    """`body`, which is at hand, as that of an answer. Raises Cut where it is not."""
    if isinstance(body, bytes):
        return body
    held = body.ready()
    if held is None:
        raise Cut("a body is not at hand")
    return Lending(held, body)


def part_of(body: bytes | Lent, first: int, end: int) -> bytes | Lending:
    """The bytes from `first` to before `end` of `body`, which is at hand. Raises Cut where it is not."""
    if isinstance(body, bytes):
        return body[first:end]
    held = body.ready()
    if held is None:
        raise Cut("a body is not at hand")
    if end - first <= LENT and held.near(first, end - first):
        return held.read(first, end - first)
    return Lending(held.part(first, end - first))
