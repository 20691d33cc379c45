"""/sites/{name}/trial: another document of a site at some nodes first, then everywhere, or nowhere."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from aiohttp import web
from pydantic import Field

from control.api.problem import problem
from control.api.routes import Call, Endpoint
from control.api.sites import missing, need_site
from control.sites import Missing, NoTrial, OnTrial
from control.tasks import sides
from edge.document.notation import Many, Name, Table

LONGEST_MINUTES = 7 * 24 * 60


class TrialBody(Table):
    """What is tried, and where."""

    site: dict[str, Any] = Field(description="The site's document, whole.")
    nodes: Annotated[tuple[Name, ...], Many] = Field(
        min_length=1, max_length=1000, description="The edges that go by it; not all of them."
    )
    minutes: int | None = Field(
        None,
        ge=1,
        le=LONGEST_MINUTES,
        description="After so many minutes without a turn for the worse it is for all; unset, when told so.",
    )


async def _begin(call: Call) -> web.Response:
    need_site(call, call.path("name"))
    body: TrialBody = call.body
    try:
        row = await call.plane.sites.begin_trial(call.path("name"), body.site, body.nodes, body.minutes)
    except Missing:
        return missing(call)
    except OnTrial as error:
        return problem(409, str(error))
    return web.json_response(row, status=201)


async def _show(call: Call) -> web.Response:
    need_site(call, call.path("name"))
    trial = await call.plane.sites.trial(call.path("name"))
    if trial is None:
        return problem(404, f"{call.path('name')} has never been on trial")
    if trial["ended_at"] is None:
        ours, rest = await sides(call.plane, trial)
        trial |= {"at_its_nodes": asdict(ours), "elsewhere": asdict(rest)}
    return web.json_response(trial)


async def _promote(call: Call) -> web.Response:
    need_site(call, call.path("name"))
    try:
        return web.json_response(await call.plane.sites.promote(call.path("name")))
    except NoTrial as error:
        return problem(404, str(error))


async def _abandon(call: Call) -> web.Response:
    need_site(call, call.path("name"))
    try:
        await call.plane.sites.abandon(call.path("name"))
    except NoTrial as error:
        return problem(404, str(error))
    return web.Response(status=204)


ENDPOINTS = (
    Endpoint("GET", "/sites/{name}/trial", "A site's trial, or how its last one ended", _show),
    Endpoint(
        "POST",
        "/sites/{name}/trial",
        "Try another document of a site at some nodes",
        _begin,
        body=TrialBody,
        status=201,
        rights=("sites",),
    ),
    Endpoint(
        "POST", "/sites/{name}/trial/promote", "What was tried is for all nodes", _promote, rights=("sites",)
    ),
    Endpoint(
        "DELETE", "/sites/{name}/trial", "End a trial: all nodes go by the site's document", _abandon,
        status=204, rights=("sites",),
    ),
)  # fmt: skip
