"""Whose turn it is to fetch: of a node's workers one at a time fetches a key, and the others ask that one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge.intake import Exchange
from edge.policy.decisions import Decision, Hit
from edge.store.contract import Store
from edge.upstream.collapse import Arrived, Flight


@dataclass(frozen=True, slots=True)
class Turns:
    """Takes turns with the node's other workers, if there are any. `decide` is policy's."""

    store: Store
    decide: Callable[[Exchange], Decision]

    def take(self, flight: Flight, x: Exchange, *, part: bool) -> Arrived | int | None:
        """None if `flight`, which is for `x` or a `part` of it, is to fetch; else the process that does so.

        Arrived: no fetch is needed any more, for another worker has just made it, or it is nobody's hurry.
        """
        leases = self.store.leases
        if leases is None:
            return None
        holder = leases.take(x.key)
        if holder is not None:
            return Arrived() if flight.pinned else holder
        flight.leased = True
        came = not part and x.needs is None and isinstance(self.decide(x), Hit)
        return Arrived() if came else None

    def end(self, flight: Flight) -> None:
        """`flight` fetches no more. What it has brought is this worker's until it is written."""
        if flight.leased and self.store.leases is not None:
            flight.leased = False
            self.store.leases.give_back(flight.key[0])
