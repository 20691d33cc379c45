from __future__ import annotations

import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.dns.zone import BadName, is_within, parents, wire_name

labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
hosts = st.lists(labels, min_size=1, max_size=5).map(".".join)


@given(hosts)
def test_a_name_is_written_as_another_implementation_writes_it(host: str) -> None:
    assert wire_name(host.upper() + ".") == dns.name.from_text(host).to_wire()


@pytest.mark.parametrize(
    "text", ["a..b", ".a", "a b", "-a.test", "a-.test", "x" * 64, "a.*", "ä" * 60, "a/b"]
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(BadName):
        wire_name(text)


def test_a_name_that_is_too_long_is_refused() -> None:
    wire_name(".".join(["x" * 63] * 3 + ["x" * 61]))
    with pytest.raises(BadName, match="longer"):
        wire_name(".".join(["x" * 63] * 3 + ["x" * 62]))


def test_names_beyond_ascii_become_a_labels() -> None:
    assert wire_name("köln.test") == b"\x0bxn--kln-sna\x04test\x00"


@given(hosts, hosts)
def test_a_name_below_a_zone_is_within_it(host: str, zone: str) -> None:
    assert is_within(wire_name(f"{host}.{zone}"), wire_name(zone))
    assert is_within(wire_name(zone), wire_name(zone))
    assert is_within(wire_name(host), b"\0")


def test_a_name_that_only_ends_alike_is_not_within() -> None:
    assert not is_within(wire_name("myshop.test"), wire_name("shop.test"))
    assert not is_within(wire_name("test"), wire_name("shop.test"))


@given(hosts)
def test_parents_go_up_to_the_root(host: str) -> None:
    above = parents(wire_name(host))
    assert above[-1] == b"\0"
    assert len(above) == host.count(".") + 2
    assert all(is_within(wire_name(host), name) for name in above)
