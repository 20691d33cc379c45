"""What is counted of answers that are alike. Compiled with the lane."""

from __future__ import annotations

from bisect import bisect_left

import cython

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds


@cython.cclass
class Series:
    """Plain numbers. `buckets` counts answers by the first of BOUNDS that they did not exceed."""

    requests: cython.longlong
    bytes_sent: cython.longlong
    seconds: cython.double
    _quick: cython.longlong  # those of the first bucket
    _slower: list[int]  # those of the others

    def __init__(self) -> None:
        self.requests = 0
        self.bytes_sent = 0
        self.seconds = 0.0
        self._quick = 0
        self._slower = [0] * len(BOUNDS)

    @property
    def buckets(self) -> list[int]:
        """How many answers took up to each of BOUNDS, and longer than all."""
        return [self._quick, *self._slower]

    def include(self, other: Series) -> None:
        """Counts what `other` has counted, too."""
        self.requests += other.requests
        self.bytes_sent += other.bytes_sent
        self.seconds += other.seconds
        self._quick += other._quick
        self._slower = [sum(pair) for pair in zip(self._slower, other._slower, strict=True)]

    @cython.ccall
    def add(self, bytes_sent: cython.longlong, seconds: cython.double) -> None:
        """Counts one answer of `bytes_sent` body bytes that took `seconds`."""
        self.requests += 1
        self.bytes_sent += bytes_sent
        self.seconds += seconds
        if seconds <= 0.001:
            self._quick += 1
        else:
            self._slower[bisect_left(BOUNDS, seconds) - 1] += 1
