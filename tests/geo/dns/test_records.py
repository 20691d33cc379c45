"""What stands in zone files, answered: held against dnspython's reading of the reply."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.dns.answer import Manners, Responder
from geo.dns.cookies import Cookies
from geo.dns.message import Record, Type
from geo.dns.zone import NameServer, Zone, wire_name
from tests.geo.dns.zones import zone_of
from tests.geo.worlds import FLEET, FRANKFURT, IN_GERMANY, IN_INDONESIA, JAKARTA, LOOKUP, ZONE

SOMEWHERE = "198.51.100.7"
HOSTS = frozenset({"www.shop.test", "*.cdn.shop.test"})
FILE = """
@        ALIAS www
far      ALIAS shop.elsewhere.test.
odd      ALIAS nobody.elsewhere.test.
near     60 ALIAS plain
plain    A 192.0.2.80
plain    A 192.0.2.81
@        MX 10 mail
@        TXT "v=spf1 -all"
@        CAA 0 issue "ca.test"
mail     A 192.0.2.25
blog     CNAME www
gone     CNAME nothing
out      CNAME shop.elsewhere.test.
two      CNAME blog
into     CNAME x.sub
*.any    TXT "any"
*.any    MX 5 mail
a.b.any  A 192.0.2.7
svc      SVCB 1 ns1 alpn="h2"
_sip._tcp SRV 1 2 5060 mail
sub      NS ns.sub
sub      NS ns.other.test.
sub      DS 1 13 2 0000000000000000000000000000000000000000000000000000000000000000
ns.sub   A 192.0.2.54
big      TXT "{big}"
""".format(big='" "'.join(["x" * 250] * 3))
CHILD = Zone("own.shop.test", (NameServer("ns1.shop.test"),), "h.shop.test")
FAR = wire_name("shop.elsewhere.test")
FLATTENED = {
    (FAR, 1): (Record(FAR, Type.A, 40, bytes((203, 0, 113, 1))),),
    (FAR, 28): (),
}  # fmt: skip


def made(text: str = FILE, **more: Any) -> Responder:
    options: dict[str, Any] = {"flattened": FLATTENED, **more}
    return Responder((zone_of(text), CHILD), HOSTS, FLEET, LOOKUP, **options)


RESPONDER = made()


def ask(
    name: str, kind: str = "A", *, to: Responder = RESPONDER, subnet: str | None = None,
    source: str = SOMEWHERE, stream: bool = True, options: tuple[dns.edns.Option, ...] = (),
) -> dns.message.Message:  # fmt: skip
    every = [*([dns.edns.ECSOption.from_text(subnet)] if subnet else []), *options]
    query = dns.message.make_query(name, kind, use_edns=0, options=every)
    reply = to.reply(query.to_wire(), source, stream=stream, now=1_750_000_000)
    assert reply is not None
    message = dns.message.from_wire(reply.wire)
    assert query.is_response(message)
    return message


def said(message: dns.message.Message) -> list[str]:
    return [f"{one.name} {one.ttl} {item}" for one in message.answer for item in one]


@pytest.mark.parametrize(
    ("name", "kind", "answer"),
    [
        ("shop.test", "MX", ["shop.test. 300 10 mail.shop.test."]),
        ("shop.test", "TXT", ['shop.test. 300 "v=spf1 -all"']),
        ("shop.test", "CAA", ['shop.test. 300 0 issue "ca.test"']),
        ("_sip._tcp.shop.test", "SRV", ["_sip._tcp.shop.test. 300 1 2 5060 mail.shop.test."]),
        ("svc.shop.test", "SVCB", ['svc.shop.test. 300 1 ns1.shop.test. alpn="h2"']),
        ("x.any.shop.test", "TXT", ['x.any.shop.test. 300 "any"']),
        ("x.y.any.shop.test", "MX", ["x.y.any.shop.test. 300 5 mail.shop.test."]),
        ("sub.shop.test", "DS", [f"sub.shop.test. 300 1 13 2 {'0' * 64}"]),
        ("blog.shop.test", "CNAME", ["blog.shop.test. 300 www.shop.test."]),
        ("out.shop.test", "A", ["out.shop.test. 300 shop.elsewhere.test."]),
    ],
)
def test_what_stands_there_is_answered(name: str, kind: str, answer: list[str]) -> None:
    message = ask(name, kind)
    assert said(message) == answer
    assert message.flags & dns.flags.AA
    assert message.authority == []


def test_a_cname_is_followed_to_the_nodes_of_a_host() -> None:
    message = ask("two.shop.test", subnet=f"{IN_INDONESIA}/24")
    assert said(message) == [
        "two.shop.test. 300 blog.shop.test.", "blog.shop.test. 300 www.shop.test.",
        f"www.shop.test. 20 {JAKARTA.addresses[0]}",
    ]  # fmt: skip
    [option] = message.options
    assert isinstance(option, dns.edns.ECSOption)
    assert option.scopelen == 11


def test_a_cname_to_nothing_says_so_and_keeps_the_chain() -> None:
    message = ask("gone.shop.test")
    assert message.rcode() == dns.rcode.NXDOMAIN
    assert said(message) == ["gone.shop.test. 300 nothing.shop.test."]
    assert message.authority[0].rdtype == Type.SOA


def test_a_cname_to_a_name_without_such_data_is_no_data() -> None:
    message = ask("blog.shop.test", "MX")
    assert message.rcode() == dns.rcode.NOERROR
    assert said(message) == ["blog.shop.test. 300 www.shop.test."]
    assert message.authority[0].rdtype == Type.SOA


def test_a_cname_into_a_delegation_ends_there() -> None:
    message = ask("into.shop.test")
    assert said(message) == ["into.shop.test. 300 x.sub.shop.test."]
    assert message.authority == []


def test_the_apex_can_be_the_nodes_of_a_host() -> None:
    assert said(ask("shop.test", subnet=f"{IN_GERMANY}/24")) == [f"shop.test. 20 {FRANKFURT.addresses[0]}"]
    assert said(ask("shop.test", "AAAA", subnet=f"{IN_GERMANY}/24")) == [
        f"shop.test. 20 {FRANKFURT.addresses[1]}"
    ]
    assert said(ask("shop.test", "MX")) == ["shop.test. 300 10 mail.shop.test."]


def test_an_alias_has_the_lower_ttl_and_is_never_shown_itself() -> None:
    assert said(ask("near.shop.test")) == ["near.shop.test. 60 192.0.2.80", "near.shop.test. 60 192.0.2.81"]
    assert said(ask("far.shop.test")) == ["far.shop.test. 40 203.0.113.1"]
    assert ask("far.shop.test", "TYPE65401").answer == []
    for empty in (ask("far.shop.test", "AAAA"), ask("near.shop.test", "AAAA")):
        assert (empty.rcode(), empty.answer, empty.authority[0].rdtype) == (dns.rcode.NOERROR, [], Type.SOA)


def test_an_alias_that_nobody_knows_yet_is_a_failure_that_is_not_kept() -> None:
    assert ask("odd.shop.test").rcode() == dns.rcode.SERVFAIL
    known = RESPONDER.with_flattened({(wire_name("nobody.elsewhere.test"), 1): FLATTENED[FAR, 1]})
    assert said(ask("odd.shop.test", to=known)) == ["odd.shop.test. 40 203.0.113.1"]


def test_a_delegation_is_referred_with_glue_and_no_authority_of_ours() -> None:
    for name in ("sub.shop.test", "a.b.sub.shop.test", "ns.sub.shop.test"):
        message = ask(name)
        assert message.rcode() == dns.rcode.NOERROR
        assert not message.flags & dns.flags.AA
        assert message.answer == []
        [servers] = message.authority
        assert sorted(map(str, servers)) == ["ns.other.test.", "ns.sub.shop.test."]
        assert [str(item) for one in message.additional for item in one] == ["192.0.2.54"]


def test_a_child_zone_served_here_answers_for_itself_and_its_parent_for_its_ds() -> None:
    assert said(ask("own.shop.test", "NS")) == ["own.shop.test. 3600 ns1.shop.test."]
    assert ask("x.own.shop.test").authority[0].name.to_text() == "own.shop.test."
    assert ask("own.shop.test", "DS").authority[0].name.to_text() == "shop.test."


def test_a_wildcard_does_not_reach_past_a_name_that_exists() -> None:
    assert ask("b.any.shop.test", "TXT").answer == []
    assert ask("b.any.shop.test", "TXT").rcode() == dns.rcode.NOERROR
    assert ask("x.b.any.shop.test", "TXT").rcode() == dns.rcode.NXDOMAIN


def test_a_host_has_an_https_record_of_what_its_nodes_speak() -> None:
    to = Responder((replace(ZONE, alpn=("h2", "h3")),), HOSTS, FLEET, LOOKUP)
    message = ask("www.shop.test", "HTTPS", to=to, subnet=f"{IN_GERMANY}/24")
    four, six = FRANKFURT.addresses
    assert said(message) == [f'www.shop.test. 20 1 . alpn="h2,h3" ipv4hint="{four}" ipv6hint="{six}"']
    assert ask("www.shop.test", "HTTPS").answer == [], "none is made unasked"


def test_a_circle_through_two_zones_fails() -> None:
    child = wire_name("own.shop.test")
    here = replace(ZONE, records=(Record(wire_name("x.shop.test"), Type.ALIAS, 1, child),))
    there = replace(CHILD, records=(Record(child, Type.ALIAS, 1, wire_name("x.shop.test")),))
    to = Responder((here, there), HOSTS, FLEET, LOOKUP)
    assert ask("own.shop.test", to=to).rcode() == dns.rcode.SERVFAIL


# Manners -------------------------------------------------------------------------------------------


def test_with_the_privacy_switch_the_resolvers_place_decides_and_no_subnet_is_answered() -> None:
    to = made(manners=Manners(subnet=False))
    message = ask("www.shop.test", to=to, subnet=f"{IN_GERMANY}/24", source=IN_INDONESIA)
    assert said(message) == [f"www.shop.test. 20 {JAKARTA.addresses[0]}"]
    assert message.options == ()


def test_who_asks_is_told_which_server_answers() -> None:
    asked = dns.edns.GenericOption(dns.edns.OptionType.NSID, b"")
    [told] = ask("www.shop.test", to=made(manners=Manners(nsid=b"ns1.fra")), options=(asked,)).options
    assert told.to_wire() == b"ns1.fra"
    assert ask("www.shop.test", options=(asked,)).options == ()


def test_keepalive_is_told_over_tcp_only() -> None:
    asked = dns.edns.GenericOption(11, b"")
    to = made(manners=Manners(idle=7.5))
    [told] = ask("www.shop.test", to=to, options=(asked,)).options
    assert told.to_wire() == (75).to_bytes(2)
    assert ask("www.shop.test", to=to, options=(asked,), stream=False).options == ()


def test_a_cookie_proves_the_sender_and_lifts_the_bound_on_amplification() -> None:
    to = made(manners=Manners(cookies=Cookies((bytes(16),)), amplification=4))
    client = dns.edns.GenericOption(10, b"12345678")
    first = ask("big.shop.test", "TXT", to=to, options=(client,), stream=False)
    assert first.flags & dns.flags.TC
    [learnt] = first.options
    proof = dns.edns.GenericOption(10, learnt.to_wire())
    second = ask("big.shop.test", "TXT", to=to, options=(proof,), stream=False)
    assert not second.flags & dns.flags.TC
    assert second.answer
    elsewhere = ask("big.shop.test", "TXT", to=to, options=(proof,), stream=False, source="203.0.113.9")
    assert elsewhere.flags & dns.flags.TC


@pytest.mark.parametrize("length", [0, 7, 9, 15, 41])
def test_a_cookie_of_a_length_that_none_has_is_a_format_error(length: int) -> None:
    bad = dns.edns.GenericOption(10, bytes(length))
    assert ask("www.shop.test", options=(bad,)).rcode() == dns.rcode.FORMERR


NAMES = st.sampled_from(
    [
        "shop.test", "big.shop.test", "www.shop.test", "two.shop.test", "sub.shop.test", "x.any.shop.test",
        "no.shop.test", "far.shop.test", "test",
    ]
)  # fmt: skip


@given(NAMES, st.integers(1, 300), st.floats(2, 20), st.booleans(), st.integers(0, 65535))
def test_no_reply_over_udp_is_longer_than_the_stated_factor(
    name: str, kind: int, factor: float, edns: bool, size: int
) -> None:
    query = dns.message.make_query(name, kind, use_edns=0 if edns else -1, payload=size).to_wire()
    reply = made(manners=Manners(amplification=factor)).reply(query, SOMEWHERE)
    assert reply is not None
    assert len(reply.wire) <= max(len(query) * factor, len(query) + 11)
    dns.message.from_wire(reply.wire)
