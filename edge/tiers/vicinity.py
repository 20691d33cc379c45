"""A worker and those around it: whom it asks, who asks it, and what its PoP shares."""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from edge.clock import Clock
from edge.config import EdgeConfig
from edge.http.message import Answer, Request
from edge.identity import Identity
from edge.ids import Ids
from edge.position import Position
from edge.store.memory import MemoryStore
from edge.store.shared import SharedStore
from edge.tasks import Tasks, every
from edge.telemetry import Finished, Gauge
from edge.tiers.callers import Callers
from edge.tiers.settings import TiersTable, fleet_told
from edge.tls import BadCertificate, KeyPair
from edge.upstream.peers import Peers, socket_of
from edge.upstream.tiers import Fleet

log = logging.getLogger("tepi.edge.peers")

TEND = 5.0  # seconds


class Vicinity:
    """What surrounds one worker of a node. In the directory `workers` the others listen, if there are any."""

    def __init__(
        self,
        config: EdgeConfig,
        identity: Identity | None,
        clock: Clock,
        *,
        workers: str = "",
    ) -> None:
        """Raises BadCertificate, NoSecret."""
        self._config = config
        self._clock = clock
        self._workers = workers
        self._identity = identity
        self.shared: SharedStore | None = None
        if config.store.shared is not None:
            self.shared = config.store.shared.open(clock)
        self.peers: Peers | None = None
        if config.tiers is not None or workers:
            self.peers = self._peers(config.tiers)
        self.callers: Callers | None = None

    def _peers(self, tiers: TiersTable | None) -> Peers:
        if tiers is None:
            return Peers(self._fleet(self._config), _no_tls, self._clock.monotonic, workers=self._workers)
        context = client_context(tiers) if self._identity is None else self._identity.client_context()
        fleet, now = self._fleet(self._config), self._clock.monotonic
        return Peers(
            fleet,
            lambda: context,
            now,
            workers=self._workers,
            connect=tiers.connect,
            patience=tiers.patience,
        )

    def _fleet(self, config: EdgeConfig) -> Fleet:
        if self._identity is not None:
            return Fleet(self._identity.name, "")
        return Fleet(config.name, "") if config.tiers is None else config.tiers.fleet(config.name)

    def let_in(
        self,
        answer: Callable[[Request], Awaitable[Answer]],
        finished: Callable[[Finished], None],
        store: MemoryStore,
        new_id: Ids,
    ) -> None:
        """Have those who ask this worker answered by `answer`, once it listens."""
        peers = self.peers
        if peers is not None:
            self.callers = Callers(
                self._config,
                fleet=lambda: peers.fleet,
                answer=answer,
                finished=finished,
                store=store,
                clock=self._clock,
                new_id=new_id,
            )

    async def open(self, tasks: Tasks, stands: Position) -> None:
        """Listens for others, as a node that `stands` there. Raises AddressTaken, BadCertificate, OSError."""
        if self.shared is not None:
            self.shared.begin(stands)
            tasks.start(self.shared.write_forever())
        if self.callers is None or self.peers is None:
            return
        tiers = self._config.tiers
        if self._workers:
            await self.callers.listen_for_workers(socket_of(self._workers, os.getpid()))
        if tiers is not None:
            tls = server_context(tiers) if self._identity is None else self._identity.server_context()
            address = await self.callers.listen(tiers.listen, tls, reuse_port=bool(self._workers))
            log.info("listening for peers on %s", address)
        tasks.start(self.callers.sweep_forever())
        tasks.start(every(TEND, self.peers.tend))

    async def close(self) -> None:
        """Answers nobody any more, and asks nobody."""
        if self.callers is not None:
            await self.callers.close()
        if self.peers is not None:
            self.peers.close()
        if self.shared is not None:
            await self.shared.close()

    def take(self, config: EdgeConfig) -> None:
        """The peers of `config` from now on, where no control tells of them."""
        if self.peers is not None and self._identity is None:
            self.peers.take(self._fleet(config))

    def meet(self, nodes: Iterable[Mapping[str, Any]]) -> None:
        """The fleet is `nodes` from now on, as control tells."""
        tiers = self._config.tiers
        if self.peers is not None and self._identity is not None and tiers is not None:
            self.peers.take(fleet_told(self._identity.name, nodes, tiers.listen.port))

    def counts(self) -> Iterator[Gauge]:
        """What was counted of it."""
        if self.peers is not None:
            yield from self.peers.counts()
        if self.callers is not None:
            yield from self.callers.counts()
        if self.shared is not None:
            yield from self.shared.counts()


def client_context(tiers: TiersTable) -> ssl.SSLContext:
    """TLS towards peers: both sides show a certificate of the fleet's authority. Raises BadCertificate."""
    return _between_peers(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), tiers)


def server_context(tiers: TiersTable) -> ssl.SSLContext:
    """TLS of the listener for peers. Raises BadCertificate."""
    return _between_peers(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), tiers)


def _between_peers(context: ssl.SSLContext, tiers: TiersTable) -> ssl.SSLContext:
    KeyPair(Path(tiers.certificate), Path(tiers.key)).context()  # which says what is wrong with them
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(tiers.certificate, tiers.key)
    try:
        context.load_verify_locations(tiers.authority)
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or str(error)
        raise BadCertificate(f"{tiers.authority} can't be read as tiers.authority: {reason}") from None
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _no_tls() -> Any:
    """Workers of one node speak without it."""
    raise BadCertificate("a node without [tiers] has no certificate for peers")
