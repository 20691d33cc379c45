"""What a name server counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

from geo.dns.answer import Reply
from geo.dns.message import Type
from geo.dns.rates import Verdict

_TYPES = {int(kind): kind.name for kind in Type if kind not in (Type.OPT, Type.ALIAS)}


class Metrics:
    """Counters of replies. `observe` is what a Server is given."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._replies = Counter(
            "tepi_dns_replies",
            "Replies by type of question, response code and the node that was answered first.",
            ("type", "rcode", "node"),
            registry=registry,
        )
        self._limited = Counter(
            "tepi_dns_limited",
            "Replies that were held back since a network got too many, by what it got instead.",
            ("verdict",),
            registry=registry,
        )
        self._known: dict[tuple[str, int, str | None], Counter] = {}

    def observe(self, reply: Reply, count: int = 1) -> None:
        """Counts `count` replies. All types without data here are one, so that no client makes new series."""
        kind = _TYPES.get(reply.type, "other")
        key = (kind, reply.rcode, reply.node)
        counter = self._known.get(key)
        if counter is None:
            counter = self._replies.labels(kind, reply.rcode.name, reply.node or "")
            self._known[key] = counter
        counter.inc(count)

    def limited(self, verdict: Verdict) -> None:
        """Counts a reply that was held back."""
        self._limited.labels(verdict.value).inc()
