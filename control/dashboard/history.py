"""The fleet's figures over time, kept in memory as far as pages show them: a look costs only what is new."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from control.samples import SECONDS, Counters, Resolution, Samples, total

Range = Literal["15m", "24h", "30d"]
Nodes = dict[str, Counters]


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
RECENT = 15  # rows that are kept one by one


@dataclass(frozen=True, slots=True)
class Bucket:
    """What was counted in one step: by the fleet, and by each node. None where nothing was heard."""

    start: int
    fleet: Counters | None
    nodes: Nodes


@dataclass(slots=True)
class _Kept:
    """What is in memory of one range: rows of late, and steps that no row will change any more."""

    rows: dict[tuple[int, str], Counters] = field(default_factory=dict)
    steps: dict[int, Bucket] = field(default_factory=dict)
    read_to: int = 0


@dataclass(slots=True)
class History:
    """Reads rows once, and sums them up once."""

    samples: Samples
    _kept: dict[Range, _Kept] = field(default_factory=lambda: {range: _Kept() for range in SPANS})
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def buckets(self, range: Range, now: float) -> list[Bucket]:
        """Every whole step of `range`, the oldest first."""
        span, kept = SPANS[range], await self._known(range, now)
        end = _floor(now, span.step)
        open_ = _summed(kept.rows, span.step)
        return [_step(start, kept, open_) for start in _starts(span, end)]

    async def over(self, range: Range, now: float) -> tuple[Counters, Nodes]:
        """What the fleet, and each node, counted in `range` until now, as far as it is written."""
        span, kept = SPANS[range], await self._known(range, now)
        open_ = _summed(kept.rows, span.step)
        end = _floor(now, span.step) + span.step
        return _whole(_step(start, kept, open_).nodes for start in _starts(span, end))

    async def last(self, seconds: int, now: float) -> tuple[Counters, Nodes]:
        """What the fleet, and each node, counted in the last whole `seconds`, at most `RECENT`."""
        kept = await self._known("15m", now)
        end = int(now)
        return _whole(
            {node: counters} for (at, node), counters in kept.rows.items() if end - seconds <= at < end
        )

    @property
    def size(self) -> int:
        """How many rows and steps are in memory."""
        return sum(len(kept.rows) + len(kept.steps) for kept in self._kept.values())

    async def _known(self, range: Range, now: float) -> _Kept:
        span, kept = SPANS[range], self._kept[range]
        width = SECONDS[span.resolution]
        oldest = _floor(now, span.step) - span.seconds
        async with self._lock:
            for row in await self.samples.since(span.resolution, max(oldest, kept.read_to)):
                kept.rows[row["start"], row["node"]] = row["counters"]
            kept.read_to = max(kept.read_to, int(now) - LATE * width)
            _close(kept, span.step, _floor(now - RECENT * width, span.step))
            for start in [start for start in kept.steps if start < oldest]:
                del kept.steps[start]
        return kept


def _close(kept: _Kept, step: int, before: int) -> None:
    """Sums up the rows of steps that start before `before`, for good."""
    ended = {key: counters for key, counters in kept.rows.items() if _floor(key[0], step) < before}
    for start, nodes in _summed(ended, step).items():
        kept.steps[start] = Bucket(start, _whole([nodes])[0], nodes)
    for key in ended:
        del kept.rows[key]


def _step(start: int, kept: _Kept, open_: dict[int, Nodes]) -> Bucket:
    if start in kept.steps:
        return kept.steps[start]
    nodes = open_.get(start, {})
    return Bucket(start, _whole([nodes])[0] if nodes else None, nodes)


def _summed(rows: dict[tuple[int, str], Counters], step: int) -> dict[int, Nodes]:
    """`rows` by time and node, summed up by step and node."""
    steps: dict[int, Nodes] = {}
    for (at, node), counters in rows.items():
        nodes = steps.setdefault(_floor(at, step), {})
        nodes[node] = total(nodes[node], counters) if node in nodes else counters
    return steps


def _whole(parts: Iterable[Nodes]) -> tuple[Counters, Nodes]:
    """The sum of `parts`: the fleet's, and each node's."""
    nodes: Nodes = {}
    for part in parts:
        for node, counters in part.items():
            nodes[node] = total(nodes[node], counters) if node in nodes else counters
    fleet: Counters = {}
    for counters in nodes.values():
        fleet = total(fleet, counters)
    return fleet, nodes


def _starts(span: Span, end: int) -> Iterable[int]:
    return range(end - span.seconds, end, span.step)


def _floor(at: float, step: int) -> int:
    return int(at) // step * step
