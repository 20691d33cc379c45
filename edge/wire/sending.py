"""What a connection of HTTP/1.1 has to send, and how long its client may take to read it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp.web_protocol import RequestHandler

from edge.outlet import Outlet


class Sending(RequestHandler):
    """The sending side of a connection."""

    __slots__ = ("_outlet", "_stalled", "on_drained", "on_stalled")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.on_stalled: Callable[[], None] | None = None
        self.on_drained: Callable[[], None] | None = None
        self._outlet: Outlet | None = None
        self._stalled: tuple[float, int] | None = None

    @property
    def lending(self) -> bool:
        """Whether lent bytes are on their way to the client."""
        return self._outlet is not None and self._outlet.busy

    def outlet(self) -> Outlet | None:
        """What sends lent bytes to the client; None where they have to be encrypted."""
        transport = self.transport
        if self._outlet is None and transport is not None and transport.get_extra_info("sslcontext") is None:
            self._outlet = Outlet(transport, self._loop)
        return self._outlet

    async def drained(self) -> None:
        """Waits for room for more of an answer. Raises ConnectionError once the client has gone."""
        await self._drain_helper()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self.on_drained is not None:
            self.on_drained()
        if self._outlet is not None:
            self._outlet.stop()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.transport is not None:
            self._stalled = (self._loop.time(), self.transport.get_write_buffer_size())
        if self.on_stalled is not None:
            self.on_stalled()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stalled = None
        if self.on_drained is not None:
            self.on_drained()

    def stop_the_slow(
        self, transport: asyncio.Transport, now: float, began: float | None, idle: float, total: float
    ) -> None:
        """Ends the connection where nothing has left for `idle` seconds, or what `began` took `total`."""
        if self._stalled is not None and now - self._stalled[0] > idle:
            waiting = transport.get_write_buffer_size()
            if waiting >= self._stalled[1]:
                transport.abort()
            self._stalled = (now, waiting)
        outlet = self._outlet
        if outlet is not None and outlet.busy:
            began = outlet.began if began is None else began
            if now - outlet.moved > idle:
                transport.abort()
        if began is not None and now - began > total:
            transport.abort()
