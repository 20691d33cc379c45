"""What a node tells of its work: counters for Prometheus and for control, and the access log."""

from __future__ import annotations

import json
import re
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from io import FileIO, RawIOBase
from pathlib import Path
from typing import Any, Literal

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from edge.http.message import Outcome, Request

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds
STANDARD_OUTPUT = 1
FLUSH_BYTES = 32 * 1024
CLIENT_GONE = 499  # as nginx logs a client that left before his answer
_FAMILY = {
    "hit": "hits", "stale": "stale", "revalidated": "revalidated", "miss": "misses", "pass": "passes",
    "refused": "refused", "error": "errors",
}  # fmt: skip
_SECRET = re.compile(
    r"([?&;][^=&;]*(?:token|secret|passw|pwd|sig|auth|session|sid|key|code|otp|email)[^=&;]*=)[^&;]+",
    re.IGNORECASE,
)
_to_json = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_UNPRINTABLE = re.compile(r'[\x00-\x1f"\\\x7f-\xff]')


@dataclass(frozen=True, slots=True)
class Finished:
    """One request that is over: what was asked, what was answered, what it took."""

    request: Request
    status: int
    outcome: Outcome
    bytes_sent: int
    seconds: float


@dataclass(slots=True)
class _Series:
    """What is counted for one site, verdict and class of status."""

    requests: int = 0
    bytes_sent: int = 0
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))


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
        self._series: dict[tuple[str, str, int], _Series] = {}
        self._ruled: dict[tuple[str, str], int] = {}  # site and rule -> answers
        self._gauges = gauges
        self._bytes_origin = bytes_origin
        self._counts = counts

    def count(self, finished: Finished) -> None:
        """Counts one answer."""
        outcome = finished.outcome
        key = (outcome.site or "", outcome.verdict, finished.status // 100)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = _Series()
        for rule in outcome.rules or ((str(outcome.reason),) if outcome.verdict == "rule" else ()):
            self._ruled[key[0], rule] = self._ruled.get((key[0], rule), 0) + 1
        series.requests += 1
        series.bytes_sent += finished.bytes_sent
        series.seconds += finished.seconds
        series.buckets[bisect_left(BOUNDS, finished.seconds)] += 1

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
        for (_, verdict, status), series in self._series.items():
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
        for (site, verdict, status), series in self._series.items():
            values = [site, verdict, f"{status}xx"]
            requests.add_metric(values, series.requests)
            sent.add_metric(values, series.bytes_sent)
            seconds.add_metric(values, list(_cumulative(series.buckets)), series.seconds)
        yield from (requests, sent, seconds)
        ruled = CounterMetricFamily(
            "tepi_edge_ruled", "Answers in which a site's rules had a say.", labels=["site", "rule"]
        )
        for (site, rule), count in self._ruled.items():
            ruled.add_metric([site, rule], count)
        yield ruled
        yield CounterMetricFamily(
            "tepi_edge_origin_received_bytes", "Body bytes from origins.", value=self._bytes_origin()
        )
        yield from _families(GaugeMetricFamily, self._gauges())
        yield from _families(CounterMetricFamily, self._counts())


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


class AccessLog:
    """One line an answer, written in batches. No cookie or credential appears; secrets in URLs are cut."""

    def __init__(
        self, form: Literal["json", "combined"], file: str, wall: Callable[[], float], node: str
    ) -> None:
        """Opens `file`, or takes standard output where it is empty. Raises OSError."""
        self._line = _json_line if form == "json" else _combined_line
        self._node = node
        self._file = file
        self._wall = wall
        self._waiting: list[str] = []
        self._size = 0
        self._out = self._open()

    def write(self, finished: Finished) -> None:
        """Notes one answer; it is in the file after the next `flush`, or when enough has gathered."""
        line = self._line(finished, self._wall(), self._node)
        self._waiting.append(line)
        self._size += len(line)
        if self._size > FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Writes what waits. A full disk or a closed pipe costs lines, never answers."""
        if not self._waiting:
            return
        text = "".join(self._waiting)
        self._waiting.clear()
        self._size = 0
        left = memoryview(text.encode("utf-8", "backslashreplace"))
        try:
            while left and (written := self._out.write(left)):
                left = left[written:]
        except OSError:
            return

    def close(self) -> None:
        """Writes what waits, for the last time."""
        self.flush()
        if self._file:
            self._out.close()

    def _open(self) -> RawIOBase:
        if self._file:
            return Path(self._file).open("ab", buffering=0)
        return FileIO(STANDARD_OUTPUT, "wb", closefd=False)


def _json_line(finished: Finished, now: float, node: str) -> str:
    request, outcome = finished.request, finished.outcome
    line: dict[str, object] = {
        "time": round(now, 3),
        "node": node,
        "id": request.id,
        "client": request.client.address,
        "method": request.method,
        "scheme": request.scheme,
        "host": request.host,
        "target": without_secrets(request.target),
        "version": request.version,
        "status": finished.status,
        "bytes": finished.bytes_sent,
        "seconds": round(finished.seconds, 6),
        "site": outcome.site,
        "verdict": outcome.verdict,
        "reason": outcome.reason,
    }
    if outcome.rules:
        line["rules"] = list(outcome.rules)
    if outcome.origin is not None:
        line["origin"] = outcome.origin
        line["origin_status"] = outcome.origin_status
        line["origin_seconds"] = outcome.origin_seconds and round(outcome.origin_seconds, 6)
    agent, referer = request.fields.get("user-agent"), request.fields.get("referer")
    if agent is not None:
        line["agent"] = agent
    if referer is not None:
        line["referer"] = without_secrets(referer)
    return _to_json(line) + "\n"


def _combined_line(finished: Finished, now: float, _: str) -> str:
    """Apache's and nginx's combined format."""
    request = finished.request
    stamp = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now))
    asked = f"{request.method} {without_secrets(request.target)} HTTP/{request.version}"
    referer = without_secrets(request.fields.get("referer") or "-")
    agent = request.fields.get("user-agent") or "-"
    return (
        f'{request.client.address} - - [{stamp}] "{_quoted(asked)}" {finished.status} {finished.bytes_sent} '
        f'"{_quoted(referer)}" "{_quoted(agent)}"\n'
    )


def without_secrets(target: str) -> str:
    """`target` with the values of parameters cut that are named like a secret."""
    return _SECRET.sub(r"\1...", target) if "?" in target else target


def _quoted(text: str) -> str:
    return _UNPRINTABLE.sub(lambda match: f"\\x{ord(match[0]):02X}", text)
