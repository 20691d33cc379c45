"""/sites: the fleet's storefronts."""

from __future__ import annotations

from aiohttp import web

from control.api.problem import problem
from control.api.routes import Call, Denied, Endpoint, read_json
from control.sites import Exists, Missing, OnTrial
from edge.config import Site
from edge.document.problems import Problem, Refused


async def _list(call: Call) -> web.Response:
    documents = await call.plane.sites.all()
    return web.json_response({"sites": [one for one in documents if call.principal.may_touch(one["name"])]})


async def _add(call: Call) -> web.Response:
    document = await _document(call)
    need_site(call, document.get("name"))
    try:
        document = await call.plane.sites.add(document)
    except Exists as error:
        return problem(409, str(error))
    return web.json_response(document, status=201)


async def _show(call: Call) -> web.Response:
    need_site(call, call.path("name"))
    try:
        return web.json_response(await call.plane.sites.get(call.path("name")))
    except Missing:
        return missing(call)


async def _replace(call: Call) -> web.Response:
    need_site(call, call.path("name"))
    try:
        return web.json_response(await call.plane.sites.replace(call.path("name"), await _document(call)))
    except Missing:
        return missing(call)
    except OnTrial as error:
        return problem(409, str(error))


async def _remove(call: Call) -> web.Response:
    need_site(call, call.path("name"))
    try:
        await call.plane.sites.remove(call.path("name"))
    except Missing:
        return missing(call)
    return web.Response(status=204)


def need_site(call: Call, name: object) -> None:
    """Whoever has rights for some sites alone may touch no other. Raises Denied."""
    if not call.principal.may_touch(name if isinstance(name, str) else None):
        raise Denied(f"{call.principal.name} has no right to the site {name!r:.80}")


async def _document(call: Call) -> dict[str, object]:
    """The document as it was sent: what is kept is the operator's own words, not their defaults."""
    document = await read_json(call.request)
    if not isinstance(document, dict):
        raise Refused([Problem("", type(document).__name__, "an object")])
    return document


def missing(call: Call) -> web.Response:
    """404: there is no such site."""
    return problem(404, f"there is no site called {call.path('name')}")


ENDPOINTS = (
    Endpoint("GET", "/sites", "All sites", _list),
    Endpoint("POST", "/sites", "Add a site", _add, body=Site, status=201, rights=("sites",)),
    Endpoint("GET", "/sites/{name}", "One site", _show),
    Endpoint("PUT", "/sites/{name}", "Replace a site's document", _replace, body=Site, rights=("sites",)),
    Endpoint("DELETE", "/sites/{name}", "Remove a site", _remove, status=204, rights=("sites",)),
)
