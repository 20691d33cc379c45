"""What is counted of answers that are alike. Compiled with the lane."""

from __future__ import annotations

from bisect import bisect_left

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds
_QUICK = BOUNDS[0]


class Series:
    """Plain numbers. `buckets` counts answers by the first of BOUNDS that they did not exceed."""

    __slots__ = ("buckets", "bytes_sent", "requests", "seconds")

    def __init__(self) -> None:
        self.requests = 0
        self.bytes_sent = 0
        self.seconds = 0.0
        self.buckets = [0] * (len(BOUNDS) + 1)

    def include(self, other: Series) -> None:
        """Counts what `other` has counted, too."""
        self.requests += other.requests
        self.bytes_sent += other.bytes_sent
        self.seconds += other.seconds
        self.buckets = [sum(pair) for pair in zip(self.buckets, other.buckets, strict=True)]

    def add(self, bytes_sent: int, seconds: float) -> None:
        """Counts one answer of `bytes_sent` body bytes that took `seconds`."""
        self.requests += 1
        self.bytes_sent += bytes_sent
        self.seconds += seconds
        self.buckets[0 if seconds <= _QUICK else bisect_left(BOUNDS, seconds)] += 1
