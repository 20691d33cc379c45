from __future__ import annotations

import json
from pathlib import Path

import pytest

from geo.dataset.cities import (
    City,
    add_codes,
    centres,
    centres_table,
    places,
    places_table,
    read_capitals,
    read_cities,
)
from geo.places import read

JAKARTA = ("Jakarta", "ID", -6.2, 106.8, 8_500_000)
SURABAYA = ("Surabaya", "ID", -7.2, 112.7, 2_900_000)
SABANG = ("Sabang", "ID", 5.9, 95.3, 20_000)


def cities(*rows: tuple[str, str, float, float, int]) -> list[City]:
    return [City(*row) for row in rows]


def test_a_centre_leans_to_where_more_people_live() -> None:
    [(latitude, longitude, people)] = centres(cities(JAKARTA, SURABAYA, SABANG)).values()
    assert (latitude, longitude) == pytest.approx((-6.4, 108.3), abs=0.2)
    assert people == 11_420_000


def test_a_centre_lies_across_the_date_line_where_the_people_do() -> None:
    [(_, longitude, _)] = centres(cities(("a", "FJ", -17, 179, 10), ("b", "FJ", -17, -179, 10))).values()
    assert abs(longitude) == pytest.approx(180)


def test_large_cities_and_capitals_are_places_and_villages_are_not() -> None:
    vaduz, village = ("Vaduz", "LI", 47.1, 9.5, 5_000), ("Schaan", "LI", 47.2, 9.5, 6_000)
    chosen = places(cities(JAKARTA, SABANG, vaduz, village), {("LI", "vaduz")})
    assert [place.name for place in chosen] == ["Jakarta", "Vaduz"]


def test_airports_belong_to_the_city_of_their_name_or_the_nearest(tmp_path: Path) -> None:
    airports = tmp_path / "airports.csv"
    airports.write_text(
        "iata,city,country,lat,lon\n"
        "CGK,Jakarta,ID,-6.13,106.66\n"
        "XXA,Jakarta,ID,5.0,95.0\n"  # another Jakarta, far away
        "HLP,Halim,ID,-6.27,106.89\n"
        ",Jakarta,ID,-6.2,106.8\n"
        "SBG,Sabang,ID,5.87,95.34\n"
    )
    metropolitan = tmp_path / "metropolitan.csv"
    metropolitan.write_text("Country,City Code,City Name\nID,JKT,Jakarta\n")
    chosen = cities(JAKARTA, SURABAYA)
    add_codes(chosen, airports, metropolitan)
    assert [place.codes for place in chosen] == [{"CGK", "HLP", "JKT"}, set()]


def test_tables_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "places.tsv"
    [place] = cities(JAKARTA)
    place.codes.add("CGK")
    place.also.add("Batavia")
    path.write_text(places_table([place]))
    table = read(path)
    assert table.find("CGK") == table.find("batavia, id") == table.find("Jakarta")
    assert centres_table({"ID": (-4.8, 109.6, 7)}).splitlines()[1] == "ID\t-4.8\t109.6\t7"


def test_the_files_of_the_sources_are_read(tmp_path: Path) -> None:
    path = tmp_path / "cities.json"
    row = {"name": "Jakarta", "countrycode": "ID", "latitude": -6.2, "longitude": 106.8, "population": 5}
    path.write_text(json.dumps({"1": row, "2": {**row, "name": "Bekasi", "population": 9}}))
    assert [city.name for city in read_cities(path)] == ["Bekasi", "Jakarta"]
    path.write_text(json.dumps({"ID": {"capital": "Jakarta"}, "AQ": {"capital": ""}}))
    assert read_capitals(path) == {("ID", "jakarta")}
