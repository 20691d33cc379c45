"""Who is connected, where each node stands, and who has yet to apply a purge. Pure tables, no I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable
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
    draining: bool = False  # an operator wants nobody sent there
    replica: str = ""  # the other control that holds its line; "" for this one
    beats: int = 0  # heartbeats so far
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

    def keep_only(self, names: Collection[str]) -> None:
        """Forgets who is none of `names`, a node whose line ends here excepted: that one is told first."""
        for seen in list(self._seen.values()):
            if seen.name not in names and (seen.replica or not seen.connected):
                del self._seen[seen.name]

    def get(self, name: str) -> Seen | None:
        """What is known of `name`."""
        return self._seen.get(name)

    def all(self) -> Iterable[Seen]:
        """Every known node."""
        return self._seen.values()

    def drain(self, name: str, draining: bool) -> None:
        """An operator drains `name`, or does not any more."""
        if name in self._seen:
            self._seen[name].draining = draining

    def connected(self, name: str, role: str, version: str) -> None:
        """A line to `name` stands."""
        seen = self.know(name, role)
        seen.connected, seen.version, seen.replica = True, version, ""

    def disconnected(self, name: str) -> None:
        """The line is gone; health follows from silence."""
        if name in self._seen and not self._seen[name].replica:
            self._seen[name].connected = False

    def mine(self) -> list[Seen]:
        """The nodes whose lines end here."""
        return [seen for seen in self._seen.values() if seen.connected and not seen.replica]

    def elsewhere(self, told: Seen, now: float) -> None:
        """What another control says of a node: heard at `now` if its heartbeats have grown since."""
        seen = self.know(told.name, told.role)
        if seen.connected and not seen.replica:
            return
        if (seen.replica, seen.beats) == (told.replica, told.beats):
            seen.connected = seen.heard.beat is not None and now - seen.heard.beat <= SILENCE
            return
        first_word = seen.replica != told.replica and seen.heard.beat is None
        seen.replica, seen.beats = told.replica, told.beats
        seen.position, seen.counters, seen.problems = told.position, told.counters, told.problems
        seen.version = told.version
        if not first_word:  # an old row proves nothing, one that changes does
            seen.connected = True
            seen.heard = replace(seen.heard, beat=now, good_beats=told.heard.good_beats)

    def not_told(self, seconds: float) -> None:
        """For `seconds` nothing was learnt of what the others hear: that means nothing of their nodes."""
        self._shift([seen for seen in self._seen.values() if seen.replica], seconds)

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
        seen.beats += 1
        seen.position, seen.counters, seen.problems = position, counters, problems

    def beat_unread(self, name: str, now: float, *, ready: bool) -> None:
        """A heartbeat came in while the journal could not be read: the node lives, and stays what it was."""
        seen = self._seen.get(name)
        if seen is not None:
            seen.heard = replace(seen.heard, beat=now, good_beats=seen.heard.good_beats if ready else 0)
            seen.beats += 1

    def slept(self, seconds: float) -> None:
        """Control itself did not run for `seconds`: that nothing was heard then means nothing."""
        self._shift(self._seen.values(), seconds)

    def _shift(self, all_seen: Iterable[Seen], seconds: float) -> None:
        for seen in all_seen:
            if seen.heard.beat is not None:
                seen.heard = replace(seen.heard, beat=seen.heard.beat + seconds)

    def judge(self, now: float) -> dict[str, str]:
        """Every node's health by name, judged anew."""
        for seen in self._seen.values():
            health = verdict(seen.heard, seen.health, now)
            seen.health = Health.DRAINING if seen.draining and health is Health.HEALTHY else health
        return {seen.name: str(seen.health) for seen in self._seen.values()}
