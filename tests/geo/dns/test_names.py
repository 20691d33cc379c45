from __future__ import annotations

from dataclasses import replace

import pytest

from geo.dns.message import Type
from geo.dns.names import MISSING, NOTHING, OUTSIDE, Delegated, Name, Names
from geo.dns.zone import NameServer, wire_name
from tests.geo.dns.zones import zone_of
from tests.geo.worlds import HOSTS, ZONE

NAMES = Names(ZONE, HOSTS)


def found(name: str, names: Names = NAMES) -> object:
    return names.find(wire_name(name))


def is_host(name: str, names: Names = NAMES) -> bool:
    at = found(name, names)
    return isinstance(at, Name) and at.host


@pytest.mark.parametrize(
    "name", ["shop.test", "img.cdn.shop.test", "a.b.wild.shop.test", "*.wild.shop.test", "www.shop.test"]
)
def test_a_sites_host_is_one(name: str) -> None:
    assert is_host(name)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("cdn.shop.test", NOTHING),
        ("wild.shop.test", NOTHING),
        ("ns2.other.test", OUTSIDE),
        ("elsewhere.test", OUTSIDE),
        ("nope.shop.test", MISSING),
        ("test", OUTSIDE),
    ],
)
def test_a_name_is_what_the_zone_makes_of_it(name: str, what: object) -> None:
    assert found(name) == what


def test_the_apex_has_soa_and_ns_without_a_site() -> None:
    at = found("shop.test", Names(ZONE, frozenset()))
    assert isinstance(at, Name)
    assert set(at.sets) == {Type.SOA, Type.NS}
    assert not at.host


def test_a_name_server_keeps_its_address_though_a_site_claims_its_name() -> None:
    names = Names(ZONE, frozenset({"ns1.shop.test"}))
    assert not is_host("ns1.shop.test", names)
    assert Type.A in names.find(wire_name("ns1.shop.test")).sets  # type: ignore[union-attr]


def test_hosts_that_are_no_names_are_passed_over() -> None:
    assert is_host("www.shop.test", Names(ZONE, frozenset({"2001:db8::1", "a..shop.test", "WWW.Shop.Test."})))


def test_a_zone_of_one_label_is_a_zone() -> None:
    zone = replace(ZONE, name="localhost", servers=(NameServer("ns1.localhost", ("127.0.0.1",)),))
    assert is_host("shop.localhost", Names(zone, frozenset({"shop.localhost"})))


def test_a_host_takes_a_names_addresses_and_leaves_it_the_rest() -> None:
    zone = zone_of('www A 192.0.2.9\nwww TXT "kept"\nmail CNAME www\n')
    names = Names(zone, frozenset({"www.shop.test", "mail.shop.test"}))
    www, mail = found("www.shop.test", names), found("mail.shop.test", names)
    assert isinstance(www, Name)
    assert isinstance(mail, Name)
    assert (set(www.sets), www.host) == ({Type.TXT}, True)
    assert (set(mail.sets), mail.host) == (set(), True)


def test_what_is_delegated_is_somebody_elses_at_the_cut_and_below_it() -> None:
    names = Names(zone_of("sub NS ns.sub\nns.sub A 192.0.2.7\n"), frozenset({"b.sub.shop.test"}))
    for name in ("sub.shop.test", "b.sub.shop.test", "x.a.sub.shop.test", "ns.sub.shop.test"):
        at = found(name, names)
        assert isinstance(at, Delegated), name
        assert at.cut == wire_name("sub.shop.test")
        assert [record.data for record in at.glue] == [bytes((192, 0, 2, 7))]


def test_a_set_has_one_ttl_the_least() -> None:
    at = found("x.shop.test", Names(zone_of("x 60 A 192.0.2.1\nx 30 A 192.0.2.2\n"), frozenset()))
    assert isinstance(at, Name)
    assert [record.ttl for record in at.sets[Type.A]] == [30, 30]
