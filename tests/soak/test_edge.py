"""A node under mixed load for long: memory, descriptors and its word stay sound.

TEPI_SOAK_SECONDS says how long; `make soak` takes half an hour, `make test` a few seconds.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

SECONDS = float(os.environ.get("TEPI_SOAK_SECONDS", "8"))
VISITORS = 8
PAGES = 3000  # far more than the store holds
BUDGET = 8 * 2**20
MOST_GROWTH = 24 * 2**20  # bytes of resident memory after the warm-up
CODINGS = ("br", "zstd", "gzip", "identity", "gzip, br;q=0.5")


@dataclass(slots=True)
class Shop:
    """An origin whose pages have versions. What is older than `purged` may not be seen again."""

    versions: Counter[int] = field(default_factory=Counter)
    purged: Counter[int] = field(default_factory=Counter)

    async def page(self, request: web.Request) -> web.StreamResponse:
        number = int(request.match_info["number"])
        body = f"{number} {self.versions[number]} ".encode() + b"kopi gayo " * (number % 700)
        fields = {
            "Cache-Tag": f"page-{number}",
            "Cache-Control": "public, max-age=2, stale-while-revalidate=1",
        }
        match number % 17:
            case 0:
                fields["Cache-Control"] = "private"
            case 1:
                fields["Vary"] = "Accept-Language"
            case 2:
                return web.Response(status=404, headers=fields)
            case 3:
                response = web.StreamResponse(headers=fields)
                await response.prepare(request)
                for at in range(0, len(body), 1000):
                    await response.write(body[at : at + 1000])
                return response
        return web.Response(body=body, headers=fields, content_type="text/html")


@dataclass(frozen=True, slots=True)
class Node:
    """A running node: where it answers, and what it said on standard error."""

    traffic: str
    admin: str
    said: list[str]


@pytest.fixture
async def shop() -> Shop:
    return Shop()


@pytest.fixture
async def node(shop: Shop, tmp_path: Path) -> AsyncIterator[Node]:
    application = web.Application()
    application.add_routes([web.get("/{number:\\d+}", shop.page)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    file = tmp_path / "edge.toml"
    file.write_text(f"""
listen = ["127.0.0.1:0"]
admin = "127.0.0.1:0"
workers = 1
[store]
memory = {BUDGET}
max_object = "1MiB"
[log]
file = {json.dumps(str(tmp_path / "access.log"))}
[[sites]]
name = "shop"
hosts = ["*"]
origins = [{{ url = "http://{host}:{port}" }}]
""")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "control.cli", "edge", "--config", str(file), stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    said: list[str] = []

    async def listen() -> None:
        assert process.stderr is not None
        while line := await process.stderr.readline():
            said.append(line.decode())

    listening = asyncio.create_task(listen())
    try:
        async with asyncio.timeout(30):
            while "listening on" not in "".join(said):
                await asyncio.sleep(0.05)
        traffic = re.search(r"listening on (http://[0-9.:]+)", "".join(said))
        admin = re.search(r"admin listener on (http://[0-9.:]+)", "".join(said))
        assert traffic is not None
        assert admin is not None
        yield Node(traffic[1], admin[1], said)
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 15) == 0
        await listening
        await runner.cleanup()


async def figures(session: aiohttp.ClientSession, node: Node) -> dict[str, float]:
    async with session.get(f"{node.admin}/metrics") as response:
        lines = [line.rpartition(" ") for line in (await response.text()).splitlines() if line[:1] != "#"]
    return {name: float(value) for name, _, value in lines}


async def visit(session: aiohttp.ClientSession, node: Node, shop: Shop, chance: random.Random) -> None:
    """One visitor's next step; what he gets is never older than what he has a right to."""
    number = int(PAGES * chance.random() ** 3)
    url = f"{node.traffic}/{number}"
    if chance.random() < 0.02:
        shop.versions[number] += 1
        version = shop.versions[number]
        body = {"kind": "tag", "value": f"page-{number}"}
        async with session.post(f"{node.admin}/purge", json=body) as response:
            assert response.status == 200
        shop.purged[number] = max(shop.purged[number], version)
    expected = shop.purged[number]
    fields = {"Accept-Encoding": chance.choice(CODINGS), "Accept-Language": chance.choice(("id", "en"))}
    async with session.get(url, headers=fields) as response:
        if chance.random() < 0.03:
            response.close()  # he leaves
            return
        text = await response.text()
        assert response.status == (404 if number % 17 == 2 else 200), response.headers
        if response.status == 200:
            was, seen, *_ = text.split(" ")
            assert int(was) == number
            assert int(seen) >= expected, f"page {number}: got {seen}, purged at {expected}"


async def test_a_node_stays_sound_under_mixed_load(node: Node, shop: Shop) -> None:
    connector = aiohttp.TCPConnector(limit=VISITORS * 2)
    async with aiohttp.ClientSession(connector=connector) as session:
        loop = asyncio.get_running_loop()

        async def keep_visiting(seed: int, until: float) -> int:
            chance, steps = random.Random(seed), 0
            while loop.time() < until:
                await visit(session, node, shop, chance)
                steps += 1
            return steps

        async def load(seconds: float, seed: int) -> int:
            until = loop.time() + seconds
            return sum(await asyncio.gather(*(keep_visiting(seed + each, until) for each in range(VISITORS))))

        await load(max(4.0, SECONDS / 10), 0)
        warm = await figures(session, node)
        steps = await load(SECONDS, 100)
        after = await figures(session, node)

    assert steps > 50 * SECONDS
    assert after["tepi_edge_store_bytes"] <= BUDGET
    assert after["process_resident_memory_bytes"] - warm["process_resident_memory_bytes"] < MOST_GROWTH
    assert after["process_open_fds"] <= warm["process_open_fds"] + VISITORS * 4
    assert [line for line in node.said if '"error"' in line] == []
