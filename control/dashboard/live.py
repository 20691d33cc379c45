"""Pages stay alive: the parts that changed are sent again as server-sent events (HTML Standard §9.2)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection

from aiohttp import web

from control.api.routes import SESSION_COOKIE
from control.dashboard.queries import LABEL, LABEL_SMALL, fleet_view, latest_purges
from control.dashboard.trends import trends
from control.dashboard.visit import FIELDS, Visit

PARTS = ("figures", "map", "charts", "nodes", "guard", "orders")
OF_THE_FLEET = ("figures", "map", "nodes", "guard")
SLOW = {"charts": 5}  # parts that are looked at only every so many beats
BEAT = 1.0  # seconds
RECHECK = 5  # beats after which the session is looked up again

STOPPING: web.AppKey[asyncio.Event] = web.AppKey("tepi_dashboard_stopping", asyncio.Event)


async def parts(visit: Visit, names: Collection[str]) -> dict[str, str]:
    """Parts of a page as they stand now, all of one moment."""
    made: dict[str, str] = {}
    if set(OF_THE_FLEET) & set(names):
        fleet = await fleet_view(visit)
        sizes = {"wide": LABEL, "narrow": LABEL_SMALL}
        for name in OF_THE_FLEET:
            if name in names:
                made[name] = visit.fragment(f"parts/{name}.html", fleet=fleet, sizes=sizes)
    if "charts" in names:
        made["charts"] = visit.fragment("parts/charts.html", charts=await trends(visit))
    if "orders" in names:
        made["orders"] = visit.fragment("parts/orders.html", orders=await latest_purges(visit))
    return made


async def events(visit: Visit) -> web.StreamResponse:
    """A stream of `{part: html}`, each with the parts that changed since the last one."""
    wanted = [name for name in PARTS if name in visit.request.query.get("parts", "").split(",")]
    response = web.StreamResponse(headers=FIELDS)
    response.content_type = "text/event-stream"
    await response.prepare(visit.request)
    stopping = visit.request.app[STOPPING]
    told: dict[str, str] = {}
    beat = 0
    try:
        while not stopping.is_set() and await _still_in(visit, beat):
            now = await parts(visit, [name for name in wanted if beat % SLOW.get(name, 1) == 0])
            changed = {name: html for name, html in now.items() if told.get(name) != html}
            told |= changed
            said = f"data: {json.dumps(changed, ensure_ascii=False)}\n\n" if changed else ": still here\n\n"
            await response.write(said.encode())
            beat += 1
            try:
                async with asyncio.timeout(BEAT):
                    await stopping.wait()
            except TimeoutError:
                pass
    except ConnectionError:
        pass  # the page was closed
    return response


async def _still_in(visit: Visit, beat: int) -> bool:
    if beat % RECHECK or beat == 0:
        return True
    cookie = visit.request.cookies.get(SESSION_COOKIE, "")
    return await visit.plane.auth.by_cookie(cookie) is not None
