"""Traces replayed through policies, as a store would: what is too large for the room passes by."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol

from bench.eviction.traces import Trace
from edge.store.eviction import Heat, Places, Slot


class Policy(Protocol):
    """What is kept of what is asked for."""

    def access(self, name: int, size: int) -> bool:
        """Whether `name` is here; if not, it comes."""
        ...


@dataclass(frozen=True, slots=True)
class Ratio:
    """The share of requests, and of bytes, that were hits; processor time, in seconds, that they took."""

    objects: float
    bytes: float
    seconds: float = 0.0


class Lru:
    """What was used last stays."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._taken = 0
        self._held: OrderedDict[int, int] = OrderedDict()

    def access(self, name: int, size: int) -> bool:
        held = self._held
        if name in held:
            held.move_to_end(name)
            return True
        if size <= self._room:
            while self._taken + size > self._room:
                self._taken -= held.popitem(last=False)[1]
            held[name] = size
            self._taken += size
        return False


class Named:
    """As much of an entry as a place in the store asks for."""

    __slots__ = ("key", "selection")

    def __init__(self, key: int) -> None:
        self.key = key
        self.selection = None


class Ours:
    """The memory store's own places."""

    def __init__(self, room: int, objects: int) -> None:
        self._room = room
        self._taken = 0
        self._names = [Named(name) for name in range(objects)]
        self._heat = Heat()
        self._places = Places(self._heat, room)
        self._held: dict[int, Slot] = {}

    def access(self, name: int, size: int) -> bool:
        slot = self._held.get(name)
        if slot is not None:
            if slot.used is not slot.heat.period:  # as the lane does
                slot.use()
            return True
        if size <= self._room:
            while self._taken + size > self._room:
                victim = self._places.victim()
                assert victim is not None
                self._places.remove(victim)
                del self._held[victim.key]  # type: ignore[arg-type]
                self._taken -= victim.size
            slot = self._held[name] = Slot(self._names[name], size, self._heat)  # type: ignore[arg-type]
            self._places.add(slot)
            self._taken += size
        return False


def replay(policy: Policy, trace: Trace) -> Ratio:
    """What `policy` keeps of `trace`."""
    ids = trace.ids.tolist()
    sizes = trace.sizes.tolist()
    hits = here = 0
    access = policy.access
    began = time.process_time()
    for name in ids:
        if access(name, sizes[name]):
            hits += 1
            here += sizes[name]
    seconds = time.process_time() - began
    asked = sum(sizes[name] for name in ids)
    return Ratio(hits / len(ids), here / asked, seconds)
