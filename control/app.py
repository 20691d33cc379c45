"""Control as a process: dashboard and API, node listener, admin listener, loops.

The dashboard reads through `Plane`: `control.api.nodes.described` (nodes with place, health, counters),
`plane.samples.since`, `plane.sites.all`, `plane.purges.order|wait|recent`, `plane.fleet`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from importlib.metadata import version

from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from sqlalchemy.exc import SQLAlchemyError

from control import dashboard
from control.api import hooks, insight, nodes, people, purges, sites, trials, versions
from control.api.openapi import describe
from control.api.routes import LARGEST_BODY, PREFIX, add_endpoints, problems_for_all
from control.authority import server_context, utc
from control.plane import Plane
from control.tasks import first_start, loops
from edge.document.notation import Address
from edge.listeners import AddressTaken, cannot_listen

log = logging.getLogger("tepi.control")

ENDPOINTS = (
    *sites.ENDPOINTS,
    *versions.ENDPOINTS,
    *trials.ENDPOINTS,
    *nodes.ENDPOINTS,
    *purges.ENDPOINTS,
    *hooks.ENDPOINTS,
    *insight.ENDPOINTS,
    *people.ENDPOINTS,
)
DRAIN = 5.0


@dataclass(frozen=True, slots=True)
class Bound:
    """The addresses that control listens on: a port that was 0 is the one it became."""

    api: Address
    nodes: Address
    admin: Address


def application(plane: Plane) -> web.Application:
    """Dashboard and API."""
    app = web.Application(client_max_size=LARGEST_BODY, middlewares=[problems_for_all])
    add_endpoints(app, plane, ENDPOINTS)
    document = describe(ENDPOINTS, version("tepi"))

    async def openapi(_request: web.Request) -> web.Response:
        return web.json_response(document)

    app.router.add_get(f"{PREFIX}/openapi.json", openapi)
    dashboard.setup(app, plane)
    return app


def admin_application(plane: Plane) -> web.Application:
    """/metrics, /healthz, /readyz."""
    registry = CollectorRegistry()
    connected = Gauge(
        "tepi_control_nodes_connected", "Nodes with a line to control.", ["role"], registry=registry
    )
    healthy = Gauge("tepi_control_node_healthy", "1 if the node is healthy.", ["node"], registry=registry)
    head = Gauge("tepi_control_journal_number", "The last journal event's number.", registry=registry)

    async def metrics(_request: web.Request) -> web.Response:
        connected.clear()
        healthy.clear()
        for seen in plane.fanout.all():
            connected.labels(seen.role).inc(seen.connected)
            healthy.labels(seen.name).set(seen.health == "healthy")
        head.set((await plane.journal.head()).number)
        return web.Response(body=generate_latest(registry), content_type="text/plain")

    async def alive(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(_request: web.Request) -> web.Response:
        try:
            await plane.journal.head()
        except SQLAlchemyError as error:
            return web.Response(status=503, text=f"the database does not answer: {type(error).__name__}\n")
        return web.Response(text="ready\n")

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/healthz", alive), web.get("/readyz", ready)])
    return app


@contextlib.asynccontextmanager
async def serving(plane: Plane) -> AsyncIterator[Bound]:
    """All listeners are open and all loops run inside this context. Raises AddressTaken."""
    settings = plane.settings
    await first_start(plane)
    hosts = (*settings.nodes_hosts, settings.nodes_listen.host)
    pair = plane.authority.issue(dict.fromkeys(hosts), utc(plane.clocks.wall()))
    nodes_tls = server_context(plane.authority, pair, settings.directory)
    tls = None
    if settings.tls is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(settings.tls.cert, settings.tls.key)
    async with contextlib.AsyncExitStack() as stack:
        nodes_at = await stack.enter_async_context(
            _listening(plane.stream.application(), settings.nodes_listen, "nodes_listen", nodes_tls)
        )
        api_at = await stack.enter_async_context(
            _listening(application(plane), settings.listen, "listen", tls)
        )
        tasks = [asyncio.create_task(loop) for loop in loops(plane)]
        stack.push_async_callback(_cancelled, tasks)
        admin_at = await stack.enter_async_context(
            _listening(admin_application(plane), settings.admin, "admin", None)
        )
        log.info("dashboard and API at %s, nodes at %s, admin at %s", api_at, nodes_at, admin_at)
        yield Bound(api_at, nodes_at, admin_at)


@contextlib.asynccontextmanager
async def _listening(
    app: web.Application, address: Address, setting: str, tls: ssl.SSLContext | None
) -> AsyncIterator[Address]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=DRAIN)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, address.host, address.port, ssl_context=tls).start()
        except OSError as error:
            raise AddressTaken(cannot_listen(address, error, setting)) from error
        yield Address(*runner.addresses[0][:2])
    finally:
        await runner.cleanup()


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
