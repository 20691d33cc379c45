"""Regular checks of origins, over the same connections as real requests."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from edge.config import Site
from edge.upstream.backends import Backend, Backends
from edge.upstream.contract import UpstreamError
from edge.upstream.http1 import ExchangeError

log = logging.getLogger("tepi.edge.health")


class Checks:
    """Checks every origin whose site wants it, each at its own interval, until cancelled.

    It pauses while it is not `due`: then somebody else checks the same origins.
    """

    def __init__(
        self,
        backends: Backends,
        tick: float = 0.25,
        on_checked: Callable[[Site, Backend], None] | None = None,
    ) -> None:
        self.due = True
        self._on_checked = on_checked
        self._backends = backends
        self._tick = tick
        self._due: dict[tuple[str, str, str], float] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Never returns; a cancelled one leaves no check behind."""
        try:
            while True:
                if self.due:
                    self._start_due(asyncio.get_running_loop().time())
                await asyncio.sleep(self._tick)
        finally:
            for task in self._running:
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(*self._running, return_exceptions=True)

    def _start_due(self, now: float) -> None:
        wanted = {
            (backends.site.name, backend.url, backend.check): (backends.site, backend)
            for backends in self._backends.all()
            for backend in backends.backends
            if backend.check is not None
        }
        self._due = {key: self._due.get(key, now) for key in wanted}
        for key, (site, backend) in wanted.items():
            if self._due[key] <= now:
                self._due[key] = now + site.health.interval
                task = asyncio.create_task(self._check(site, backend), name=f"check {backend.url}")
                self._running.add(task)
                task.add_done_callback(self._running.discard)

    async def _check(self, site: Site, backend: Backend) -> None:
        await _check(site, backend)
        if self._on_checked is not None:
            self._on_checked(site, backend)


async def _check(site: Site, backend: Backend) -> None:
    now = asyncio.get_running_loop().time()
    before = backend.health.state(now)
    try:
        async with asyncio.timeout(site.health.timeout):
            status = await _ask(site, backend)
        problem = None if 200 <= status < 400 else f"status {status}"
    except (UpstreamError, ExchangeError) as error:
        problem = str(error)
    except TimeoutError:
        problem = f"no answer within {site.health.timeout:g} s"
    backend.health.checked(problem is None)
    after = backend.health.state(now)
    if after != before:
        log.warning(
            "origin %s of %s is %s, was %s: %s", backend.url, site.name, after, before, problem or "fine"
        )


async def _ask(site: Site, backend: Backend) -> int:
    """The status of the check's answer."""
    host = next((host for host in site.hosts if "*" not in host), backend.pool.endpoint.authority)
    lines = (f"GET {backend.check} HTTP/1.1", f"Host: {host}", "User-Agent: Tepi health check", "", "")
    lease = await backend.pool.lease(site.health.timeout)
    try:
        head = await lease.connection.exchange("\r\n".join(lines).encode("latin-1"), None)
        while await lease.connection.next_chunk() is not None:
            pass
    except BaseException:
        lease.connection.close()
        raise
    finally:
        backend.pool.give_back(lease.connection)
    return head.status
