"""What counters mean to an operator: rates, ratios, percentiles. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Counters = Mapping[str, Any]

FROM_STORE = ("hits", "stale")
ASKED_ORIGIN = ("revalidated", "misses")
PASSED = ("passes", "other")


@dataclass(frozen=True, slots=True)
class Figures:
    """A span of traffic. Ratios and percentiles are None where there is nothing to take them of."""

    requests: int
    per_second: float
    hit_ratio: float | None
    bytes_sent: int
    bytes_origin: int
    errors: int
    error_ratio: float | None
    p50: float | None  # seconds
    p99: float | None

    @property
    def bytes_saved(self) -> int:
        """What visitors got that no origin had to send again."""
        return max(0, self.bytes_sent - self.bytes_origin)


@dataclass(frozen=True, slots=True)
class Withheld:
    """How many pages of a site the leak guard kept from being shared, and for which of its reasons."""

    site: str
    reason: str  # as the edge calls it: leak-guard, tokens-not-understood, page-not-read
    count: int


def withheld(counters: Counters) -> tuple[Withheld, ...]:
    """What the guard kept from being shared, the most first."""
    guard = counters.get("guard") or {}
    found = (
        Withheld(site, reason, int(count))
        for site, reasons in guard.items()
        for reason, count in reasons.items()
        if count
    )
    return tuple(sorted(found, key=lambda one: (-one.count, one.site, one.reason)))


def summed(counters: Counters, *names: str) -> int:
    """The sum of some counters; what a node does not count is none."""
    return sum(int(counters.get(name, 0)) for name in names)


def figures(counters: Counters, seconds: float) -> Figures:
    """The traffic that `counters` counted in `seconds`.

    The hit ratio leaves out what was refused: that was no question to the store.
    """
    requests = summed(counters, "requests")
    answered = summed(counters, *FROM_STORE, *ASKED_ORIGIN, *PASSED, "errors")
    errors = summed(counters, "errors")
    latency = counters.get("latency") or {}
    return Figures(
        requests=requests,
        per_second=requests / seconds,
        hit_ratio=summed(counters, *FROM_STORE) / answered if answered else None,
        bytes_sent=summed(counters, "bytes_sent"),
        bytes_origin=summed(counters, "bytes_origin"),
        errors=errors,
        error_ratio=errors / requests if requests else None,
        p50=percentile(latency, 0.5),
        p99=percentile(latency, 0.99),
    )


def percentile(buckets: Mapping[str, int], share: float) -> float | None:
    """Seconds within which `share` of the answers were given; straight lines inside a bucket.

    `buckets` counts the answers that took up to each bound and longer than the one before. Beyond the last
    bound there is nothing to go by, so that bound is the answer.
    """
    counted = sorted((float(bound), count) for bound, count in buckets.items())
    total = sum(count for _, count in counted)
    if total <= 0:
        return None
    wanted, passed, lower = share * total, 0.0, 0.0
    for bound, count in counted:
        if passed + count >= wanted and count:
            if bound == float("inf"):
                return lower
            return lower + (bound - lower) * (wanted - passed) / count
        passed += count
        lower = bound
    return lower
