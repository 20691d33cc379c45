"""The pages behind the login: overview, purges, why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from control.api.insight import any_edge
from control.api.purges import PurgeBody, dry_run, need_its_sites, total
from control.dashboard.live import PARTS, parts
from control.dashboard.visit import FIELDS, Visit
from control.purges import Order
from control.stream import CommandFailed, NoSuchNode
from edge.document.problems import Refused
from edge.purge import Purge, Weight

FRAGMENT = "X-Tepi-Fragment"  # our own script asks for the changed part alone


@dataclass(frozen=True, slots=True)
class PurgeOutcome:
    """What became of a purge form: a problem with its field, a count by node, or an order."""

    problem: str | None = None
    field: str | None = None
    counted: dict[str, dict[str, Any]] | None = None
    order: Order | None = None

    @property
    def total(self) -> Weight:
        """What a dry run met on all nodes."""
        return total(self.counted or {})


async def overview(visit: Visit) -> web.StreamResponse:
    """The fleet at a glance."""
    return visit.render(
        "overview.html",
        parts=await parts(visit, PARTS),
        sites=await _sites(visit),
        edges=_edges(visit),
    )


async def purges(visit: Visit) -> web.StreamResponse:
    """The purge form, and the latest purges with their receipts."""
    return await _purge_page(visit, {}, None)


async def purge(visit: Visit) -> web.StreamResponse:
    """Takes the purge form: a dry run is answered at once, an order is sent on to its receipts."""
    form = {name: str(value) for name, value in (await visit.request.post()).items()}
    outcome = await _purge(visit, form)
    status = 422 if outcome.problem else 200
    if FRAGMENT in visit.request.headers:
        html = visit.fragment("parts/outcome.html", outcome=outcome)
        return web.Response(text=html, status=status, content_type="text/html", headers=FIELDS)
    if outcome.order is not None:
        raise web.HTTPSeeOther(f"/purges#{outcome.order.id}", headers=FIELDS)
    return await _purge_page(visit, form, outcome, status)


async def _purge_page(
    visit: Visit, form: dict[str, str], outcome: PurgeOutcome | None, status: int = 200
) -> web.Response:
    return visit.render(
        "purges.html",
        status,
        form=form,
        outcome=outcome,
        sites=await _sites(visit),
        parts=await parts(visit, ("orders",)),
    )


async def _purge(visit: Visit, form: dict[str, str]) -> PurgeOutcome:
    text = visit.language.gettext
    value = form.get("value", "").strip()
    if not value:
        return PurgeOutcome(text("Say what is to be purged."), "value")
    try:
        body = PurgeBody.model_validate(
            {
                "kind": form.get("kind", ""),
                "value": value,
                "soft": form.get("soft") == "yes",
                "dry_run": form.get("do") != "purge",
                "site": (form.get("site") or None) if form.get("kind") == "tag" else None,
            }
        )
    except ValidationError:
        return PurgeOutcome(text("Choose URL, prefix, tag or site, and at most 8192 characters."), "value")
    try:
        wish = body.purge()
    except Refused:
        return PurgeOutcome(text("Give an absolute URL, such as https://shop.example/p/1"), "value")
    assert visit.principal is not None
    await need_its_sites(visit.plane, visit.principal, wish)
    if body.dry_run:
        return PurgeOutcome(counted=await dry_run(visit.plane, wish))
    return PurgeOutcome(order=await visit.plane.purges.order(wish, visit.principal.name))


async def explain(visit: Visit) -> web.StreamResponse:
    """Why a node answers a URL as it does; the page's address says which, so that it can be passed on."""
    url, node = visit.request.query.get("url", "").strip(), visit.request.query.get("node", "")
    told: dict[str, Any] | None = None
    problem = None
    assert visit.principal is not None
    if url:
        await need_its_sites(visit.plane, visit.principal, Purge("url", url))
        told, problem = await _explain(visit, url, node or None)
    status = 422 if problem else 200
    return visit.render(
        "explain.html", status, url=url, node=node, told=told, problem=problem, edges=_edges(visit)
    )


async def _explain(visit: Visit, url: str, node: str | None) -> tuple[dict[str, Any] | None, str | None]:
    """What the node says, or what stands against asking it."""
    text = visit.language.gettext
    name = node or any_edge(visit.plane)
    if name is None:
        return None, text("No edge node is connected: there is nobody to ask.")
    try:
        told = await visit.plane.command(name, "explain", {"url": url})
    except NoSuchNode:
        return None, text("The node %(name)s is not connected.") % {"name": name}
    except CommandFailed as error:
        said = text("%(name)s could not explain this URL: %(reason)s")
        return None, said % {"name": name, "reason": error}
    return {"node": name, **told}, None


async def _sites(visit: Visit) -> list[dict[str, Any]]:
    """The sites that concern who looks."""
    may = visit.principal
    return [one for one in await visit.plane.sites.all() if may is not None and may.may_touch(one["name"])]


def _edges(visit: Visit) -> list[str]:
    return sorted(seen.name for seen in visit.plane.fanout.all() if seen.role == "edge" and seen.connected)
