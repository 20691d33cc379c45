"""Where an address is: MMDB files of both shapes in use (MaxMind's nested one, the flat one)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Source = Literal["city", "country"]


@dataclass(frozen=True, slots=True)
class Location:
    """What a database says of an address; None is "not known".

    `prefix` is the length of the widest network around the address with this very answer.
    `source` tells whose latitude and longitude these are: the record's own, or the country's
    people-weighted centre.
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
