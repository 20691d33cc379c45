"""A request rate for each address, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict

REMEMBERED = 65_536  # addresses; the one unheard of for longest is forgotten first


class Rate:
    """Token buckets: `burst` requests at once, `per_second` in the long run. Pure: moments are arguments.

    A bucket is one number: the moment at which it will be full again.
    """

    def __init__(self, per_second: float, burst: int, remembered: int = REMEMBERED) -> None:
        self._interval = 1.0 / per_second
        self._depth = burst * self._interval
        self._remembered = remembered
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, who: str, now: float) -> float:
        """0 if `who` may ask at `now`; else the seconds after which he may."""
        full_at = max(self._full_at.get(who, now), now) + self._interval
        wait = full_at - now - self._depth
        if wait > 1e-9:
            return wait
        self._full_at[who] = full_at
        self._full_at.move_to_end(who)
        if len(self._full_at) > self._remembered:
            self._full_at.popitem(last=False)
        return 0.0
