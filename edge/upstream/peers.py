"""A worker's neighbours: asked over connections that are kept, and avoided for a while when they fail."""

from __future__ import annotations

import logging
import ssl
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from edge.document.origins import HealthCheck, Timeouts
from edge.http.asker import Asker
from edge.http.message import Answer, Fields, OnInterim, Request
from edge.telemetry import Gauge
from edge.upstream.backends import Backend
from edge.upstream.contract import UpstreamError
from edge.upstream.fetch import Exchanges, is_its_fault
from edge.upstream.health import OriginHealth
from edge.upstream.pool import Endpoint, Pool
from edge.upstream.tiers import FROM_A_VISITOR, Fleet, Neighbour, Next, Peer, Worker, route

log = logging.getLogger("tepi.edge.peers")

CONNECTIONS = 256
ALIVE = 102  # what a neighbour says at once where its answer takes long (RFC 2518 §10.1)
ONE_FAILURE_IS_ENOUGH = HealthCheck(fall=1, eject=1.0)
SPARE = 1.0  # seconds beyond what an origin may take: whoever waits for it must not give up first


class Peers:
    """Whom a worker may ask before an origin. `fleet` may change at any time.

    A neighbour must be there within `connect` seconds, and say something within `patience`. Other workers of
    this node listen in the directory `workers`.
    """

    def __init__(
        self,
        fleet: Fleet,
        tls: Callable[[], ssl.SSLContext],
        monotonic: Callable[[], float],
        *,
        workers: str = "",
        connect: float = 1.0,
        patience: float = 2.0,
    ) -> None:
        self.fleet = fleet
        self._workers = workers
        self._tls = tls
        self._monotonic = monotonic
        self._connect = connect
        self._patience = patience
        self._exchanges = Exchanges(monotonic)
        self._known: dict[Neighbour, Backend] = {}
        self.done: Counter[tuple[str, str]] = Counter()  # hops by tier and result

    def take(self, fleet: Fleet) -> None:
        """`fleet` from now on; what is known of who stays is kept."""
        self.fleet = fleet
        self._forget([one for one in self._known if isinstance(one, Peer) and one not in fleet.peers])

    def route(
        self, key: str, shield: str | None, asker: Asker | None, holder: int | None = None
    ) -> tuple[Next, ...]:
        """Whom to ask for `key` on behalf of `asker`, or of a visitor, one after another.

        `holder` is the process that fetches it, where another of this node's workers does.
        """
        worker = None if holder is None else Worker(holder, socket_of(self._workers, holder))
        return route(key, shield, self.fleet, asker or FROM_A_VISITOR, self._is_up, worker)

    async def ask(self, to: Next, request: Request, origins: Timeouts) -> Answer:
        """The answer of a neighbour, whoever it has asked in turn: as long as an origin may take, and a bit.

        Raises UpstreamError; who fails is not asked for a while.
        """
        backend = self._backend(to.neighbour)
        timeouts = origins.model_copy(
            update={
                "connect": self._connect,
                "first_byte": origins.first_byte + origins.connect + SPARE,
                "between_bytes": origins.between_bytes + SPARE,
            }
        )
        heard = replace(request, on_interim=_but_alive(request.on_interim))
        try:
            return await self._exchanges.ask(backend, heard, timeouts, True, self._patience)
        except UpstreamError as error:
            if is_its_fault(error):
                self.failed(to, error)
            raise

    def failed(self, to: Next, error: UpstreamError) -> None:
        """`to` could not be relied on: others are asked for a while."""
        backend, now = self._backend(to.neighbour), self._monotonic()
        if backend.health.state(now) == "up":
            log.warning("%s is not asked for a while: %s", backend.url, error.detail)
        backend.health.failed(now)

    def count(self, to: Next, result: str) -> None:
        """Note what came of a hop."""
        self.done[_word(to), result] += 1

    def tend(self) -> None:
        """Closes connections that were idle too long, or whose other end is gone. Called now and then."""
        self._forget([one for one in self._known if isinstance(one, Worker) and not Path(one.path).exists()])
        for backend in self._known.values():
            backend.pool.tend()

    def _forget(self, gone: Iterable[Neighbour]) -> None:
        for each in gone:
            self._known.pop(each).pool.close()

    def close(self) -> None:
        """Closes every connection that nobody uses."""
        for backend in self._known.values():
            backend.pool.close()

    def counts(self) -> Iterator[Gauge]:
        """For metrics."""
        for (tier, result), count in self.done.items():
            text = "Requests that went on to a neighbour: a worker that fetches, the key's owner, a shield."
            yield Gauge("hops", text, count, {"tier": tier, "result": result})

    def standing(self, to: Next) -> str:
        """A hop in words, for explanations."""
        return f"{named(to)} ({self._backend(to.neighbour).url})"

    def _is_up(self, neighbour: Neighbour) -> bool:
        backend = self._known.get(neighbour)
        return backend is None or backend.health.state(self._monotonic()) == "up"

    def _backend(self, neighbour: Neighbour) -> Backend:
        known = self._known.get(neighbour)
        if known is None:
            tls = self._tls if isinstance(neighbour, Peer) else None
            pool = Pool(_endpoint(neighbour), CONNECTIONS, tls)
            health = OriginHealth(ONE_FAILURE_IS_ENOUGH)
            known = self._known[neighbour] = Backend(_url(neighbour), "/", 1, pool, health)
        return known


def socket_of(directory: str, process: int) -> str:
    """Where a worker listens for the others, in the directory that they share."""
    return f"{directory}/{process}.sock"


def named(to: Next) -> str:
    """Who is asked, and as what."""
    match to.neighbour:
        case Peer(name=name):
            return f"{_word(to)} {name}"
        case Worker(process=process):
            return f"worker {process}"


def _word(to: Next) -> str:
    return "worker" if to.inner else to.tier.name.lower()


def _endpoint(neighbour: Neighbour) -> Endpoint:
    match neighbour:
        case Peer(name=name, address=address):
            return Endpoint("https", address.host, address.port, mutual=True, name=name)
        case Worker(path=path):
            return Endpoint("http", "localhost", 80, path=path)


def _url(neighbour: Neighbour) -> str:
    match neighbour:
        case Peer(name=name, address=address):
            return f"peer:{name}@{address}"
        case Worker(process=process):
            return f"worker:{process}"


def _but_alive(tell: OnInterim | None) -> OnInterim | None:
    """`tell` of what visitors may hear."""
    if tell is None:
        return None

    def told(status: int, fields: Fields) -> None:
        if status != ALIVE:
            tell(status, fields)

    return told
