"""/sites/{name}/versions: what a site's document was, how versions differ, and back to one of them."""

from __future__ import annotations

from aiohttp import web
from pydantic import Field

from control.api.problem import problem
from control.api.routes import BadQuery, Call, Endpoint
from control.api.sites import need_site
from control.sites import OnTrial
from control.versions import NoVersion, differences
from edge.document.notation import Table

LARGEST = 2**31 - 1


class RestoreBody(Table):
    """Which version comes back."""

    version: int = Field(ge=1, le=LARGEST, description="Its number.")


async def _list(call: Call) -> web.Response:
    name = call.path("name")
    need_site(call, name)
    found = await call.plane.versions.of(name)
    if not found:
        return problem(404, f"there is and was no site called {name}")
    return web.json_response({"versions": found})


async def _show(call: Call) -> web.Response:
    need_site(call, call.path("name"))
    try:
        document = await call.plane.versions.document(
            call.path("name"), _number("version", call.path("version"))
        )
    except NoVersion as error:
        return problem(404, str(error))
    return web.json_response(document)


async def _differ(call: Call) -> web.Response:
    name = call.path("name")
    need_site(call, name)
    known = await call.plane.versions.of(name)
    if not known:
        return problem(404, f"there is and was no site called {name}")
    newest = known[0]["number"]
    to = _number("to", call.query("to") or str(newest))
    since = _number("from", call.query("from") or str(max(1, to - 1)))
    try:
        before = await call.plane.versions.document(name, since)
        after = await call.plane.versions.document(name, to)
    except NoVersion as error:
        return problem(404, str(error))
    changes = [change.as_json() for change in differences(before, after)]
    return web.json_response({"from": since, "to": to, "changes": changes})


async def _restore(call: Call) -> web.Response:
    name = call.path("name")
    need_site(call, name)
    try:
        document = await call.plane.versions.document(name, call.body.version)
    except NoVersion as error:
        return problem(404, str(error))
    try:
        return web.json_response(await call.plane.sites.restore(name, document))
    except OnTrial as error:
        return problem(409, str(error))


def _number(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:10]) <= LARGEST:
        raise BadQuery(name, text[:40], "the number of a version")
    return int(text)


ENDPOINTS = (
    Endpoint("GET", "/sites/{name}/versions", "Every version of a site, the newest first", _list),
    Endpoint("GET", "/sites/{name}/versions/{version}", "A site's document as it was", _show),
    Endpoint(
        "GET",
        "/sites/{name}/changes",
        "How two versions of a site differ",
        _differ,
        query=(
            ("from", "The number of the earlier one; unset, the one before `to`."),
            ("to", "The number of the later one; unset, the newest."),
        ),
    ),
    Endpoint(
        "POST",
        "/sites/{name}/restore",
        "Make an earlier version of a site the newest",
        _restore,
        body=RestoreBody,
        rights=("sites",),
    ),
)
