"""THE DATA PATH of a request, read from top to bottom."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from edge.clock import Clock
from edge.explain import Explanation
from edge.http.message import Answer, Request
from edge.policy.rules import SiteRules
from edge.position import Position
from edge.purge import Purge
from edge.store.memory import MemoryStore
from edge.transform.compress import Compressor
from edge.upstream.contract import Upstream


class Pipeline:
    """From request to answer: site, key, lookup, fetch, store, transform."""

    def __init__(
        self,
        *,
        sites: Callable[[str], SiteRules | None],
        store: MemoryStore,
        upstream: Upstream,
        clock: Clock,
        compress: Compressor,
        on_background: Callable[[Coroutine[Any, Any, None]], None],
        position: Callable[[], Position],
    ) -> None:
        self._sites = sites
        self._store = store
        self._upstream = upstream
        self._clock = clock
        self._compress = compress
        self._on_background = on_background
        self._position = position

    async def handle(self, request: Request) -> Answer:
        """Answer `request`; never raises but for cancellation."""
        raise NotImplementedError

    async def explain(self, request: Request) -> Explanation:
        """What `handle` would do with `request` now, without doing it."""
        raise NotImplementedError

    async def purge(self, purge: Purge, at: Position, *, dry_run: bool = False) -> int:
        """Forget what matches, fills under way included; the number of entries found."""
        raise NotImplementedError

    def distrust(self) -> None:
        """Entries filled before now must be revalidated before their next use (after a snapshot)."""
        raise NotImplementedError
