"""What `tepi up` says: where things are, commands that work when copied, a line a node."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from rich.console import Console

from control.up.first_steps import FirstRun
from control.up.panel import Panel, line
from control.up.plan import Plan
from control.up.ports import Ports

MADE = FirstRun("admin", "s3cret-word", "tepi_token", "tepi_service")
NODE = {
    "name": "jakarta",
    "role": "edge",
    "health": "healthy",
    "place": {"city": "Jakarta"},
    "counters": {"requests": 200, "hits": 150},
}


def test_rates_come_from_what_was_counted_since_the_last_look() -> None:
    before = {**NODE, "counters": {"requests": 180, "hits": 140}}
    now = line(NODE, before)
    assert (now.name, now.place, now.health) == ("jakarta", "Jakarta", "healthy")
    assert now.requests_per_second == 20
    assert now.hit_ratio == pytest.approx(0.75)


def test_a_node_that_counted_nothing_yet_has_no_ratio() -> None:
    now = line({"name": "jakarta", "health": "unknown", "place": None, "counters": {}}, None)
    assert (now.requests_per_second, now.hit_ratio) == (0, None)


def test_a_restarted_node_shows_no_negative_rate() -> None:
    assert line(NODE, {**NODE, "counters": {"requests": 9000}}).requests_per_second == 0


async def test_without_a_terminal_the_panel_is_plain_lines() -> None:
    healths = iter(["unknown", "healthy"])

    async def nodes(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer tepi_token"
        health = next(healths, None)
        if health is None:
            raise web.HTTPServiceUnavailable
        return web.json_response({"nodes": [{**NODE, "health": health}, {**NODE, "role": "dns"}]})

    app = web.Application()
    app.router.add_get("/api/v1/nodes", nodes)
    async with TestServer(app, host="127.0.0.1") as server, aiohttp.ClientSession() as session:
        assert server.port is not None
        said = io.StringIO()
        plan = Plan(Path("/srv/tepi"), Ports(control=server.port))
        panel = Panel(plan, Console(file=said, width=60))
        panel.say("Starting…")
        panel.report("virginia was ended by SIGKILL; it starts again in 0.5 s.")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.5):
                await panel.watch(MADE, session)
    text = said.getvalue()
    for word in ("s3cret-word", "http://shop.localhost:8080/", "127.0.0.3:8080", "/srv/tepi/ca.pem"):
        assert word in text
    assert "virginia was ended by SIGKILL" in text
    assert "jakarta: unknown\n" in text
    assert "jakarta: healthy\n" in text
    commands = [line for line in text.splitlines() if line.startswith("  ")]
    assert any(line.strip().startswith("curl ") and line.endswith("/p/kopi-gayo") for line in commands)
    assert any(line.endswith("purge --tag product-kopi-gayo --wait") for line in commands)
