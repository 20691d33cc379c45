"""/hooks: webhooks that wait at nodes, and those that the origin would not take."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from aiohttp import web
from pydantic import Field

from control.api.problem import problem
from control.api.routes import Call, Denied, Endpoint
from control.plane import Plane
from control.rights import Principal
from control.stream import CommandFailed, NoSuchNode
from edge.document.notation import Table

MOST_LETTERS = 1000


class HooksBody(Table):
    """What is done with dead letters of a node."""

    node: str = Field(min_length=1, max_length=63, description="The node that has them.")
    verb: Literal["inspect", "replay", "discard"] = Field(
        description="Show them with their bodies, send them to the origin again, or forget them for good."
    )
    letters: tuple[str, ...] = Field(
        (), strict=False, max_length=MOST_LETTERS, description="Which ones, as the list calls them."
    )
    every: bool = Field(False, description="All of the node's.")


async def _list(call: Call) -> web.Response:
    need_whole_fleet(call.principal)
    return web.json_response({"nodes": await letters(call.plane, call.query("node"))})


async def _do(call: Call) -> web.Response:
    body: HooksBody = call.body
    need_whole_fleet(call.principal)
    try:
        told = await carry_out(call.plane, body)
    except NoSuchNode:
        return problem(404, f"no node called {body.node} is connected")
    except CommandFailed as error:
        return problem(422, str(error))
    return web.json_response({"node": body.node, **told})


def need_whole_fleet(principal: Principal) -> None:
    """A node keeps the webhooks of all sites together. Raises Denied."""
    if principal.sites is not None:
        raise Denied(f"{principal.name} has rights for some sites alone; webhooks are those of all sites")


async def letters(plane: Plane, node: str | None = None) -> list[dict[str, Any]]:
    """What waits at every connected edge node, or at one; `error` where it can't tell, by name."""
    names = sorted(seen.name for seen in plane.fanout.all() if seen.role == "edge" and seen.connected)
    return list(await asyncio.gather(*(_at(plane, name) for name in names if node in (None, name))))


async def _at(plane: Plane, name: str) -> dict[str, Any]:
    try:
        return {"node": name, **await plane.command(name, "hooks", {"verb": "list"})}
    except NoSuchNode:
        return {"node": name, "error": "it is not connected"}
    except CommandFailed as error:
        return {"node": name, "error": str(error)}


async def carry_out(plane: Plane, body: HooksBody) -> dict[str, Any]:
    """What the node did, written to the audit log: bodies hold visitors' data, so reading them is too.

    Raises NoSuchNode, CommandFailed.
    """
    action = f"hooks.{body.verb}"
    wish = {"letters": list(body.letters), "every": body.every}
    try:
        told: dict[str, Any] = await plane.command(body.node, "hooks", {"verb": body.verb, **wish})
    except CommandFailed as error:
        await plane.audit.note_alone(action, body.node, "refused", {**wish, "why": str(error)})
        raise
    done = [one["letter"] for one in told["letters"]] if body.verb == "inspect" else told[f"{body.verb}ed"]
    await plane.audit.note_alone(action, body.node, "done", {"letters": done})
    return told


ENDPOINTS = (
    Endpoint(
        "GET", "/hooks", "Webhooks that wait, and dead letters", _list,
        query=(("node", "One node only."),),
    ),
    Endpoint(
        "POST", "/hooks", "Show, replay or discard dead letters", _do, body=HooksBody, rights=("sites",)
    ),
)  # fmt: skip
