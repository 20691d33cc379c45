"""Query bytes -> reply bytes, without a socket: parse, decide, render.

A Responder is one immutable state of zone, hosts, fleet and database. A change makes another, and the
server takes that for its next packet.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import assert_never

from geo.dns.message import CLASS_IN, Query, Rcode, Record, Refusal, Subnet, Type, parse, render, reply_limit
from geo.dns.names import Kind, Names, apex_records
from geo.dns.zone import Zone
from geo.fleet import Fleet, Node
from geo.lookup import Location, Lookup
from geo.nearest import KEY_OCTETS, Equals, bucket, position, rank

MOST_MEMOS = 100_000
VERSION_OF = {1: 4, 2: 6}  # address family (RFC 7871 §6) -> IP version
FIRST_META_TYPE = 128  # from here on QTYPEs ask for no stored data (RFC 6895 §3.1)
INSTEAD_OF_ANY = b"\x07RFC8482\x00"  # HINFO's two strings (RFC 8482 §4.2)

Point = tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes on the wire, and what metrics want to know of it."""

    wire: bytes
    type: int
    rcode: Rcode
    node: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What is answered, before it is put on the wire. `scope` is the client subnet's (RFC 7871 §7.2.1)."""

    rcode: Rcode
    answer: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
    authoritative: bool = True
    scope: int = 0
    node: str | None = None


@dataclass(frozen=True, slots=True)
class Client:
    """Whom an answer is for: the place that decides, the network that tells equals apart, its range."""

    point: Point
    network: bytes
    prefix: int


@dataclass(frozen=True, slots=True)
class Addresses:
    """The data of an answer with nodes, the best first, and the name of that one."""

    data: tuple[bytes, ...]
    node: str


REFUSED = Decision(Rcode.REFUSED, authoritative=False)
FORMAT_ERROR = Decision(Rcode.FORMERR, authoritative=False)
NOT_IMPLEMENTED = Decision(Rcode.NOTIMP, authoritative=False)
NO_NODE = Decision(Rcode.SERVFAIL, authoritative=False)


class Responder:
    """Answers for one zone: its own records, and for the hosts in it the nearest nodes of `fleet`.

    `hosts` are sites' host names; those outside the zone are not answered for, `*.name` matches as in
    RFC 4592, and `*` is every name of the zone.
    """

    def __init__(self, zone: Zone, hosts: frozenset[str], fleet: Fleet, lookup: Lookup) -> None:
        self._assemble(zone, hosts, fleet, lookup, Names(zone, hosts))

    def with_fleet(self, fleet: Fleet) -> Responder:
        """The same with another fleet. Costs by the size of the fleet, not by the number of hosts."""
        other = object.__new__(Responder)
        other._assemble(self.zone, self.hosts, fleet, self.lookup, self._names)
        return other

    def _assemble(
        self, zone: Zone, hosts: frozenset[str], fleet: Fleet, lookup: Lookup, names: Names
    ) -> None:
        self.zone = zone
        self.hosts = hosts
        self.fleet = fleet
        self.lookup = lookup
        self._names = names
        self._apex = apex_records(zone)
        self._data = {node.name: _node_data(node) for node in fleet.nodes}
        self._is_split = len(fleet.nodes) > 1
        # Memos of pure functions; forgotten whole when full, so that they stay bounded.
        self._groups: dict[tuple[Point, int], Equals | None] = {}
        self._chosen: dict[tuple[Point, int, int], Addresses] = {}

    def reply(self, wire: bytes, source: str, *, stream: bool = False) -> Reply | None:
        """The reply to the packet `wire` from the address `source`; None where silence is right."""
        query = parse(wire)
        match query:
            case None:
                return None
            case Refusal():
                limit = reply_limit(query.edns, stream=stream)
                kind = 0 if query.question is None else query.question.type
                return Reply(render(query, query.rcode, limit=limit), kind, query.rcode)
            case Query():
                decision = self.decide(query, source)
                reply = render(
                    query,
                    decision.rcode,
                    sections=(decision.answer, decision.authority, decision.additional),
                    authoritative=decision.authoritative,
                    scope=decision.scope,
                    limit=reply_limit(query.edns, stream=stream),
                )
                return Reply(reply, query.question.type, decision.rcode, decision.node)
            case unreachable:
                assert_never(unreachable)

    def decide(self, query: Query, source: str) -> Decision:
        """What `query` from `source` is answered (RFC 1034 §4.3.2)."""
        question = query.question
        if question.cls != CLASS_IN or question.type in (Type.AXFR, Type.IXFR):
            return REFUSED
        if question.type == Type.OPT:
            return FORMAT_ERROR
        if FIRST_META_TYPE <= question.type < Type.ANY:
            return NOT_IMPLEMENTED
        kind = self._names.kind(question.key)
        if kind is Kind.OUTSIDE:
            return REFUSED
        if kind is Kind.MISSING:
            return Decision(Rcode.NXDOMAIN, authority=(self._apex.negative,))
        if question.type == Type.ANY:
            return self._instead_of_any(question.key)
        if kind is Kind.HOST and question.type in (Type.A, Type.AAAA):
            return self._nodes(query, source)
        return self._stored(question.key, question.type)

    def _stored(self, key: bytes, kind: int) -> Decision:
        """The zone's own records, or "no such data" (RFC 2308 §2.2)."""
        apex = self._apex
        if key == self._names.apex and kind == Type.SOA:
            return Decision(Rcode.NOERROR, (apex.soa,))
        if key == self._names.apex and kind == Type.NS:
            return Decision(Rcode.NOERROR, apex.ns, additional=apex.glue)
        found = tuple(record for record in apex.glue if record.owner == key and record.type == kind)
        return Decision(Rcode.NOERROR, found) if found else self._no_data()

    def _no_data(self, scope: int = 0) -> Decision:
        return Decision(Rcode.NOERROR, authority=(self._apex.negative,), scope=scope)

    def _instead_of_any(self, key: bytes) -> Decision:
        record = Record(key, Type.HINFO, self.zone.stable_ttl, INSTEAD_OF_ANY)
        return Decision(Rcode.NOERROR, (record,))

    def _nodes(self, query: Query, source: str) -> Decision:
        """The nearest nodes' addresses of the family that is asked for."""
        if not self.fleet.nodes:
            return NO_NODE
        question = query.question
        subnet = None if query.edns is None else query.edns.subnet
        client = self._client(subnet, source)
        group = self._group(client.point, question.type)
        prefix = client.prefix if self._is_split else 0
        scoped = subnet is not None and subnet.source > 0
        if group is None:
            return self._no_data(prefix if scoped else 0)
        number = 0
        if len(group.nodes) > 1:
            prefix = max(prefix, 8 * len(client.network))
            number = bucket(client.network)
        chosen = self._choose(client.point, question.type, group, number)
        scope = prefix if scoped else 0
        records = tuple(Record(question.key, question.type, self.zone.ttl, data) for data in chosen.data)
        return Decision(Rcode.NOERROR, records, scope=scope, node=chosen.node)

    def _client(self, subnet: Subnet | None, source: str) -> Client:
        """The client subnet's place; the resolver's where there is no subnet, or none knows where that is."""
        if subnet is None or not subnet.source:
            located = self.lookup.find(source)
            return Client(position(located), _network(source), located.prefix)
        located = self.lookup.find(subnet.text())
        network = subnet.address[: KEY_OCTETS[VERSION_OF[subnet.family]]]
        point = position(located) or position(self.lookup.find(source))
        return Client(point, network, located.prefix)

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

    def _choose(self, point: Point, kind: int, group: Equals, number: int) -> Addresses:
        key = (point, kind, number)
        chosen = self._chosen.get(key)
        if chosen is None:
            if len(self._chosen) >= MOST_MEMOS:
                self._chosen.clear()
            chosen = self._chosen[key] = self._addresses(group.ordered(number), kind)
        return chosen

    def _addresses(self, ordered: tuple[Node, ...], kind: int) -> Addresses:
        """The addresses of the first nodes of `ordered` that stand where its first one stands."""
        first = ordered[0]
        same = [node for node in ordered if node.place == first.place][: self.zone.answers]
        return Addresses(tuple(data for node in same for data in self._data[node.name][kind]), first.name)


def _node_data(node: Node) -> dict[int, tuple[bytes, ...]]:
    """The node's addresses as record data, by type."""
    packed = [ipaddress.ip_address(address).packed for address in node.addresses]
    return {
        Type.A: tuple(data for data in packed if len(data) == 4),
        Type.AAAA: tuple(data for data in packed if len(data) == 16),
    }


def _network(address: str) -> bytes:
    """The network of an address in text form as the key that tells clients apart."""
    if ":" not in address:
        return socket.inet_aton(address)[: KEY_OCTETS[4]]
    return socket.inet_pton(socket.AF_INET6, address.partition("%")[0])[: KEY_OCTETS[6]]
