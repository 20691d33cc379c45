"""Who really asks, when trusted proxies stand in between (RFC 7239). Pure."""

from __future__ import annotations

from typing import NamedTuple

from edge.guard.networks import Networks, plain
from edge.http.lists import members, unquote
from edge.http.message import Fields


class PassedOn(NamedTuple):
    """For whom a proxy at `peer` asks, as long as the same ones are `trusted`."""

    trusted: Networks
    peer: str
    client: str
    scheme: str


def client_of(peer: str, fields: Fields, trusted: Networks) -> str:
    """The address of the last hop that is not a trusted proxy.

    X-Forwarded-For is read from its end; Forwarded only where there is no X-Forwarded-For. An entry that is
    no address ends the walk: what stands to its left can't be vouched for.
    """
    if peer not in trusted:
        return peer
    client = peer
    for hop in reversed(_hops(fields)):
        try:
            client = plain(_address(hop))
        except ValueError:
            break
        if client not in trusted:
            break
    return client


def scheme_of(peer: str, scheme: str, fields: Fields, trusted: Networks) -> str:
    """The scheme the client used, by the word of a trusted proxy; else the connection's own."""
    if peer not in trusted:
        return scheme
    said = fields.get("x-forwarded-proto")
    if said is None:
        said = next(iter(reversed(_parameters(fields, "proto"))), "")
    last = said.rpartition(",")[2].strip().lower()
    return last if last in ("http", "https") else scheme


def _hops(fields: Fields) -> list[str]:
    said = fields.get("x-forwarded-for")
    return members(said) if said is not None else _parameters(fields, "for")


def _parameters(fields: Fields, wanted: str) -> list[str]:
    """The values of one parameter of Forwarded, hop by hop; a hop without it counts as unknown."""
    said = fields.get("forwarded")
    if said is None:
        return []
    values = []
    for element in members(said):
        value = "unknown"
        for pair in element.split(";"):
            name, equals, text = pair.partition("=")
            if equals and name.strip().lower() == wanted:
                value = unquote(text.strip())
        values.append(value)
    return values


def _address(hop: str) -> str:
    """The address in `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]` or `[::1]:80`."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
