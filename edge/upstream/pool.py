"""Connections to one origin: kept, lent one exchange at a time, bounded in number."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from edge.upstream.contract import Failure, UpstreamError
from edge.upstream.http1 import Connection

IDLE_SECONDS = 50.0  # shorter than most servers keep an idle connection
WAITING_PER_CONNECTION = 4  # requests that may wait for each connection there may be

P = TypeVar("P", bound=asyncio.BaseProtocol)
TlsContext = Callable[[], ssl.SSLContext]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an origin listens, and how its certificate is judged. `mutual` shows it the node's own.

    The certificate is for `name`, or for the host. With a `path` it is a Unix socket.
    """

    scheme: str
    host: str
    port: int
    verify: bool = True
    mutual: bool = False
    name: str = ""
    path: str = ""

    @property
    def url(self) -> str:
        """As in the configuration: without a default port."""
        return f"{self.scheme}://{self.authority}"

    @property
    def authority(self) -> str:
        """What a Host field would say."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = self.port == (443 if self.scheme == "https" else 80)
        return host if default else f"{host}:{self.port}"


@dataclass(slots=True)
class Lease:
    """A connection lent for one exchange. `fresh`: nothing was sent on it before."""

    connection: Connection
    fresh: bool


class Pool:
    """The connections to `endpoint`. Idle ones are lent youngest first; the rest of the time they wait."""

    def __init__(self, endpoint: Endpoint, limit: int, tls: TlsContext | None) -> None:
        self.endpoint = endpoint
        self.limit = limit
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._idle: deque[tuple[Connection, float]] = deque()
        self._lent: set[Connection] = set()
        self._opening = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed = False

    @property
    def open(self) -> int:
        """Connections that stand or are being made."""
        return len(self._idle) + len(self._lent) + self._opening

    @property
    def busy(self) -> int:
        """Connections that are lent or being made."""
        return len(self._lent) + self._opening

    async def lease(self, seconds: float, *, idle_at_most: float = IDLE_SECONDS) -> Lease:
        """A connection within `seconds`: one that was idle for `idle_at_most`, or a new one.

        Raises UpstreamError.
        """
        kept = self._kept(idle_at_most)
        if kept is not None:
            self._lent.add(kept)
            return Lease(kept, fresh=False)
        try:
            async with asyncio.timeout(seconds):
                while True:
                    kept = self._kept(idle_at_most)
                    if kept is not None:
                        self._lent.add(kept)
                        return Lease(kept, fresh=False)
                    if self.open < self.limit or self._drop_oldest():
                        return await self._new()
                    await self._turn()
        except TimeoutError:
            raise self._error("timeout", f"no connection within {seconds:g} s") from None

    def give_back(self, connection: Connection) -> None:
        """Ends a loan: a connection that can serve again is kept, any other closed."""
        self._lent.discard(connection)
        if connection.reusable and not self._closed:
            self._idle.append((connection, self._loop.time()))
        else:
            connection.close()
        self._wake()

    def tend(self) -> None:
        """Closes what was idle too long or was closed by the origin. Called now and then."""
        now = self._loop.time()
        kept: deque[tuple[Connection, float]] = deque()
        for connection, since in self._idle:
            if connection.reusable and now - since < IDLE_SECONDS:
                kept.append((connection, since))
            else:
                connection.close()
        self._idle = kept

    def close(self) -> None:
        """Closes idle connections now and lent ones when they come back."""
        self._closed = True
        for connection, _ in self._idle:
            connection.close()
        self._idle.clear()

    async def dial(self, protocol: Callable[[], P]) -> P:
        """A new connection outside the pool. Raises UpstreamError; the caller bounds the time."""
        context = self._tls() if self._tls is not None else None
        endpoint = self.endpoint
        try:
            if endpoint.path:
                _, made = await self._loop.create_unix_connection(protocol, endpoint.path)
                return made
            _, made = await self._loop.create_connection(
                protocol,
                endpoint.host,
                endpoint.port,
                ssl=context,
                server_hostname=(endpoint.name or endpoint.host) if context is not None else None,
            )
        except ssl.SSLError as error:
            raise self._error("tls", error.reason or str(error)) from error
        except OSError as error:
            raise self._error("connect", error.strerror or str(error)) from error
        return made

    def _kept(self, idle_at_most: float) -> Connection | None:
        now = self._loop.time()
        while self._idle:
            connection, since = self._idle[-1]
            if connection.reusable and now - since < IDLE_SECONDS and now - since > idle_at_most:
                return None
            self._idle.pop()
            if connection.reusable and now - since < IDLE_SECONDS and connection.silent:
                return connection
            connection.close()
        return None

    def _drop_oldest(self) -> bool:
        if not self._idle:
            return False
        self._idle.popleft()[0].close()
        return True

    async def _new(self) -> Lease:
        self._opening += 1
        try:
            connection = await self.dial(Connection)
        except BaseException:
            self._opening -= 1
            self._wake()
            raise
        self._opening -= 1
        self._lent.add(connection)
        return Lease(connection, fresh=True)

    async def _turn(self) -> None:
        if len(self._waiting) >= WAITING_PER_CONNECTION * self.limit:
            raise self._error(
                "overloaded", f"{self.limit} connections are busy and {len(self._waiting)} wait"
            )
        turn = self._loop.create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._wake()  # the turn came too late: it is the next one's
            raise
        finally:
            if turn in self._waiting:
                self._waiting.remove(turn)

    def _wake(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _error(self, failure: Failure, detail: str) -> UpstreamError:
        return UpstreamError(failure, self.endpoint.url, detail, sent=False)


@cache
def client_context(verify: bool) -> ssl.SSLContext:
    """How a node speaks TLS to origins: the system's authorities, or none at all."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
