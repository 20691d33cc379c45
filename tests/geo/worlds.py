"""Material for tests: a fleet, a small database in either shape, a zone."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

from geo.dataset import mmdb
from geo.dns.answer import Manners, Responder
from geo.dns.zone import NameServer, Zone
from geo.fleet import Fleet, Health, Node, Place
from geo.lookup import Location, Lookup

JAKARTA = Node("jakarta", Place("Jakarta", "ID", -6.2088, 106.8456), ("192.0.2.1", "2001:db8::1"))
FRANKFURT = Node("frankfurt", Place("Frankfurt am Main", "DE", 50.1109, 8.6821), ("192.0.2.2", "2001:db8::2"))
VIRGINIA = Node("virginia", Place("Ashburn", "US", 39.0438, -77.4874), ("192.0.2.3",))
FLEET = Fleet((JAKARTA, FRANKFURT, VIRGINIA))

IN_INDONESIA = "36.66.0.0"
IN_GERMANY = "85.214.0.0"
IN_AMERICA = "8.8.8.0"

ZONE = Zone(
    name="shop.test",
    servers=(NameServer("ns1.shop.test", ("192.0.2.53", "2001:db8::53")), NameServer("ns2.other.test")),
    contact="hostmaster.shop.test",
    serial=7,
    ttl=20,
    negative_ttl=15,
    stable_ttl=3600,
)
MANNERS = Manners()
HOSTS = frozenset({"shop.test", "www.shop.test", "img.cdn.shop.test", "*.wild.shop.test", "elsewhere.test"})


class Table:
    """A lookup out of a dictionary, network in CIDR form -> (country, latitude, longitude)."""

    def __init__(self, rows: dict[str, tuple[str, float, float]]) -> None:
        self._rows = [(ip_network(network), row) for network, row in rows.items()]

    def find(self, address: str) -> Location:
        for network, (country, latitude, longitude) in self._rows:
            if ip_address(address) in network:
                return Location(network.prefixlen, country, None, latitude, longitude, None, "city")
        return Location(9)


LOOKUP = Table(
    {
        "36.64.0.0/11": ("ID", -4.8, 109.6),
        "85.214.0.0/15": ("DE", 51.0, 9.8),
        "8.8.0.0/15": ("US", 39.0, -92.7),
        "2001:4400::/24": ("ID", -4.8, 109.6),
        "2a00::/16": ("DE", 51.0, 9.8),
    }
)


def responder(
    fleet: Fleet = FLEET,
    *,
    zone: Zone = ZONE,
    hosts: frozenset[str] = HOSTS,
    lookup: Lookup = LOOKUP,
    manners: Manners = MANNERS,
) -> Responder:
    return Responder((zone,), hosts, fleet, lookup, manners=manners)


def fleet_with(**health: Health) -> Fleet:
    """FLEET, all healthy but for the named."""
    return Fleet(tuple(replace(node, health=health.get(node.name, Health.HEALTHY)) for node in FLEET.nodes))


def write_database(path: Path, rows: dict[str, mmdb.Value], kind: str = "Test") -> Path:
    """An MMDB file with a record for each network."""
    families: dict[int, list[mmdb.Span]] = {4: [], 6: []}
    for number, text in enumerate(rows):
        network = ip_network(text)
        span = (int(network.network_address), int(network.broadcast_address), number)
        families[network.version].append(span)
    tree, root = mmdb.build(sorted(families[4]), sorted(families[6]))
    records = list(rows.values())
    path.write_bytes(mmdb.write(tree, root, records, kind=kind, description="", built=1_750_000_000))
    return path
