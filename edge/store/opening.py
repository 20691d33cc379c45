"""The store that a node is configured to have, and what is measured of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import lmdb

from edge.clock import Clock
from edge.document.problems import Problem, Refused
from edge.settings.store import StoreTable
from edge.store.contract import Store
from edge.store.disk import Disk
from edge.store.layered import LayeredStore
from edge.store.lent import Arena
from edge.store.memory import MemoryStore
from edge.store.place import Place
from edge.store.record import Clocks
from edge.telemetry import Gauge

# Of the node's memory, what its workers have at hand each for himself: an eighth, up to a quarter where the
# largest object would not fit otherwise.
FRONTS, MOST_FRONTS = 0.0625, 0.25
LOW = 0.99  # of the rest: memory is emptied bit by bit


@dataclass(frozen=True, slots=True)
class Crew:
    """The workers of a node, `size` of them, and the directory in memory that they share."""

    size: int
    scratch: Path


def open_store(table: StoreTable, clock: Clock, crew: Crew | None = None) -> Store:
    """The store of `table`, which the workers of a `crew` share: on disk, or else in memory that all map.

    Raises Refused where its directory can't be used.
    """
    if crew is None and not table.directory:
        return MemoryStore(table.memory, table.max_object, Arena())
    memory, shared = table.memory, crew is not None and crew.size > 1
    if crew is not None and shared:
        most = int(memory * MOST_FRONTS)
        memory = max(int(memory * FRONTS), min(table.max_object * crew.size, most)) // crew.size
    if table.directory:
        directory = Path(table.directory)
        _check(directory)
        place = Place(directory, table.disk, table.disk_low, shared=shared)
    else:
        assert crew is not None
        directory = crew.scratch
        place = Place(directory, table.memory - memory * crew.size, LOW, synced=False, shared=shared)
    front = MemoryStore(memory, table.max_object)
    try:
        return LayeredStore(front, Disk(place, Clocks(clock.wall, clock.monotonic)))
    except (OSError, lmdb.Error) as error:
        raise _refused(directory, f"a directory that can be used: {error}") from error


def _check(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except FileExistsError:
        raise _refused(directory, "a directory, and there is a file of that name") from None
    except NotADirectoryError:
        raise _refused(directory, "a directory, and one above it is a file") from None
    except OSError as error:
        raise _refused(directory, f"a directory that can be made: {error.strerror}") from None
    if not os.access(directory, os.W_OK | os.X_OK):
        raise _refused(directory, "a directory that this process may write to")


def _refused(directory: Path, expected: str) -> Refused:
    return Refused([Problem("store.directory", repr(str(directory)), expected)])


def gauges_of(store: Store) -> Iterator[Gauge]:
    """What is measured of `store`."""
    front = store.front
    yield Gauge("store_entries", "Stored answers, in memory.", len(front))
    yield Gauge("store_bytes", "Bytes that they take, bookkeeping included.", front.size)
    yield Gauge("store_budget_bytes", "Bytes that they may take.", front.budget)
    yield Gauge("store_evictions", "Answers that had to leave memory for others.", front.evictions)
    if not isinstance(store, LayeredStore):
        return
    disk = store.disk
    totals = disk.totals()
    yield Gauge("disk_entries", "Stored answers, on disk.", totals.entries)
    yield Gauge("disk_bytes", "Bytes that they take there, the index included.", totals.bytes)
    yield Gauge("disk_budget_bytes", "Bytes that they may take there.", disk.place.size)
    yield Gauge("disk_evictions", "Answers that had to leave the disk for others.", disk.evictions)
    for kind, count in sorted(disk.errors.items()):
        labels = {"kind": kind}
        yield Gauge("disk_errors", "What failed on disk, and was served from the origin.", count, labels)
