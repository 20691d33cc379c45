"""Which nodes' addresses a client is given. Memos of pure functions over one fleet and one database."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass

from geo.dns.edns import Subnet
from geo.dns.message import Type
from geo.fleet import Fleet, Node
from geo.lookup import Location, Lookup
from geo.nearest import KEY_OCTETS, Equals, bucket, position, rank

MOST_MEMOS = 100_000
VERSION_OF = {1: 4, 2: 6}  # address family (RFC 7871 §6) -> IP version

Point = tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Client:
    """Whom an answer is for: the place that decides, the network that tells equals apart, its range.

    `scoped` where the range is the client subnet's and the reply has to name a scope (RFC 7871 §7.2.1);
    `by_resolver` where the resolver's place stands for it.
    """

    point: Point
    network: bytes
    prefix: int
    scoped: bool
    by_resolver: bool = False


@dataclass(frozen=True, slots=True)
class Steered:
    """The addresses of the nodes for a client, the best first; none where the nearest has none of the kind.

    `prefix` is the range of clients with this answer; `spread` where his network decided among equal nodes.
    """

    data: tuple[bytes, ...]
    node: str | None
    prefix: int
    spread: bool = False


class Steering:
    """Nearest nodes for clients. Another fleet or database makes another."""

    def __init__(self, fleet: Fleet, lookup: Lookup) -> None:
        self.fleet = fleet
        self.lookup = lookup
        self._data = {node.name: _node_data(node) for node in fleet.nodes}
        self.is_split = len(fleet.nodes) > 1
        # Forgotten whole when full, so that they stay bounded.
        self._groups: dict[tuple[Point, int], Equals | None] = {}
        self._chosen: dict[tuple[Point, int, int, int], tuple[tuple[bytes, ...], str]] = {}

    def client(self, subnet: Subnet | None, source: str) -> Client:
        """The client subnet's place; the resolver's where there is no subnet, or none knows where that is."""
        if subnet is None or not subnet.source:
            located = self.lookup.find(source)
            return Client(position(located), _network(source), located.prefix, scoped=False)
        located = self.lookup.find(subnet.text())
        network = subnet.address[: KEY_OCTETS[VERSION_OF[subnet.family]]]
        point = position(located)
        if point is not None:
            return Client(point, network, located.prefix, scoped=True)
        return Client(
            position(self.lookup.find(source)), network, located.prefix, scoped=True, by_resolver=True
        )

    def steer(self, client: Client, kind: int, most: int) -> Steered:
        """The addresses of type `kind` (A, AAAA) of at most `most` nodes of the place nearest to `client`."""
        group = self._group(client.point, kind)
        prefix = client.prefix if self.is_split else 0
        if group is None:
            return Steered((), None, prefix)
        number = 0
        if len(group.nodes) > 1:
            prefix = max(prefix, 8 * len(client.network))
            number = bucket(client.network)
        key = (client.point, kind, number, most)
        chosen = self._chosen.get(key)
        if chosen is None:
            if len(self._chosen) >= MOST_MEMOS:
                self._chosen.clear()
            chosen = self._chosen[key] = self._addresses(group.ordered(number), kind, most)
        return Steered(*chosen, prefix, spread=len(group.nodes) > 1)

    def _group(self, point: Point, kind: int) -> Equals | None:
        """The nodes among which the client's network decides; None where no node has such an address."""
        key = (point, kind)
        if key not in self._groups:
            if len(self._groups) >= MOST_MEMOS:
                self._groups.clear()
            self._groups[key] = self._first_group(point, kind)
        return self._groups[key]

    def _first_group(self, point: Point, kind: int) -> Equals | None:
        """A is answered by the nearest node that has one; AAAA by the nearest node or not at all.

        So nobody without IPv6 is left without an answer, and nobody with it is sent further than without.
        """
        located = None if point is None else Location(0, latitude=point[0], longitude=point[1])
        for equals in rank(located, self.fleet):
            able = tuple(node for node in equals.nodes if self._data[node.name][kind])
            if able:
                return Equals(able, equals.distance_km)
            if kind == Type.AAAA and any(self._data[node.name][Type.A] for node in equals.nodes):
                return None
        return None

    def _addresses(self, ordered: tuple[Node, ...], kind: int, most: int) -> tuple[tuple[bytes, ...], str]:
        """The addresses of the first nodes of `ordered` that stand where its first one stands."""
        first = ordered[0]
        same = [node for node in ordered if node.place == first.place][:most]
        return tuple(data for node in same for data in self._data[node.name][kind]), first.name


def _node_data(node: Node) -> dict[int, tuple[bytes, ...]]:
    """The node's addresses as record data, by type."""
    packed = [ipaddress.ip_address(address).packed for address in node.addresses]
    return {
        Type.A: tuple(data for data in packed if len(data) == 4),
        Type.AAAA: tuple(data for data in packed if len(data) == 16),
    }


def packed_address(address: str) -> bytes:
    """The octets of an address in text form."""
    if ":" not in address:
        return socket.inet_aton(address)
    return socket.inet_pton(socket.AF_INET6, address.partition("%")[0])


def _network(address: str) -> bytes:
    """The network of an address in text form as the key that tells clients apart."""
    packed = packed_address(address)
    return packed[: KEY_OCTETS[4 if len(packed) == 4 else 6]]
