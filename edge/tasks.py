"""What runs beside requests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

log = logging.getLogger("tepi.edge")


@dataclass(slots=True)
class Tasks:
    """What runs beside requests; all of it ends with the node."""

    running: set[asyncio.Task[None]] = field(default_factory=set)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs `work`; what goes wrong in it is logged."""
        task = asyncio.get_running_loop().create_task(work)
        self.running.add(task)
        task.add_done_callback(self._done)

    async def end(self) -> None:
        """Cancels what still runs."""
        for task in tuple(self.running):
            task.cancel()
        await asyncio.gather(*self.running, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self.running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a background task failed", exc_info=task.exception())


async def every(seconds: float, work: Callable[[], None]) -> None:
    """Does `work` again and again, until cancelled."""
    while True:
        await asyncio.sleep(seconds)
        work()
