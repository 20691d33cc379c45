"""Networks spread evenly over buckets. Python that Cython compiles as it stands."""

from __future__ import annotations

import cython

BUCKETS = 4096  # client keys fall into these, so that an order among equals is computed once a bucket


def bucket_of(network: cython.ulonglong, octets: cython.int) -> int:
    """The bucket of a network, the number that its first `octets` are (SplitMix64's finalizer)."""
    ones: cython.ulonglong = 0xFFFFFFFFFFFFFFFF
    step: cython.ulonglong = 0x9E3779B97F4A7C15
    first: cython.ulonglong = 0xBF58476D1CE4E5B9
    second: cython.ulonglong = 0x94D049BB133111EB
    mixed: cython.ulonglong = (network + step * (octets + 1)) & ones
    mixed = ((mixed ^ mixed >> 30) * first) & ones
    mixed = ((mixed ^ mixed >> 27) * second) & ones
    mixed = mixed ^ mixed >> 31
    return int(mixed & (BUCKETS - 1))
