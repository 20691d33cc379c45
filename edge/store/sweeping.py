"""One purge at work in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from itertools import islice
from typing import TYPE_CHECKING

from edge.purge import Mark
from edge.store.eviction import Slot

if TYPE_CHECKING:
    from edge.store.memory import MemoryStore

OnMark = Callable[[Mark | None], None]  # is told of a purge; None: everything must be revalidated
# whether another of the node's workers has written what this task purges to the store that they share
WRITTEN: ContextVar[bool] = ContextVar("written", default=False)
SLICE = 2000  # entries that a sweep strikes before others have their turn


class Sweep:
    """One purge at work. Entries stored after it began are none of its business."""

    def __init__(self, store: MemoryStore, mark: Mark, now: float, found: tuple[Slot, ...]) -> None:
        self._store = store
        self._mark = mark
        self._now = now
        self._left = set(found) if len(found) > 1 else None
        self._found = iter(found)
        self.found = len(found)
        self.written: Awaitable[int] | None = None  # how many there are on disk, once it can't be lost there

    def visit(self, slot: Slot) -> None:
        """Strike the entry at `slot` if it is one of those found."""
        if self._left is not None and slot in self._left:
            self._left.discard(slot)
            self._strike(slot)

    def step(self, most: int) -> bool:
        """Strike up to `most` entries; True when all are done."""
        done = 0
        for slot in islice(self._found, most):
            done += 1
            if self._left is not None:
                if slot not in self._left:
                    continue
                self._left.discard(slot)
            self._strike(slot)
        if done == most:
            return False
        self._store.end(self)
        return True

    async def hold(self) -> int:
        """Wait until it can't be lost; how many entries were found."""
        return self.found if self.written is None else max(self.found, await self.written)

    async def finish(self) -> None:
        """Strike what is left, a slice at a time."""
        done = False
        while not done:
            done = self.step(SLICE)
            await asyncio.sleep(0)

    def _strike(self, slot: Slot) -> None:
        if not slot.alive:
            return
        if self._mark.soft:
            self._store.soften(slot, self._now)
        else:
            self._store.forget(slot)
