"""The fleet as routing sees it: nodes with place, capacity and health. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    """A node's health. `unknown` is not `unhealthy`: a cold start must not empty the answers."""

    HEALTHY = "healthy"
    UNKNOWN = "unknown"
    DRAINING = "draining"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node stands. Degrees, north and east positive; `country` is ISO 3166-1 alpha-2."""

    city: str
    country: str
    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class Node:
    """One node that answers visitors. `addresses` are what DNS hands out (IPv4 and IPv6)."""

    name: str
    place: Place
    addresses: tuple[str, ...]
    health: Health = Health.UNKNOWN
    capacity: float = 1.0


@dataclass(frozen=True, slots=True)
class Fleet:
    """All nodes that visitors can be sent to."""

    nodes: tuple[Node, ...] = ()
