"""Client and fleet -> ordered nodes, with why. Pure: no clock, no I/O, no randomness.

Health comes first, then distance by great circle; nodes that are equal in both (a PoP's, or all nodes
where the client's place is not known) are ordered by weighted rendezvous hashing of the client's key, so
that clients spread by capacity and stay where they are when another node comes or goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from itertools import groupby
from math import asin, cos, log, radians, sin, sqrt
from operator import itemgetter

from geo.fleet import Fleet, Health, Node, Place
from geo.lookup import Location
from geo.spread import bucket_of

EARTH_RADIUS_KM = 6371.0088
KEY_OCTETS = {4: 3, 6: 6}  # by IP version: no finer network than /24 and /48 is a client (RFC 7871 §11.1)

HEALTH_ORDER = {Health.HEALTHY: 0, Health.UNKNOWN: 1, Health.DRAINING: 2, Health.UNHEALTHY: 3}


class Reason(StrEnum):
    """Why a node stands where it stands in the order."""

    NEAREST = "nearest"
    FURTHER = "further away"
    CLIENT_NOT_LOCATED = "the client's place is not known"
    AMONG_EQUALS = "among equals by network"
    HEALTH_UNKNOWN = "health not known yet"
    DRAINING = "draining"
    UNHEALTHY = "unhealthy"
    LAST_RESORT = "nothing healthier lives"


_HEALTH_REASONS = {
    Health.UNKNOWN: Reason.HEALTH_UNKNOWN,
    Health.DRAINING: Reason.DRAINING,
    Health.UNHEALTHY: Reason.UNHEALTHY,
}


@dataclass(frozen=True, slots=True)
class Choice:
    """A node in its place of the order. `distance_km` is None where the client's place is not known."""

    node: Node
    distance_km: float | None
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Equals:
    """Nodes of the same health at the same distance: a client's key alone decides among them."""

    nodes: tuple[Node, ...]
    distance_km: float | None

    def ordered(self, number: int) -> tuple[Node, ...]:
        """The nodes, best first, for clients whose key falls into bucket `number`."""
        if len(self.nodes) == 1:
            return self.nodes
        return tuple(sorted(self.nodes, key=lambda node: (-_score(node, number), node.name)))


def nearest(location: Location | None, fleet: Fleet, key: bytes) -> tuple[Choice, ...]:
    """Every node of `fleet` in the order in which the client `key` at `location` should use them."""
    groups = rank(location, fleet)
    number = bucket(key)
    return tuple(
        Choice(node, equals.distance_km, _reasons(equals, groups[0]))
        for equals in groups
        for node in equals.ordered(number)
    )


def rank(location: Location | None, fleet: Fleet) -> tuple[Equals, ...]:
    """The fleet in groups of equals, best first: what does not depend on the client's key."""
    here = position(location)
    measured = [
        (HEALTH_ORDER[node.health], 0.0 if here is None else distance_km(here, node.place), node)
        for node in fleet.nodes
    ]
    measured.sort(key=lambda one: (one[0], one[1], one[2].name))
    return tuple(
        Equals(tuple(node for _, _, node in group), None if here is None else distance)
        for (_, distance), group in groupby(measured, key=itemgetter(0, 1))
    )


def position(location: Location | None) -> tuple[float, float] | None:
    """Latitude and longitude, where both are known."""
    if location is None or location.latitude is None or location.longitude is None:
        return None
    return location.latitude, location.longitude


def distance_km(here: tuple[float, float], place: Place) -> float:
    """The great-circle distance from `here` (latitude, longitude in degrees) to `place`."""
    latitude, longitude = radians(here[0]), radians(here[1])
    there = radians(place.latitude)
    half = (
        sin((there - latitude) / 2) ** 2
        + cos(latitude) * cos(there) * sin((radians(place.longitude) - longitude) / 2) ** 2
    )
    return 2 * EARTH_RADIUS_KM * asin(min(1.0, sqrt(half)))


def bucket(key: bytes) -> int:
    """Which of the buckets (geo.spread) the client `key` falls into."""
    return bucket_of(int.from_bytes(key), len(key))


def _reasons(equals: Equals, best: Equals) -> tuple[Reason, ...]:
    health = equals.nodes[0].health
    reasons: list[Reason] = []
    if equals.distance_km is None:
        reasons.append(Reason.CLIENT_NOT_LOCATED)
    elif health == best.nodes[0].health:
        reasons.append(Reason.NEAREST if equals is best else Reason.FURTHER)
    if len(equals.nodes) > 1:
        reasons.append(Reason.AMONG_EQUALS)
    if health in _HEALTH_REASONS:
        reasons.append(_HEALTH_REASONS[health])
    if equals is best and HEALTH_ORDER[health] > HEALTH_ORDER[Health.UNKNOWN]:
        reasons.append(Reason.LAST_RESORT)
    return tuple(reasons)


def _score(node: Node, number: int) -> float:
    """Weighted rendezvous: -capacity / ln(uniform), larger is better; no capacity comes last."""
    digest = blake2b(b"%d %s" % (number, node.name.encode()), digest_size=8).digest()
    uniform = ((int.from_bytes(digest) >> 12) + 0.5) / 2**52
    return -node.capacity / log(uniform)
