"""A node's own listener for its operator: metrics, health, purge and explain. Not for visitors."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from edge.node import Node
from edge.problems import Refused

LARGEST_BODY = 64 * 1024
PROBLEM = "application/problem+json"


def admin_application(node: Node, metrics: Collector, ready: Callable[[], bool]) -> web.Application:
    """GET /metrics, /healthz, /readyz; POST /purge, /explain."""
    registry = CollectorRegistry()
    registry.register(metrics)
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)

    async def show_metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def alive(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readiness(_: web.Request) -> web.Response:
        fine = ready()
        return web.Response(status=200 if fine else 503, text="ready\n" if fine else "not ready\n")

    async def purge(body: dict[str, Any]) -> dict[str, Any]:
        told = {**await node.forget(body), "dry_run": bool(body.get("dry_run"))}
        closed = node.closed()
        return told | ({"closed": closed} if closed else {})

    app = web.Application(client_max_size=LARGEST_BODY)
    app.add_routes(
        [
            web.get("/metrics", show_metrics),
            web.get("/healthz", alive),
            web.get("/readyz", readiness),
            web.post("/purge", _document(purge)),
            web.post("/explain", _document(node.explain)),
        ]
    )
    return app


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
