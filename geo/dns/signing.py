"""Signatures made when they are asked for (RFC 4034), and denial in one record (RFC 9824).

Pure: the instant of signing is part of the state. Signatures are kept, for most answers are given again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import groupby
from struct import Struct

import dns.rdata
import dns.rdataclass
import dns.rdatatype

from geo.dns.keys import ALGORITHM, Key
from geo.dns.message import CLASS_IN, FIXED, LONGEST_NAME, Record, Type
from geo.dns.names import Name
from geo.dns.zone import Zone, parents

DAY = 86400
BEFORE, AFTER = DAY, 4 * DAY  # seconds of a signature's life around the beginning of the day it is made on
MOST_SIGNATURES = 100_000
_HEAD = Struct("!HBBIIIH")  # type, algorithm, labels, TTL, until, from, key tag (RFC 4034 §3.1)
_OPAQUE = frozenset((Type.A, Type.AAAA, Type.TXT, Type.DS, Type.DNSKEY, Type.CDS, Type.CDNSKEY, Type.NSEC))


@dataclass(frozen=True, slots=True)
class Denial:
    """That `name` has no record of a type, or that there is no such name (`at` is None).

    `cut`: others answer for the name, and only what is said above them counts. `serves`: whether a host has
    HTTPS records.
    """

    name: bytes
    at: Name | None
    cut: bool = False
    serves: bool = False

    def types(self, denied: int) -> frozenset[int]:
        """The types to be listed: those that are there for some client, `denied` left out."""
        here = {int(Type.RRSIG), int(Type.NSEC)}
        if self.at is None:
            return frozenset((*here, int(Type.NXNAME)))
        if self.cut:
            return frozenset((*here, *({Type.NS, Type.DS} & self.at.sets.keys()))) - {denied}
        here.update(kind for kind in self.at.sets if kind != Type.ALIAS)
        if self.at.host or Type.ALIAS in self.at.sets:
            here.update((int(Type.A), int(Type.AAAA)))
        if self.serves:
            here.add(int(Type.HTTPS))
        return frozenset(here) - {denied}


class Signing:
    """Signs for zones by apex, and keeps what it made. Good from the day of `at` on, seconds since 1970."""

    def __init__(self, zones: Mapping[bytes, Zone], at: int) -> None:
        self.zones = zones
        self.day = at // DAY * DAY
        self.is_needed = any(zone.keys for zone in zones.values())
        self._made: dict[tuple[bytes, tuple[Record, ...]], tuple[Record, ...]] = {}

    def signed(self, records: tuple[Record, ...]) -> tuple[Record, ...]:
        """`records`, behind each set its signatures, where its zone is ours and has keys."""
        made: list[Record] = []
        for (owner, kind), same in groupby(records, lambda record: (record.owner, record.type)):
            found = tuple(same)
            apex = self._zone(owner, kind)
            made += found if apex is None else (*found, *self._signatures(apex, found))
        return tuple(made)

    def proof(self, denial: Denial, denied: int) -> tuple[Record, ...]:
        """Why there is no such type or name, in one record (RFC 9824 §3); at a delegation its DS, if any."""
        apex = self._zone(denial.name, Type.DS if denial.cut else denied)
        if apex is None:
            return ()
        if denial.cut and denial.at is not None:
            denied = Type.DS
            if Type.DS in denial.at.sets:
                return self.signed(denial.at.sets[Type.DS])
        following = b"\x01\0" + denial.name
        if len(following) > LONGEST_NAME:
            following = apex  # the last name of a zone is followed by its first (RFC 4034 §4.1.1)
        zone = self.zones[apex]
        ttl = min(zone.negative_ttl, zone.stable_ttl)
        nsec = Record(denial.name, Type.NSEC, ttl, following + bitmap(denial.types(denied)))
        return (nsec, *self._signatures(apex, (nsec,)))

    def _zone(self, owner: bytes, kind: int) -> bytes | None:
        """The zone that signs `kind` at `owner`, for DS the one above (RFC 4035 §2.4); None: unsigned."""
        above = [name for name in parents(owner) if name in self.zones]
        if kind == Type.DS and len(above) > 1 and above[0] == owner:
            del above[0]
        return above[0] if above and self.zones[above[0]].keys else None

    def _signatures(self, apex: bytes, records: tuple[Record, ...]) -> tuple[Record, ...]:
        known = self._made.get((apex, records))
        if known is None:
            if len(self._made) >= MOST_SIGNATURES:
                self._made.clear()
            keys = self.zones[apex].keys
            if records[0].type not in (Type.DNSKEY, Type.CDS, Type.CDNSKEY):
                keys = tuple(key for key in keys if key.signs)
            known = tuple(self._signature(apex, records, key) for key in keys)
            self._made[apex, records] = known
        return known

    def _signature(self, apex: bytes, records: tuple[Record, ...], key: Key) -> Record:
        """One RRSIG record (RFC 4034 §3.1.8.1)."""
        first = records[0]
        until, since = (self.day + AFTER) % 2**32, (self.day - BEFORE) % 2**32
        labels = _labels(first.owner)
        head = _HEAD.pack(first.type, ALGORITHM, labels, first.ttl, until, since, key.tag) + apex
        before = first.owner + FIXED.pack(first.type, CLASS_IN, first.ttl, 0)[:8]
        ordered = sorted({_canonical(record) for record in records})
        octets = head + b"".join(before + len(data).to_bytes(2) + data for data in ordered)
        return Record(first.owner, Type.RRSIG, first.ttl, head + key.sign(octets))


def _canonical(record: Record) -> bytes:
    """The record's data as it is signed: names within in lower case (RFC 4034 §6.2)."""
    if record.type in _OPAQUE:
        return record.data
    kind = dns.rdatatype.RdataType.make(record.type)
    data = dns.rdata.from_wire(dns.rdataclass.IN, kind, record.data, 0, len(record.data))
    return data.to_digestable()


def _labels(name: bytes) -> int:
    """Labels of a name, without the root and a leading asterisk (RFC 4034 §3.1.3)."""
    count, at = 0, 2 if name.startswith(b"\x01*") else 0
    while name[at]:
        count, at = count + 1, at + name[at] + 1
    return count


def bitmap(types: Collection[int]) -> bytes:
    """Types as windows of bits (RFC 4034 §4.1.2)."""
    made = bytearray()
    for window, kinds in groupby(sorted(types), lambda kind: kind >> 8):
        bits = bytearray(32)
        for kind in kinds:
            bits[(kind & 0xFF) >> 3] |= 0x80 >> (kind & 7)
        kept = bits.rstrip(b"\0")
        made += bytes((window, len(kept))) + kept
    return bytes(made)
