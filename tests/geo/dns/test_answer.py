from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.dns.answer import Responder
from geo.dns.message import Rcode
from geo.fleet import Fleet, Health, Node
from geo.lookup import open_database
from tests.geo.worlds import (
    FLEET,
    FRANKFURT,
    IN_AMERICA,
    IN_GERMANY,
    IN_INDONESIA,
    JAKARTA,
    VIRGINIA,
    ZONE,
    fleet_with,
    responder,
)

SOMEWHERE = "198.51.100.7"
EVERYWHERE = responder()


def ask(
    name: str,
    kind: str = "A",
    *,
    to: Responder = EVERYWHERE,
    subnet: str | None = None,
    source: str = SOMEWHERE,
    edns: bool = True,
) -> dns.message.Message:
    """The reply, held against the query by dnspython."""
    options = [dns.edns.ECSOption.from_text(subnet)] if subnet else []
    query = dns.message.make_query(name, kind, use_edns=0 if edns else -1, options=options)
    reply = to.reply(query.to_wire(), source)
    assert reply is not None
    message = dns.message.from_wire(reply.wire)
    assert query.is_response(message)
    return message


def addresses(message: dns.message.Message) -> list[str]:
    return [item.to_text() for record in message.answer for item in record]


def scope(message: dns.message.Message) -> int:
    [option] = message.options
    assert isinstance(option, dns.edns.ECSOption)
    return option.scopelen


def soa_ttl(message: dns.message.Message) -> int:
    [record] = message.authority
    assert record.rdtype == dns.rdatatype.SOA
    assert record.name.to_text() == "shop.test."
    return record.ttl


@pytest.mark.parametrize(
    ("subnet", "node"),
    [
        pytest.param(f"{IN_INDONESIA}/16", JAKARTA, id="Indonesia"),
        pytest.param(f"{IN_GERMANY}/24", FRANKFURT, id="Germany"),
        pytest.param(f"{IN_AMERICA}/24", VIRGINIA, id="America"),
        pytest.param("2001:448a::/48", JAKARTA, id="Indonesia-IPv6"),
        pytest.param("2a00:1450::/48", FRANKFURT, id="Germany-IPv6"),
    ],
)
def test_a_visitor_gets_the_node_nearest_to_his_subnet(subnet: str, node: Node) -> None:
    message = ask("www.shop.test", subnet=subnet)
    assert addresses(message) == [node.addresses[0]]
    assert message.answer[0].ttl == 20
    assert message.flags & dns.flags.AA


def test_without_a_subnet_the_resolvers_place_decides() -> None:
    assert addresses(ask("www.shop.test", source=IN_INDONESIA)) == [JAKARTA.addresses[0]]
    assert addresses(ask("www.shop.test", source="2a00:1450::1")) == [FRANKFURT.addresses[0]]


def test_a_subnet_beats_the_resolvers_place() -> None:
    message = ask("www.shop.test", subnet=f"{IN_GERMANY}/24", source=IN_INDONESIA)
    assert addresses(message) == [FRANKFURT.addresses[0]]


def test_where_nobody_knows_the_subnet_the_resolvers_place_decides() -> None:
    message = ask("www.shop.test", subnet="10.0.0.0/24", source=IN_INDONESIA)
    assert addresses(message) == [JAKARTA.addresses[0]]


def test_a_visitor_who_opts_out_is_answered_by_the_resolvers_place_for_all() -> None:
    message = ask("www.shop.test", subnet="0.0.0.0/0", source=IN_INDONESIA)
    assert addresses(message) == [JAKARTA.addresses[0]]
    assert scope(message) == 0


@pytest.mark.parametrize(
    ("subnet", "length"),
    [
        pytest.param(f"{IN_INDONESIA}/24", 11, id="the-database's-network"),
        pytest.param("36.0.0.0/8", 9, id="a-longer-one-than-asked"),
        pytest.param(f"{IN_AMERICA}/32", 15, id="a-whole-address"),
        pytest.param("2001:448a::/56", 24, id="IPv6"),
    ],
)
def test_the_scope_is_the_range_that_has_this_answer(subnet: str, length: int) -> None:
    assert scope(ask("www.shop.test", subnet=subnet)) == length


def test_with_one_node_the_answer_is_everyones() -> None:
    assert scope(ask("www.shop.test", subnet=f"{IN_INDONESIA}/24", to=responder(Fleet((JAKARTA,))))) == 0


@pytest.mark.parametrize(
    ("name", "kind"), [("nope.shop.test", "A"), ("shop.test", "SOA"), ("shop.test", "MX")]
)
def test_what_does_not_depend_on_the_visitor_has_scope_zero(name: str, kind: str) -> None:
    assert scope(ask(name, kind, subnet=f"{IN_INDONESIA}/24")) == 0


def trio() -> Fleet:
    here = (
        replace(JAKARTA, name=f"jakarta-{number}", addresses=(f"192.0.2.{number}",))
        for number in (11, 12, 13)
    )
    return Fleet((*here, FRANKFURT))


def test_visitors_of_one_network_share_a_node_of_the_place_and_networks_spread() -> None:
    to = responder(trio())
    firsts = [addresses(ask("www.shop.test", to=to, subnet=f"36.66.{n}.0/24"))[0] for n in range(60)]
    assert set(firsts) == {"192.0.2.11", "192.0.2.12", "192.0.2.13"}
    again = [addresses(ask("www.shop.test", to=to, subnet=f"36.66.{n}.77/32"))[0] for n in range(60)]
    assert firsts == again


def test_where_the_network_decides_the_scope_is_not_wider_than_it() -> None:
    to = responder(trio())
    assert scope(ask("www.shop.test", to=to, subnet="36.66.0.0/24")) == 24
    assert scope(ask("www.shop.test", to=to, subnet="36.66.0.0/16")) == 16
    assert scope(ask("www.shop.test", to=to, subnet="36.66.0.1/32")) == 24


def test_several_nodes_of_the_nearest_place_are_answered_where_that_is_set() -> None:
    to = responder(trio(), zone=replace(ZONE, answers=2))
    found = addresses(ask("www.shop.test", to=to, subnet="36.66.0.0/24"))
    assert len(found) == 2
    assert set(found) < {"192.0.2.11", "192.0.2.12", "192.0.2.13"}


def test_a_sick_node_is_answered_only_when_nothing_else_lives() -> None:
    sick = responder(fleet_with(jakarta=Health.UNHEALTHY))
    assert addresses(ask("www.shop.test", to=sick, subnet=f"{IN_INDONESIA}/16")) == [FRANKFURT.addresses[0]]
    all_sick = responder(fleet_with(**dict.fromkeys(("jakarta", "frankfurt", "virginia"), Health.UNHEALTHY)))
    assert addresses(ask("www.shop.test", to=all_sick, subnet=f"{IN_INDONESIA}/16")) == [JAKARTA.addresses[0]]


def test_another_fleet_takes_effect_whole() -> None:
    assert addresses(ask("www.shop.test", subnet=f"{IN_INDONESIA}/16")) == [JAKARTA.addresses[0]]
    after = EVERYWHERE.with_fleet(fleet_with(jakarta=Health.UNHEALTHY))
    assert addresses(ask("www.shop.test", to=after, subnet=f"{IN_INDONESIA}/16")) == [FRANKFURT.addresses[0]]
    assert addresses(ask("www.shop.test", subnet=f"{IN_INDONESIA}/16")) == [JAKARTA.addresses[0]]


def test_a_fleet_without_nodes_is_a_failure_that_resolvers_do_not_keep() -> None:
    message = ask("www.shop.test", to=responder(Fleet()))
    assert message.rcode() == dns.rcode.SERVFAIL
    assert message.answer == []


def test_ipv6_is_answered_by_the_same_node() -> None:
    assert addresses(ask("www.shop.test", "AAAA", subnet=f"{IN_INDONESIA}/16")) == ["2001:db8::1"]


def test_a_nearest_node_without_ipv6_has_no_ipv6_answer_rather_than_a_far_one() -> None:
    message = ask("www.shop.test", "AAAA", subnet=f"{IN_AMERICA}/24")
    assert message.rcode() == dns.rcode.NOERROR
    assert message.answer == []
    assert soa_ttl(message) == 15
    assert scope(message) == 15


def test_a_nearest_node_without_ipv4_leaves_ipv4_to_the_next() -> None:
    six_only = replace(JAKARTA, addresses=("2001:db8::1",))
    to = responder(Fleet((six_only, FRANKFURT, VIRGINIA)))
    assert addresses(ask("www.shop.test", "A", to=to, subnet=f"{IN_INDONESIA}/16")) == ["192.0.2.2"]
    assert addresses(ask("www.shop.test", "AAAA", to=to, subnet=f"{IN_INDONESIA}/16")) == ["2001:db8::1"]


@pytest.mark.parametrize("name", ["shop.test", "www.shop.test", "img.cdn.shop.test", "a.wild.shop.test"])
def test_every_host_of_a_site_in_the_zone_is_answered(name: str) -> None:
    assert len(addresses(ask(name))) == 1


def test_case_makes_no_difference_and_comes_back() -> None:
    query = dns.message.make_query("wWw.sHOP.tEst", "A")
    reply = EVERYWHERE.reply(query.to_wire(), SOMEWHERE)
    assert reply is not None
    assert b"\x03wWw\x04sHOP\x04tEst\x00" in reply.wire
    assert dns.message.from_wire(reply.wire).answer[0].name.to_text() == "wWw.sHOP.tEst."


@pytest.mark.parametrize("name", ["nope.shop.test", "a.www.shop.test", "x.img.cdn.shop.test"])
def test_a_name_that_does_not_exist_is_denied_with_the_soa(name: str) -> None:
    message = ask(name)
    assert message.rcode() == dns.rcode.NXDOMAIN
    assert message.flags & dns.flags.AA
    assert soa_ttl(message) == 15


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param("www.shop.test", "MX", id="a-host-without-such-data"),
        pytest.param("cdn.shop.test", "A", id="a-name-between-names"),
        pytest.param("wild.shop.test", "A", id="a-name-above-a-wildcard"),
        pytest.param("a.wild.shop.test", "TXT", id="a-name-by-wildcard"),
        pytest.param("www.shop.test", "NS", id="no-delegation"),
        pytest.param("ns1.shop.test", "TXT", id="a-name-server"),
    ],
)
def test_data_that_does_not_exist_is_denied_with_the_soa(name: str, kind: str) -> None:
    message = ask(name, kind)
    assert message.rcode() == dns.rcode.NOERROR
    assert message.answer == []
    assert soa_ttl(message) == 15


def test_a_wildcard_reaches_down_but_not_past_names_that_exist() -> None:
    hosts = frozenset({"*.shop.test", "a.b.shop.test"})
    assert len(addresses(ask("x.y.shop.test", to=responder(hosts=hosts)))) == 1
    assert ask("c.b.shop.test", to=responder(hosts=hosts)).rcode() == dns.rcode.NXDOMAIN  # RFC 4592 §2.2.1


def test_a_site_for_every_host_is_every_name_of_the_zone() -> None:
    to = responder(hosts=frozenset({"*"}))
    assert len(addresses(ask("shop.test", to=to))) == 1
    assert len(addresses(ask("any.thing.shop.test", to=to))) == 1
    assert ask("other.test", to=to).rcode() == dns.rcode.REFUSED


@pytest.mark.parametrize("name", ["elsewhere.test", "test", ".", "myshop.test", "example.com"])
def test_names_outside_the_zone_are_refused(name: str) -> None:
    message = ask(name)
    assert message.rcode() == dns.rcode.REFUSED
    assert not message.flags & dns.flags.AA
    assert message.authority == []


def test_the_apex_has_soa_and_name_servers_with_glue() -> None:
    [soa] = ask("shop.test", "SOA").answer
    assert soa[0].to_text() == "ns1.shop.test. hostmaster.shop.test. 7 3600 600 604800 15"
    message = ask("shop.test", "NS")
    assert addresses(message) == ["ns1.shop.test.", "ns2.other.test."]
    assert sorted(record.to_text() for record in message.additional) == [
        "ns1.shop.test. 3600 IN A 192.0.2.53",
        "ns1.shop.test. 3600 IN AAAA 2001:db8::53",
    ]


def test_a_name_server_in_the_zone_has_its_address() -> None:
    assert addresses(ask("ns1.shop.test", "A")) == ["192.0.2.53"]
    assert addresses(ask("ns1.shop.test", "AAAA")) == ["2001:db8::53"]


def test_any_is_answered_with_next_to_nothing() -> None:
    assert addresses(ask("www.shop.test", "ANY")) == ['"RFC8482" ""']
    assert ask("nope.shop.test", "ANY").rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize(
    ("kind", "rcode"),
    [
        ("AXFR", dns.rcode.REFUSED),
        ("IXFR", dns.rcode.REFUSED),
        ("TYPE41", dns.rcode.FORMERR),
        ("MAILB", dns.rcode.NOTIMP),
        ("TSIG", dns.rcode.NOTIMP),
    ],
)
def test_questions_about_no_data_are_turned_away(kind: str, rcode: int) -> None:
    query = dns.message.make_query("shop.test", "A")
    query.question[0].rdtype = dns.rdatatype.from_text(kind)
    reply = EVERYWHERE.reply(query.to_wire(), SOMEWHERE)
    assert reply is not None
    assert dns.message.from_wire(reply.wire).rcode() == rcode


def test_other_classes_are_refused() -> None:
    query = dns.message.make_query("version.bind", "TXT", "CH")
    reply = EVERYWHERE.reply(query.to_wire(), SOMEWHERE)
    assert reply is not None
    assert reply.rcode is Rcode.REFUSED


def test_flags_of_the_client_come_back_as_the_standards_say() -> None:
    query = dns.message.make_query("www.shop.test", "A", want_dnssec=True)
    query.flags |= dns.flags.CD | dns.flags.AD | dns.flags.TC
    reply = EVERYWHERE.reply(query.to_wire(), SOMEWHERE)
    assert reply is not None
    message = dns.message.from_wire(reply.wire)
    assert message.flags == dns.flags.QR | dns.flags.AA | dns.flags.RD | dns.flags.CD
    assert message.ednsflags == dns.flags.DO
    assert message.payload == 1232


def test_who_speaks_no_edns_hears_none() -> None:
    assert ask("www.shop.test", edns=False).edns == -1


def test_another_version_of_edns_is_bad() -> None:
    query = dns.message.make_query("www.shop.test", "A", use_edns=3)
    reply = EVERYWHERE.reply(query.to_wire(), SOMEWHERE)
    assert reply is not None
    message = dns.message.from_wire(reply.wire)
    assert message.rcode() == dns.rcode.BADVERS
    assert message.edns == 0
    assert message.answer == []


def test_a_node_with_too_many_addresses_is_truncated_over_udp_and_whole_over_tcp() -> None:
    many = replace(JAKARTA, addresses=tuple(f"192.0.2.{number}" for number in range(100)))
    to = responder(Fleet((many,)))
    query = dns.message.make_query("www.shop.test", "A", use_edns=0).to_wire()
    short, whole = to.reply(query, SOMEWHERE), to.reply(query, SOMEWHERE, stream=True)
    assert short is not None
    assert whole is not None
    assert dns.message.from_wire(short.wire).flags & dns.flags.TC
    assert len(addresses(dns.message.from_wire(whole.wire))) == 100


def test_a_reply_tells_metrics_what_it_was() -> None:
    reply = EVERYWHERE.reply(dns.message.make_query("www.shop.test", "A").to_wire(), IN_INDONESIA)
    assert reply is not None
    assert (reply.type, reply.rcode, reply.node) == (1, Rcode.NOERROR, "jakarta")


@given(st.binary(max_size=300), st.booleans())
def test_any_packet_gets_silence_or_a_wellformed_reply(packet: bytes, stream: bool) -> None:
    reply = EVERYWHERE.reply(packet, SOMEWHERE, stream=stream)
    if reply is not None:
        assert reply.wire[:2] == packet[:2]
        assert reply.wire[2] & 0x80
        dns.message.from_wire(reply.wire)


@given(st.data())
def test_a_mangled_query_gets_silence_or_a_wellformed_reply(data: st.DataObject) -> None:
    option = dns.edns.ECSOption.from_text("36.66.0.0/16")
    packet = bytearray(dns.message.make_query("www.shop.test", "A", use_edns=0, options=[option]).to_wire())
    for _ in range(data.draw(st.integers(1, 8))):
        packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
    reply = EVERYWHERE.reply(bytes(packet[: data.draw(st.integers(0, len(packet)))]), SOMEWHERE)
    if reply is not None:
        assert len(reply.wire) <= 1232
        dns.message.from_wire(reply.wire)


SHIPPED = open_database()


@given(
    st.ip_addresses(v=4),
    st.integers(8, 32),
    st.sampled_from([FLEET, trio(), fleet_with(jakarta=Health.UNHEALTHY)]),
    st.data(),
)
def test_every_address_in_an_answers_scope_has_that_very_answer(
    address: IPv4Address, source: int, fleet: Fleet, data: st.DataObject
) -> None:
    to = responder(fleet, lookup=SHIPPED)
    first = ask("www.shop.test", to=to, subnet=f"{address}/{source}")
    length = scope(first)
    if length > source:  # the resolver is told that its prefix is too short to tell
        return
    within = IPv4Network((int(address), length), strict=False)
    other = within[data.draw(st.integers(0, within.num_addresses - 1))]
    again = ask("www.shop.test", to=to, subnet=f"{other}/{source}")
    assert addresses(first) == addresses(again)
    assert scope(again) == length
