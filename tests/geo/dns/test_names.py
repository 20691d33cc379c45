from __future__ import annotations

from dataclasses import replace

import pytest

from geo.dns.names import Kind, Names
from geo.dns.zone import NameServer, wire_name
from tests.geo.worlds import HOSTS, ZONE

NAMES = Names(ZONE, HOSTS)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("shop.test", Kind.HOST),
        ("img.cdn.shop.test", Kind.HOST),
        ("cdn.shop.test", Kind.EMPTY),
        ("wild.shop.test", Kind.EMPTY),
        ("a.b.wild.shop.test", Kind.HOST),
        ("*.wild.shop.test", Kind.HOST),
        ("ns1.shop.test", Kind.SERVER),
        ("ns2.other.test", Kind.OUTSIDE),
        ("elsewhere.test", Kind.OUTSIDE),
        ("nope.shop.test", Kind.MISSING),
        ("test", Kind.OUTSIDE),
    ],
)
def test_a_name_is_what_the_zone_makes_of_it(name: str, kind: Kind) -> None:
    assert NAMES.kind(wire_name(name)) is kind


def test_the_apex_exists_without_a_site() -> None:
    assert Names(ZONE, frozenset()).kind(wire_name("shop.test")) is Kind.EMPTY


def test_a_name_server_keeps_its_address_though_a_site_claims_its_name() -> None:
    assert Names(ZONE, frozenset({"ns1.shop.test"})).kind(wire_name("ns1.shop.test")) is Kind.SERVER


def test_hosts_that_are_no_names_are_passed_over() -> None:
    names = Names(ZONE, frozenset({"2001:db8::1", "a..shop.test", "WWW.Shop.Test."}))
    assert names.kind(wire_name("www.shop.test")) is Kind.HOST


def test_a_zone_of_one_label_is_a_zone() -> None:
    zone = replace(ZONE, name="localhost", servers=(NameServer("ns1.localhost", ("127.0.0.1",)),))
    names = Names(zone, frozenset({"shop.localhost"}))
    assert names.kind(wire_name("shop.localhost")) is Kind.HOST
    assert names.kind(wire_name("localhost")) is Kind.EMPTY
