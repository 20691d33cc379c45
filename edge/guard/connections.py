"""How many connections clients hold, in all and each."""

from __future__ import annotations

from collections import Counter

from edge.guard.networks import counted_as


class Connections:
    """Counts open connections. One address beyond its limit does not touch others."""

    def __init__(self) -> None:
        self.total = 0  # with this process
        self.of_node = 0  # as of the last change here
        self._by_address: Counter[str] = Counter()

    def opened(self, address: str) -> int:
        """Counts one more; how many `address` now holds."""
        self.total += 1
        self.of_node = self.total
        who = counted_as(address)
        self._by_address[who] += 1
        return self._by_address[who]

    def closed(self, address: str) -> None:
        """Counts one less."""
        self.total -= 1
        self.of_node = self.total
        who = counted_as(address)
        self._by_address[who] -= 1
        if self._by_address[who] <= 0:
            del self._by_address[who]
