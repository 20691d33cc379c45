from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.dataset.mmdb import Value
from geo.lookup import SHIPPED, BadDatabase, Location, location_of, open_database, shipped_centres
from tests.geo.worlds import write_database

NESTED: Value = {
    "city": {"names": {"en": "Bandung", "de": "Bandung"}},
    "country": {"iso_code": "ID"},
    "location": {"latitude": -6.9222, "longitude": 107.6069},
    "traits": {"autonomous_system_number": 7713},
}
FLAT: Value = {
    "country_code": "ID",
    "city": "Bandung",
    "latitude": -6.9222,
    "longitude": 107.6069,
    "asn": "AS7713",
}


@pytest.mark.parametrize(("record", "shape"), [(NESTED, "nested"), (FLAT, "flat")])
def test_both_shapes_give_the_same_location(tmp_path: Path, record: Value, shape: str) -> None:
    path = write_database(tmp_path / f"{shape}.mmdb", {"36.64.0.0/11": record, "2001:4480::/28": record})
    with open_database(path) as database:
        assert database.find("36.66.0.1") == Location(11, "ID", "Bandung", -6.9222, 107.6069, 7713, "city")
        assert database.find("2001:448a::1").prefix == 28
        assert database.find("::ffff:36.66.0.1") == database.find("36.66.0.1")


def test_an_address_that_the_file_lacks_is_not_known_but_its_network_is(tmp_path: Path) -> None:
    path = write_database(tmp_path / "x.mmdb", {"36.64.0.0/11": FLAT})
    with open_database(path) as database:
        assert database.find("127.0.0.1") == Location(2)  # 64.0.0.0/2 and up: nothing there
        assert database.find("36.32.0.1") == Location(10)


@pytest.mark.parametrize("text", ["", "shop.test", "1.2.3.4/8", "fe80::1%eth0"])
def test_what_is_no_address_is_not_known(text: str) -> None:
    with open_database() as database:
        location = database.find(text)
    assert location.country is None


@pytest.mark.parametrize(
    ("address", "country"),
    [
        ("36.66.0.1", "ID"),
        ("8.8.8.8", "US"),
        ("85.214.132.117", "DE"),
        ("133.11.0.1", "JP"),
        ("2001:448a::1", "ID"),
        ("2a01:4f8::1", "DE"),
        ("127.0.0.1", None),
        ("10.0.0.1", None),
        ("::1", None),
    ],
)
def test_the_shipped_database_knows_real_addresses(address: str, country: str | None) -> None:
    with open_database() as database:
        location = database.find(address)
    assert location.country == country
    assert (location.latitude is None) == (country is None)
    assert location.source == ("country" if country else None)


def test_all_that_is_shipped_is_under_ten_megabytes_and_bears_its_notice() -> None:
    assert sum(path.stat().st_size for path in SHIPPED.parent.iterdir()) < 10_000_000
    notice = (SHIPPED.parent / "NOTICE.md").read_text()
    for owner in ("Number Resource Organization", "GeoNames", "Mike Borsetti"):
        assert owner in notice


def test_centres_lie_where_people_live() -> None:
    centres = shipped_centres()
    assert centres["ID"] == pytest.approx((-4.8, 109.6), abs=1)  # Java, not Borneo's forest
    assert centres["CA"][0] < 50  # along the border, not in the Arctic
    assert len(centres) > 240


def test_a_record_without_coordinates_gets_its_countrys_centre() -> None:
    location = location_of({"country": {"iso_code": "ID"}}, 11, {"ID": (-4.8, 109.6)})
    assert (location.latitude, location.longitude, location.source) == (-4.8, 109.6, "country")


@pytest.mark.parametrize("code", ["ID", "id", "EU", "XYZ", "", 7])
def test_a_record_of_a_country_alone_is_read_like_any_other(tmp_path: Path, code: Value) -> None:
    rows: dict[str, Value] = {"36.64.0.0/11": {"country_code": code}, "8.0.0.0/8": FLAT}
    with open_database(write_database(tmp_path / "x.mmdb", rows)) as database:
        expected = location_of({"country_code": code}, 11, shipped_centres())
        assert database.find("36.66.0.1") == expected


def test_a_satellite_network_counts_where_it_is_registered() -> None:
    assert location_of({"registered_country": {"iso_code": "ID"}}, 11, {}).country == "ID"


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["country", "country_code", "iso_code", "location", "latitude", "longitude", "city", "names",
             "en", "traits", "autonomous_system_number", "asn"]
        ),
        inner,
        max_size=6,
    ),
    max_leaves=12,
)  # fmt: skip


@given(json_like)
def test_no_record_however_odd_raises_or_leaves_the_globe(record: object) -> None:
    location = location_of(record, 8, {"ID": (-4.8, 109.6)})
    assert (location.latitude is None) == (location.longitude is None) == (location.source is None)
    if location.latitude is not None and location.longitude is not None:
        assert abs(location.latitude) <= 90
        assert abs(location.longitude) <= 180
    assert location.country is None or len(location.country) == 2


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadDatabase, match=r"nowhere\.mmdb: no such file"):
        open_database(tmp_path / "nowhere.mmdb")


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", SHIPPED.read_bytes()[:100_000]])
def test_a_file_that_is_cut_off_or_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.mmdb"
    path.write_bytes(content)
    with pytest.raises(BadDatabase, match="expected an MMDB file, whole"):
        open_database(path)


def test_a_database_of_another_type_is_refused(tmp_path: Path) -> None:
    path = write_database(tmp_path / "x.mmdb", {"1.0.0.0/8": {"connection_type": "Cellular"}}, "Connection")
    with pytest.raises(BadDatabase, match="of type 'Connection', expected one with countries or places"):
        open_database(path)


def test_an_open_database_survives_its_files_replacement(tmp_path: Path) -> None:
    path = write_database(tmp_path / "x.mmdb", {"36.64.0.0/11": FLAT})
    with open_database(path) as old:
        newer = write_database(tmp_path / "y.mmdb", {"36.64.0.0/11": {"country_code": "DE"}})
        newer.replace(path)
        assert old.find("36.66.0.1").country == "ID"
        with open_database(path) as new:
            assert new.find("36.66.0.1").country == "DE"
