"""Which origin is next: longest path prefix, then turns, the least busy, or the client's own. No I/O."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import Generic, Protocol, TypeVar

from edge.policy.paths import covers


class Weighted(Protocol):
    """What takes turns."""

    @property
    def weight(self) -> int:
        """Its share of the turns."""
        ...


W = TypeVar("W", bound=Weighted)


class Busy(Weighted, Protocol):
    """What has so much to do at this moment."""

    @property
    def busy(self) -> int:
        """What it is doing now."""
        ...


class Named(Weighted, Protocol):
    """What the same client finds again by its name."""

    @property
    def url(self) -> str:
        """Its name."""
        ...


B = TypeVar("B", bound=Busy)
N = TypeVar("N", bound=Named)


class Turns(Generic[W]):
    """Smooth weighted round robin, as nginx does it: shares are exact and turns interleave."""

    def __init__(self, members: Sequence[W]) -> None:
        self._members = tuple(members)
        self._credit = [0] * len(self._members)

    def next(self, eligible: Callable[[W], bool]) -> W | None:
        """Whose turn it is among the eligible, or None where nobody is."""
        total, best = 0, -1
        for at, member in enumerate(self._members):
            if not eligible(member):
                continue
            self._credit[at] += member.weight
            total += member.weight
            if best < 0 or self._credit[at] > self._credit[best]:
                best = at
        if best < 0:
            return None
        self._credit[best] -= total
        return self._members[best]


def least_busy(members: Iterable[B]) -> frozenset[B]:
    """Those of `members` that have the least to do for their weight."""
    found = tuple(members)
    least = min((member.busy / member.weight for member in found), default=0.0)
    return frozenset(member for member in found if member.busy / member.weight <= least)


def steady(members: Iterable[N], client: str) -> N | None:
    """The one of `members` that is `client`'s: rendezvous hashing, so that one's loss moves only its own."""
    return max(members, key=lambda member: _score(member.url, client, member.weight), default=None)


def _score(name: str, client: str, weight: int) -> float:
    digest = blake2b(f"{client}\0{name}".encode(), digest_size=8).digest()
    chance = (int.from_bytes(digest, "big") + 1) / (2**64 + 1)  # within (0, 1]: never log(0)
    return weight / -math.log(chance) if chance < 1 else math.inf


def longest(prefixes: Iterable[str], path: str) -> str | None:
    """The longest of `prefixes` that covers `path`."""
    return max((prefix for prefix in prefixes if covers(prefix, path)), key=len, default=None)
