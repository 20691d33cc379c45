"""Dead letters: webhooks that the origin would not take, node by node."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from aiohttp import web
from pydantic import ValidationError

from control.api.hooks import HooksBody, carry_out, letters, need_whole_fleet
from control.dashboard.visit import FIELDS, Visit
from control.stream import CommandFailed, NoSuchNode


async def hooks(visit: Visit) -> web.StreamResponse:
    """What waits at each node, or at the one that the address names."""
    return await _page(visit)


async def letter(visit: Visit) -> web.StreamResponse:
    """One dead letter with its body."""
    match = visit.request.match_info
    told, problem = await _done(visit, match["node"], "inspect", [match["letter"]])
    found = told["letters"][0] if told and told["letters"] else None
    if found is None:
        return await _page(visit, problem or visit.language.gettext("There is no such letter any more."))
    return visit.render("letter.html", letter=found, node=match["node"])


async def change_hooks(visit: Visit) -> web.StreamResponse:
    """Takes the forms of that page: replay or discard what is ticked, or everything of a node."""
    form = await visit.request.post()
    node, verb = str(form.get("node", "")), str(form.get("do", ""))
    chosen = [str(value) for value in form.getall("letter", ())]
    _, problem = await _done(visit, node, verb, chosen, every=form.get("every") == "yes")
    if problem is None:
        only = visit.request.query.get("node")
        query = f"?{urlencode({'node': only})}" if only else ""
        raise web.HTTPSeeOther(f"/hooks{query}", headers=FIELDS)
    return await _page(visit, problem)


async def _page(visit: Visit, problem: str | None = None) -> web.Response:
    assert visit.principal is not None
    need_whole_fleet(visit.principal)
    found = await letters(visit.plane, visit.request.query.get("node"))
    return visit.render("hooks.html", 422 if problem else 200, nodes=found, problem=problem)


async def _done(
    visit: Visit, node: str, verb: str, chosen: list[str], *, every: bool = False
) -> tuple[dict[str, Any] | None, str | None]:
    """What the node did, or what stands against it."""
    text = visit.language.gettext
    assert visit.principal is not None
    need_whole_fleet(visit.principal)
    if not chosen and not every:
        return None, text("Tick at least one letter.")
    try:
        body = HooksBody.model_validate(
            {"node": node, "verb": verb, "letters": tuple(chosen), "every": every}
        )
        return await carry_out(visit.plane, body), None
    except ValidationError:
        return None, text("Choose to replay or to discard letters of a node.")
    except NoSuchNode:
        return None, text("The node %(name)s is not connected.") % {"name": node}
    except CommandFailed as error:
        return None, text("%(name)s refused: %(reason)s") % {"name": node, "reason": error}
