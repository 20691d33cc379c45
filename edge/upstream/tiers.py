"""Where a request that nothing here can answer goes next: the owner of its key, a shield, the origin. Pure.

Hops lead one way only: worker -> the node's worker that fetches the key, if one does -> its owner in the PoP
-> its owner in the site's shield PoP -> origin. Whoever is asked knows as what, and goes on from there,
whatever he believes of the fleet: views that differ cost fetches, never a circle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol

from edge.document.notation import Address
from edge.http.asker import Tier


@dataclass(frozen=True, slots=True)
class Peer:
    """Another node of the fleet, and where it listens for its peers."""

    name: str
    pop: str
    address: Address


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker of this node: its process's number, and its socket's path."""

    process: int
    path: str


Neighbour = Peer | Worker


@dataclass(frozen=True, slots=True)
class Next:
    """Who is asked next, and as what. `inner`: as the node's worker that fetches the key."""

    neighbour: Neighbour
    tier: Tier
    inner: bool = False


@dataclass(frozen=True, slots=True)
class Fleet:
    """What a node knows of the others."""

    name: str
    pop: str
    peers: tuple[Peer, ...] = ()


class Passed(Protocol):
    """How far a request has come."""

    @property
    def tier(self) -> Tier: ...

    @property
    def inner(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class _Fresh:
    tier: Tier = Tier.VISITOR
    inner: bool = False


FROM_A_VISITOR: Passed = _Fresh()


def route(
    key: str,
    shield: str | None,
    fleet: Fleet,
    passed: Passed,
    is_up: Callable[[Neighbour], bool],
    holder: Worker | None = None,
) -> tuple[Next, ...]:
    """Whom to ask for `key` before the origin, one after another where one does not answer.

    `shield` names the site's shield PoP, `holder` the worker of this node that fetches `key`, if another one
    does. Each of them goes on from his own place by himself.
    """
    found: list[Next] = []
    if holder is not None and not passed.inner and is_up(holder):
        found.append(Next(holder, passed.tier, inner=True))
    if passed.tier < Tier.OWNER:
        peer = _owner_in(fleet.pop, key, fleet, is_up)
        if peer is not None:
            found.append(Next(peer, Tier.OWNER))
    if passed.tier < Tier.SHIELD and shield is not None and shield != fleet.pop:
        peer = _owner_in(shield, key, fleet, is_up)
        if peer is not None:
            found.append(Next(peer, Tier.SHIELD))
    return tuple(found)


def _owner_in(pop: str, key: str, fleet: Fleet, is_up: Callable[[Neighbour], bool]) -> Peer | None:
    """The owner of `key` in `pop`; None if that is this node, or nobody there is up."""
    peers = [peer for peer in fleet.peers if peer.pop == pop and is_up(peer)]
    me = Peer(fleet.name, pop, Address("", 0))
    owner = _heaviest(key, [*peers, me] if pop == fleet.pop else peers)
    return None if owner is me else owner


def _heaviest(key: str, among: Sequence[Peer]) -> Peer | None:
    """Rendezvous hashing (Thaler and Ravishankar, 1998): who leaves takes nobody else's keys along."""
    text = key.encode("utf-8", "surrogatepass")
    return max(among, key=lambda one: (_weight(one.name, text), one.name), default=None)


def _weight(name: str, key: bytes) -> bytes:
    return blake2b(key, digest_size=8, key=name.encode()).digest()
