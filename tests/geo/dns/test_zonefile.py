"""Zone files: read as another implementation reads them, refused with file, line and reason."""

from __future__ import annotations

import re

import dns.rdataset
import dns.zone
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.dns.message import Record
from geo.dns.names import Names
from geo.dns.zonefile import BadZone, read_zone, write_zone
from tests.geo.dns.zones import FILE, zone_of
from tests.geo.worlds import ZONE

WHOLE = """
$TTL 1h
@        SOA   ns1 hostmaster\\.dns ( 2026010101 7200 600 86400 60 )
         NS    ns1
         NS    ns.other.test.
@        ALIAS shop.elsewhere.test.
@        MX    10 mail
@        TXT   "v=spf1 -all" "two"
@        CAA   0 issue "ca.test"
ns1      A     192.0.2.53
mail     A     192.0.2.25
         AAAA  2001:db8::25
blog     CNAME www
www      HTTPS 1 . alpn="h2,h3" ipv4hint=192.0.2.1 port=8443
_sip._tcp SRV  1 2 5060 mail
$ORIGIN deep.shop.test.
x 60     A     192.0.2.8
*        TXT   ( "any"
                 "where" )
"""


def records(text: str) -> set[Record]:
    return {line.record for line in read_zone(text, "shop.test", FILE)}


def test_a_whole_file_is_read_as_another_implementation_reads_it() -> None:
    theirs = dns.zone.from_text(WHOLE, "shop.test", relativize=False, check_origin=False)
    expected = {
        Record(name.to_wire(), int(data.rdtype), ttl, data.to_wire())
        for name, ttl, data in theirs.iterate_rdatas()
    }
    assert records(WHOLE) == expected


def test_what_is_written_is_read_back() -> None:
    assert records(write_zone("shop.test", records(WHOLE))) == records(WHOLE)


def test_a_zones_own_records_are_written_too() -> None:
    zone = zone_of("www A 192.0.2.1\n")
    stands = {r for _, at in Names(zone, frozenset()).items() for sets in at.sets.values() for r in sets}
    text = write_zone(zone.name, stands)
    assert text.splitlines()[1].startswith("@ 3600 IN SOA ns1.shop.test. hostmaster.shop.test. 7 ")
    assert records(text) == stands


def test_the_files_soa_and_name_servers_go_first_and_the_later_serial_counts() -> None:
    zone = zone_of(WHOLE)
    assert [server.name for server in zone.servers] == ["ns1.shop.test.", "ns.other.test."]
    assert (zone.serial, zone.refresh, zone.negative_ttl, zone.stable_ttl) == (2026010101, 7200, 60, 3600)
    assert b"\x0ehostmaster.dns\x04shop\x04test\x00" in Names(zone, frozenset()).soa.data
    assert zone_of("@ SOA ns1 h 3 1 1 1 1\nns1 A 192.0.2.1\n").serial == ZONE.serial


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        pytest.param("www A 192.0.2.300\n", 2, "", id="no-address"),
        pytest.param("\n\nwww A\n", 4, "", id="nothing"),
        pytest.param("www BOGUS x\n", 2, "BOGUS", id="unknown-type"),
        pytest.param("a A 192.0.2.1\nb.other.test. A 192.0.2.1\nc A 192.0.2.1\n", 3, "outside", id="outside"),
        pytest.param("b.other.test. A 192.0.2.1", 2, "outside", id="outside-at-the-end"),
        pytest.param("$INCLUDE /etc/passwd\n", 2, "not allowed", id="include"),
        pytest.param("$GENERATE 1-9999999 a$ A 192.0.2.1\n", 2, "not allowed", id="generate"),
        pytest.param("@ DNSKEY 257 3 13 AAAA\n", 2, "not taken from files", id="keys"),
        pytest.param("www CH A 192.0.2.1\n", 2, "class", id="class"),
        pytest.param("a CNAME b\nx A 192.0.2.1\na A 192.0.2.1\n", 4, "stands nothing", id="cname-and-data"),
        pytest.param("www CNAME a\nwww CNAME b\n", 3, "two CNAME", id="two-cnames"),
        pytest.param("@ CNAME a\n", 2, "ALIAS does the same", id="cname-at-the-apex"),
        pytest.param("@ ALIAS a\n@ A 192.0.2.1\n", 3, "no address", id="alias-and-address"),
        pytest.param("@ SOA a b 1 1 1 1 1\n@ SOA a b 2 1 1 1 1\n", 3, "one SOA", id="two-soa"),
        pytest.param("x SOA a b 1 1 1 1 1\n", 2, "one SOA", id="soa-below"),
        pytest.param("a CNAME b\nb CNAME c\nc CNAME a\n", 2, "in a circle", id="circle"),
        pytest.param("a CNAME a\n", 2, "in a circle", id="itself"),
        pytest.param("*.w CNAME x.w\n", 2, "in a circle", id="circle-by-wildcard"),
        pytest.param("@ ALIAS a\na CNAME @\n", 2, "in a circle", id="circle-by-alias"),
        pytest.param(
            "".join(f"a{n} CNAME a{n + 1}\n" for n in range(12)), 2, "chain of more", id="long-chain"
        ),
        pytest.param("sub NS ns.sub\n", 2, "no address here", id="no-glue"),
        pytest.param("sub NS x.test.\na.sub TXT x\n", 3, "delegated", id="below-a-cut"),
        pytest.param("sub NS x.test.\nsub TXT x\n", 3, "delegated", id="at-a-cut"),
        pytest.param("*.sub NS x.test.\n", 2, "by a wildcard", id="wildcard-delegation"),
        pytest.param("@ MX 1 m\nm CNAME x\nx A 192.0.2.1\n", 2, "is a CNAME", id="mx-to-cname"),
    ],
)  # fmt: skip
def test_a_bad_zone_is_refused_with_file_line_and_reason(text: str, line: int, reason: str) -> None:
    with pytest.raises(BadZone, match=rf"^{re.escape(FILE)}:{line}: .*{reason}"):
        zone_of(text)


@given(st.text(alphabet=st.sampled_from('abz@*. \t\n()"\\;$0123456789'), max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        zone_of(text)
    except BadZone as refused:
        assert str(refused).startswith(FILE)


labels = st.from_regex(r"[a-z][a-z0-9]{0,6}", fullmatch=True)
rows = st.one_of(
    st.builds("{} {} A {}".format, labels, st.integers(0, 9999), st.ip_addresses(v=4)),
    st.builds("{} {} AAAA {}".format, labels, st.integers(0, 9999), st.ip_addresses(v=6)),
    st.builds('t{} TXT "{}"'.format, labels, st.from_regex(r"[ -!#-\[\]-~]{0,40}", fullmatch=True)),
    st.builds("c{} CNAME {}.elsewhere.test.".format, st.uuids(), labels),
)


@given(st.lists(rows, max_size=8))
def test_every_zone_survives_being_written_and_read(lines: list[str]) -> None:
    text = "$TTL 77\n" + "\n".join(lines)
    assert records(write_zone("shop.test", records(text))) == records(text)
