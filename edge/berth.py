"""Where a process stands in its node: alone, or one of several workers under a supervisor."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from edge.guard.clients import Clients
from edge.purge import Mark
from edge.store.opening import Crew


@dataclass(frozen=True, slots=True)
class Seat:
    """Which of a node's workers this one is: its number, from 0, of how many.

    `directory` is the workers' own, for as long as the node runs; empty where there is but one.
    """

    index: int = 0
    count: int = 1
    directory: str = ""

    @property
    def crew(self) -> Crew | None:
        """With whom it stores."""
        if self.count == 1:
            return None
        return Crew(self.count, Path(self.directory) / "store")

    def clients(self) -> Clients | None:
        """What is counted of clients with the others. Raises OSError."""
        if self.count == 1:
            return None
        return Clients(self.memory_of_clients, self.index, self.count)

    @property
    def memory_of_clients(self) -> Path:
        """Where that is counted."""
        return Path(self.directory) / "clients"


ALONE = Seat()


@dataclass(frozen=True, slots=True)
class Berth:
    """What a worker has of its node: a seat, and ways to the others.

    `in_step` is whether the node is; `outdated` returns once all others refuse what a mark strikes.
    `log_turn` is the open file whose lock says whose turn it is to write to the access log.
    """

    seat: Seat
    in_step: Callable[[], bool]
    outdated: Callable[[Mark], Awaitable[None]]
    log_turn: int | None = None
