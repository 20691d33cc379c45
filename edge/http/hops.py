"""Fields that hold between two hops only (RFC 9110 §7.6.1), and loops (RFC 8586)."""

from __future__ import annotations

from edge.http.lists import members, names
from edge.http.message import Fields

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# Connection may not name these away: they frame or route the message (RFC 9110 §7.6.1).
_KEPT = frozenset({"host", "content-length", "content-type", "cache-control", "set-cookie", "authorization"})


def end_to_end(fields: Fields) -> Fields:
    """`fields` less those that end at this hop, whether by name or because Connection names them."""
    named = fields.get("connection")
    ending = HOP_BY_HOP if named is None else HOP_BY_HOP | (frozenset(names(named)) - _KEPT)
    if fields.names().isdisjoint(ending):
        return fields
    return Fields([line for line in fields.lines if line[0].lower() not in ending])


def went_through(fields: Fields, identity: str) -> bool:
    """Whether CDN-Loop names `identity` (RFC 8586 §2)."""
    value = fields.get("cdn-loop")
    if value is None:
        return False
    return any(member.partition(";")[0].strip(" \t").lower() == identity for member in members(value))
