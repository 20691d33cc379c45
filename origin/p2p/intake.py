"""Events on their way into the database: as many as wait share one transaction, and one sync of the disk."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from origin.contract import Host
from origin.p2p.event import Event
from origin.p2p.listing import Listing
from origin.p2p.store import Kept, Store

AT_ONCE = 256
LONGEST_QUEUE = 10_000


Waiting = tuple[Event, Listing | None, asyncio.Future[Kept]]


class Busy(Exception):
    """More waits than can be stored soon."""


class Intake:
    """Says what became of an event only after it is durable."""

    def __init__(self, host: Host, store: Store) -> None:
        self._host = host
        self._store = store
        self._waiting: deque[Waiting] = deque()
        self._working: asyncio.Task[None] | None = None

    async def take(self, event: Event, listing: Listing | None) -> Kept:
        """Stores a verified event. Raises Busy."""
        if len(self._waiting) >= LONGEST_QUEUE:
            raise Busy
        told: asyncio.Future[Kept] = asyncio.get_running_loop().create_future()
        self._waiting.append((event, listing, told))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return await told

    async def stop(self) -> None:
        """Waits until all that was taken in is stored."""
        if self._working is not None:
            await self._working

    async def _work(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
            try:
                await self._store_all(batch)
            except Exception:
                for one in batch:  # one of them spoils the others' transaction: each has its own
                    await self._store_alone(one)

    async def _store_all(self, batch: Sequence[Waiting]) -> None:
        async with self._host.write() as connection:
            kept = [await self._store.keep(connection, event, one) for event, one, _ in batch]
        for (_, _, told), became in zip(batch, kept, strict=True):
            if not told.done():
                told.set_result(became)

    async def _store_alone(self, one: Waiting) -> None:
        try:
            await self._store_all([one])
        except Exception as error:
            if not one[2].done():
                one[2].set_exception(error)
