"""The origin's admin listener: metrics, health, and the plugins' pages for control and commands."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aiohttp import web
from prometheus_client import generate_latest
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from origin.contract import Answer, Call, Handler, Page
from origin.speaker import Unsigned, speaker

if TYPE_CHECKING:
    from origin.app import Origin, Wiring

LARGEST_REQUEST = 1024 * 1024


def admin_application(origin: Origin) -> web.Application:
    """/metrics, /healthz, /readyz."""

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(origin.registry), content_type="text/plain")

    async def alive(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(_request: web.Request) -> web.Response:
        if not origin.wiring.in_step():
            return web.Response(status=503, text="not in step with control\n")
        try:
            async with origin.database.read() as connection:
                await connection.execute(select(1))
        except SQLAlchemyError as error:
            return web.Response(status=503, text=f"the database does not answer: {type(error).__name__}\n")
        return web.Response(text="ready\n")

    app = web.Application(client_max_size=LARGEST_REQUEST)

    async def index(_request: web.Request) -> web.Response:
        return web.json_response(_index(origin))

    app.add_routes([web.get("/metrics", metrics), web.get("/healthz", alive), web.get("/readyz", ready)])
    app.router.add_get("/plugins/", index)
    for name, plugin in origin.plugins.items():
        for page in plugin.pages():
            path = f"/plugins/{name}{page.path}"
            app.router.add_route(page.method, path, origin.serve(name, _admin_only(page, origin.wiring)))
    return app


def _index(origin: Origin) -> dict[str, Any]:
    """Every page of every plugin."""
    pages = [
        {
            "plugin": name,
            "path": page.path,
            "method": page.method,
            "titles": dict(page.titles),
            "permission": page.permission,
        }
        for name, plugin in origin.plugins.items()
        for page in plugin.pages()
    ]
    return {"pages": pages}


def _admin_only(page: Page, wiring: Wiring) -> Handler:
    """Changes take JSON, which no foreign page in the operator's browser can send; who asks, control says."""

    async def handle(call: Call) -> Answer:
        if page.method != "GET" and call.request.content_type != "application/json":
            return Answer({"detail": "expected Content-Type: application/json"}, status=415)
        request = call.request
        try:
            user = speaker(
                wiring.pages_secret,
                request.headers,
                wiring.clock(),
                request.method,
                request.path_qs,
                await request.read(),
            )
        except Unsigned as error:
            return Answer({"detail": str(error)}, status=403)
        return await page.handler(replace(call, user=user))

    return handle
