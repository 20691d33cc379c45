"""DNS queries off the wire, replies onto it (RFC 1035 §4, RFC 6891). Values only, no decisions.

A query is a header, one question and at most one OPT record. All else that some client may send is either
answered by its header alone (Refusal) or not at all (None).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct

from geo.dns.edns import OUR_SIZE, PAIR, BadOption, Edns, parse_opt, render_opt

HEADER = Struct("!HHHHHH")
HEADER_SIZE = 12
FIXED = Struct("!HHIH")  # type, class, TTL, RDLENGTH (RFC 1035 §3.2.1)

QR, AA, TC, RD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0010
OPCODE = 0x7800

CLASSIC_SIZE = 512  # RFC 1035 §4.2.1
MOST_ADDITIONAL = 4
LONGEST_NAME = 255
QUESTION_POINTER = 0xC000 | HEADER_SIZE


class Rcode(IntEnum):
    """RFC 1035 §4.1.1; above 15 they need EDNS (RFC 6891 §6.1.3)."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    BADVERS = 16


class Type(IntEnum):
    """The record types that are spoken of here."""

    A = 1
    NS = 2
    CNAME = 5
    SOA = 6
    HINFO = 13
    MX = 15
    TXT = 16
    AAAA = 28
    SRV = 33
    OPT = 41
    DS = 43
    RRSIG = 46
    NSEC = 47
    DNSKEY = 48
    CDS = 59
    CDNSKEY = 60
    SVCB = 64
    HTTPS = 65
    NXNAME = 128  # only in a denial: there is no such name (RFC 9824 §3.3)
    IXFR = 251
    AXFR = 252
    ANY = 255
    CAA = 257
    ALIAS = 65401  # private use: never on the wire, it stands for addresses (PowerDNS's number)


CLASS_IN = 1


@dataclass(frozen=True, slots=True)
class Question:
    """`name` as it came (its case is given back: 0x20), `key` in lower case; both in wire form."""

    name: bytes
    key: bytes
    type: int
    cls: int


@dataclass(frozen=True, slots=True)
class Query:
    """A well-formed query of opcode QUERY."""

    id: int
    flags: int
    question: Question
    edns: Edns | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A packet to which only `rcode` can be said. `question` and `edns` are what could be read."""

    id: int
    flags: int
    rcode: Rcode
    question: Question | None = None
    edns: Edns | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A resource record of class IN. `owner` is a lower-case wire name."""

    owner: bytes
    type: int
    ttl: int
    data: bytes


class _Malformed(Exception):
    """The packet breaks the format. `edns` is the OPT record's head where only an option is at fault."""

    def __init__(self, edns: Edns | None = None) -> None:
        self.edns = edns


def parse(wire: bytes) -> Query | Refusal | None:
    """What `wire` asks. None: no answer may be given, for it is a response or lacks a header."""
    if len(wire) < HEADER_SIZE:
        return None
    number, flags, questions, answers, authority, additional = HEADER.unpack_from(wire)
    if flags & QR:
        return None
    if flags & OPCODE:
        return Refusal(number, flags, Rcode.NOTIMP)
    if questions != 1 or answers or authority or additional > MOST_ADDITIONAL:  # RFC 9619
        return Refusal(number, flags, Rcode.FORMERR)
    question = None
    try:
        question, at = _question(wire)
        edns = _additional(wire, at, additional) if additional else None
        if not additional and at != len(wire):
            raise _Malformed
    except _Malformed as flaw:
        return Refusal(number, flags, Rcode.FORMERR, question, flaw.edns)
    if edns is not None and edns.version != 0:
        return Refusal(number, flags, Rcode.BADVERS, question, edns)
    return Query(number, flags, question, edns)


def _question(wire: bytes) -> tuple[Question, int]:
    """The question, and where it ends. Nothing precedes it that a pointer could name, so none is allowed."""
    end = _skip_name(wire, HEADER_SIZE, pointers=False)
    if end + 4 > len(wire):
        raise _Malformed
    name = wire[HEADER_SIZE:end]
    kind, cls = PAIR.unpack_from(wire, end)
    return Question(name, name.lower(), kind, cls), end + 4


def _skip_name(wire: bytes, at: int, *, pointers: bool) -> int:
    """Where the name at `at` ends. Pointers are stepped over, never followed, so none can loop."""
    limit = len(wire)
    last = min(limit, at + LONGEST_NAME)
    while at < last:
        length = wire[at]
        if length == 0:
            return at + 1
        if length >= 0xC0 and pointers and at + 2 <= limit:
            return at + 2
        if length > 63:
            raise _Malformed
        at += length + 1
    raise _Malformed


def _additional(wire: bytes, at: int, count: int) -> Edns | None:
    """The OPT record, if there is one, out of `count` records (RFC 6891 §6.1.1)."""
    edns = None
    for _ in range(count):
        owner = at
        at = _skip_name(wire, at, pointers=True)
        end = at + FIXED.size
        if end > len(wire):
            raise _Malformed
        kind, cls, ttl, length = FIXED.unpack_from(wire, at)
        at = end + length
        if at > len(wire):
            raise _Malformed
        if kind == Type.OPT:
            if edns is not None or wire[owner] != 0:
                raise _Malformed
            try:
                edns = parse_opt(cls, ttl, wire[end:at])
            except BadOption as flaw:
                raise _Malformed(flaw.edns) from flaw
    if at != len(wire):
        raise _Malformed
    return edns


def render(
    query: Query | Refusal,
    rcode: Rcode,
    *,
    sections: tuple[Iterable[Record], Iterable[Record], Iterable[Record]] = ((), (), ()),
    authoritative: bool = False,
    scope: int | None = 0,
    options: bytes = b"",
    limit: int,
) -> bytes:
    """The reply to `query`, of at most `limit` octets, `options` beside the client's subnet.

    Additional records that don't fit are left out; when others don't, the reply is truncated (TC).
    """
    question, edns = query.question, query.edns
    head = b"" if question is None else question.name + PAIR.pack(question.type, question.cls)
    opt = b"" if edns is None else render_opt(edns, rcode, scope, options)
    room = limit - HEADER_SIZE - len(opt)
    flags = QR | (query.flags & (OPCODE | RD | CD)) | (AA if authoritative else 0) | (rcode & 0xF)
    body = bytearray(head)
    counts = [0, 0, 0]
    for index, section in enumerate(sections):
        for record in section:
            added = _record(record, question, body)
            if len(body) + len(added) > room:
                if index == 2:
                    continue
                return HEADER.pack(query.id, flags | TC, bool(head), 0, 0, bool(opt)) + head + opt
            body += added
            counts[index] += 1
    counts[2] += bool(opt)
    return HEADER.pack(query.id, flags, bool(head), *counts) + body + opt


def _record(record: Record, question: Question | None, body: bytearray) -> bytes:
    """`record` on the wire, its owner a pointer into the question where it is its end (RFC 1035 §4.1.4)."""
    owner = record.owner
    if question is not None and question.key.endswith(owner) and owner != b"\0":
        at = len(question.key) - len(owner)
        if _starts_label(question.key, at):
            owner = (QUESTION_POINTER + at).to_bytes(2)
    return owner + FIXED.pack(record.type, CLASS_IN, record.ttl, len(record.data)) + record.data


def _starts_label(name: bytes, at: int) -> bool:
    step = 0
    while step < at:
        step += name[step] + 1
    return step == at


def reply_limit(edns: Edns | None, *, stream: bool) -> int:
    """The most octets that a reply may have (RFC 6891 §6.2.3–§6.2.5)."""
    if stream:
        return 65535
    if edns is None:
        return CLASSIC_SIZE
    return min(max(edns.size, CLASSIC_SIZE), OUR_SIZE)
