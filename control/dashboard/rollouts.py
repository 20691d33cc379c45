"""Roll-outs: what sites were, how versions differ, what some nodes try, and what comes of it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from aiohttp import web

from control.api.routes import Denied
from control.dashboard.visit import FIELDS, Visit
from control.sites import Missing, NoTrial, OnTrial
from control.tasks import sides
from control.versions import NoVersion, differences
from edge.document.problems import Refused

SHOWN = 50  # versions of a site


async def rollouts(visit: Visit) -> web.StreamResponse:
    """Every site with its newest version, and whether it is on trial."""
    principal = visit.principal
    assert principal is not None
    trials = {trial["site"]: trial for trial in await visit.plane.sites.trials()}
    rows = [
        {"name": site["name"], "version": versions[0], "trial": trials.get(site["name"])}
        for site in await visit.plane.sites.all()
        if principal.may_touch(site["name"]) and (versions := await visit.plane.versions.of(site["name"]))
    ]
    return visit.render("rollouts.html", rows=rows)


async def rollout(visit: Visit) -> web.StreamResponse:
    """One site: its versions, what one of them changed, and its trial."""
    return await _page(visit, _site(visit), None)


async def change_rollout(visit: Visit) -> web.StreamResponse:
    """Takes the forms of that page: an earlier version comes back, a trial is promoted or abandoned."""
    name, form = _site(visit), await visit.form()
    text, sites = visit.language.gettext, visit.plane.sites
    try:
        match form.get("do"):
            case "promote":
                await sites.promote(name)
            case "abandon":
                await sites.abandon(name)
            case "restore":
                await sites.restore(name, await visit.plane.versions.document(name, _number(form, "version")))
            case _:
                return await _page(visit, name, text("Choose what is to be done."))
    except NoTrial:
        return await _page(visit, name, text("No node tries another document of this site any more."))
    except NoVersion:
        return await _page(visit, name, text("There is no such version any more."))
    except OnTrial:
        return await _page(visit, name, text("The site is on trial: promote or abandon that first."))
    except Refused as error:
        return await _page(visit, name, str(error))
    raise web.HTTPSeeOther(f"/rollouts/{quote(name, safe='')}", headers=FIELDS)


async def _page(visit: Visit, name: str, problem: str | None) -> web.Response:
    versions = await visit.plane.versions.of(name)
    if not versions:
        raise web.HTTPNotFound(text="There is no such site.\n", headers=FIELDS)
    trial = await visit.plane.sites.trial(name)
    running = trial if trial is not None and trial["ended_at"] is None else None
    return visit.render(
        "rollout.html",
        422 if problem else 200,
        name=name,
        problem=problem,
        versions=versions[:SHOWN],
        there=await _is_there(visit, name),
        shown=await _shown(visit, name, versions),
        trial=trial,
        sides=None if running is None else await sides(visit.plane, running),
        tried=None if running is None else await _changes_of(visit, name, running["document"]),
    )


async def _shown(visit: Visit, name: str, versions: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The version that the page's address names, or the newest, beside the one before it."""
    number = _number(dict(visit.request.query), "version") or versions[0]["number"]
    known = {version["number"] for version in versions}
    if number not in known or number - 1 not in known:
        return None
    before, after = [await visit.plane.versions.document(name, each) for each in (number - 1, number)]
    return {"number": number, "changes": list(differences(before, after))}


async def _changes_of(visit: Visit, name: str, document: dict[str, Any]) -> list[Any]:
    """How a document that is tried differs from the site's own."""
    return list(differences(await visit.plane.sites.get(name), document))


async def _is_there(visit: Visit, name: str) -> bool:
    try:
        await visit.plane.sites.get(name)
    except Missing:
        return False
    return True


def _number(fields: dict[str, str], name: str) -> int:
    """A whole number that was sent; 0 where there is none."""
    text = fields.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _site(visit: Visit) -> str:
    name = visit.request.match_info["site"]
    if visit.principal is None or not visit.principal.may_touch(name):
        raise Denied(name)
    return name
