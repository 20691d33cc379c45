"""The ids of requests, unique in the fleet. Compiled with the lane."""

from __future__ import annotations

import cython


@cython.cclass
class Ids:
    """A random prefix a process, and a count."""

    _prefix: str
    _count: cython.ulonglong

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._count = 0

    def __call__(self) -> str:
        self._count += 1
        return f"{self._prefix}{self._count:08x}"
