"""What nodes of one fleet tell each other beside a request and its answer. Means something among peers only.

Tepi-Hop: owner;from="jakarta-2";scheme=https;address="203.0.113.9";country="ID";number...
Tepi-Position: "3f9a";number=17          (both ways: RFC 8941 items, as the others)
Tepi-Ttl: -12                            (in answers: seconds of freshness left at the one who answers)
Tepi-Failure: timeout                    (in answers of its own: why the origin gave none)
Tepi-Pieces: ?1                          (in answers: the body is a page in pieces, as nodes write it)
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import http_sf

from edge.http.asker import Asker, Tier
from edge.http.lists import quote
from edge.http.message import Client, Fields, Line, Request
from edge.position import Position

LONGEST_AGO = 1e9  # seconds
HOP, POSITION, TTL, FAILURE = "tepi-hop", "tepi-position", "tepi-ttl", "tepi-failure"
PIECES = "tepi-pieces"
TOLD = frozenset({POSITION, TTL, FAILURE, PIECES})  # in answers
IN_PIECES: Line = ("Tepi-Pieces", "?1")


def hop_lines(
    request: Request, name: str, tier: Tier, *, inner: bool, variant: str | None, ago: float | None = None
) -> tuple[Line, ...]:
    """What the node called `name` tells who is asked as `tier` of `request`; `inner`: its own worker."""
    client = request.client
    said = f"{tier.name.lower()};from={quote(name)};scheme={request.scheme};address={quote(client.address)}"
    if client.country is not None:
        said += f";country={quote(client.country)}"
    if client.asn is not None:
        said += f";asn={client.asn}"
    if variant is not None:
        said += f";variant={quote(variant)}"
    if ago is not None:
        said += f";ago={int(min(ago, LONGEST_AGO) * 1000)}"
    return (("Tepi-Hop", f"{said};inner" if inner else said),)


def position_line(position: Position) -> Line:
    """`position` as it travels."""
    return "Tepi-Position", f"{quote(position.lineage)};number={position.number}"


def position_in(fields: Fields) -> Position | None:
    """The position that `fields` tell; None if they tell none that can be read."""
    lineage, more = _item(fields.get(POSITION))
    number = more.get("number")
    if not isinstance(lineage, str) or not isinstance(number, int) or isinstance(number, bool):
        return None
    return Position(lineage, number)


def ttl_in(fields: Fields) -> int | None:
    """The seconds of freshness that are left of an answer at the peer; None if it keeps none."""
    value, _ = _item(fields.get(TTL))
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def answer_lines(as_of: Position, ttl: int | None) -> tuple[Line, ...]:
    """What a peer is told of an answer: it is none of before `as_of`, and has `ttl` seconds left."""
    told = position_line(as_of)
    return (told,) if ttl is None else (told, ("Tepi-Ttl", str(ttl)))


def of_an_origin(fields: Fields) -> Fields:
    """`fields` of an origin's answer, less what only nodes may tell each other."""
    return fields if fields.names().isdisjoint(TOLD) else fields.without(*TOLD)


def received(request: Request) -> Request | None:
    """A peer's `request` as its visitor's, with who passed it on; None if that is not told as it should."""
    kind, more = _item(request.fields.get(HOP))
    position = position_in(request.fields)
    tier = _TIERS.get(str(kind))
    name, scheme, address = (more.get(each) for each in ("from", "scheme", "address"))
    if position is None or tier is None or not isinstance(name, str) or not isinstance(address, str):
        return None
    if str(scheme) not in ("http", "https"):
        return None
    country, asn, variant, ago = (more.get(each) for each in ("country", "asn", "variant", "ago"))
    client = Client(
        address,
        country=country if isinstance(country, str) else None,
        asn=asn if isinstance(asn, int) else None,
    )
    return replace(
        request,
        scheme=str(scheme),
        host=request.fields.get("host") or request.host,
        client=client,
        id=request.fields.get("x-request-id") or request.id,
        fields=_unlooped(request.fields.without(HOP, POSITION, TTL, "x-request-id")),
        asker=Asker(
            name,
            tier,
            more.get("inner") is True,
            position,
            variant if isinstance(variant, str) else None,
            ago / 1000 if isinstance(ago, int) else None,
        ),
    )


_TIERS = {tier.name.lower(): tier for tier in Tier}


def _item(value: str | None) -> tuple[Any, dict[str, Any]]:
    """An item and its parameters; None and nothing where there is none (RFC 8941 §4.2.3)."""
    if value is None:
        return None, {}
    try:
        parsed = http_sf.parse(value.encode("latin-1"), tltype="item")
    except (ValueError, UnicodeEncodeError):
        return None, {}
    if isinstance(parsed, tuple):
        return cast("tuple[Any, dict[str, Any]]", parsed)
    return parsed, {}


def _unlooped(fields: Fields) -> Fields:
    """`fields` less the member of CDN-Loop that the peer added: a second one tells of a loop (RFC 8586)."""
    lines = list(fields.lines)
    for at in range(len(lines) - 1, -1, -1):
        if lines[at][0].lower() == "cdn-loop":
            del lines[at]
            break
    return Fields(lines)
