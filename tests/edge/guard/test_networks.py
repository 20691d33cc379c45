"""Sets of networks, and how addresses are counted."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.document.notation import parse_network
from edge.guard.networks import Networks, counted_as, plain


def test_a_set_knows_its_addresses_of_both_families() -> None:
    networks = Networks([parse_network("10.0.0.0/8"), parse_network("2001:db8::/32")])
    inside = ["10.1.2.3", "2001:db8:1::1"]
    outside = ["11.0.0.1", "2001:db9::1", "", "ten.example", "10.0.0.0/8"]
    assert [address in networks for address in inside + outside] == [True] * 2 + [False] * 5
    assert "10.0.0.1" not in Networks()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("192.0.2.1", "192.0.2.1"),
    ],
)
def test_an_address_has_one_spelling(written: str, meant: str) -> None:
    assert plain(written) == meant


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_a_household_counts_as_one(address: ipaddress.IPv6Address, within: int) -> None:
    neighbour = ipaddress.IPv6Address(int(address) >> 64 << 64 | within)
    assert counted_as(str(address)) == counted_as(str(neighbour))


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_counts_as_itself(address: ipaddress.IPv4Address) -> None:
    assert counted_as(str(address)) == str(address)
