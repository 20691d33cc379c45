"""Figures over time: heartbeats' cumulative counters, as rows of a second, a minute, an hour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from sqlalchemy import delete, insert, select

from control.db.database import Database, Statements
from control.db.tables import samples
from control.fanout import Fanout

Resolution = Literal["second", "minute", "hour"]
SECONDS: dict[Resolution, int] = {"second": 1, "minute": 60, "hour": 3600}
KEPT: dict[Resolution, int] = {"second": 3600, "minute": 3 * 86_400, "hour": 400 * 86_400}
Counters = dict[str, Any]
MEASURED = ("store",)  # in heartbeats too, but of the moment: nothing to be added up


class Samples:
    """Writes what nodes counted since the last time, and reads it back."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._before: dict[str, Counters] = {}
        self._open: dict[tuple[Resolution, str], tuple[int, Counters]] = {}

    async def take(self, fanout: Fanout, now: float) -> None:
        """One row a node for this second; the rows of minute and hour when those are over."""
        rows = []
        for seen in fanout.all():
            if seen.role != "edge" or not seen.counters:
                continue
            counters = {name: value for name, value in seen.counters.items() if name not in MEASURED}
            counted = delta(counters, self._before.get(seen.name))
            self._before[seen.name] = counters
            rows.append(_row("second", int(now), seen.name, counted))
            rows += self._roll("minute", seen.name, now, counted)
            rows += self._roll("hour", seen.name, now, counted)
        async with self._database.write() as connection:
            for row in rows:
                await _store(connection, row)
            if int(now) % 60 == 0:
                for resolution, kept in KEPT.items():
                    await connection.execute(
                        delete(samples).where(
                            samples.c.resolution == resolution, samples.c.start < int(now) - kept
                        )
                    )

    def _roll(self, resolution: Resolution, node: str, now: float, counted: Counters) -> list[dict[str, Any]]:
        start = int(now) // SECONDS[resolution] * SECONDS[resolution]
        began, so_far = self._open.get((resolution, node), (start, {}))
        if began != start:
            self._open[resolution, node] = (start, counted)
            return [_row(resolution, began, node, so_far)]
        self._open[resolution, node] = (start, total(so_far, counted))
        return []

    async def close(self) -> None:
        """Writes minutes and hours that are not over yet; a restart adds to them."""
        async with self._database.write() as connection:
            for (resolution, node), (start, counted) in self._open.items():
                await _store(connection, _row(resolution, start, node, counted))
        self._open.clear()

    async def since(
        self, resolution: Resolution, start: float, node: str | None = None
    ) -> list[dict[str, Any]]:
        """Rows from `start` on, by time and node: start, node, counters."""
        query = select(samples.c.start, samples.c.node, samples.c.counters).where(
            samples.c.resolution == resolution, samples.c.start >= int(start)
        )
        if node is not None:
            query = query.where(samples.c.node == node)
        async with self._database.read() as connection:
            rows = await connection.execute(query.order_by(samples.c.start, samples.c.node))
            return [dict(row._mapping) for row in rows]


def delta(now: Mapping[str, Any], before: Mapping[str, Any] | None) -> Counters:
    """What was counted since `before`. A counter that fell belongs to a restarted node: all of it counts."""
    if before is None:
        return {name: delta(value, None) if isinstance(value, Mapping) else 0 for name, value in now.items()}
    counted: Counters = {}
    for name, value in now.items():
        past = before.get(name)
        if isinstance(value, Mapping):
            counted[name] = delta(value, past if isinstance(past, Mapping) else {})
        elif isinstance(value, int | float):
            known = past if isinstance(past, int | float) else 0
            counted[name] = value - known if value >= known else value
    return counted


def total(one: Mapping[str, Any], other: Mapping[str, Any]) -> Counters:
    """The sum of two spans."""
    whole: Counters = dict(one)
    for name, value in other.items():
        if isinstance(value, Mapping):
            whole[name] = total(whole.get(name) or {}, value)
        else:
            whole[name] = whole.get(name, 0) + value
    return whole


def _row(resolution: Resolution, start: int, node: str, counters: Counters) -> dict[str, Any]:
    return {"resolution": resolution, "start": start, "node": node, "counters": counters}


async def _store(connection: Statements, row: dict[str, Any]) -> None:
    """Adds `row`, or adds it to the one that an earlier process has written for the same span."""
    same = (
        samples.c.resolution == row["resolution"],
        samples.c.start == row["start"],
        samples.c.node == row["node"],
    )
    there = (await connection.execute(select(samples.c.counters).where(*same))).first()
    if there is not None:
        row = {**row, "counters": total(there.counters, row["counters"])}
        await connection.execute(delete(samples).where(*same))
    await connection.execute(insert(samples).values(**row))
