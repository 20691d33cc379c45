"""The ids of requests, unique in the fleet. Compiled with the lane."""

from __future__ import annotations

import cython

_LOW = tuple(f"{number:03x}" for number in range(0x1000))


@cython.cclass
class Ids:
    """A random prefix a process, and a count."""

    _prefix: str
    _high: str  # all but the last three digits
    _count: cython.ulonglong

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._high = f"{prefix}{0:05x}"
        self._count = 0

    @cython.ccall
    def new(self) -> str:
        """One that nobody had yet."""
        self._count += 1
        low: cython.int = self._count & 0xFFF
        if low == 0:
            self._high = f"{self._prefix}{self._count >> 12:05x}"
        last: str = _LOW[low]
        return self._high + last

    def __call__(self) -> str:
        named: str = self.new()
        return named
