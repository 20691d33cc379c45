"""A node's own listener for its operator: metrics, health, purge and explain. Not for visitors."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from edge.document.notation import Address
from edge.document.problems import Refused
from edge.journal import Document
from edge.listeners import AddressTaken, cannot_listen

log = logging.getLogger("tepi.edge")

LARGEST_BODY = 64 * 1024
PROBLEM = "application/problem+json"


class Operated(Protocol):
    """What an operator may ask of a node. ValueError: refused, with the reason."""

    async def purge(self, document: Document) -> dict[str, Any]:
        """Carries out a purge, or tells what it would drop."""
        ...

    async def explain(self, document: Document) -> dict[str, Any]:
        """What a request would meet."""
        ...

    async def webhooks(self, document: Document) -> dict[str, Any]:
        """What waits for the origin and what it would not take: listed, shown, replayed, discarded."""
        ...

    async def metrics(self) -> Iterable[Metric]:
        """Everything that is counted and measured."""
        ...

    def ready(self) -> bool:
        """Whether visitors should be sent here."""
        ...


@dataclass(frozen=True, slots=True)
class _Families(Collector):
    families: tuple[Metric, ...]

    def collect(self) -> Iterable[Metric]:
        return self.families


def of_process(metrics: Collector) -> CollectorRegistry:
    """`metrics`, and what there is to know of the process that they are of."""
    registry = CollectorRegistry()
    registry.register(metrics)
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    return registry


def admin_application(node: Operated) -> web.Application:
    """GET /metrics, /healthz, /readyz; POST /purge, /explain, /hooks."""

    async def show_metrics(_: web.Request) -> web.Response:
        body = generate_latest(_Families(tuple(await node.metrics())))
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def alive(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readiness(_: web.Request) -> web.Response:
        fine = node.ready()
        return web.Response(status=200 if fine else 503, text="ready\n" if fine else "not ready\n")

    app = web.Application(client_max_size=LARGEST_BODY)
    app.add_routes(
        [
            web.get("/metrics", show_metrics),
            web.get("/healthz", alive),
            web.get("/readyz", readiness),
            web.post("/purge", _document(node.purge)),
            web.post("/explain", _document(node.explain)),
            web.post("/hooks", _document(node.webhooks)),
        ]
    )
    return app


async def open_admin(node: Operated, wanted: Address, stack: contextlib.AsyncExitStack) -> Address:
    """Listens on `wanted` for as long as `stack` stands; where. Raises AddressTaken."""
    runner = web.AppRunner(admin_application(node), access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    try:
        await web.TCPSite(runner, wanted.host, wanted.port).start()
    except OSError as error:
        raise AddressTaken(cannot_listen(wanted, error, "--admin")) from error
    host, port = runner.addresses[0][:2]
    log.info("admin listener on http://%s", Address(host, port))
    return Address(host, port)


def _document(
    carry_out: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A handler that takes and gives JSON. What is wrong is told as a problem document (RFC 9457).

    A stranger's page can't send JSON here unasked, so that no browser can be made to purge.
    """

    async def handle(request: web.Request) -> web.Response:
        if request.content_type != "application/json":
            return _problem(415, "the body must be application/json")
        try:
            body = json.loads(await request.text())
        except (ValueError, RecursionError):
            return _problem(400, "the body is not JSON")
        if not isinstance(body, dict):
            return _problem(400, "the body must be a JSON object")
        try:
            return web.json_response(await carry_out(body))
        except Refused as refused:
            errors = [
                {"field": each.field, "got": each.got, "expected": each.expected} for each in refused.problems
            ]
            return _problem(422, "the body is refused", errors)
        except ValueError as error:
            return _problem(422, str(error))

    return handle


def _problem(status: int, detail: str, errors: list[dict[str, str]] | None = None) -> web.Response:
    document: dict[str, Any] = {"title": detail, "status": status, "detail": detail}
    if errors is not None:
        document["errors"] = errors
    return web.json_response(document, status=status, content_type=PROBLEM)
