"""Certificates that providers keep at addresses of their own: asked for once, kept for a while."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable

import aiohttp

log = logging.getLogger("tepi.edge.webhooks")

KEPT, KEPT_FAILURE = 6 * 3600.0, 30.0  # seconds
MOST = 64
LARGEST = 64 * 1024
TIMEOUT = aiohttp.ClientTimeout(total=5)


class Certificates:
    """What lies at pinned https addresses. One is asked for at a time, whoever names how many."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._known: OrderedDict[str, tuple[float, bytes | None]] = OrderedDict()
        self._turn = asyncio.Lock()

    async def fetch(self, url: str) -> bytes | None:
        """The bytes at `url`, or None where they can't be had now."""
        async with self._turn:
            until, found = self._known.get(url, (0.0, None))
            if self._monotonic() < until:
                return found
            found = await _get(url)
            kept = KEPT if found is not None else KEPT_FAILURE
            self._known[url] = (self._monotonic() + kept, found)
            self._known.move_to_end(url)
            if len(self._known) > MOST:
                self._known.popitem(last=False)
            return found


async def _get(url: str) -> bytes | None:
    try:
        async with (
            aiohttp.ClientSession(timeout=TIMEOUT) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            body = await response.content.read(LARGEST + 1)
            if response.status == 200 and len(body) <= LARGEST:
                return body
            log.warning("%s: status %d", url, response.status)
    except (aiohttp.ClientError, TimeoutError) as error:
        log.warning("%s can't be had: %s", url, error or "no answer in time")
    return None
