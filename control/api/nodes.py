"""/nodes: the fleet's members, announced with a join token, watched, revoked."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any, Literal

from aiohttp import web
from pydantic import AfterValidator, Field, model_validator

from control.api.problem import problem
from control.api.routes import Call, Endpoint
from control.membership import Announcement, Known
from edge.document.notation import Many, Name, Table


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError("an IPv4 or IPv6 address") from None


class PlaceBody(Table):
    """Where a node stands."""

    city: str = Field(description="The city's name, for people.", min_length=1, max_length=80)
    country: str = Field(description="ISO 3166-1 alpha-2.", pattern="^[A-Z]{2}$")
    latitude: float = Field(ge=-90, le=90, description="Degrees, north positive.")
    longitude: float = Field(ge=-180, le=180, description="Degrees, east positive.")


class NodeBody(Table):
    """A node to come."""

    name: Name = Field(description="A short name: lower-case letters, digits and hyphens.")
    role: Literal["edge", "dns", "origin"] = Field("edge", description="What it will run.")
    place: PlaceBody | None = Field(None, description="Where it stands; edge nodes need it.")
    addresses: Annotated[tuple[Annotated[str, AfterValidator(_address)], ...], Many] = Field(
        min_length=1, description="Addresses by which it is reached; DNS hands an edge node's out."
    )
    capacity: float = Field(1.0, gt=0, le=1e6, description="Its share among the nodes of one place.")

    @model_validator(mode="after")
    def _edges_have_places(self) -> NodeBody:
        if self.role == "edge" and self.place is None:
            raise ValueError("a place, since visitors are sent to the nearest edge node")
        return self


async def _list(call: Call) -> web.Response:
    return web.json_response({"nodes": await described(call.plane)})


async def described(plane: Any) -> list[dict[str, Any]]:
    """Every node with what control has heard of it."""
    head = await plane.journal.head()
    nodes = []
    for member in await plane.membership.all():
        seen = plane.fanout.get(member["name"])
        position = None if seen is None else seen.position
        nodes.append(
            {
                "name": member["name"],
                "role": member["role"],
                "place": member["place"],
                "addresses": member["addresses"],
                "capacity": member["capacity"],
                "draining": member["draining"],
                "joined": member["serial"] is not None,
                "health": "unknown" if seen is None else str(seen.health),
                "connected": seen is not None and seen.connected,
                "version": "" if seen is None else seen.version,
                "position": None if position is None else position.number,
                "behind": None
                if position is None or position.lineage != head.lineage
                else max(0, head.number - position.number),
                "problems": {} if seen is None else seen.problems,
                "counters": {} if seen is None else seen.counters,
            }
        )
    return nodes


async def _show(call: Call) -> web.Response:
    for node in await described(call.plane):
        if node["name"] == call.path("name"):
            return web.json_response(node)
    return problem(404, f"there is no node called {call.path('name')}")


async def _announce(call: Call) -> web.Response:
    body: NodeBody = call.body
    node = Announcement(
        body.name,
        body.role,
        None if body.place is None else body.place.model_dump(),
        body.addresses,
        body.capacity,
    )
    try:
        token = await call.plane.membership.announce(node)
    except Known as error:
        return problem(409, str(error))
    return web.json_response({"name": body.name, "join_token": token}, status=201)


class NodeChange(Table):
    """What is to become of a node."""

    draining: bool = Field(description="Whether visitors are sent elsewhere while anybody else is healthy.")


async def _change(call: Call) -> web.Response:
    name, body = call.path("name"), call.body
    if not await call.plane.membership.drain(name, body.draining):
        return problem(404, f"there is no node called {name} that has joined")
    call.plane.fanout.drain(name, body.draining)
    return await _show(call)


async def _revoke(call: Call) -> web.Response:
    name = call.path("name")
    if not await call.plane.membership.revoke(name):
        return problem(404, f"there is no node called {name}")
    await call.plane.stream.revoked(name)
    return web.Response(status=204)


ENDPOINTS = (
    Endpoint("GET", "/nodes", "All nodes, with health and counters", _list),
    Endpoint(
        "POST",
        "/nodes",
        "Announce a node; its one-time join token",
        _announce,
        body=NodeBody,
        status=201,
        rights=("nodes",),
    ),
    Endpoint("GET", "/nodes/{name}", "One node", _show),
    Endpoint(
        "PATCH",
        "/nodes/{name}",
        "Drain a node, or send visitors there again",
        _change,
        body=NodeChange,
        rights=("nodes",),
    ),
    Endpoint("DELETE", "/nodes/{name}", "Revoke a node", _revoke, status=204, rights=("nodes",)),
)
