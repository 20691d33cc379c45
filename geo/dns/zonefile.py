"""Zones as text, the standard file format (RFC 1035 §5), read and written with dnspython.

ALIAS is known beside the standard types: addresses of another name, in place of a CNAME where that can't be.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.nsbase
import dns.tokenizer
import dns.transaction
import dns.zonefile

from geo.dns.message import Record, Type

LONGEST_TTL = 2**31 - 1  # RFC 2181 §8
_TYPE = dns.rdatatype.RdataType.make
_DIRECTIVES = ("$ORIGIN", "$TTL")
_OWN = {  # the signer's (RFC 4034, 5155): never taken from a file
    dns.rdatatype.RRSIG, dns.rdatatype.NSEC, dns.rdatatype.NSEC3, dns.rdatatype.NSEC3PARAM,
    dns.rdatatype.DNSKEY, dns.rdatatype.CDS, dns.rdatatype.CDNSKEY,
}  # fmt: skip


class Alias(dns.rdtypes.nsbase.UncompressedNS):
    """ALIAS: the addresses of `target`."""


dns.rdata.register_type(Alias, Type.ALIAS, "ALIAS", is_singleton=True)


class BadZone(ValueError):
    """A zone that is refused; the text says file, line and reason."""


@dataclass(frozen=True, slots=True)
class Line:
    """A record and the line of the file that it ends on."""

    record: Record
    number: int


def read_zone(text: str, origin: str, file: str) -> tuple[Line, ...]:
    """The records of a zone file, owners in lower case, of the zone `origin`. Raises BadZone.

    `file` is what problems call it. Directives are $ORIGIN and $TTL: a zone reads no other files.
    """
    try:
        name = dns.name.from_text(origin)
        tokens = _Tokens(text, file)
        taken = _Taken(_Origin(name), tokens)
        reader = dns.zonefile.Reader(
            tokens, dns.rdataclass.IN, cast(dns.transaction.Transaction, taken),
            allow_directives=_DIRECTIVES,
        )  # fmt: skip
        reader.zone_origin = dns.name.root  # or names outside the zone were passed over in silence
        reader.read()
    except dns.exception.DNSException as error:
        said = str(error).removeprefix(f"{file}:{tokens.where()[1]}: ") or type(error).__name__
        raise BadZone(f"{file}:{tokens.began}: {said}") from error
    return tuple(taken.lines)


def write_zone(origin: str, records: Iterable[Record]) -> str:
    """`records` as a zone file that `read_zone` reads, and BIND too where there is no ALIAS."""
    apex = dns.name.from_text(origin)
    rows = [f"$ORIGIN {apex.to_text()}"]
    kinds = {int(Type.SOA): -2, int(Type.NS): -1}
    for record in sorted(records, key=lambda one: _order(one, kinds)):
        owner = dns.name.from_wire(record.owner, 0)[0]
        data = dns.rdata.from_wire(dns.rdataclass.IN, _TYPE(record.type), record.data, 0, len(record.data))
        name = owner.relativize(apex).to_text()
        rows.append(f"{name} {record.ttl} IN {dns.rdatatype.to_text(data.rdtype)} {data.to_text()}")
    return "\n".join(rows) + "\n"


def _order(record: Record, kinds: dict[int, int]) -> tuple[list[bytes], int, bytes]:
    labels = dns.name.from_wire(record.owner, 0)[0].labels
    return list(reversed(labels)), kinds.get(record.type, record.type), record.data


class _Tokens(dns.tokenizer.Tokenizer):
    """A tokenizer that knows on which line the record began that is being read."""

    def __init__(self, text: str, file: str) -> None:
        super().__init__(text, file)
        self.began = 1

    def get(self, want_leading: bool = False, want_comment: bool = False) -> dns.tokenizer.Token:
        if want_leading and want_comment:  # how the reader asks for a line's first token
            self.began = self.where()[1]
        return super().get(want_leading, want_comment)


@dataclass(frozen=True, slots=True)
class _Origin:
    """What the reader asks of the zone that it fills."""

    name: dns.name.Name

    def origin_information(self) -> tuple[dns.name.Name, bool, dns.name.Name]:
        return self.name, False, self.name


class _Taken:
    """What the reader writes to: it keeps each record with its line."""

    def __init__(self, manager: _Origin, tokens: _Tokens) -> None:
        self.manager = manager
        self.lines: list[Line] = []
        self._tokens = tokens
        self._seen: set[tuple[bytes, int, bytes]] = set()

    def check_put_rdataset(self, _check: Any) -> None:
        """What may stand beside what is checked on the zone as a whole."""

    def _set_origin(self, _origin: dns.name.Name) -> None:
        """$ORIGIN changes what names are relative to, not the zone."""

    def add(self, name: dns.name.Name, ttl: int, data: dns.rdata.Rdata) -> None:
        """Takes a record. Raises BadZone."""
        where = f"{self._tokens.where()[0]}:{self._tokens.began}"
        if not name.is_subdomain(self.manager.name):
            raise BadZone(f"{where}: {name} is outside the zone {self.manager.name}")
        if ttl > LONGEST_TTL:
            raise BadZone(f"{where}: a TTL of {ttl}, expected {LONGEST_TTL} or less")
        kind = data.rdtype
        if kind in _OWN or (128 <= kind < 256) or kind in (0, Type.OPT):
            raise BadZone(f"{where}: {dns.rdatatype.to_text(kind)} records are not taken from files")
        owner, wire = (name.to_wire() or b"").lower(), data.to_wire() or b""
        key = (owner, int(kind), wire)
        if key not in self._seen:  # RFC 2181 §5: the same record twice is one
            self._seen.add(key)
            self.lines.append(Line(Record(owner, int(kind), ttl, wire), self._tokens.began))
