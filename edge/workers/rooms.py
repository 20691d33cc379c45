"""How many workers a node has, and what they share: a directory of their own, and a store in it."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edge.config import EdgeConfig
from edge.document.problems import Problem, Refused
from edge.settings.store import SMALLEST, StoreTable
from edge.workers.cores import usable_cores

log = logging.getLogger("tepi.edge.workers")

MEMORY = Path("/dev/shm")  # noqa: S108  # files there are memory
PREFIX = "tepi-workers-"


def workers_of(config: EdgeConfig) -> int:
    """How many processes answer: as many as `config` says, or else one a core, if they can share a store."""
    if config.workers is not None:
        return config.workers
    cores = usable_cores()
    if cores > 1 and _refusal(config.store) is not None:
        log.warning("one worker for %d cores: store.memory is too small to be shared", cores)
        return 1
    return cores


@contextlib.contextmanager
def own_directory(store: StoreTable) -> Iterator[Path]:
    """A directory for as long as this process lives, with room for what workers share of `store`.

    What others have left that were killed is removed. Raises Refused where there is no room.
    """
    refusal = _refusal(store)
    if refusal is not None:
        raise Refused([refusal])
    places = [place for place in (MEMORY, Path(tempfile.gettempdir())) if os.access(place, os.W_OK)]
    for place in places:
        for left in place.glob(f"{PREFIX}*"):
            if _is_left(left):
                shutil.rmtree(left, ignore_errors=True)
    parent = _roomy(places, 0 if store.directory else store.memory)
    made = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    try:
        with (made / "lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _refusal(store: StoreTable) -> Problem | None:
    """Why workers can't share `store`, if they can't."""
    if store.directory or store.memory >= 2 * SMALLEST:
        return None
    expected = f"{2 * SMALLEST} bytes or more for several workers, or store.directory, or workers = 1"
    return Problem("store.memory", f"{store.memory} bytes", expected)


def _roomy(places: list[Path], size: int) -> Path:
    """The first of `places` with room for `size` bytes. Raises Refused."""
    free = {place: shutil.disk_usage(place).free for place in places}
    for place in places:
        if free[place] >= size:
            if size and place != MEMORY:
                log.warning("stored answers lie in %s: %s has no room for store.memory", place, MEMORY)
            return place
    told = ", ".join(f"{place} has {room}" for place, room in free.items())
    expected = f"bytes that there is room for where workers share them ({told}), or workers = 1"
    raise Refused([Problem("store.memory", str(size), expected)])


def _is_left(directory: Path) -> bool:
    """Whether nobody lives there any more."""
    try:
        with (directory / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # somebody does, or it is another user's, or just being made
        return False
    return True
