"""Query bytes -> reply bytes, without a socket: parse, decide, render.

A Responder is one immutable state of zones, hosts, fleet and database. A change makes another, and the
server takes that for its next packet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import assert_never

from geo.dns.cookies import Cookies
from geo.dns.edns import COOKIE as COOKIE_OPTION
from geo.dns.edns import KEEPALIVE, NSID, Edns, option
from geo.dns.message import CLASS_IN, Query, Rcode, Record, Refusal, Type, parse, render, reply_limit
from geo.dns.names import Delegated, Missing, Name, Names, Outside, owned
from geo.dns.signing import Denial, Signing
from geo.dns.steering import Client, Steering, packed_address
from geo.dns.zone import Zone, parents
from geo.fleet import Fleet
from geo.lookup import Lookup

FIRST_META_TYPE = 128  # from here on QTYPEs ask for no stored data (RFC 6895 §3.1)
INSTEAD_OF_ANY = b"\x07RFC8482\x00"  # HINFO's two strings (RFC 8482 §4.2)
MOST_LINKS = 8  # of CNAME and ALIAS, followed for one question
ALPN, IPV4HINT, IPV6HINT = 1, 4, 6  # SvcParamKeys (RFC 9460 §14.3.2)

Flattened = Mapping[tuple[bytes, int], tuple[Record, ...]]


@dataclass(frozen=True, slots=True)
class Manners:
    """How replies are made, whatever is asked.

    `subnet`: whether client subnets are used and answered (RFC 7871). `nsid`: who answered (RFC 5001).
    `amplification`: octets of a UDP reply for each of its query's, unless a cookie proves the sender.
    `idle`: the seconds that TCP clients are told (RFC 7828).
    """

    subnet: bool = True
    nsid: bytes = b""
    amplification: float = 12.0
    cookies: Cookies | None = None
    idle: float = 10.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes on the wire, and what metrics want to know of it. `proven`: the sender's address is his."""

    wire: bytes
    type: int
    rcode: Rcode
    node: str | None = None
    proven: bool = False


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
    client: Client | None = None  # whom it is for, where that made a difference
    spread: bool = False  # his network decided among equal nodes
    denial: Denial | None = None  # what is not there


REFUSED = Decision(Rcode.REFUSED, authoritative=False)
FORMAT_ERROR = Decision(Rcode.FORMERR, authoritative=False)
NOT_IMPLEMENTED = Decision(Rcode.NOTIMP, authoritative=False)
FAILED = Decision(Rcode.SERVFAIL, authoritative=False)


@dataclass(frozen=True, slots=True)
class Area:
    """A zone and its names."""

    zone: Zone
    names: Names


class Asked:
    """One question on its way: what is asked for, and the client, looked up once it matters."""

    def __init__(self, kind: int, query: Query, source: str, steering: Steering, *, subnet: bool) -> None:
        self.kind = kind
        self._query = query
        self._source = source
        self._steering = steering
        self._subnet = subnet

    @cached_property
    def client(self) -> Client:
        """Whom the answer is for."""
        edns = self._query.edns
        return self._steering.client(edns.subnet if edns and self._subnet else None, self._source)


class Responder:
    """Answers for zones: their own records, and for the hosts in them the nearest nodes of `fleet`.

    `hosts` are sites' host names; those outside the zones are not answered for, `*.name` matches as in
    RFC 4592, and `*` is every name of every zone. `flattened` has the addresses of names elsewhere to which
    ALIAS records lead. `at` is the instant, in seconds since 1970, at which signatures begin.
    """

    def __init__(
        self,
        zones: Iterable[Zone],
        hosts: frozenset[str],
        fleet: Fleet,
        lookup: Lookup,
        *,
        manners: Manners = Manners(),
        flattened: Flattened | None = None,
        at: int = 0,
    ) -> None:
        self.zones = tuple(zones)
        self.hosts = hosts
        self.manners = manners
        self.flattened: Flattened = flattened or {}
        self.steering = Steering(fleet, lookup)
        areas = (Area(zone, Names(zone, hosts)) for zone in self.zones)
        self.areas = {area.names.apex: area for area in areas}
        self.signing = Signing({apex: area.zone for apex, area in self.areas.items()}, at)

    @property
    def fleet(self) -> Fleet:
        """The nodes that are answered with."""
        return self.steering.fleet

    def with_fleet(self, fleet: Fleet) -> Responder:
        """The same with another fleet. Costs by the size of the fleet, not by the number of hosts."""
        return self._copy(steering=Steering(fleet, self.steering.lookup))

    def with_hosts(self, hosts: frozenset[str], fleet: Fleet) -> Responder:
        """The same with other hosts and another fleet, serials raised."""
        return self._made((replace(zone, serial=zone.serial + 1) for zone in self.zones), hosts, fleet)

    def with_zones(self, zones: Iterable[Zone]) -> Responder:
        """The same with other zones, whose serials are not lower than before."""
        before = {zone.name: zone.serial for zone in self.zones}
        later = (replace(zone, serial=max(zone.serial, before.get(zone.name, 0) + 1)) for zone in zones)
        return self._made(later, self.hosts, self.fleet)

    def at(self, now: float) -> Responder:
        """The same with signatures of the day of `now`; itself where they are, or nothing is signed."""
        signing = Signing(self.signing.zones, int(now))
        if signing.day == self.signing.day or not signing.is_needed:
            return self
        return self._copy(signing=signing)

    def _made(self, zones: Iterable[Zone], hosts: frozenset[str], fleet: Fleet) -> Responder:
        lookup, at = self.steering.lookup, self.signing.day
        return Responder(zones, hosts, fleet, lookup, manners=self.manners, flattened=self.flattened, at=at)

    def with_flattened(self, flattened: Flattened) -> Responder:
        """The same with other addresses behind ALIAS records."""
        return self._copy(flattened=flattened)

    def _copy(self, **changes: object) -> Responder:
        other = object.__new__(Responder)
        other.__dict__.update(self.__dict__ | changes)
        return other

    def reply(
        self, wire: bytes, source: str, *, stream: bool = False, now: int = 0, slip: bool = False
    ) -> Reply | None:
        """The reply to the packet `wire` from the address `source`; None where silence is right.

        `now` is in seconds since 1970, for cookies. With `slip` the reply has no records, and says so (TC).
        """
        query = parse(wire)
        match query:
            case None:
                return None
            case Refusal():
                decision = replace(REFUSED, rcode=query.rcode)
                kind = 0 if query.question is None else query.question.type
            case Query():
                decision = self.decide(query, source)
                kind = query.question.type
            case unreachable:
                assert_never(unreachable)
        options, proven = self._options(query.edns, source, now, stream=stream)
        limit = reply_limit(query.edns, stream=stream)
        if not proven:
            limit = 0 if slip else min(limit, int(len(wire) * self.manners.amplification))
        reply = render(
            query,
            decision.rcode,
            sections=(decision.answer, decision.authority, decision.additional),
            authoritative=decision.authoritative,
            scope=decision.scope if self.manners.subnet else None,
            options=options,
            limit=limit,
        )
        return Reply(reply, kind, decision.rcode, decision.node, proven)

    def _options(self, edns: Edns | None, source: str, now: int, *, stream: bool) -> tuple[bytes, bool]:
        """The options beside the client subnet, and whether the sender's address is proven."""
        if edns is None or edns.version:
            return b"", stream
        manners, made, proven = self.manners, b"", stream
        if edns.cookie is not None and manners.cookies is not None:
            cookie, good = manners.cookies.answer(edns.cookie, packed_address(source), now)
            made += option(COOKIE_OPTION, cookie)
            proven = proven or good
        if edns.nsid and manners.nsid:
            made += option(NSID, manners.nsid)
        if edns.keepalive and stream:
            made += option(KEEPALIVE, min(int(manners.idle * 10), 0xFFFF).to_bytes(2))
        return made, proven

    def stands(self, key: bytes) -> bool | None:
        """Whether `key` is a name of a zone, and not by a wildcard; None where it is a site's host."""
        area = self._area(key)
        found = None if area is None else area.names.find(key)
        if isinstance(found, Name) and found.host:
            return None
        return area is not None and area.names.has(key)

    def decide(self, query: Query, source: str) -> Decision:
        """What `query` from `source` is answered (RFC 1034 §4.3.2)."""
        question = query.question
        if question.cls != CLASS_IN or question.type in (Type.AXFR, Type.IXFR):
            return REFUSED
        if question.type == Type.OPT:
            return FORMAT_ERROR
        if question.type == Type.NXNAME:  # RFC 9824 §3.5
            return FORMAT_ERROR
        if FIRST_META_TYPE <= question.type < Type.ANY:
            return NOT_IMPLEMENTED
        area = self._area(question.key, question.type)
        if area is None:
            return REFUSED
        asked = Asked(question.type, query, source, self.steering, subnet=self.manners.subnet)
        decision = self._resolve(area, question.key, asked, MOST_LINKS)
        return self._signed(decision, query) if query.edns is not None and query.edns.do else decision

    def _signed(self, decision: Decision, query: Query) -> Decision:
        """The same with signatures and a signed denial, as far as its zones have keys (RFC 4035 §3.1)."""
        assert query.edns is not None
        signing, rcode, is_ours = self.signing, decision.rcode, decision.authoritative
        answer = signing.signed(decision.answer)
        authority = signing.signed(decision.authority) if is_ours else decision.authority
        if decision.denial is not None:
            proof = signing.proof(decision.denial, query.question.type)
            if query.question.type == Type.NSEC and proof and is_ours:
                answer, authority = (*answer, *proof), ()
            else:
                authority = (*authority, *proof)
            if proof and rcode is Rcode.NXDOMAIN and not query.edns.compact:
                rcode = Rcode.NOERROR
        return replace(decision, rcode=rcode, answer=answer, authority=authority)

    def _area(self, key: bytes, kind: int = 0) -> Area | None:
        """The zone that answers for `key`; above a delegation for its DS (RFC 4035 §3.1.4.1)."""
        above = parents(key)
        if kind == Type.DS and key in self.areas:
            beyond = next((self.areas[name] for name in above[1:] if name in self.areas), None)
            return beyond or self.areas[key]
        return next((self.areas[name] for name in above if name in self.areas), None)

    def _resolve(self, area: Area, key: bytes, asked: Asked, links: int) -> Decision:
        """What stands at `key`, CNAMEs followed within the zone; the last name gives the code (RFC 6604)."""
        chain: list[Record] = []
        while True:
            found = area.names.find(key)
            if isinstance(found, Delegated) and asked.kind == Type.DS and key == found.cut:
                found = found.at
            match found:
                case Outside():
                    return Decision(Rcode.NOERROR, tuple(chain))
                case Missing():
                    denial = Denial(key, None)
                    return Decision(Rcode.NXDOMAIN, tuple(chain), (area.names.negative,), denial=denial)
                case Delegated():
                    return self._referral(found, tuple(chain))
                case Name():
                    if asked.kind != Type.CNAME and Type.CNAME in found.sets and asked.kind != Type.ANY:
                        chain += owned(found.sets[Type.CNAME], key)
                        key = chain[-1].data.lower()
                        if len(chain) <= links:
                            continue
                        return FAILED
                    decision = self._at(area, key, found, asked, links)
                    return replace(decision, answer=(*chain, *decision.answer)) if chain else decision
                case unreachable:
                    assert_never(unreachable)

    def _referral(self, found: Delegated, chain: tuple[Record, ...]) -> Decision:
        """Whom to ask instead; behind a CNAME the resolver asks for that name anyway."""
        if chain:
            return Decision(Rcode.NOERROR, chain)
        sets = found.at.sets
        return Decision(
            Rcode.NOERROR,
            authority=sets[Type.NS],
            additional=found.glue,
            authoritative=False,
            denial=Denial(found.cut, found.at, cut=True),
        )

    def _at(self, area: Area, key: bytes, name: Name, asked: Asked, links: int) -> Decision:
        """What stands at the name itself."""
        kind = asked.kind
        if kind == Type.ANY:
            record = Record(key, Type.HINFO, area.zone.stable_ttl, INSTEAD_OF_ANY)
            return Decision(Rcode.NOERROR, (record,))
        if kind in (Type.A, Type.AAAA):
            if name.host:
                return self._nodes(area, key, name, asked)
            if Type.ALIAS in name.sets:
                return self._flat(area, key, name, asked, links)
        if kind == Type.HTTPS and name.host and area.zone.alpn and kind not in name.sets:
            return self._service(area, key, asked)
        if kind == Type.ALIAS or kind not in name.sets:
            return _no_data(area, key, name)
        glue = area.names.servers if kind == Type.NS and key == area.names.apex else ()
        return Decision(Rcode.NOERROR, owned(name.sets[kind], key), additional=glue)

    def _nodes(self, area: Area, key: bytes, name: Name, asked: Asked) -> Decision:
        """The nearest nodes' addresses of the family that is asked for."""
        if not self.fleet.nodes:
            return FAILED
        steered = self.steering.steer(asked.client, asked.kind, area.zone.answers)
        client = asked.client
        scope = steered.prefix if client.scoped else 0
        if not steered.data:
            return replace(_no_data(area, key, name, scope), client=client)
        records = tuple(Record(key, asked.kind, area.zone.ttl, data) for data in steered.data)
        return Decision(
            Rcode.NOERROR, records, scope=scope, node=steered.node, client=client, spread=steered.spread
        )

    def _service(self, area: Area, key: bytes, asked: Asked) -> Decision:
        """The HTTPS record of a host: what its nodes speak, and where they are (RFC 9460 §7.1, §7.3)."""
        if not self.fleet.nodes:
            return FAILED
        zone = area.zone
        four = self.steering.steer(asked.client, Type.A, zone.answers)
        six = self.steering.steer(asked.client, Type.AAAA, zone.answers)
        names = b"".join(bytes((len(name),)) + name.encode() for name in zone.alpn)
        params = ((ALPN, names), (IPV4HINT, b"".join(four.data)), (IPV6HINT, b"".join(six.data)))
        data = b"\0\x01\0" + b"".join(option(number, value) for number, value in params if value)
        client = asked.client
        return Decision(
            Rcode.NOERROR,
            (Record(key, Type.HTTPS, zone.ttl, data),),
            scope=max(four.prefix, six.prefix) if client.scoped else 0,
            node=four.node,
            client=client,
            spread=four.spread or six.spread,
        )

    def _flat(self, area: Area, key: bytes, name: Name, asked: Asked, links: int) -> Decision:
        """The addresses of the name that an ALIAS leads to, as if they stood here."""
        alias = name.sets[Type.ALIAS][0]
        target = alias.data.lower()
        elsewhere = self._area(target)
        if links <= 0:
            return FAILED
        if elsewhere is None:
            known = self.flattened.get((target, asked.kind))
            if known is None:
                return FAILED
            decision = Decision(Rcode.NOERROR, known)
        else:
            decision = self._resolve(elsewhere, target, asked, links - 1)
        if decision.rcode is Rcode.SERVFAIL:
            return FAILED
        found = tuple(
            Record(key, record.type, min(record.ttl, alias.ttl), record.data)
            for record in decision.answer
            if record.type == asked.kind
        )
        if not found:
            return replace(_no_data(area, key, name, decision.scope), client=decision.client)
        return replace(decision, rcode=Rcode.NOERROR, answer=found, authority=(), additional=(), denial=None)


def _no_data(area: Area, key: bytes, name: Name, scope: int = 0) -> Decision:
    """ "No such data" (RFC 2308 §2.2)."""
    is_cut = area.names.cut_above(key) is not None
    denial = Denial(key, name, is_cut, name.host and bool(area.zone.alpn))
    return Decision(Rcode.NOERROR, authority=(area.names.negative,), scope=scope, denial=denial)
