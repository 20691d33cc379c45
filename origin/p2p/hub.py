"""Live subscriptions: an event costs those who may want it, not all who listen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol

from origin.p2p.event import Event
from origin.p2p.filters import Filter, doors_of


class Listener(Protocol):
    """One connection."""

    def hear(self, subscription: str, event: Event, raw: str) -> None:
        """A new event for one of its subscriptions; never waits."""
        ...


Key = tuple[Listener, str]


class Hub:
    """Every subscription waits at the doors of its narrowest fields; an event knocks at its own."""

    def __init__(self) -> None:
        self._asked: dict[Key, Sequence[Filter]] = {}
        self._doors: dict[tuple[str, str | int], set[Key]] = defaultdict(set)

    def __len__(self) -> int:
        return len(self._asked)

    def listen(self, listener: Listener, subscription: str, filters: Sequence[Filter]) -> None:
        """From now on; in place of an earlier subscription of the same name."""
        key = (listener, subscription)
        self.leave(listener, subscription)
        self._asked[key] = filters
        for door in {door for asked in filters for door in asked.doors()}:
            self._doors[door].add(key)

    def leave(self, listener: Listener, subscription: str) -> None:
        """No longer."""
        key = (listener, subscription)
        for door in {door for asked in self._asked.pop(key, ()) for door in asked.doors()}:
            waiting = self._doors[door]
            waiting.discard(key)
            if not waiting:
                del self._doors[door]

    def tell(self, event: Event) -> int:
        """Tells all who want `event`; how many."""
        waiting = {key for door in {*doors_of(event)} for key in self._doors.get(door, ())}
        told, raw = 0, ""
        for key in waiting:
            if any(asked.matches(event) for asked in self._asked[key]):
                raw = raw or event.encoded().decode()
                key[0].hear(key[1], event, raw)
                told += 1
        return told
