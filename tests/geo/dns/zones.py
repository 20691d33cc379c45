"""Material for tests: zones from files."""

from __future__ import annotations

from geo.dns.contents import with_file
from geo.dns.zone import Zone
from geo.dns.zonefile import read_zone
from tests.geo.worlds import ZONE

FILE = "shop.zone"


def zone_of(text: str, zone: Zone = ZONE) -> Zone:
    """`zone` with the records of a file whose TTL is 300."""
    return with_file(zone, read_zone(f"$TTL 300\n{text}", zone.name, FILE), FILE)
