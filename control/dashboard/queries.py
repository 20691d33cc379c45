"""What pages show, read from control's parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from control.api.nodes import described
from control.dashboard.figures import Figures, Withheld, figures, withheld
from control.dashboard.history import SPANS
from control.dashboard.visit import Visit
from control.dashboard.world import Dot, place_dots
from control.purges import Order

NOW = 10  # seconds over which the rate of this moment is taken
LABEL, LABEL_SMALL = 13.0, 30.0  # type sizes on the map: wide, and on a phone
HEALTHS = ("healthy", "unhealthy", "draining", "unknown")


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One node: what control knows of it, its traffic. `state` is its health; before it joins, "invited"."""

    node: dict[str, Any]
    state: str
    rate: float  # requests/s of this moment
    figures: Figures  # of the range that is looked at
    store: dict[str, int] | None  # bytes, budget, entries

    @property
    def counts(self) -> bool:
        """Whether it has visitors."""
        return bool(self.node["role"] == "edge")


@dataclass(frozen=True, slots=True)
class FleetView:
    """The fleet at a moment. `healthy` and `edges` count edge nodes that have joined."""

    rows: tuple[NodeRow, ...]
    rate: float
    figures: Figures
    healthy: int
    edges: int
    withheld: tuple[Withheld, ...]  # in the range that is looked at

    def dots(self, size: float) -> list[Dot]:
        """The nodes on the map."""
        placed = [{**row.node, "state": row.state, "row": row} for row in self.rows]
        return place_dots(placed, {row.node["name"]: row.rate for row in self.rows}, size)


async def fleet_view(visit: Visit) -> FleetView:
    """The fleet now, and its figures over the range that `visit` looks at."""
    now, who = visit.plane.clocks.wall(), visit.principal
    history = visit.dashboard.history
    recent, recent_nodes = await history.last(NOW, now)
    seconds = SPANS[visit.range].seconds
    whole, whole_nodes = await history.over(visit.range, now)
    rows = []
    for node in await described(visit.plane):
        name = node["name"]
        rows.append(
            NodeRow(
                node=node,
                state=node["health"] if node["joined"] else "invited",
                rate=figures(recent_nodes.get(name, {}), NOW).per_second,
                figures=figures(whole_nodes.get(name, {}), seconds),
                store=node["counters"].get("store"),
            )
        )
    edges = [row for row in rows if row.counts and row.node["joined"]]
    return FleetView(
        rows=tuple(rows),
        rate=figures(recent, NOW).per_second,
        figures=figures(whole, seconds),
        healthy=sum(row.state == "healthy" for row in edges),
        edges=len(edges),
        withheld=tuple(one for one in withheld(whole) if who is None or who.may_touch(one.site)),
    )


async def latest_purges(visit: Visit, limit: int = 20) -> list[Order]:
    """The latest purges, the newest first."""
    who = visit.principal
    return await visit.plane.purges.recent(limit, None if who is None or who.sites is None else who.name)
