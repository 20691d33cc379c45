"""What a zone's file adds to the zone, checked as a whole: refused with file, line and reason. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.SOA

from geo.dns.message import Record, Type
from geo.dns.names import NOTHING, STEERED, Name, Names
from geo.dns.zone import NameServer, Zone, is_within, wire_name
from geo.dns.zonefile import BadZone, Line

MOST_LINKS = 8  # of one chain of CNAME and ALIAS
_LINKS = (Type.CNAME, Type.ALIAS)


def with_file(zone: Zone, lines: tuple[Line, ...], file: str) -> Zone:
    """`zone` with the records of its file; SOA and NS of the file go before the zone's own. Raises BadZone.

    Of two serials the later counts, for what control changes raises it too.
    """
    apex = wire_name(zone.name)
    _check_alone(lines, apex, file)
    zone = _with_soa(zone, lines, apex, file)
    servers = tuple(
        line.record.data for line in lines if (line.record.owner, line.record.type) == (apex, Type.NS)
    )
    if servers:
        zone = replace(zone, servers=tuple(NameServer(_text(one)) for one in dict.fromkeys(servers)))
    own = (Type.SOA, Type.NS)
    records = tuple(line.record for line in lines if line.record.owner != apex or line.record.type not in own)
    made = replace(zone, records=records)
    _check_links(Names(made, frozenset()), lines, apex, file)
    return made


def _with_soa(zone: Zone, lines: tuple[Line, ...], apex: bytes, file: str) -> Zone:
    found = [line for line in lines if line.record.type == Type.SOA]
    for line in found:
        if line.record.owner != apex or line is not found[0]:
            raise BadZone(f"{file}:{line.number}: one SOA, at {zone.name} itself")
    if not found:
        return zone
    record = found[0].record
    soa = dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.SOA, record.data, 0, len(record.data))
    assert isinstance(soa, dns.rdtypes.ANY.SOA.SOA)
    return replace(
        zone,
        contact=soa.rname.to_text(),
        serial=max(zone.serial, soa.serial),
        refresh=soa.refresh,
        retry=soa.retry,
        expire=soa.expire,
        negative_ttl=soa.minimum,
        stable_ttl=record.ttl,
    )


def _check_alone(lines: tuple[Line, ...], apex: bytes, file: str) -> None:
    """CNAME stands alone (RFC 1034 §3.6.2), ALIAS without addresses; no wildcard delegates (RFC 4592)."""
    at: dict[bytes, dict[int, int]] = {}
    for line in lines:
        kinds = at.setdefault(line.record.owner, {})
        kind = line.record.type
        where = f"{file}:{line.number}: {_text(line.record.owner)}"
        if kind in _LINKS and kind in kinds:
            raise BadZone(f"{where} has two {Type(kind).name} records, expected one")
        if kind == Type.CNAME and line.record.owner == apex:
            raise BadZone(f"{where} is the zone itself, where no CNAME can be: ALIAS does the same")
        if kind == Type.NS and line.record.owner.startswith(b"\x01*"):
            raise BadZone(f"{where} delegates by a wildcard, which no resolver follows")
        kinds[kind] = line.number
    for owner, kinds in at.items():
        for kind, excluded in ((Type.CNAME, kinds.keys()), (Type.ALIAS, kinds.keys() & STEERED)):
            others = [number for other, number in kinds.items() if other in excluded and other != kind]
            if kind in kinds and others:
                number = max(kinds[kind], *others)
                beside = "nothing" if kind == Type.CNAME else "no address and no CNAME"
                raise BadZone(f"{file}:{number}: {_text(owner)}: beside its {kind.name} stands {beside}")


def _check_links(names: Names, lines: tuple[Line, ...], apex: bytes, file: str) -> None:
    """Where records lead: chains end, servers have addresses and no other name (RFC 2181 §10.3)."""
    for line in lines:
        record, where = line.record, f"{file}:{line.number}: {_text(line.record.owner)}"
        if record.type in _LINKS:
            _check_chain(names, record, where)
        if record.type in (Type.NS, Type.MX):
            target = record.data[2 if record.type == Type.MX else 0 :].lower()
            found = names.find(target)
            if isinstance(found, Name) and Type.CNAME in found.sets:
                raise BadZone(f"{where}: its {Type(record.type).name} {_text(target)} is a CNAME")
            below = record.owner if record.type == Type.NS else None
            if below is not None and is_within(target, below) and not _has_address(names, target):
                raise BadZone(f"{where}: its name server {_text(target)} has no address here, and needs one")
        cut = names.cut_above(record.owner)
        is_glue = record.type in (Type.A, Type.AAAA)
        if cut is not None and not is_glue and (cut != record.owner or record.type not in (Type.NS, Type.DS)):
            raise BadZone(f"{where}: {_text(cut)} is delegated, so only addresses can stand there or below")


def _has_address(names: Names, target: bytes) -> bool:
    sets = dict(names.items()).get(target, NOTHING).sets
    return Type.A in sets or Type.AAAA in sets


def _check_chain(names: Names, record: Record, where: str) -> None:
    seen = [record.owner]
    for target in _chain(names, record):
        if target in seen or len(seen) > MOST_LINKS:
            kind = "leads in a circle" if target in seen else f"is a chain of more than {MOST_LINKS} names"
            raise BadZone(f"{where}: {' -> '.join(map(_text, [*seen, target]))} {kind}")
        seen.append(target)


def _chain(names: Names, record: Record) -> Iterator[bytes]:
    """Where `record` leads, name by name, as far as the zone goes."""
    while True:
        target = record.data.lower()
        yield target
        found = names.find(target)
        if not isinstance(found, Name):
            return
        following = next((found.sets[kind] for kind in _LINKS if kind in found.sets), None)
        if following is None:
            return
        record = following[0]


def _text(name: bytes) -> str:
    return dns.name.from_wire(name, 0)[0].to_text()
