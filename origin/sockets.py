"""Plugins' WebSockets: accepted, kept alive through every hop, and told when the origin goes away."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import WSCloseCode, web

from origin.contract import Call, Socket, Visitor

HEARTBEAT = 25.0  # seconds between pings: less than any hop's patience with a silent stream

Served = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Sockets:
    """All conversations of this process. `visitor_of` says who is on the other side of a request."""

    def __init__(self, visitor_of: Callable[[web.Request], Visitor]) -> None:
        self._visitor_of = visitor_of
        self._open: set[web.WebSocketResponse] = set()

    def serve(self, socket: Socket, plain: Served) -> Served:
        """`socket` as aiohttp calls it."""

        async def serve(request: web.Request) -> web.StreamResponse:
            if request.headers.get("Upgrade", "").lower() != "websocket":
                return await plain(request)
            talking = web.WebSocketResponse(heartbeat=HEARTBEAT, max_msg_size=socket.largest, compress=False)
            await talking.prepare(request)
            id = request.headers.get("X-Request-Id", "")[:128]
            self._open.add(talking)
            try:
                await socket.talk(Call(request, request.match_info, self._visitor_of(request), id), talking)
            finally:
                self._open.discard(talking)
                await talking.close()
            return talking

        return serve

    async def close(self, _app: web.Application) -> None:
        """Ends every conversation: this origin goes away (RFC 6455 §7.4.1)."""
        for talking in tuple(self._open):
            await talking.close(code=WSCloseCode.GOING_AWAY)
