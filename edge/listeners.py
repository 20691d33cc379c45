"""The addresses that a node listens on: opened, closed and kept as the configuration says."""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from edge.notation import Address
from edge.server import Connection, Listener

BACKLOG = 2048
SWEEP = 1.0  # seconds


class AddressTaken(Exception):
    """An address can't be listened on; the text says which, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An address to listen on; with TLS or without."""

    address: Address
    secure: bool


@dataclass(slots=True)
class _Open:
    server: asyncio.Server
    listener: Listener


class Listeners:
    """The traffic listeners of a node. Connections outlive the address they came by."""

    def __init__(self, make: Callable[[str], Listener], tls: ssl.SSLContext, handshake: float) -> None:
        """`make` makes a Listener for a scheme; a client must shake hands within `handshake` seconds."""
        self._make = make
        self._tls = tls
        self._handshake = handshake
        self._open: dict[Wanted, _Open] = {}
        self._left: list[Listener] = []

    async def listen(self, wanted: Iterable[Wanted]) -> None:
        """Listens on exactly `wanted` from now on. Raises AddressTaken, having changed nothing."""
        target = list(wanted)
        added: dict[Wanted, _Open] = {}
        try:
            for each in target:
                if each not in self._open:
                    added[each] = await self._opened(each)
        except AddressTaken:
            for opened in added.values():
                opened.server.close()
            raise
        for each in [each for each in self._open if each not in target]:
            closing = self._open.pop(each)
            closing.server.close()
            self._left.append(closing.listener)
        self._open |= added

    def addresses(self) -> list[tuple[str, Address]]:
        """Scheme and address of each listener, a port that was 0 as the one it became."""
        found = []
        for wanted, opened in self._open.items():
            for socket in opened.server.sockets:
                host, port = socket.getsockname()[:2]
                found.append(("https" if wanted.secure else "http", Address(host, port)))
        return found

    def count(self) -> int:
        """Connections that stand."""
        return sum(len(listener.connections) for listener in self._listeners())

    async def sweep_forever(self) -> None:
        """Ends what takes too long, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP)
            for listener in self._listeners():
                listener.sweep(loop.time())
            self._left = [listener for listener in self._left if listener.connections]

    async def stop(self, under_way: Callable[[], int], seconds: float) -> None:
        """Takes no connection more, ends idle ones, and waits for requests under way for `seconds`."""
        for opened in self._open.values():
            opened.server.close()
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while loop.time() < until:
            for listener in self._listeners():
                for connection in listener.connections:
                    if isinstance(connection, Connection) and connection.idle:
                        connection.force_close()
            if not under_way() and not self.count():
                break
            await asyncio.sleep(0.02)
        for listener in self._listeners():
            await listener.shutdown(0.1)

    def _listeners(self) -> list[Listener]:
        return [opened.listener for opened in self._open.values()] + self._left

    async def _opened(self, wanted: Wanted) -> _Open:
        listener = self._make("https" if wanted.secure else "http")
        loop = asyncio.get_running_loop()
        try:
            server = await loop.create_server(
                listener,
                wanted.address.host,
                wanted.address.port,
                backlog=BACKLOG,
                ssl=self._tls if wanted.secure else None,
                ssl_handshake_timeout=self._handshake if wanted.secure else None,
            )
        except OSError as error:
            flag = "listen_tls" if wanted.secure else "--listen"
            raise AddressTaken(cannot_listen(wanted.address, error, flag)) from error
        return _Open(server, listener)


def cannot_listen(address: Address, error: OSError, flag: str) -> str:
    """One sentence on why `address` can't be had and what to do."""
    if error.errno == errno.EADDRINUSE:
        return f"{address} is in use: stop the other process or choose another with {flag}"
    reason = (error.strerror or str(error)).lower()
    return f"{address} can't be listened on ({reason}): choose another with {flag}"
