"""/explain, /where, /samples: why an answer is what it is, where a visitor goes, what the fleet did."""

from __future__ import annotations

from aiohttp import web
from pydantic import Field

from control.api.problem import problem
from control.api.purges import need_its_sites
from control.api.routes import BadQuery, Call, Endpoint
from control.plane import Plane
from control.samples import SECONDS, Resolution
from control.stream import CommandFailed, NoSuchNode
from edge.document.notation import IpAddress, Table
from edge.purge import Purge
from geo.fleet import Health
from geo.where import BadAddress, explain_where

ROWS = 3600  # of one node in an answer


class ExplainBody(Table):
    """A request to be explained without being sent."""

    url: str = Field(min_length=1, max_length=8192, description="An absolute URL.")
    method: str = Field("GET", pattern="^[A-Z-]{1,32}$", description="The request's method.")
    fields: dict[str, str] = Field({}, description="The request's header fields.")
    client: IpAddress | None = Field(None, description="The visitor's address; unset, the node's own.")
    node: str | None = Field(None, description="The node to ask; unset, a healthy one.")


async def _explain(call: Call) -> web.Response:
    body: ExplainBody = call.body
    await need_its_sites(call.plane, call.principal, Purge("url", body.url))
    name = body.node or any_edge(call.plane)
    if name is None:
        return problem(409, "no edge node is connected")
    try:
        told = await call.plane.command(name, "explain", body.model_dump(exclude={"node"}, exclude_none=True))
    except NoSuchNode:
        return problem(404, f"no node called {name} is connected")
    except CommandFailed as error:
        return problem(422, str(error))
    return web.json_response({"node": name, **told})


def any_edge(plane: Plane) -> str | None:
    """A connected edge node, a healthy one if there is any."""
    edges = [seen for seen in plane.fanout.all() if seen.role == "edge" and seen.connected]
    edges.sort(key=lambda seen: (seen.health is not Health.HEALTHY, seen.name))
    return edges[0].name if edges else None


async def _where(call: Call) -> web.Response:
    address = call.query("address")
    if not address:
        raise BadQuery("address", "", "an IPv4 or IPv6 address")
    try:
        found = explain_where(
            address, await call.plane.fleet(), call.plane.lookup, resolver=call.query("resolver")
        )
    except BadAddress as error:
        return problem(400, str(error))
    return web.json_response(found.document())


async def _samples(call: Call) -> web.Response:
    resolution = call.query("resolution") or "minute"
    if resolution not in SECONDS:
        raise BadQuery("resolution", resolution, f"one of {', '.join(SECONDS)}")
    chosen: Resolution = resolution
    now, text = call.plane.clocks.wall(), call.query("since") or "0"
    try:
        since = float(text)
    except ValueError:
        since = -1.0
    if not 0 <= since <= now + 1:
        raise BadQuery("since", text, "seconds since 1970, not in the future")
    earliest = now - ROWS * SECONDS[chosen]
    rows = await call.plane.samples.since(chosen, max(since, earliest), call.query("node"))
    return web.json_response({"resolution": resolution, "samples": rows})


ENDPOINTS = (
    Endpoint("POST", "/explain", "Why a node answers as it does", _explain, body=ExplainBody),
    Endpoint(
        "GET", "/where", "Which node a visitor is sent to, and why", _where,
        query=(("address", "The visitor's address."), ("resolver", "His resolver's address.")),
    ),
    Endpoint(
        "GET", "/samples", "What nodes counted, in time", _samples,
        query=(
            ("resolution", "second, minute (default) or hour."),
            ("since", "Seconds since 1970."),
            ("node", "One node only."),
        ),
    ),
)  # fmt: skip
