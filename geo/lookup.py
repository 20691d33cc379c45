"""Where an address is: MMDB files of both shapes in use.

MaxMind's nested one (`country.iso_code`, `location.latitude`), and the flat one (`country_code`, `latitude`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import Any, Literal, Protocol, Self

import maxminddb

DATA = Path(__file__).parent / "data"
SHIPPED = DATA / "countries.mmdb"
RECORDS_TRIED = 200
_COUNTRY_ONLY = {"country_code"}

Source = Literal["city", "country"]
Centres = Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Location:
    """What a database says of an address; None is "not known".

    `prefix` is the length of the widest network around the address with this very answer.
    `source` tells whose latitude and longitude these are: the record's own ("city"), or the country's
    people-weighted centre ("country").
    """

    prefix: int
    country: str | None = None
    city: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    asn: int | None = None
    source: Source | None = None


class Lookup(Protocol):
    """What routing asks of a database."""

    def find(self, address: str) -> Location:
        """What is known of `address` (text form, IPv4 or IPv6)."""
        ...


class BadDatabase(ValueError):
    """A file that can't be used as a database; the text names it and says why."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The search tree of an MMDB file: its number of nodes, the bits of a record, IP version."""

    nodes: int
    bits: int
    version: int


class Database:
    """An open MMDB file. The file may be replaced by a rename at any time; this one goes on with the old."""

    def __init__(self, path: Path, centres: Centres) -> None:
        """Opens `path`; records without a place of their own get the country's of `centres`.

        Raises BadDatabase.
        """
        self.path = path
        self._centres = centres
        try:
            self._opened = path.stat()
            self._reader = maxminddb.open_database(path)
        except FileNotFoundError as error:
            raise BadDatabase(f"{path}: no such file; expected an MMDB file") from error
        except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
            raise BadDatabase(f"{path}: expected an MMDB file, whole: {error}") from error
        self._get = self._reader.get_with_prefix_len
        self._expect_places()

    def _expect_places(self) -> None:
        kind = self._reader.metadata().database_type
        try:
            tried = [record for _, record in islice(self._reader, RECORDS_TRIED)]
        except (ValueError, maxminddb.InvalidDatabaseError) as error:
            self.close()
            raise BadDatabase(f"{self.path}: damaged: {error}") from error
        located = (location_of(record, 0, self._centres) for record in tried)
        if not any(one.country is not None or one.latitude is not None for one in located):
            self.close()
            raise BadDatabase(
                f"{self.path}: got a database of type {kind!r}, expected one with countries or places"
            )

    def find(self, address: str) -> Location:
        """What is known of `address`; nothing of what is no address of a family that the file has."""
        if address.startswith("::ffff:"):  # IPv4-mapped (RFC 4291 §2.5.5.2)
            address = address.removeprefix("::ffff:")
        try:
            record, prefix = self._get(address)
        except (ValueError, maxminddb.InvalidDatabaseError):
            return Location(0)
        if record is None:
            return Location(prefix)
        if isinstance(record, dict) and record.keys() == _COUNTRY_ONLY:  # nothing else to search for
            return self._of_country(record["country_code"], prefix)
        return location_of(record, prefix, self._centres)

    def _of_country(self, code: object, prefix: int) -> Location:
        country = _country_code(code)
        point = self._centres.get(country) if country is not None else None
        if point is None:
            return Location(prefix, country)
        return Location(prefix, country, None, point[0], point[1], None, "country")

    @property
    def shape(self) -> Shape:
        """How the file's search tree is laid out."""
        said = self._reader.metadata()
        return Shape(int(said.node_count), int(said.record_size), int(said.ip_version))

    def is_current(self) -> bool:
        """Whether the file at `path` is still the one that was opened."""
        try:
            found = self.path.stat()
        except OSError:
            return False
        opened = self._opened
        return (found.st_dev, found.st_ino, found.st_size) == (opened.st_dev, opened.st_ino, opened.st_size)

    @property
    def built(self) -> int:
        """When the file was made, in seconds since 1970."""
        return int(self._reader.metadata().build_epoch)

    @property
    def kind(self) -> str:
        """The type of database that the file says it is."""
        return str(self._reader.metadata().database_type)

    def close(self) -> None:
        """Lets go of the file."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_database(path: str | Path = "") -> Database:
    """The database at `path`, the shipped one for "". Raises BadDatabase."""
    return Database(Path(path) if path else SHIPPED, shipped_centres())


@cache
def shipped_centres() -> Centres:
    """Each country's people-weighted centre, as Tepi ships them."""
    lines = (DATA / "countries.tsv").read_text(encoding="utf-8").splitlines()[1:]
    rows = (line.split("\t") for line in lines)
    return {country: (float(latitude), float(longitude)) for country, latitude, longitude, _ in rows}


def location_of(record: Any, prefix: int, centres: Centres) -> Location:
    """A database's record as a location, whichever shape it has. What has the wrong type is not known."""
    if not isinstance(record, Mapping):
        return Location(prefix)
    country = _country(record)
    place = record.get("location", record)
    own = _coordinates(place) if isinstance(place, Mapping) else None
    point = own or (centres.get(country) if country is not None else None)
    latitude, longitude = point or (None, None)
    return Location(
        prefix,
        country,
        _city(record),
        latitude,
        longitude,
        _asn(record),
        None if point is None else "city" if own else "country",
    )


def _country(record: Mapping[str, Any]) -> str | None:
    code = record.get("country_code")
    for name in ("country", "registered_country"):
        if code is not None:
            break
        value = record.get(name)
        code = value.get("iso_code") if isinstance(value, Mapping) else value
    return _country_code(code)


def _country_code(code: object) -> str | None:
    if not isinstance(code, str) or len(code) != 2 or not code.isascii():
        return None
    return code.upper()


def _city(record: Mapping[str, Any]) -> str | None:
    city = record.get("city")
    if isinstance(city, Mapping):
        names = city.get("names")
        city = names.get("en") if isinstance(names, Mapping) else None
    return city if isinstance(city, str) and city else None


def _coordinates(place: Mapping[str, Any]) -> tuple[float, float] | None:
    latitude, longitude = place.get("latitude"), place.get("longitude")
    if latitude is None or longitude is None:
        return None
    try:
        point = (float(latitude), float(longitude))
    except (TypeError, ValueError):
        return None
    fits = isfinite(point[0]) and isfinite(point[1]) and abs(point[0]) <= 90 and abs(point[1]) <= 180
    return point if fits else None


def _asn(record: Mapping[str, Any]) -> int | None:
    traits = record.get("traits")
    for source in (record, traits if isinstance(traits, Mapping) else {}):
        for name in ("autonomous_system_number", "asn"):
            number = source.get(name)
            if isinstance(number, str) and number.removeprefix("AS").isdecimal():
                return int(number.removeprefix("AS"))
            if isinstance(number, int) and not isinstance(number, bool):
                return number
    return None
