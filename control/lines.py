"""Nodes' open connections, one each."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from edge.position import Position

TELL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Member:
    """Who is behind a connection: a node with a certificate that is valid now."""

    name: str
    role: str
    serial: str


@dataclass(eq=False, slots=True)
class Line:
    """One node's open connection. `heard` is when its last frame came."""

    name: str
    role: str
    serial: str
    socket: web.WebSocketResponse
    transport: asyncio.Transport | None
    heard: float
    carriers: tuple[str, ...] = ()  # by which it can get events, beside this line
    uncarried: asyncio.Event = field(default_factory=asyncio.Event)  # it wants them by this line again
    owed: Position | None = None  # acknowledged, and not yet written down
    pending: dict[str, asyncio.Future[dict[str, Any]]] = field(default_factory=dict)
    following: asyncio.Task[None] | None = None

    async def end(self, code: int, why: str) -> None:
        """Nothing more is sent; the connection is gone soon, whether the node reads or not."""
        if self.following is not None:
            self.following.cancel()
        with contextlib.suppress(ConnectionError, RuntimeError):
            await self.socket.close(code=code, message=why.encode())
        if self.transport is not None:
            with contextlib.suppress(AttributeError):  # TLS is gone already, as early 3.11 tells it
                self.transport.abort()

    async def tell(self, frame: str) -> None:
        """Sends `frame`, but waits no longer than a moment for a node that does not read."""
        with contextlib.suppress(ConnectionError, RuntimeError, TimeoutError):
            async with asyncio.timeout(TELL_SECONDS):
                await self.socket.send_str(frame)
