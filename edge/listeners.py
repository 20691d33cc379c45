"""The addresses that a node listens on: opened, closed and kept as the configuration says."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.web_protocol import RequestHandler

from edge.document.notation import Address
from edge.door import Door
from edge.guard.gate import Gate
from edge.guard.refusal import Refusal
from edge.http.message import Fields
from edge.incoming import CLOSE, KEEP, Incoming
from edge.lane import Lane, Place
from edge.server import Connection
from edge.wire.plain import Plain
from edge.wire.versions import Chooser, Stands, TakesOver

BACKLOG = 2048
SWEEP = 1.0  # seconds
PARTING = 1.0  # seconds for last words to leave


Handler = Callable[[Incoming, Connection], Awaitable[bool]]
Answers = Callable[[Plain, Fields, Connection], Awaitable[bool]]
Refuse = Callable[[Connection, Refusal], None]


class Listener(web.Server):
    """The connections of one listening address. `scheme` is what its clients speak.

    `handler` answers what aiohttp has parsed, `plain` what needs no parser.
    """

    def __init__(
        self,
        handler: Handler,
        plain: Answers,
        refuse: Refuse,
        gate: Gate,
        scheme: str,
        lane: Lane,
        place: Callable[[str], Place],
    ) -> None:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            incoming = cast(Incoming, request)
            return KEEP if await handler(incoming, cast(Connection, incoming.protocol)) else CLOSE

        super().__init__(handle, handler_cancellation=True)
        self.plain = plain
        self.gate = gate
        self.scheme = scheme
        self.lane = lane
        self.place = place
        self.refuse = refuse
        self.lingering = 0
        self.http2: Callable[[], TakesOver] | None = None  # makes a connection of it, where it is spoken
        self.others: set[Stands] = set()  # the connections that do not speak HTTP/1.1

    def __call__(self) -> Any:
        """What a new connection's transport talks to."""
        if self.http2 is not None and self.scheme == "https":
            return Chooser(self._http1, self.http2)
        return self._http1()

    def _http1(self) -> Any:
        """What a connection of HTTP/1.1 begins with: the lane's door, and the ordinary way behind it."""
        connection = Connection(self, self._loop)
        connection.door = door = Door(self.lane, connection)
        return door

    @property
    def standing(self) -> list[Stands]:
        """The connections that stand."""
        return [*cast("list[Stands]", self.connections), *self.others]

    async def shutdown(self, timeout: float | None = None) -> None:
        """Ends every connection, what is under way within `timeout` seconds."""
        await asyncio.gather(super().shutdown(timeout), *(one.shutdown(timeout) for one in self.others))

    def sweep(self, now: float) -> None:
        """Ends what took too long. Called about once a second."""
        for connection in self.standing:
            connection.sweep(now)

    def _make_request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        return Incoming(message, payload, protocol, writer, task, self._loop)


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
        self._given: dict[Wanted, socket.socket] = {}
        self._stands_in: dict[int, list[asyncio.Server]] = {}

    def give(self, wanted: Wanted, bound: socket.socket) -> None:
        """`bound` is what to listen on where `wanted` is wanted, in place of a socket of our own."""
        self._given[wanted] = bound

    def take_back(self) -> None:
        """Closes what was given and is not listened on."""
        for bound in self._given.values():
            bound.close()
        self._given.clear()

    async def stand_in(self, absent: int, wanted: Wanted, bound: socket.socket) -> None:
        """Answers at `bound`, too, as at `wanted`: it is that of worker `absent`, who is away."""
        opened = self._open.get(wanted)
        if opened is None:
            bound.close()
            return
        server = await self._serving(opened.listener, wanted, bound)
        self._stands_in.setdefault(absent, []).append(server)

    def step_back(self, absent: int) -> None:
        """Worker `absent` is there again. Connections that came by its socket stay."""
        for server in self._stands_in.pop(absent, ()):
            server.close()

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
            for bound in opened.server.sockets:
                host, port = bound.getsockname()[:2]
                found.append(("https" if wanted.secure else "http", Address(host, port)))
        return found

    def count(self) -> int:
        """Connections that stand."""
        return sum(len(listener.standing) for listener in self._listeners())

    async def sweep_forever(self) -> None:
        """Ends what takes too long, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP)
            for listener in self._listeners():
                listener.sweep(loop.time())
            self._left = [listener for listener in self._left if listener.standing]

    async def stop(
        self, under_way: Callable[[], int], seconds: float, last_words: Callable[[], None]
    ) -> None:
        """Takes no connection more, ends idle ones, and waits for what is under way for `seconds`.

        Then `last_words` are said to whoever is left.
        """
        for opened in self._open.values():
            opened.server.close()
        for absent in tuple(self._stands_in):
            self.step_back(absent)
        if not await self._quiet(under_way, seconds):
            last_words()
            await self._quiet(under_way, PARTING)
        for listener in self._listeners():
            await listener.shutdown(0.1)

    async def _quiet(self, under_way: Callable[[], int], seconds: float) -> bool:
        """Whether nobody is left, within `seconds`."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while True:
            for listener in self._listeners():
                for connection in listener.standing:
                    connection.leave()
            if not under_way() and not self.count():
                return True
            if loop.time() >= until:
                return False
            await asyncio.sleep(0.02)

    def _listeners(self) -> list[Listener]:
        return [opened.listener for opened in self._open.values()] + self._left

    async def _opened(self, wanted: Wanted) -> _Open:
        listener = self._make("https" if wanted.secure else "http")
        loop = asyncio.get_running_loop()
        tls = self._tls if wanted.secure else None
        patience = self._handshake if wanted.secure else None
        given = self._given.pop(wanted, None)
        if given is not None:
            return _Open(await self._serving(listener, wanted, given), listener)
        try:
            server = await loop.create_server(
                listener,
                wanted.address.host,
                wanted.address.port,
                backlog=BACKLOG,
                ssl=tls,
                ssl_handshake_timeout=patience,
            )
        except OSError as error:
            flag = "listen_tls" if wanted.secure else "--listen"
            raise AddressTaken(cannot_listen(wanted.address, error, flag)) from error
        return _Open(server, listener)

    async def _serving(self, listener: Listener, wanted: Wanted, bound: socket.socket) -> asyncio.Server:
        return await asyncio.get_running_loop().create_server(
            listener,
            sock=bound,
            backlog=BACKLOG,
            ssl=self._tls if wanted.secure else None,
            ssl_handshake_timeout=self._handshake if wanted.secure else None,
        )


def cannot_listen(address: Address, error: OSError, flag: str) -> str:
    """One sentence on why `address` can't be had and what to do."""
    if error.errno == errno.EADDRINUSE:
        return f"{address} is in use: stop the other process or choose another with {flag}"
    reason = (error.strerror or str(error)).lower()
    return f"{address} can't be listened on ({reason}): choose another with {flag}"
