"""Cities and airport codes -> Place, so that an operator can say where a node stands: `--place Jakarta`."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from geo.fleet import Place

TABLE = Path(__file__).parent / "data" / "places.tsv"


class UnknownPlace(ValueError):
    """A place that the table lacks; the text says what would be accepted."""


@dataclass(frozen=True, slots=True)
class Places:
    """The table: `by_name` has folded names, alone and with a country, and airport codes."""

    by_name: dict[str, Place]
    names: dict[str, str]

    def find(self, text: str) -> Place:
        """The place called `text`: a city, `City, CC` with its country's code, or an airport's code.

        Where several cities bear a name the most populous is meant. Raises UnknownPlace.
        """
        found = self.by_name.get(folded(text))
        if found is not None:
            return found
        close = get_close_matches(folded(text), self.names, n=3, cutoff=0.7)
        near = f" (close: {', '.join(self.names[one] for one in close)})" if close else ""
        raise UnknownPlace(
            f"{text!r} is not in the table of places{near}: expected a large city, its airport's code, "
            "or CITY/CC/LATITUDE/LONGITUDE such as Bandung/ID/-6.92/107.61"
        )


def folded(text: str) -> str:
    """A name for comparing: no case, no accents, letters and digits only."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in decomposed if letter.isalnum())


def find_place(text: str) -> Place:
    """What `--place TEXT` means: a name of the table, or CITY/CC/LATITUDE/LONGITUDE. Raises UnknownPlace."""
    if text.count("/") == 3:
        return _spelled_out(text)
    return shipped().find(text)


def _spelled_out(text: str) -> Place:
    city, country, latitude, longitude = (part.strip() for part in text.split("/"))
    try:
        place = Place(city, country.upper(), float(latitude), float(longitude))
    except ValueError as error:
        raise UnknownPlace(f"{text!r}: expected CITY/CC/LATITUDE/LONGITUDE in degrees") from error
    if not (len(country) == 2 and abs(place.latitude) <= 90 and abs(place.longitude) <= 180 and city):
        raise UnknownPlace(
            f"{text!r}: expected a city, a country's two letters, a latitude from -90 to 90 "
            "and a longitude from -180 to 180"
        )
    return place


@cache
def shipped() -> Places:
    """The table that Tepi ships."""
    return read(TABLE)


def read(path: Path) -> Places:
    """A table of places, whose rows stand in the order of population."""
    by_name: dict[str, Place] = {}
    names: dict[str, str] = {}
    codes: dict[str, Place] = {}
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        city, country, latitude, longitude, _people, also, own_codes = line.split("\t")
        place = Place(city, country, float(latitude), float(longitude))
        for name in (city, *filter(None, also.split(";"))):
            names.setdefault(folded(name), name)
            by_name.setdefault(folded(name), place)
            by_name.setdefault(folded(name + country), place)
        codes.update((code.casefold(), place) for code in filter(None, own_codes.split(";")))
    return Places({**codes, **by_name}, names)
