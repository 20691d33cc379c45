"""Where a request that nothing here can answer goes next: the owner of its key, a shield, the origin. Pure.

Hops lead one way only: worker -> the key's owner among the node's workers -> its owner in the PoP -> its
owner in the site's shield PoP -> origin. Whoever is asked knows as what, and goes on from there, whatever he
believes of the fleet: views that differ cost fetches, never a circle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol, TypeVar

from edge.http.asker import Tier
from edge.notation import Address


@dataclass(frozen=True, slots=True)
class Peer:
    """Another node of the fleet, and where it listens for its peers."""

    name: str
    pop: str
    address: Address


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker of this node, by its number, and its socket's path."""

    number: int
    path: str


Neighbour = Peer | Worker


@dataclass(frozen=True, slots=True)
class Next:
    """Who is asked next, and as what. `inner`: as the key's owner among its node's workers."""

    neighbour: Neighbour
    tier: Tier
    inner: bool = False


@dataclass(frozen=True, slots=True)
class Fleet:
    """What a worker knows of its neighbours. `workers` are all of its node's; `own` is its own number."""

    name: str
    pop: str
    peers: tuple[Peer, ...] = ()
    workers: tuple[Worker, ...] = ()
    own: int = 0

    @property
    def alone(self) -> bool:
        """Whether there is nobody to ask but origins."""
        return not self.peers and len(self.workers) < 2


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
    key: str, shield: str | None, fleet: Fleet, passed: Passed, is_up: Callable[[Neighbour], bool]
) -> tuple[Next, ...]:
    """Whom to ask for `key` before the origin, one after another where one does not answer.

    `shield` names the site's shield PoP. Each of them goes on from his own place by himself.
    """
    found: list[Next] = []
    if not passed.inner and len(fleet.workers) > 1:
        worker = _owner_here(key, fleet, is_up)
        if worker is not None:
            found.append(Next(worker, passed.tier, inner=True))
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
    owner = _heaviest(key, [*peers, me] if pop == fleet.pop else peers, _name)
    return None if owner is me else owner


def _owner_here(key: str, fleet: Fleet, is_up: Callable[[Neighbour], bool]) -> Worker | None:
    """The owner of `key` among the node's workers; None if that is this one."""
    me = fleet.workers[fleet.own]
    owner = _heaviest(key, [one for one in fleet.workers if one is me or is_up(one)], _number)
    return None if owner is me else owner


T = TypeVar("T")


def _heaviest(key: str, among: Sequence[T], named: Callable[[T], str]) -> T | None:
    """Rendezvous hashing (Thaler and Ravishankar, 1998): who leaves takes nobody else's keys along."""
    text = key.encode("utf-8", "surrogatepass")
    return max(among, key=lambda one: (_weight(named(one), text), named(one)), default=None)


def _weight(name: str, key: bytes) -> bytes:
    return blake2b(key, digest_size=8, key=name.encode()).digest()


def _name(peer: Peer) -> str:
    return peer.name


def _number(worker: Worker) -> str:
    return str(worker.number)
