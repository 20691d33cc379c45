"""What the workers of a node share: a directory of their own, and a store in it."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edge.berth import Seat
from edge.config import EdgeConfig
from edge.storage import SMALLEST

log = logging.getLogger("tepi.edge.workers")

MEMORY = Path("/dev/shm")  # noqa: S108  # files there are memory
PREFIX = "tepi-workers-"


def workers_of(config: EdgeConfig) -> int:
    """How many processes answer."""
    return config.workers or 1


def seat_of(config: EdgeConfig, directory: Path) -> Seat:
    """A worker's seat, but for its number.

    What is stored lies on disk, or else in files that are memory. Where there is no room for those, each
    worker has a store of its own, and an equal share of the memory.
    """
    table, count = config.store, workers_of(config)
    room = shutil.disk_usage(directory).free if directory.is_relative_to(MEMORY) else 0
    together = bool(table.directory) or (table.memory // 2 >= SMALLEST and table.memory <= room)
    if not together:
        log.warning(
            "each of %d workers has a store of its own, which costs hits: for one that they share,"
            " store.memory (%d bytes) must be %d or more and fit into %s, or store.directory must be set",
            count,
            table.memory,
            2 * SMALLEST,
            MEMORY,
        )
    return Seat(0, count, str(directory), together)


@contextlib.contextmanager
def own_directory() -> Iterator[Path]:
    """A directory for as long as this process lives. What others have left that were killed is removed."""
    parent = MEMORY if os.access(MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    for left in parent.glob(f"{PREFIX}*"):
        if _is_left(left):
            shutil.rmtree(left, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    try:
        with (made / "lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _is_left(directory: Path) -> bool:
    """Whether nobody lives there any more."""
    try:
        with (directory / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # somebody does, or it is another user's, or just being made
        return False
    return True
