"""Disk stores for tests: in a directory, with clocks by hand."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from edge.policy.entry import Entry
from edge.store.content import Stored
from edge.store.disk import Disk
from edge.store.layered import LayeredStore
from edge.store.memory import MemoryStore
from edge.store.place import Place
from edge.store.record import Clocks
from tests.edge.stage import T0, HandClock

MIB = 2**20


def clocks(clock: HandClock | None = None) -> Clocks:
    clock = clock or HandClock()
    return Clocks(clock.wall, clock.monotonic)


@contextlib.contextmanager
def disk(
    directory: Path, *, size: int = 64 * MIB, shared: bool = False, clock: HandClock | None = None
) -> Iterator[Disk]:
    made = Disk(Place(directory, size, shared=shared), clocks(clock))
    try:
        yield made
    finally:
        made.close()


@contextlib.contextmanager
def layered(
    directory: Path,
    *,
    memory: int = 16 * MIB,
    max_object: int = MIB,
    size: int = 64 * MIB,
    shared: bool = False,
    clock: HandClock | None = None,
) -> Iterator[LayeredStore]:
    """A worker's store on `directory`; closed at the end, as when its process ends."""
    store = LayeredStore(
        MemoryStore(memory, max_object), Disk(Place(directory, size, shared=shared), clocks(clock))
    )
    try:
        yield store
    finally:
        store.close()


async def body(store: LayeredStore, entry: Entry) -> bytes | None:
    """`entry`'s body, recalled where need be; None if it is lost."""
    content = entry.content
    assert isinstance(content, Stored)
    return content.plain if await store.recall(entry) else None


__all__ = ["MIB", "T0", "body", "clocks", "disk", "layered"]
