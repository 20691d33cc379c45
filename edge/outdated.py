"""What visitors' own requests, and purges that no journal tells of, have outdated at this node alone.

The next node may still have it: whoever is asked for such a key is told since when it must be new.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

from edge.policy.key import origin_of
from edge.purge import Groups, Keys, Mark, Prefix, Site, Tag

KEYS, BROAD = 10_000, 64
K = TypeVar("K")


class Outdated:
    """When each key was outdated, monotonic. Whatever is forgotten counts for every key."""

    def __init__(self) -> None:
        self._keys: OrderedDict[str, float] = OrderedDict()
        self._broad: OrderedDict[Mark, float] = OrderedDict()
        self._forgotten: float | None = None

    def record(self, mark: Mark, now: float) -> None:
        """`mark` has struck here, and nobody else knows."""
        if isinstance(mark, Keys):
            for key in mark.keys:
                _note(self._keys, key, now)
        else:
            _note(self._broad, mark, now)
        while len(self._keys) > KEYS:
            self._forgotten = max(self._forgotten or 0.0, self._keys.popitem(last=False)[1])
        while len(self._broad) > BROAD:
            self._forgotten = max(self._forgotten or 0.0, self._broad.popitem(last=False)[1])

    def since(self, key: str, site: str) -> float | None:
        """The moment from which on an answer for `key` must be; None if any will do."""
        found = [moment for mark, moment in self._broad.items() if _may_strike(mark, key, site)]
        if key in self._keys:
            found.append(self._keys[key])
        if self._forgotten is not None:
            found.append(self._forgotten)
        return max(found, default=None)


def _note(table: OrderedDict[K, float], name: K, now: float) -> None:
    table.pop(name, None)
    table[name] = now


def _may_strike(mark: Mark, key: str, site: str) -> bool:
    """Whether what is kept under `key` may be what `mark` strikes, whatever names it bears."""
    match mark:
        case Keys(keys):
            return key in keys
        case Prefix(begin):
            return key.startswith(begin)
        case Tag(_, named):
            return named is None or named == site
        case Groups(origin, _):
            return origin_of(key) == origin
        case Site(named):
            return named == site
