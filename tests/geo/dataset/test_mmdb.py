from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path

import maxminddb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.dataset import mmdb
from tests.geo.worlds import write_database

RECORD: mmdb.Value = {
    "text": "x" * 30,
    "long": "y" * 300,
    "longer": "z" * 70_000,
    "number": 7713,
    "zero": 0,
    "half": 0.5,
    "yes": True,
    "no": False,
    "list": ["a", 1, {"b": 2}],
}


def test_another_implementation_reads_every_type_of_value(tmp_path: Path) -> None:
    path = write_database(tmp_path / "x.mmdb", {"36.64.0.0/11": RECORD}, "Kind")
    for mode in (maxminddb.MODE_MMAP, maxminddb.MODE_MMAP_EXT):
        with maxminddb.open_database(path, mode) as reader:
            assert reader.get("36.66.0.1") == RECORD
            assert reader.metadata().database_type == "Kind"
            assert reader.metadata().build_epoch == 1_750_000_000


def test_equal_subtrees_are_written_once() -> None:
    fine = [(start, start + 255, number % 2) for number, start in enumerate(range(0, 1 << 20, 256))]
    tree, _ = mmdb.build(fine, [])
    assert len(tree.nodes) < 200


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0"])
def test_one_answer_for_every_address_is_a_database_too(tmp_path: Path, network: str) -> None:
    path = write_database(tmp_path / "x.mmdb", {network: {"country_code": "ID"}})
    with maxminddb.open_database(path) as reader:
        assert reader.get("2001:db8::1" if ":" in network else "192.0.2.1") == {"country_code": "ID"}


networks = st.one_of(
    st.builds(
        lambda address, length: str(ip_network((int(address), length), strict=False)),
        st.ip_addresses(v=4),
        st.integers(1, 32),
    ),
    st.builds(
        lambda address, length: str(ip_network((int(address) | 1 << 125, length), strict=False)),
        st.ip_addresses(v=6),
        st.integers(4, 128),
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(networks, min_size=1, max_size=12), st.lists(st.ip_addresses(), max_size=10))
def test_every_address_is_found_in_its_network_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[str], others: list[object]
) -> None:
    kept: dict[str, mmdb.Value] = {}
    for text in drawn:
        if not any(_overlap(text, other) for other in kept):
            kept[text] = {"network": text}
    path = write_database(tmp_path_factory.mktemp("mmdb") / "x.mmdb", kept)
    asked = [str(edge) for text in kept for edge in (ip_network(text)[0], ip_network(text)[-1])]
    with maxminddb.open_database(path) as reader:
        for address in [*asked, *map(str, others)]:
            found = reader.get(address)
            right = [text for text in kept if _holds(text, address)]
            assert found == ({"network": right[0]} if right else None)


def _overlap(first: str, second: str) -> bool:
    one, other = ip_network(first), ip_network(second)
    return one.version == other.version and one.overlaps(other)


def _holds(network: str, address: str) -> bool:
    one, where = ip_network(network), ip_address(address)
    if where.version == 6 and int(where) < 1 << 32:  # the same addresses as IPv4's (::/96)
        where = ip_address(int(where))
    return one.version == where.version and where in one
