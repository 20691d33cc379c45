"""Signed zones, held against dnspython's validator, delv (BIND) and unbound as a real resolver."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import dns.asyncquery
import dns.dnssec
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from geo.dns.answer import Responder
from geo.dns.keys import BadKey, Key, make_key, read_key
from geo.dns.message import Record, Type
from geo.dns.server import Server
from geo.dns.signing import AFTER, DAY, bitmap
from geo.dns.zone import wire_name
from tests.geo.dns.zones import zone_of
from tests.geo.worlds import FLEET, LOOKUP, ZONE
from tests.support.tools import require

NOW = 1_750_000_000
FIRST, SECOND = make_key()[0], make_key()[0]
FAR = wire_name("shop.elsewhere.test")
APEX = dns.name.from_text("shop.test")
FILE = """
@        ALIAS WWW
far      ALIAS shop.elsewhere.test.
@        MX 10 MAIL
@        CAA 0 issue "ca.test"
mail     A 192.0.2.25
blog     CNAME Www
gone     CNAME nothing
*.any    TXT "any"
*.any    MX 5 mail
a.b.any  A 192.0.2.7
svc      SVCB 1 Ns1 alpn="h2"
_sip._tcp SRV 1 2 5060 Mail
sub      NS ns.sub
ns.sub   A 192.0.2.54
safe     NS ns.safe
ns.safe  A 192.0.2.55
safe     DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000
"""
HOSTS = frozenset({"www.shop.test", "*.cdn.shop.test"})


def made(*keys: Key, at: int = NOW) -> Responder:
    zone = zone_of(FILE, replace(ZONE, alpn=("h2",), keys=keys or (FIRST,)))
    flattened = {(FAR, 1): (Record(FAR, Type.A, 40, bytes((203, 0, 113, 1))),), (FAR, 28): ()}
    return Responder((zone,), HOSTS, FLEET, LOOKUP, flattened=flattened, at=at)


def ask(name: str, kind: str = "A", *, to: Responder | None = None, flags: int = 0, **more: Any) -> Any:
    query = dns.message.make_query(name, kind, want_dnssec=True)
    query.ednsflags |= flags
    reply = (to or made()).reply(query.to_wire(), more.get("source", "198.51.100.7"), stream=True, now=NOW)
    assert reply is not None
    return dns.message.from_wire(reply.wire)


def check(message: dns.message.Message, *keys: Key, now: float = NOW) -> list[str]:
    """Which sets dnspython finds well signed; those without a signature are left out."""
    data = [dns.rdata.from_wire(1, 48, key.dnskey, 0, 68) for key in keys or (FIRST,)]
    known = {APEX: dns.rrset.from_rdata_list(APEX, 60, data)}
    good = []
    for section in (message.answer, message.authority):
        for one in section:
            signed = [other for other in section if (other.name, other.covers) == (one.name, one.rdtype)]
            if one.rdtype != dns.rdatatype.RRSIG and signed:
                dns.dnssec.validate(one, signed[0], known, now=now)
                good.append(f"{one.name} {dns.rdatatype.to_text(one.rdtype)}")
    return good


@pytest.mark.parametrize(
    ("name", "kind", "good"),
    [
        ("www.shop.test", "A", ["www.shop.test. A"]),
        ("shop.test", "A", ["shop.test. A"]),
        ("far.shop.test", "A", ["far.shop.test. A"]),
        ("x.cdn.shop.test", "A", ["x.cdn.shop.test. A"]),
        ("x.any.shop.test", "TXT", ["x.any.shop.test. TXT"]),
        ("*.any.shop.test", "TXT", ["*.any.shop.test. TXT"]),
        ("www.shop.test", "HTTPS", ["www.shop.test. HTTPS"]),
        ("blog.shop.test", "A", ["blog.shop.test. CNAME", "www.shop.test. A"]),
        ("shop.test", "MX", ["shop.test. MX"]),
        ("shop.test", "SOA", ["shop.test. SOA"]),
        ("shop.test", "NS", ["shop.test. NS"]),
        ("svc.shop.test", "SVCB", ["svc.shop.test. SVCB"]),
        ("_sip._tcp.shop.test", "SRV", ["_sip._tcp.shop.test. SRV"]),
        ("shop.test", "DNSKEY", ["shop.test. DNSKEY"]),
        ("shop.test", "CDS", ["shop.test. CDS"]),
        ("shop.test", "ANY", ["shop.test. HINFO"]),
        ("x.safe.shop.test", "A", ["safe.shop.test. DS"]),
        ("x.sub.shop.test", "A", ["sub.shop.test. NSEC"]),
        ("mail.shop.test", "AAAA", ["shop.test. SOA", "mail.shop.test. NSEC"]),
        ("nope.shop.test", "A", ["shop.test. SOA", "nope.shop.test. NSEC"]),
        ("gone.shop.test", "A", ["gone.shop.test. CNAME", "shop.test. SOA", "nothing.shop.test. NSEC"]),
    ],
)
def test_what_is_said_is_signed(name: str, kind: str, good: list[str]) -> None:
    assert check(ask(name, kind)) == good


@pytest.mark.parametrize(
    ("name", "kind", "types"),
    [
        ("nope.shop.test", "A", "RRSIG NSEC NXNAME"),
        ("www.shop.test", "TXT", "A AAAA RRSIG NSEC HTTPS"),
        ("mail.shop.test", "AAAA", "A RRSIG NSEC"),
        ("b.any.shop.test", "A", "RRSIG NSEC"),
        ("x.any.shop.test", "A", "MX TXT RRSIG NSEC"),
        ("far.shop.test", "AAAA", "A RRSIG NSEC"),
        ("x.sub.shop.test", "A", "NS RRSIG NSEC"),
        ("sub.shop.test", "DS", "NS RRSIG NSEC"),
        ("shop.test", "TXT", "A NS SOA MX AAAA RRSIG NSEC DNSKEY CDS CDNSKEY CAA"),
    ],
)
def test_a_denial_lists_what_is_there_for_somebody(name: str, kind: str, types: str) -> None:
    message = ask(name, kind)
    assert message.rcode() == dns.rcode.NOERROR
    (nsec,) = [one for one in message.authority if one.rdtype == dns.rdatatype.NSEC]
    text = nsec[0].to_text().replace("TYPE128", "NXNAME")
    assert text == f"\\000.{nsec.name} {types}"


def test_whoever_understands_denials_in_one_record_is_told_that_there_is_no_such_name() -> None:
    assert ask("nope.shop.test", flags=0x4000).rcode() == dns.rcode.NXDOMAIN
    plain = made().reply(dns.message.make_query("nope.shop.test", "A").to_wire(), "198.51.100.7")
    assert plain is not None
    assert dns.message.from_wire(plain.wire).rcode() == dns.rcode.NXDOMAIN
    assert ask("nope.shop.test", "TYPE128").rcode() == dns.rcode.FORMERR
    assert check(ask("nope.shop.test", "NSEC")) == ["nope.shop.test. NSEC"]


def test_who_does_not_ask_for_signatures_gets_none() -> None:
    reply = made().reply(dns.message.make_query("www.shop.test", "A", use_edns=0).to_wire(), "198.51.100.7")
    assert reply is not None
    assert [one.rdtype for one in dns.message.from_wire(reply.wire).answer] == [dns.rdatatype.A]


def test_keys_roll_over_without_a_moment_in_which_an_old_answer_is_doubted() -> None:
    """RFC 7583 §3.3.2, each step against what resolvers may still keep of the step before."""
    steps = [
        (FIRST,),
        (FIRST, replace(SECOND, signs=False, announced=False)),
        (replace(FIRST, announced=False), replace(SECOND, signs=False)),
        (replace(FIRST, signs=False, announced=False), SECOND),
        (SECOND,),
    ]
    for before, after in pairwise(steps):
        for kept in (before, after):
            for fresh in (before, after):
                check(ask("www.shop.test", to=made(*fresh)), *kept)
    told = [{one.to_text() for one in ask("shop.test", "CDS", to=made(*keys)).answer[0]} for keys in steps]
    first, second = (dns.rdata.from_wire(1, 59, key.ds(wire_name("shop.test")), 0, 36).to_text()
                     for key in (FIRST, SECOND))  # fmt: skip
    assert told == [{first}, {first}, {second}, {second}, {second}]
    both = ask("shop.test", "DNSKEY", to=made(*steps[1]))
    assert check(both, FIRST) == ["shop.test. DNSKEY"]
    assert len(both.answer[1]) == 2, "both sign the set of keys"


def test_signatures_are_made_anew_each_day_and_end_days_later() -> None:
    today = made()
    assert today.at(NOW + 60) is today
    tomorrow = today.at(NOW + DAY)
    assert check(ask("www.shop.test", to=tomorrow), now=NOW + DAY + AFTER - DAY) == ["www.shop.test. A"]
    with pytest.raises(dns.dnssec.ValidationFailure):
        check(ask("www.shop.test", to=today), now=NOW + AFTER + 1)


def test_servers_with_the_same_key_say_the_same() -> None:
    assert ask("www.shop.test", to=made()).answer == ask("www.shop.test", to=made()).answer


def test_a_key_is_what_dnspython_thinks_it_is() -> None:
    key, pem = make_key()
    data = dns.rdata.from_wire(1, 48, key.dnskey, 0, 68)
    assert key.tag == dns.dnssec.key_id(data)
    ds = dns.dnssec.make_ds(APEX, data, "SHA256")
    assert key.ds(wire_name("shop.test")) == ds.to_wire()
    assert read_key(pem).dnskey == key.dnskey
    assert pem.splitlines()[1] not in repr(key)


@pytest.mark.parametrize("text", ["", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(BadKey, match="P-256"):
        read_key(text)


def test_a_bitmap_is_what_dnspython_reads() -> None:
    data = b"\x01\0\0" + bitmap({1, 28, 46, 47, 257, 65000})
    assert (
        dns.rdata.from_wire(1, 47, data, 0, len(data)).to_text() == "\\000. A AAAA RRSIG NSEC CAA TYPE65000"
    )


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[int]:
    server = Server(made(at=int(time.time())), [("127.0.0.1", 0)])
    await server.start()
    try:
        yield server.addresses[0][1]
    finally:
        await server.stop()


async def said(tool: str, *words: str) -> str:
    process = await asyncio.create_subprocess_exec(
        require(tool), *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await asyncio.wait_for(process.communicate(), 30)
    return output.decode()


POSITIVE = [
    ("www.shop.test", "A"), ("shop.test", "A"), ("x.cdn.shop.test", "A"), ("x.any.shop.test", "TXT"),
    ("blog.shop.test", "A"), ("shop.test", "MX"), ("www.shop.test", "HTTPS"), ("far.shop.test", "A"),
]  # fmt: skip
NEGATIVE = [("nope.shop.test", "A"), ("mail.shop.test", "AAAA"), ("b.any.shop.test", "A")]


async def test_delv_validates_what_is_there_and_what_is_not(tmp_path: Path) -> None:
    anchor = tmp_path / "anchor"
    text = dns.rdata.from_wire(1, 48, FIRST.dnskey, 0, 68).to_text().split(maxsplit=3)
    key = text[3].replace(" ", "")
    anchor.write_text(f'trust-anchors {{ shop.test. static-key {" ".join(text[:3])} "{key}"; }};\n')
    async with serving() as port:
        for _ in range(2):  # the second time it is the lane that answers
            for name, kind in POSITIVE + NEGATIVE:
                words = ["@127.0.0.1", "-p", str(port), "-a", str(anchor), "+root=shop.test", name, kind]
                output = await said("delv", *words)
                expected = (
                    "; negative response, fully validated" if (name, kind) in NEGATIVE else "; fully val"
                )
                assert expected in output, (name, kind, output)


UNBOUND = """
server:
  interface: 127.0.0.1@{own}
  directory: "{here}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  do-not-query-localhost: no
  do-daemonize: no
  module-config: "validator iterator"
  trust-anchor: "shop.test. DS {ds}"
  aggressive-nsec: yes
  harden-below-nxdomain: yes
  local-zone: "test." nodefault
  max-udp-size: 1232
stub-zone:
  name: "shop.test"
  stub-addr: 127.0.0.1@{port}
remote-control:
  control-enable: no
"""


async def test_unbound_validates_every_answer_and_sees_a_forged_key(tmp_path: Path) -> None:
    for key, good in ((FIRST, True), (SECOND, False)):
        async with serving() as port:
            with socket.socket() as one:
                one.bind(("127.0.0.1", 0))
                own = one.getsockname()[1]
            ds = dns.rdata.from_wire(1, 43, key.ds(wire_name("shop.test")), 0, 36).to_text()
            path = tmp_path / "unbound.conf"
            path.write_text(UNBOUND.format(own=own, here=tmp_path, port=port, ds=ds))
            unbound = await asyncio.create_subprocess_exec(
                require("unbound"), "-d", "-c", str(path), stderr=asyncio.subprocess.PIPE
            )
            try:
                for name, kind in POSITIVE + NEGATIVE:
                    message = await _through(own, name, kind)
                    if good:
                        assert message.flags & dns.flags.AD, (name, kind, message.to_text())
                        assert bool(message.answer) == ((name, kind) in POSITIVE)
                    else:
                        assert message.rcode() == dns.rcode.SERVFAIL, message.to_text()
            finally:
                unbound.terminate()
                await unbound.communicate()


async def _through(port: int, name: str, kind: str) -> dns.message.Message:
    """What a resolver says; it is given a moment to start."""
    query = dns.message.make_query(name, kind, want_dnssec=True)
    for _ in range(50):
        try:
            return await dns.asyncquery.udp(query, "127.0.0.1", port=port, timeout=5)
        except (OSError, dns.exception.Timeout):
            await asyncio.sleep(0.1)
    raise AssertionError("the resolver does not answer")
