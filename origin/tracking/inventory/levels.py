"""What stock means: movements, what can be promised, which places give it, when pages are told. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Band = Literal["in", "low", "out"]
Kind = Literal["received", "reserved", "released", "picked", "shipped", "returned", "counted", "adjusted"]

WORSE: dict[Band, int] = {"in": 0, "low": 1, "out": 2}


@dataclass(frozen=True, slots=True)
class Level:
    """One SKU at one location, in pieces. `safety` pieces are never promised."""

    location: str
    on_hand: int
    reserved: int
    safety: int = 0

    @property
    def available(self) -> int:
        """How many can be promised from here."""
        return max(0, self.on_hand - self.reserved - self.safety)


@dataclass(frozen=True, slots=True)
class Part:
    """What one location gives to a hold."""

    location: str
    quantity: int


def promised(levels: Sequence[Level]) -> int:
    """How many can be promised from all locations together."""
    return sum(level.available for level in levels)


def spread(levels: Sequence[Level], quantity: int) -> tuple[Part, ...]:
    """Which locations give `quantity`: the fewest that can, and of single ones the fullest.

    Nothing where there is too little.
    """
    parts: list[Part] = []
    lacking = quantity
    for level in sorted(levels, key=lambda one: (-one.available, one.location)):
        taken = min(lacking, level.available)
        if taken:
            parts.append(Part(level.location, taken))
            lacking -= taken
    return () if lacking else tuple(parts)


def band(available: int, low: int) -> Band:
    """What pages say of this many pieces; from `low` on down they are few."""
    if available <= 0:
        return "out"
    return "low" if available <= low else "in"


@dataclass(frozen=True, slots=True)
class Told:
    """What pages were last told of a SKU and when, and when to look again. Seconds since 1970."""

    band: Band
    at: float
    due: float | None = None


def announced(told: Told, now_is: Band, now: float, quiet: float) -> tuple[Told, bool]:
    """What pages are told from now on, and whether that takes a purge.

    Worse news goes out at once: nobody may be sold what is gone. Better news waits until `quiet` seconds have
    passed since the last, so that stock that comes and goes quickly makes one purge and not many.
    """
    if now_is == told.band:
        return Told(told.band, told.at), False
    if WORSE[now_is] > WORSE[told.band] or now >= told.at + quiet:
        return Told(now_is, now), True
    return Told(told.band, told.at, told.at + quiet), False
