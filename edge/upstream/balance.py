"""Which origin is next: longest path prefix, then smooth weighted turns. Pure: no clock, no I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, Protocol, TypeVar


class Weighted(Protocol):
    """What takes turns."""

    @property
    def weight(self) -> int:
        """Its share of the turns."""
        ...


W = TypeVar("W", bound=Weighted)


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


def covers(prefix: str, path: str) -> bool:
    """Whether `path` lies under `prefix`: whole segments, so /api covers /api/x but not /apix."""
    if not path.startswith(prefix):
        return False
    return prefix.endswith("/") or len(path) == len(prefix) or path[len(prefix)] == "/"


def longest(prefixes: Iterable[str], path: str) -> str | None:
    """The longest of `prefixes` that covers `path`."""
    return max((prefix for prefix in prefixes if covers(prefix, path)), key=len, default=None)
