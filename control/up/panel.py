"""What `tepi up` shows: addresses, the first password, commands to try, then a live line a node."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel as Frame
from rich.table import Table
from rich.text import Text

from control.up.first_steps import FirstRun
from control.up.plan import EDGES, SITE, Plan
from control.up.ports import LOOPBACK

EVERY = 1.0
REMEMBERED = 5
COLOURS = {"healthy": "green", "unknown": "yellow", "draining": "yellow", "unhealthy": "red"}


@dataclass(frozen=True, slots=True)
class Line:
    """One node's figures of the last second."""

    name: str
    place: str
    health: str
    requests_per_second: float
    hit_ratio: float | None


class Panel:
    """Writes to a terminal as a live table, and to anything else as plain lines."""

    def __init__(self, plan: Plan, console: Console | None = None) -> None:
        self._plan = plan
        self._console = console or Console()
        self._live: Live | None = None
        self._reports: deque[str] = deque(maxlen=REMEMBERED)
        self._lines: tuple[Line, ...] = ()

    def say(self, sentence: str) -> None:
        """One step of the start."""
        self._console.print(sentence, style="dim", markup=False, highlight=False)

    def report(self, sentence: str) -> None:
        """Something that the operator should know: it stays in sight."""
        self._reports.append(sentence)
        if self._live is None:
            self._console.print(sentence, style="yellow", markup=False, highlight=False)

    def close(self, sentence: str) -> None:
        """Ends the live view."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        self.say(sentence)

    async def watch(self, made: FirstRun, session: aiohttp.ClientSession) -> None:
        """Shows the fleet until cancelled."""
        self._console.print(self._welcome(made))
        self._console.print("Try, in another terminal:", style="bold")
        for attempt in self._attempts(
            made
        ):  # one line each, however narrow the terminal: they are to be copied
            self._console.print(f"  {attempt}", markup=False, highlight=False, soft_wrap=True)
        self._console.print()
        if self._console.is_terminal:
            self._live = Live(self._table(), console=self._console, refresh_per_second=4)
            self._live.start()
        before: dict[str, Mapping[str, Any]] = {}
        while True:
            nodes = await self._nodes(session, made.token)
            lines = tuple(line(node, before.get(node["name"])) for node in nodes)
            before = {node["name"]: node for node in nodes}
            self._show(lines)
            await asyncio.sleep(EVERY)

    def _show(self, lines: tuple[Line, ...]) -> None:
        was = {known.name: known.health for known in self._lines}
        self._lines = lines
        if self._live is not None:
            self._live.update(self._table())
            return
        for now in lines:
            if was.get(now.name) != now.health:
                self._console.print(f"{now.name}: {now.health}", markup=False, highlight=False)

    async def _nodes(self, session: aiohttp.ClientSession, token: str) -> list[Mapping[str, Any]]:
        url = f"{self._plan.control_url}/api/v1/nodes"
        try:
            async with session.get(url, headers={"Authorization": f"Bearer {token}"}) as response:
                if response.status != 200:
                    return []
                nodes: list[Mapping[str, Any]] = (await response.json())["nodes"]
        except (aiohttp.ClientError, TimeoutError):
            return []
        return [node for node in nodes if node["role"] == "edge"]

    def _table(self) -> RenderableType:
        table = Table(expand=False, box=None, pad_edge=False, padding=(0, 2))
        for heading in ("node", "place", "health"):
            table.add_column(heading)
        for heading in ("requests/s", "hit ratio"):
            table.add_column(heading, justify="right")
        for node in self._lines:
            health = Text(f"● {node.health}", style=COLOURS.get(node.health, "default"))
            ratio = "–" if node.hit_ratio is None else f"{node.hit_ratio:.0%}"
            table.add_row(node.name, node.place, health, f"{node.requests_per_second:.1f}", ratio)
        reports = [Text(sentence, style="yellow") for sentence in self._reports]
        return Group(table, *reports, Text("Ctrl-C ends every part.", style="dim"))

    def _welcome(self, made: FirstRun) -> RenderableType:
        ports = self._plan.ports
        shop = f"http://{SITE}:{ports.http}"
        text = Text()
        rows = (
            ("Shop", f"{shop}/   (through the node jakarta)"),
            ("Dashboard", f"{self._plan.control_url}/   user {made.user}, password {made.password}"),
            *((f"  {edge.name}", f"{edge.address}:{ports.http}   {edge.place.city}") for edge in EDGES),
            ("DNS", f"{LOOPBACK}:{ports.dns}"),
            ("Authority", f"{self._plan.authority}   (for https on port {ports.https})"),
        )
        for name, value in rows:
            text.append(f"{name:12}", style="bold")
            text.append(value + "\n")
        text.rstrip()
        return Frame(text, title="Tepi is up", title_align="left", expand=False)

    def _attempts(self, made: FirstRun) -> tuple[str, ...]:
        ports = self._plan.ports
        return (
            f"curl -s -o /dev/null -D - --compressed http://{SITE}:{ports.http}/p/kopi-gayo",
            f"dig +short @{LOOPBACK} -p {ports.dns} {SITE} +subnet=91.0.0.0/24",
            f"TEPI_CONTROL={self._plan.control_url} TEPI_TOKEN={made.token} "
            f"{Path(sys.executable).with_name('tepi')} purge --tag product-kopi-gayo --wait",
        )


def line(node: Mapping[str, Any], before: Mapping[str, Any] | None) -> Line:
    """A node's line from what control says of it now and said a second ago."""
    counters = node.get("counters") or {}
    past = (before or {}).get("counters") or {}
    requests = counters.get("requests", 0)
    place = (node.get("place") or {}).get("city", "")
    return Line(
        name=node["name"],
        place=place,
        health=node["health"],
        requests_per_second=max(0.0, requests - past.get("requests", requests)) / EVERY,
        hit_ratio=counters.get("hits", 0) / requests if requests else None,
    )
