"""What the origin is told of a request: who asked, and through whom (RFC 7239, RFC 8586)."""

from __future__ import annotations

from dataclasses import replace

from edge.http.cookies import MARKER, without_cookie
from edge.http.hops import end_to_end
from edge.http.message import Client, Fields, Line, Request

# Set by us or nobody: what a stranger writes there must never reach an origin.
OURS = frozenset(
    {
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
        "x-forwarded-server",
        "x-original-url",
        "x-original-host",
        "x-rewrite-url",
        "x-real-ip",
        "x-request-id",
        "proxy",
        "surrogate-capability",
    }
)


def towards_origin(request: Request, identity: str) -> Request:
    """`request` as the origin is to see it.

    Hop-by-hop fields, strangers' forwarding and `Tepi-*` fields, and the edge's marker cookie go; Via,
    CDN-Loop, X-Forwarded-*, Forwarded and X-Request-Id come. The client's address is the one behind trusted
    proxies.
    """
    lines = (("Via", f"{request.version} {identity}"), ("CDN-Loop", identity), *_forwarded(request))
    if request.id:
        lines = (*lines, ("X-Request-Id", request.id))
    return request.bearing(request.fields.derived(_less_strange).grown(*lines))


def towards_peer(request: Request, identity: str) -> Request:
    """`request` for another node of the fleet, which will tell the origin who asks.

    Strangers' forwarding and `Tepi-*` fields, Host, and the edge's marker cookie go; Via, CDN-Loop and
    X-Request-Id come.
    """
    lines = [
        line
        for line in end_to_end(request.fields).lines
        if not _strange(line[0].lower()) and line[0].lower() != "host"
    ]
    lines += [("Via", f"{request.version} {identity}"), ("CDN-Loop", identity)]
    if request.id:
        lines.append(("X-Request-Id", request.id))
    return replace(request, fields=Fields(lines), body=None)


def towards_commerce(request: Request, site: str) -> Request:
    """`request` with what the commerce origin is told under a node's certificate."""
    client = request.client
    lines: list[Line] = [("Tepi-Site", site), ("Tepi-Client-Address", client.address)]
    if client.country is not None:
        lines.append(("Tepi-Client-Country", client.country))
    if client.asn is not None:
        lines.append(("Tepi-Client-ASN", str(client.asn)))
    return replace(request, fields=request.fields.plus(*lines))


def _less_strange(fields: Fields) -> Fields:
    """`fields` less what ends here, what is a stranger's, and the edge's marker cookie."""
    lines = [line for line in end_to_end(fields).lines if not _strange(line[0].lower())]
    if MARKER in (fields.get("cookie") or ""):
        lines = [line for line in map(_unmarked, lines) if line[1] or line[0].lower() != "cookie"]
    return Fields(lines)


def _strange(name: str) -> bool:
    return name in OURS or name.startswith("tepi-")


def _unmarked(line: Line) -> Line:
    name, value = line
    return (name, without_cookie(value, MARKER)) if name.lower() == "cookie" else line


def _forwarded(request: Request) -> tuple[Line, ...]:
    return (
        ("X-Forwarded-For", request.client.address),
        ("X-Forwarded-Proto", request.scheme),
        ("X-Forwarded-Host", request.host),
        ("Forwarded", f'for={_node(request.client)};host="{request.host}";proto={request.scheme}'),
    )


def _node(client: Client) -> str:
    """A node identifier (RFC 7239 §6): IPv6 in brackets and quotes."""
    return f'"[{client.address}]"' if ":" in client.address else client.address
