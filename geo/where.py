"""Which node a visitor is sent to, and why: what `tepi where` and control's API show. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any

from geo.fleet import Fleet
from geo.lookup import Location, Lookup
from geo.nearest import KEY_OCTETS, Choice, nearest, position


class BadAddress(ValueError):
    """Text that is no address; it says what would be accepted."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An address and what the database says of it. `network` is the range with the same answer (CIDR)."""

    address: str
    network: str
    location: Location


@dataclass(frozen=True, slots=True)
class Where:
    """The order of nodes for `client`, decided by the place of `decided_by` ("client" or "resolver").

    `without_subnet` is the order where the resolver does not forward the client's subnet.
    """

    client: Asked
    resolver: Asked | None
    decided_by: str
    choices: tuple[Choice, ...]
    without_subnet: tuple[Choice, ...] | None

    def document(self) -> dict[str, Any]:
        """The same in JSON's types."""
        return {
            "client": _asked_document(self.client),
            "resolver": None if self.resolver is None else _asked_document(self.resolver),
            "decided_by": self.decided_by,
            "node": self.choices[0].node.name if self.choices else None,
            "without_subnet": self.without_subnet[0].node.name if self.without_subnet else None,
            "choices": [_choice_document(choice) for choice in self.choices],
        }


def explain_where(address: str, fleet: Fleet, lookup: Lookup, *, resolver: str | None = None) -> Where:
    """Where DNS sends a visitor from `address`, and why. Raises BadAddress.

    With `resolver`, how it answers a resolver that forwards the visitor's subnet (the resolver's place
    decides where nobody knows the visitor's), and beside it one that does not.
    """
    client = _ask(address, lookup, "address")
    key = client_key(client.address)
    if resolver is None:
        return Where(client, None, "client", nearest(client.location, fleet, key), None)
    beside = _ask(resolver, lookup, "resolver")
    unknown = position(client.location) is None and position(beside.location) is not None
    decided_by, location = ("resolver", beside.location) if unknown else ("client", client.location)
    without = nearest(beside.location, fleet, client_key(beside.address))
    return Where(client, beside, decided_by, nearest(location, fleet, key), without)


def client_key(address: str) -> bytes:
    """What tells clients apart among equal nodes: the network of an address, in octets."""
    parsed = _parsed(address)
    return parsed.packed[: KEY_OCTETS[parsed.version]]


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    parsed = ipaddress.ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed


def _ask(address: str, lookup: Lookup, name: str) -> Asked:
    try:
        parsed = _parsed(address.strip().partition("%")[0])
    except ValueError as error:
        raise BadAddress(f"{name}: got {address!r}, expected an IPv4 or IPv6 address") from error
    location = lookup.find(str(parsed))
    network = ipaddress.ip_network(f"{parsed}/{location.prefix}", strict=False)
    return Asked(str(parsed), str(network), location)


def _asked_document(asked: Asked) -> dict[str, Any]:
    location = asked.location
    return {
        "address": asked.address,
        "network": asked.network,
        "country": location.country,
        "city": location.city,
        "latitude": location.latitude,
        "longitude": location.longitude,
        "asn": location.asn,
        "source": location.source,
    }


def _choice_document(choice: Choice) -> dict[str, Any]:
    node = choice.node
    return {
        "node": node.name,
        "city": node.place.city,
        "country": node.place.country,
        "addresses": list(node.addresses),
        "health": str(node.health),
        "distance_km": None if choice.distance_km is None else round(choice.distance_km, 1),
        "reasons": [str(reason) for reason in choice.reasons],
    }
