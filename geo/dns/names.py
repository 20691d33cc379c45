"""Which names a zone has and what stands at them. Built once for a zone and its hosts, then only read."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from geo.dns.message import Record, Type
from geo.dns.zone import BadName, Zone, is_within, mailbox_name, parents, wire_name

Sets: TypeAlias = Mapping[int, tuple[Record, ...]]
STEERED = frozenset((Type.A, Type.AAAA, Type.CNAME, Type.ALIAS))  # what nodes stand for at a host's name


@dataclass(frozen=True, slots=True)
class Outside:
    """The name is not the zone's."""


@dataclass(frozen=True, slots=True)
class Missing:
    """The zone has no such name, and none below it."""


@dataclass(frozen=True, slots=True)
class Delegated:
    """The name lies at or below `cut`, which others answer for (RFC 1034 §4.2.1)."""

    cut: bytes
    at: Name
    glue: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Name:
    """What stands at a name: record sets by type. A host's addresses are those of nodes.

    Nothing at all stands at a name that exists because one below it does (RFC 8020, RFC 4592 §2.2.2).
    """

    sets: Sets = field(default_factory=dict)
    host: bool = False


Found: TypeAlias = Outside | Missing | Delegated | Name
OUTSIDE, MISSING, NOTHING = Outside(), Missing(), Name()


class Names:
    """The zone's names in wire form, in lower case. A site's host takes a name's addresses."""

    def __init__(self, zone: Zone, hosts: frozenset[str]) -> None:
        self.apex = wire_name(zone.name)
        self.soa, self.negative = _soa(zone, self.apex)
        self._names: dict[bytes, Name] = {self.apex: NOTHING}
        self._wildcards: dict[bytes, bytes] = {}
        self._cuts: frozenset[bytes] = frozenset()
        sets = _sets(_own_records(zone, self.apex, self.soa))
        for owner, own in sets.items():
            self._add(owner, Name(own))
        servers = {wire_name(server.name) for server in zone.servers if server.addresses}
        for host in hosts:
            self._add_host(host, servers)
        self._cuts = frozenset(owner for owner in sets if owner != self.apex and Type.NS in sets[owner])
        self._glue = {cut: self._glue_of(sets[cut]) for cut in self._cuts}
        self.servers = self._glue_of(sets[self.apex])

    def find(self, key: bytes) -> Found:
        """What stands at `key`, or at the wildcard of its closest encloser (RFC 4592 §3.3.1)."""
        if self._cuts:
            cut = self.cut_above(key)
            if cut is not None:
                return Delegated(cut, self._names[cut], self._glue[cut])
        name = self._names.get(key)
        if name is not None:
            return name
        if not is_within(key, self.apex):
            return OUTSIDE
        if self._wildcards:
            encloser = next(above for above in parents(key) if above in self._names)
            if encloser in self._wildcards:
                return self._names[self._wildcards[encloser]]
        return MISSING

    def has(self, key: bytes) -> bool:
        """Whether the name itself is there, and not just by a wildcard."""
        return key in self._names

    def items(self) -> Iterable[tuple[bytes, Name]]:
        """Every name, with what stands there."""
        return self._names.items()

    def cut_above(self, key: bytes) -> bytes | None:
        """The highest delegation at `key` or above it."""
        return next((above for above in reversed(parents(key)) if above in self._cuts), None)

    def _glue_of(self, sets: Sets) -> tuple[Record, ...]:
        """The addresses, known here, of the name servers of a delegation (RFC 9471)."""
        targets = dict.fromkeys(record.data.lower() for record in sets[Type.NS])
        return tuple(
            record
            for target in targets
            for kind in (Type.A, Type.AAAA)
            for record in self._names.get(target, NOTHING).sets.get(kind, ())
        )

    def _add_host(self, host: str, servers: set[bytes]) -> None:
        try:
            name = self.apex if host == "*" else wire_name(host)
        except BadName:  # an IPv6 literal, say: a fine host for an edge, no name for DNS
            return
        if not is_within(name, self.apex) or name in servers:
            return
        own = self._names.get(name, NOTHING).sets
        self._add(name, Name({kind: own[kind] for kind in own if kind not in STEERED}, host=True))
        if host == "*":
            self._wildcards[self.apex] = self.apex

    def _add(self, name: bytes, what: Name) -> None:
        self._names[name] = what
        if name.startswith(b"\x01*"):
            self._wildcards[name[2:]] = name
        for above in parents(name)[1:]:
            if above in self._names or not is_within(above, self.apex):
                return
            self._names[above] = NOTHING


def owned(records: tuple[Record, ...], key: bytes) -> tuple[Record, ...]:
    """`records` under the name `key`: a wildcard's are given the name that was asked (RFC 4592 §3.3.1)."""
    if all(record.owner == key for record in records):
        return records
    return tuple(Record(key, record.type, record.ttl, record.data) for record in records)


def _soa(zone: Zone, apex: bytes) -> tuple[Record, Record]:
    """The SOA, and the same as it accompanies a negative answer (RFC 2308 §3)."""
    numbers = (zone.serial % 2**32, zone.refresh, zone.retry, zone.expire, zone.negative_ttl)
    data = wire_name(zone.servers[0].name) + mailbox_name(zone.contact)
    data += b"".join(number.to_bytes(4) for number in numbers)
    soa = Record(apex, Type.SOA, zone.stable_ttl, data)
    return soa, Record(apex, Type.SOA, min(zone.negative_ttl, zone.stable_ttl), data)


def _own_records(zone: Zone, apex: bytes, soa: Record) -> Iterable[Record]:
    """SOA, NS, name servers' addresses and keys, then what the zone has beside them."""
    yield soa
    for server in zone.servers:
        yield Record(apex, Type.NS, zone.stable_ttl, wire_name(server.name))
        for address in server.addresses:
            name = wire_name(server.name)
            if is_within(name, apex):
                yield address_record(name, address, zone.stable_ttl)
    for key in zone.keys:
        yield Record(apex, Type.DNSKEY, zone.stable_ttl, key.dnskey)
        if key.announced:
            yield Record(apex, Type.CDS, zone.stable_ttl, key.ds(apex))
            yield Record(apex, Type.CDNSKEY, zone.stable_ttl, key.dnskey)
    yield from zone.records


def _sets(records: Iterable[Record]) -> dict[bytes, dict[int, tuple[Record, ...]]]:
    """Records as sets; the TTLs of one set are the same, the least (RFC 2181 §5.2)."""
    sets: dict[bytes, dict[int, dict[bytes, int]]] = {}
    for record in records:
        data = sets.setdefault(record.owner, {}).setdefault(record.type, {})
        data[record.data] = min(record.ttl, data.get(record.data, record.ttl))
    return {
        owner: {
            int(kind): tuple(Record(owner, int(kind), min(data.values()), one) for one in data)
            for kind, data in kinds.items()
        }
        for owner, kinds in sets.items()
    }


def address_record(owner: bytes, address: str, ttl: int) -> Record:
    """The A or AAAA record of `address`."""
    packed = ipaddress.ip_address(address).packed
    return Record(owner, Type.A if len(packed) == 4 else Type.AAAA, ttl, packed)
