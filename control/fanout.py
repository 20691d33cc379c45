"""Who is connected, where each node stands, and who has yet to apply a purge. Pure tables, no I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from control.health import SILENCE, Heard, verdict
from edge.position import Position
from geo.fleet import Health


@dataclass(slots=True)
class Seen:
    """One node's last words."""

    name: str
    role: str
    heard: Heard
    health: Health = Health.UNKNOWN
    connected: bool = False
    position: Position | None = None
    version: str = ""
    counters: dict[str, Any] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


class Fanout:
    """The fleet's live state. Times are monotonic seconds."""

    def __init__(self, started: float) -> None:
        self._started = started
        self._seen: dict[str, Seen] = {}

    def know(self, name: str, role: str) -> Seen:
        """The node called `name`, known from now on."""
        if name not in self._seen:
            self._seen[name] = Seen(name, role, Heard(self._started))
        return self._seen[name]

    def forget(self, name: str) -> None:
        """The node is revoked."""
        self._seen.pop(name, None)

    def get(self, name: str) -> Seen | None:
        """What is known of `name`."""
        return self._seen.get(name)

    def all(self) -> Iterable[Seen]:
        """Every known node."""
        return self._seen.values()

    def connected(self, name: str, role: str, version: str) -> None:
        """A line to `name` stands."""
        seen = self.know(name, role)
        seen.connected, seen.version = True, version

    def disconnected(self, name: str) -> None:
        """The line is gone; health follows from silence."""
        if name in self._seen:
            self._seen[name].connected = False

    def acknowledged(self, name: str, position: Position) -> None:
        """`name` has applied everything up to `position`."""
        if name in self._seen:
            self._seen[name].position = position

    def beat(
        self,
        name: str,
        *,
        now: float,
        ready: bool,
        position: Position | None,
        head: Position,
        counters: dict[str, Any],
        problems: dict[str, str],
    ) -> None:
        """A heartbeat of `name` came in, while the journal stood at `head`."""
        seen = self._seen.get(name)
        if seen is None:
            return
        silent = seen.heard.beat is None or now - seen.heard.beat > SILENCE
        count = 0 if silent or not ready else seen.heard.good_beats
        # an event on its way to a node is no failure: what was good stays good while the node is ready
        if ready and position is not None and position.reaches(head):
            count += 1
        seen.heard = replace(seen.heard, beat=now, good_beats=count)
        seen.position, seen.counters, seen.problems = position, counters, problems

    def slept(self, seconds: float) -> None:
        """Control itself did not run for `seconds`: that nothing was heard then means nothing."""
        for seen in self._seen.values():
            if seen.heard.beat is not None:
                seen.heard = replace(seen.heard, beat=seen.heard.beat + seconds)

    def judge(self, now: float) -> dict[str, str]:
        """Every node's health by name, judged anew."""
        for seen in self._seen.values():
            seen.health = verdict(seen.heard, seen.health, now)
        return {seen.name: str(seen.health) for seen in self._seen.values()}
