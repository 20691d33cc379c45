"""Where peers come in: nodes of the fleet, who show certificates, and workers of this very node.

What they ask goes into the same pipeline as what visitors ask.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from edge.clock import Clock
from edge.config import EdgeConfig
from edge.document.notation import Address
from edge.front import Front
from edge.guard.gate import Gate
from edge.guard.refusal import Refusal
from edge.http.message import NO_FIELDS, Answer, Client, Request
from edge.http.passing import received
from edge.ids import Ids
from edge.lane import Lane
from edge.listeners import BACKLOG, AddressTaken, Listener, cannot_listen
from edge.reply import Sent
from edge.server import Connection
from edge.store.contract import Store
from edge.telemetry import Finished, Gauge
from edge.upstream.peers import ALIVE
from edge.upstream.tiers import Fleet

LIFE_SIGN = 0.1  # seconds after which who asks is told that his answer is on its way
SWEEP = 1.0
HEAD = 256 * 1024  # bytes: what a visitor's request may have, and what nodes add
STRANGER = Refusal(403, "no-peer", "only nodes of this fleet are answered here", close=True)
NO_HOP = Refusal(400, "no-hop", "this is no request that a node of this fleet passes on", close=True)
METHOD = Refusal(405, "method", "only GET is passed on", close=True)


class Callers:
    """The listeners for peers. `fleet` tells who belongs to it, `answer` is the pipeline's."""

    def __init__(
        self,
        config: EdgeConfig,
        *,
        fleet: Callable[[], Fleet],
        answer: Callable[[Request], Awaitable[Answer]],
        finished: Callable[[Finished], None],
        store: Store,
        clock: Clock,
        new_id: Ids,
    ) -> None:
        self._fleet = fleet
        self._answer = answer
        self._finished = finished
        self._gate = Gate(_unlimited(config), clock.monotonic)
        self._lane = Lane(store.front, self._gate, new_id, 0)
        self._lane.close()  # it has what visitors get
        self._opened: list[tuple[asyncio.Server, Listener]] = []
        self.done: Counter[str] = Counter()  # requests by verdict
        self.front = Front(
            gate=self._gate,
            answer=self._answered,
            relay=_no_upgrade,
            finished=self._count,
            clock=clock,
            new_id=new_id,
            locate=lambda address, host, path: Client(address),
            ready=lambda: True,
            keep=lambda ticket, request, answer, head: None,
            vouched=self._vouched,
        )

    async def listen(self, address: Address, tls: ssl.SSLContext, *, reuse_port: bool = False) -> Address:
        """Lets nodes in at `address`; where that is, a port that was 0 as the one it became.

        With `reuse_port` other workers listen there too. Raises AddressTaken.
        """
        listener = self._listener("https")
        try:
            server = await asyncio.get_running_loop().create_server(
                listener, address.host, address.port, backlog=BACKLOG, ssl=tls, reuse_port=reuse_port
            )
        except OSError as error:
            raise AddressTaken(cannot_listen(address, error, "tiers.listen")) from error
        self._opened.append((server, listener))
        host, port = server.sockets[0].getsockname()[:2]
        return Address(host, port)

    async def listen_for_workers(self, path: str) -> None:
        """Lets this node's other workers in at the socket `path`, in a directory that is the node's alone.

        One that a worker before has left there is replaced.

        Raises OSError.
        """
        listener = self._listener("http")
        server = await asyncio.get_running_loop().create_unix_server(listener, path, backlog=BACKLOG)
        self._opened.append((server, listener))

    async def sweep_forever(self) -> None:
        """Ends what takes too long, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP)
            for _, listener in self._opened:
                listener.sweep(asyncio.get_running_loop().time())

    async def close(self) -> None:
        """Answers nobody any more."""
        self.front.draining = True
        for server, listener in self._opened:
            server.close()
            await listener.shutdown(0.1)
        self._opened.clear()

    def counts(self) -> Iterator[Gauge]:
        """For metrics."""
        for verdict, count in self.done.items():
            yield Gauge("peer_requests", "Requests of neighbours.", count, {"verdict": verdict})

    def _listener(self, scheme: str) -> Listener:
        front = self.front
        return Listener(
            front.handle, front.plain, front.refuse, self._gate, scheme, self._lane, lambda peer: (None, None)
        )

    def _vouched(self, request: Request, connection: Connection) -> tuple[Request, Refusal | None]:
        """A neighbour's request as its visitor's, or why it goes no further."""
        name = None
        if connection.scheme == "https":
            name = _name_of(connection.transport)
            if all(peer.name != name for peer in self._fleet().peers):
                return request, STRANGER
        if request.method != "GET" or request.body is not None:
            return request, METHOD
        visitors = received(request)
        if visitors is None or visitors.asker is None:
            return request, NO_HOP
        if visitors.asker.name != (self._fleet().name if name is None else name):
            return request, STRANGER
        if visitors.asker.inner is not (name is None):
            return request, NO_HOP
        return visitors, None

    async def _answered(self, request: Request) -> Answer:
        """The pipeline's answer; a sign of life where that takes long."""
        tell = request.on_interim
        assert tell is not None
        sign = asyncio.get_running_loop().call_later(LIFE_SIGN, tell, ALIVE, NO_FIELDS)
        try:
            return await self._answer(request)
        finally:
            sign.cancel()

    def _count(self, finished: Finished) -> None:
        self.done[finished.outcome.verdict] += 1
        asker = finished.request.asker
        if asker is None or not asker.inner:  # the worker who let the visitor in logs him
            self._finished(finished)


def _unlimited(config: EdgeConfig) -> EdgeConfig:
    """`config` without what limits visitors: peers bring many at once, who were let in where they came."""
    limits = config.limits.model_copy(
        update={"head": HEAD, "connections_per_address": 0, "requests_per_second": 0.0}
    )
    access = type(config.access)()
    return config.model_copy(update={"limits": limits, "access": access, "trusted_proxies": ()})


def _name_of(transport: asyncio.Transport | None) -> str | None:
    """The name in the certificate that a node has shown."""
    shown: Any = None if transport is None else transport.get_extra_info("peercert")
    for part in (shown or {}).get("subject", ()):
        for attribute, value in part:
            if attribute == "commonName":
                return str(value)
    return None


async def _no_upgrade(request: Request, connection: Connection) -> Answer | Sent:
    """Nobody switches protocols between nodes."""
    return METHOD.answer("tepi", "")
