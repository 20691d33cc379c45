"""A place in memory that the workers of a node share, where there is no store on disk."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 (a directory of mode 700 is made in it)
NAME = "tepi-store-"


@contextlib.contextmanager
def scratch(beside: Path = MEMORY) -> Iterator[Path]:
    """A directory of this process's own, removed at the end; those of processes that are gone, too.

    Where the system has no such file system, it is among other temporary files. Raises OSError.
    """
    if not os.access(beside, os.W_OK | os.X_OK):
        beside = Path(tempfile.gettempdir())
    for left in beside.glob(f"{NAME}*-*"):
        if not _lives(left.name[len(NAME) :].partition("-")[0]):
            shutil.rmtree(left, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=f"{NAME}{os.getpid()}-", dir=beside))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _lives(number: str) -> bool:
    """Whether there is a process of that number."""
    return number.isdigit() and Path("/proc", number).exists()
