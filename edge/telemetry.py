"""What a node counts of its work, for Prometheus and for control."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field
from typing import Any, cast

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from edge.http.message import Outcome, Request
from edge.http.values import dataclass
from edge.series import BOUNDS, Series

CLIENT_GONE = 499  # as nginx logs a client that left before his answer
_FAMILY = {
    "hit": "hits", "stale": "stale", "revalidated": "revalidated", "miss": "misses", "pass": "passes",
    "refused": "refused", "error": "errors",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finished:
    """One request that is over: what was asked, what was answered, what it took."""

    request: Request
    status: int
    outcome: Outcome
    bytes_sent: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Gauge:
    """What somebody else measures, or counts. `name` goes without the `tepi_edge_`."""

    name: str
    help: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


class Telemetry(Collector):
    """Counts every answer. Plain numbers, turned into metrics only when somebody asks."""

    def __init__(
        self,
        gauges: Callable[[], Iterable[Gauge]],
        bytes_origin: Callable[[], int],
        counts: Callable[[], Iterable[Gauge]] = tuple,
    ) -> None:
        self._series: dict[tuple[str, str, int, tuple[str, ...]], Series] = {}
        self._gauges = gauges
        self._bytes_origin = bytes_origin
        self._counts = counts

    def count(self, finished: Finished) -> None:
        """Counts one answer."""
        self.series(finished.outcome, finished.status).add(finished.bytes_sent, finished.seconds)

    def series(self, outcome: Outcome, status: int) -> Series:
        """Where answers like that are counted."""
        rules = outcome.rules or ((str(outcome.reason),) if outcome.verdict == "rule" else ())
        key = (outcome.site or "", outcome.verdict, status // 100, rules)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = Series()
        return series

    def counters(self) -> dict[str, Any]:
        """Cumulative since the start, for heartbeats. `latency` counts answers that took up to each bound."""
        totals = dict.fromkeys(
            (
                "requests",
                "hits",
                "stale",
                "revalidated",
                "misses",
                "passes",
                "refused",
                "errors",
                "other",
                "bytes_sent",
            ),
            0,
        )
        buckets = [0] * (len(BOUNDS) + 1)
        for (_, verdict, status, _), series in self._series.items():
            totals["requests"] += series.requests
            totals["bytes_sent"] += series.bytes_sent
            ours = verdict in ("refused", "rule")  # a closed site is no failing one
            family = "errors" if status == 5 and not ours else _FAMILY.get(verdict, "other")
            totals[family] += series.requests
            buckets = [sum(pair) for pair in zip(buckets, series.buckets, strict=True)]
        return {
            **totals,
            "bytes_origin": self._bytes_origin(),
            "latency": {str(bound): count for bound, count in zip((*BOUNDS, "inf"), buckets, strict=True)},
        }

    def collect(self) -> Iterable[Metric]:
        """Everything as Prometheus metrics."""
        labels = ["site", "verdict", "status"]
        requests = CounterMetricFamily("tepi_edge_requests", "Answers sent.", labels=labels)
        sent = CounterMetricFamily("tepi_edge_sent_bytes", "Body bytes sent to clients.", labels=labels)
        seconds = HistogramMetricFamily(
            "tepi_edge_request_seconds", "From a request's head to its answer's end.", labels=labels
        )
        for (site, verdict, status), series in self._without_rules():
            values = [site, verdict, f"{status}xx"]
            requests.add_metric(values, series.requests)
            sent.add_metric(values, series.bytes_sent)
            seconds.add_metric(values, list(_cumulative(series.buckets)), series.seconds)
        yield from (requests, sent, seconds)
        ruled = CounterMetricFamily(
            "tepi_edge_ruled", "Answers in which a site's rules had a say.", labels=["site", "rule"]
        )
        for (site, rule), count in self._by_rule().items():
            ruled.add_metric([site, rule], count)
        yield ruled
        yield CounterMetricFamily(
            "tepi_edge_origin_received_bytes", "Body bytes from origins.", value=self._bytes_origin()
        )
        yield from measured(self._gauges())
        yield from counted(self._counts())

    def _without_rules(self) -> Iterable[tuple[tuple[str, str, int], Series]]:
        sums: dict[tuple[str, str, int], Series] = {}
        for (*key, _), series in self._series.items():
            sums.setdefault(cast("tuple[str, str, int]", tuple(key)), Series()).include(series)
        return sums.items()

    def _by_rule(self) -> Counter[tuple[str, str]]:
        """Answers by site and rule."""
        found: Counter[tuple[str, str]] = Counter()
        for (site, _, _, rules), series in self._series.items():
            for rule in rules:
                found[site, rule] += series.requests
        return found


def measured(figures: Iterable[Gauge]) -> Iterable[Metric]:
    """`figures` as families of gauges."""
    return _families(GaugeMetricFamily, figures)


def counted(figures: Iterable[Gauge]) -> Iterable[Metric]:
    """`figures` as families of counters."""
    return _families(CounterMetricFamily, figures)


def _families(
    kind: type[GaugeMetricFamily] | type[CounterMetricFamily], figures: Iterable[Gauge]
) -> Iterable[Metric]:
    families: dict[str, GaugeMetricFamily | CounterMetricFamily] = {}
    for one in figures:
        family = families.get(one.name)
        if family is None:
            family = families[one.name] = kind(f"tepi_edge_{one.name}", one.help, labels=list(one.labels))
        family.add_metric(list(one.labels.values()), one.value)
    return families.values()


def _cumulative(buckets: list[int]) -> Iterator[tuple[str, float]]:
    total = 0
    for bound, count in zip((*BOUNDS, float("inf")), buckets, strict=True):
        total += count
        yield ("+Inf" if bound == float("inf") else str(bound)), float(total)
