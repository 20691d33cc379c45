"""/purges: ask the fleet to forget, and see who has."""

from __future__ import annotations

from typing import Any, Literal

from aiohttp import web
from pydantic import Field

from control.api.problem import problem
from control.api.routes import BadQuery, Call, Denied, Endpoint
from control.plane import Plane
from control.purges import KeyReused, Order
from control.rights import Principal
from control.sites import parse_site
from control.stream import CommandFailed, NoSuchNode
from edge.config import Site
from edge.document.notation import Table
from edge.document.problems import Problem, Refused
from edge.policy.key import keys_of, located
from edge.purge import Purge, Weight
from edge.sites import Sites as Served

LONGEST_WAIT = 300.0
LONGEST_KEY = 255


class PurgeBody(Table):
    """A purge."""

    kind: Literal["url", "prefix", "tag", "site"] = Field(description="What `value` is.")
    value: str = Field(
        min_length=1, max_length=8192, description="An absolute URL, the beginning of one, a tag, or a host."
    )
    soft: bool = Field(False, description="Mark entries stale instead of dropping them.")
    site: str | None = Field(None, max_length=63, description="Narrows a tag to the site of this name.")
    dry_run: bool = Field(False, description="Tell what would go; change nothing.")

    def purge(self) -> Purge:
        """This as nodes read it. Raises Refused."""
        if (self.kind == "url" and not keys_of(self.value)) or (
            self.kind == "prefix" and located(self.value) is None
        ):
            raise Refused(
                [Problem("value", repr(self.value), "an absolute URL, such as https://shop.example/p/1")]
            )
        return Purge(self.kind, self.value, self.soft, self.site)


async def _order(call: Call) -> web.Response:
    body: PurgeBody = call.body
    purge = body.purge()
    await need_its_sites(call.plane, call.principal, purge)
    if body.dry_run:
        nodes = await dry_run(call.plane, purge)
        return web.json_response({"dry_run": True, "nodes": nodes, "total": total(nodes).as_json()})
    key = call.request.headers.get("Idempotency-Key")
    if key is not None and not (1 <= len(key) <= LONGEST_KEY and key.isascii()):
        raise BadQuery("Idempotency-Key", key[:40], f"1 to {LONGEST_KEY} characters of ASCII")
    try:
        order = await call.plane.purges.order(purge, call.principal.name, key)
    except KeyReused as error:
        return problem(422, str(error))
    closed = await closed_sites(call.plane)
    return web.json_response(document(order) | ({"closed": closed} if closed else {}), status=202)


async def need_its_sites(plane: Plane, principal: Principal, purge: Purge) -> None:
    """Whoever has rights for some sites alone may purge what is theirs, and nothing else. Raises Denied."""
    if principal.sites is None:
        return
    served = Served(parse_site(document) for document in await plane.sites.all())
    if purge.kind == "tag":
        owner = purge.site
    elif purge.kind == "site":
        owner = _name(served.named(purge.value)) or _owner(served, purge.value.lower())
    else:
        owner = _owner(served, (located(purge.value) or "").partition("/")[0])
    if not principal.may_touch(owner):
        names = ", ".join(sorted(principal.sites)) or "none"
        hint = "; name one with site" if purge.kind == "tag" else ""
        raise Denied(f"{principal.name} may purge only of these sites: {names}{hint}")


def _owner(served: Served, host: str) -> str | None:
    found = served.find(host)
    return None if found is None else found.site.name


def _name(site: Site | None) -> str | None:
    return None if site is None else site.name


async def closed_sites(plane: Plane) -> list[str]:
    """The sites that are closed for maintenance: a purge there is carried out, and nobody sees it."""
    return [
        site["name"] for site in await plane.sites.all() if (site.get("maintenance") or {}).get("enabled")
    ]


async def dry_run(plane: Plane, purge: Purge) -> dict[str, dict[str, Any]]:
    """What each connected edge node would drop, by node."""
    body = {"kind": purge.kind, "value": purge.value, "soft": purge.soft, "site": purge.site}
    counted: dict[str, dict[str, Any]] = {}
    for seen in list(plane.fanout.all()):
        if seen.role == "edge" and seen.connected:
            try:
                counted[seen.name] = await plane.command(seen.name, "dry-run", body)
            except (NoSuchNode, CommandFailed) as error:
                counted[seen.name] = {"error": str(error)}
    return counted


def total(nodes: dict[str, dict[str, Any]]) -> Weight:
    """What all nodes together would drop. One that knows no bytes, or could not answer, adds none."""

    def read(told: dict[str, Any], name: str) -> int:
        value = told.get(name)
        return value if type(value) is int and value >= 0 else 0

    names = ("entries", "bytes", "hot_bytes", "hot_bytes_stored")
    return Weight.together(Weight(*(read(told, name) for name in names)) for told in nodes.values())


async def _list(call: Call) -> web.Response:
    by = None if call.principal.sites is None else call.principal.name
    return web.json_response({"purges": [document(order) for order in await call.plane.purges.recent(by=by)]})


async def _show(call: Call) -> web.Response:
    text = call.query("wait") or "0"
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_WAIT:
        raise BadQuery("wait", text, f"seconds from 0 to {LONGEST_WAIT:g}")
    order = await call.plane.purges.wait(call.path("id"), seconds)
    if order is None or (call.principal.sites is not None and order.by != call.principal.name):
        return problem(404, f"there is no purge {call.path('id')}")
    return web.json_response(document(order))


def document(order: Order) -> dict[str, Any]:
    """An order as JSON."""
    return {
        "id": order.id,
        "kind": order.purge.kind,
        "value": order.purge.value,
        "soft": order.purge.soft,
        "site": order.purge.site,
        "by": order.by,
        "at": order.at,
        "position": {"lineage": order.position.lineage, "number": order.position.number},
        "done": order.done,
        "receipts": [
            {
                "node": receipt.node,
                "state": "applied" if receipt.applied else "pending",
                "seconds": receipt.seconds,
                "healthy": receipt.healthy,
            }
            for receipt in order.receipts
        ],
    }


ENDPOINTS = (
    Endpoint("GET", "/purges", "The latest purges", _list),
    Endpoint(
        "POST", "/purges", "Purge; Idempotency-Key is honoured", _order,
        body=PurgeBody, rights=("purge",), status=202,
    ),
    Endpoint(
        "GET", "/purges/{id}", "One purge with its receipts", _show, rights=("read", "purge"),
        query=(("wait", "Seconds to wait for the nodes that were healthy at the call."),),
    ),
)  # fmt: skip
