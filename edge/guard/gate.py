"""What may stop a request on its way in: access by address, rate by address, body by size."""

from __future__ import annotations

import math
from collections.abc import Callable

from edge.config import Access, EdgeConfig, Limits
from edge.guard.clients import Clients, SharedConnections, SharedRate
from edge.guard.connections import Connections
from edge.guard.networks import Networks, counted_as
from edge.guard.rate import Rate
from edge.guard.refusal import Refusal
from edge.http.message import Fields

FORBIDDEN = Refusal(403, "address", "this address may not ask here")
FULL = Refusal(503, "connections", "too many connections", retry_after=1, close=True)


class Gate:
    """Limits and rules as they are configured now; counts outlive a change of configuration."""

    def __init__(
        self, config: EdgeConfig, monotonic: Callable[[], float], clients: Clients | None = None
    ) -> None:
        """`clients` is what the node's workers count together, where there are several."""
        self._monotonic = monotonic
        self._clients = clients
        self.connections = Connections() if clients is None else SharedConnections(clients)
        self._rate: Rate | None = None
        self._rated: tuple[float, int] = (0.0, 0)
        self.configure(config)

    def configure(self, config: EdgeConfig) -> None:
        """Takes `config` from now on. Buckets are kept where the rate stays."""
        self.limits: Limits = config.limits
        self.trusted = Networks(config.trusted_proxies)
        self._access: Access = config.access
        self._allowed = Networks(config.access.allow)
        self._denied = Networks(config.access.deny)
        rated = (config.limits.requests_per_second, config.limits.burst)
        if rated != self._rated:
            self._rated = rated
            self._rate = self._new_rate(*rated) if rated[0] > 0 else None
        # whether anything here depends on who asks
        self.guarded = self._rate is not None or bool(self.trusted or self._allowed or self._denied)

    def _new_rate(self, per_second: float, burst: int) -> Rate:
        clients = self._clients
        return Rate(per_second, burst) if clients is None else SharedRate(per_second, burst, clients)

    def connected(self, peer: str) -> Refusal | None:
        """Counts a connection of `peer`; why it can't stay. Trusted proxies bring many clients' at once."""
        held = self.connections.opened(peer)
        if self.connections.of_node > self.limits.connections:
            return FULL
        most = self.limits.connections_per_address
        return FULL if most and held > most and peer not in self.trusted else None

    def disconnected(self, peer: str) -> None:
        """Counts it no more."""
        self.connections.closed(peer)

    def admit(self, client: str, fields: Fields) -> Refusal | None:
        """Why a request of `client` goes no further, if it doesn't."""
        refusal = self._refused(client) if self.guarded else None
        if refusal is not None:
            return refusal
        length = fields.get("content-length")
        if length is not None and int(length) > self.limits.body:
            return too_large(self.limits.body)
        return None

    def _refused(self, client: str) -> Refusal | None:
        if client in self._denied or (self._allowed and client not in self._allowed):
            return FORBIDDEN
        if self._rate is not None:
            wait = self._rate.take(counted_as(client), self._monotonic())
            if wait:
                seconds = max(1, math.ceil(wait))
                return Refusal(429, "rate", f"too many requests; try again in {seconds} s", seconds)
        return None


def too_large(limit: int) -> Refusal:
    """A body longer than `limit` bytes (RFC 9110 §15.5.14)."""
    return Refusal(413, "body-size", f"the body may have {limit} bytes at most", close=True)
