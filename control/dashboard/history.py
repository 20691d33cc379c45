"""The fleet's figures over time, kept in memory as far as pages show them: a look costs only what is new."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from control.samples import SECONDS, Counters, Resolution, Samples, total

Range = Literal["15m", "24h", "30d"]


@dataclass(frozen=True, slots=True)
class Span:
    """A range that can be looked at: made of which rows, drawn in steps of how many seconds."""

    resolution: Resolution
    seconds: int
    step: int


SPANS: dict[Range, Span] = {
    "15m": Span("second", 900, 10),
    "24h": Span("minute", 86_400, 600),
    "30d": Span("hour", 30 * 86_400, 14_400),
}
LATE = 2  # rows; a row may still be written when its time is over


@dataclass(frozen=True, slots=True)
class Bucket:
    """What was counted in one step: by the fleet, and by each node. None where nothing was heard."""

    start: int
    fleet: Counters | None
    nodes: dict[str, Counters]


@dataclass(slots=True)
class History:
    """Reads rows once and keeps them while a range can show them."""

    samples: Samples
    _rows: dict[Resolution, dict[tuple[int, str], Counters]] = field(default_factory=dict)
    _read_to: dict[Resolution, int] = field(default_factory=dict)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def buckets(self, range: Range, now: float) -> list[Bucket]:
        """Every whole step of `range`, the oldest first."""
        span = SPANS[range]
        rows = await self._known(span, now)
        end = int(now) // span.step * span.step
        return bucketed(rows, end - span.seconds, end, span.step)

    async def last(self, seconds: int, now: float) -> tuple[Counters, dict[str, Counters]]:
        """What the fleet, and each node, counted in the last whole `seconds`."""
        rows = await self._known(SPANS["15m"], now)
        end = int(now)
        whole = bucketed(rows, end - seconds, end, seconds)[0]
        return whole.fleet or {}, whole.nodes

    async def over(self, range: Range, now: float) -> tuple[Counters, dict[str, Counters]]:
        """What the fleet, and each node, counted in all of `range`, as far as it is written."""
        span = SPANS[range]
        rows = await self._known(span, now)
        end = int(now) + 1
        whole = bucketed(rows, end - span.seconds, end, span.seconds)[0]
        return whole.fleet or {}, whole.nodes

    @property
    def kept(self) -> int:
        """How many rows are in memory."""
        return sum(len(rows) for rows in self._rows.values())

    async def _known(self, span: Span, now: float) -> dict[tuple[int, str], Counters]:
        width = SECONDS[span.resolution]
        oldest = int(now) - span.seconds - span.step
        async with self._lock:
            rows = self._rows.setdefault(span.resolution, {})
            since = max(oldest, self._read_to.get(span.resolution, oldest))
            for row in await self.samples.since(span.resolution, since):
                rows[row["start"], row["node"]] = row["counters"]
            self._read_to[span.resolution] = int(now) - LATE * width
            for key in [key for key in rows if key[0] < oldest]:
                del rows[key]
            return rows


def bucketed(rows: dict[tuple[int, str], Counters], start: int, end: int, step: int) -> list[Bucket]:
    """`rows` by time and node, summed up in steps from `start` until before `end`."""
    steps: list[dict[str, Counters]] = [{} for _ in range(start, end, step)]
    for (at, node), counters in rows.items():
        if start <= at < end:
            nodes = steps[(at - start) // step]
            nodes[node] = total(nodes[node], counters) if node in nodes else counters
    return [
        Bucket(start + step * index, _sum(list(nodes.values())), nodes) for index, nodes in enumerate(steps)
    ]


def _sum(parts: Sequence[dict[str, Any]]) -> Counters | None:
    if not parts:
        return None
    whole = parts[0]
    for part in parts[1:]:
        whole = total(whole, part)
    return whole
