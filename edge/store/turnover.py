"""What stays on disk: S3-FIFO (Yang et al., SOSP 2023), as decisions. Pure: the catalogue holds the queues.

What comes waits in a small queue; what is used there goes on to the main one, what is not goes, and is
remembered for a while by name alone. What comes again while it is remembered goes to the main queue at once.

In memory, what is larger than usual must be used the more often: what keeps the most hits there is not what
keeps the most bytes of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

SMALL = 0.1  # of the room, for what has yet to be used
MOST_USES = 15  # what is counted of them
MOST_TURNS = 3  # that uses carry an entry through the main queue of a disk
USED = 1  # uses that carry an entry from the small queue to the main one


class Queue(Enum):
    """Where an entry waits for its turn."""

    SMALL = 0
    MAIN = 1


class Turn(Enum):
    """What becomes of the entry whose turn it is."""

    GO = 0
    STAY = 1  # at the end of the main queue


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes in each queue, and for how many there is room."""

    small: int
    main: int
    room: int

    @property
    def all(self) -> int:
        """Bytes in both."""
        return self.small + self.main


def enters(*, remembered: bool) -> Queue:
    """The queue for what comes."""
    return Queue.MAIN if remembered else Queue.SMALL


def turns(held: Held) -> Queue:
    """The queue whose oldest entry has its turn."""
    if held.main == 0 or (held.small and held.small >= held.room * SMALL):
        return Queue.SMALL
    return Queue.MAIN


def turn(uses: int, bulk: float = 1.0) -> Turn:
    """What becomes of the oldest in a queue, used so often since it came; `bulk`: times the usual size."""
    return Turn.STAY if uses >= max(USED, bulk) else Turn.GO


def left(queue: Queue, uses: int, *, in_memory: bool) -> int:
    """The uses that still count of one that stays."""
    if queue is Queue.SMALL:
        return 0
    return uses // 2 if in_memory else min(uses, MOST_TURNS) - 1


def memory(entries: int) -> int:
    """How many of those that went are remembered, where so many are held."""
    return max(1000, entries)
