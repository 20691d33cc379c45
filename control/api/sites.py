"""/sites: the fleet's storefronts."""

from __future__ import annotations

from aiohttp import web

from control.api.problem import problem
from control.api.routes import Call, Endpoint, read_json
from control.sites import Exists, Missing
from edge.config import Site
from edge.problems import Problem, Refused


async def _list(call: Call) -> web.Response:
    return web.json_response({"sites": await call.plane.sites.all()})


async def _add(call: Call) -> web.Response:
    try:
        document = await call.plane.sites.add(await _document(call))
    except Exists as error:
        return problem(409, str(error))
    return web.json_response(document, status=201)


async def _show(call: Call) -> web.Response:
    try:
        return web.json_response(await call.plane.sites.get(call.path("name")))
    except Missing:
        return _missing(call)


async def _replace(call: Call) -> web.Response:
    try:
        return web.json_response(await call.plane.sites.replace(call.path("name"), await _document(call)))
    except Missing:
        return _missing(call)


async def _remove(call: Call) -> web.Response:
    try:
        await call.plane.sites.remove(call.path("name"))
    except Missing:
        return _missing(call)
    return web.Response(status=204)


async def _document(call: Call) -> dict[str, object]:
    """The document as it was sent: what is kept is the operator's own words, not their defaults."""
    document = await read_json(call.request)
    if not isinstance(document, dict):
        raise Refused([Problem("", type(document).__name__, "an object")])
    return document


def _missing(call: Call) -> web.Response:
    return problem(404, f"there is no site called {call.path('name')}")


ENDPOINTS = (
    Endpoint("GET", "/sites", "All sites", _list),
    Endpoint("POST", "/sites", "Add a site", _add, body=Site, status=201),
    Endpoint("GET", "/sites/{name}", "One site", _show),
    Endpoint("PUT", "/sites/{name}", "Replace a site's document", _replace, body=Site),
    Endpoint("DELETE", "/sites/{name}", "Remove a site", _remove, status=204),
)
