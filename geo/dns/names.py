"""Which names a zone has, and its own records. Built once for a zone and its hosts, then only read."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import Enum

from geo.dns.message import Record, Type
from geo.dns.zone import BadName, Zone, is_within, parents, wire_name


class Kind(Enum):
    """What a name is to the zone."""

    OUTSIDE = "outside"
    MISSING = "missing"
    EMPTY = "empty"  # exists because a name below it does, or is the apex (RFC 8020, RFC 4592 §2.2.2)
    HOST = "host"
    SERVER = "server"


class Names:
    """The zone's names in wire form, in lower case."""

    def __init__(self, zone: Zone, hosts: frozenset[str]) -> None:
        self.apex = wire_name(zone.name)
        self._kinds: dict[bytes, Kind] = {self.apex: Kind.EMPTY}
        self._wildcards: set[bytes] = set()
        for host in hosts:
            self._add_host(host)
        for server in zone.servers:
            name = wire_name(server.name)
            if server.addresses and is_within(name, self.apex):
                self._add(name, Kind.SERVER)

    def kind(self, key: bytes) -> Kind:
        """What `key` is; a wildcard answers for names whose closest encloser has one (RFC 4592 §3.3.1)."""
        kind = self._kinds.get(key)
        if kind is not None:
            return kind
        if not is_within(key, self.apex):
            return Kind.OUTSIDE
        if self._wildcards:
            encloser = next(name for name in parents(key) if name in self._kinds)
            if encloser in self._wildcards:
                return Kind.HOST
        return Kind.MISSING

    def _add_host(self, host: str) -> None:
        if host == "*":
            self._add(self.apex, Kind.HOST)
            self._wildcards.add(self.apex)
            return
        try:
            name = wire_name(host)
        except BadName:  # an IPv6 literal, say: a fine host for an edge, no name for DNS
            return
        if not is_within(name, self.apex):
            return
        self._add(name, Kind.HOST)
        if name.startswith(b"\x01*"):
            self._wildcards.add(name[2:])

    def _add(self, name: bytes, kind: Kind) -> None:
        self._kinds[name] = kind
        for above in parents(name)[1:]:
            if above in self._kinds or not is_within(above, self.apex):
                return
            self._kinds[above] = Kind.EMPTY


@dataclass(frozen=True, slots=True)
class Apex:
    """The zone's own records. `negative` is the SOA as it accompanies a negative answer (RFC 2308 §3)."""

    soa: Record
    negative: Record
    ns: tuple[Record, ...]
    glue: tuple[Record, ...]


def apex_records(zone: Zone) -> Apex:
    """The records that `zone` itself has: SOA, NS, and its name servers' addresses."""
    apex = wire_name(zone.name)
    numbers = (zone.serial % 2**32, zone.refresh, zone.retry, zone.expire, zone.negative_ttl)
    soa = wire_name(zone.servers[0].name) + wire_name(zone.contact)
    soa += b"".join(number.to_bytes(4) for number in numbers)
    negative_ttl = min(zone.negative_ttl, zone.stable_ttl)
    glue = tuple(
        address_record(wire_name(server.name), address, zone.stable_ttl)
        for server in zone.servers
        for address in server.addresses
        if is_within(wire_name(server.name), apex)
    )
    return Apex(
        soa=Record(apex, Type.SOA, zone.stable_ttl, soa),
        negative=Record(apex, Type.SOA, negative_ttl, soa),
        ns=tuple(Record(apex, Type.NS, zone.stable_ttl, wire_name(server.name)) for server in zone.servers),
        glue=glue,
    )


def address_record(owner: bytes, address: str, ttl: int) -> Record:
    """The A or AAAA record of `address`."""
    packed = ipaddress.ip_address(address).packed
    return Record(owner, Type.A if len(packed) == 4 else Type.AAAA, ttl, packed)
