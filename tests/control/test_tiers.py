"""Nodes that know each other by control: places make PoPs, the fleet's certificates open doors."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.__main__ import running
from edge.config import parse_edge
from edge.tiers.settings import pop_of
from tests.control.planes import Control, controlling, healthy
from tests.edge import wires
from tests.edge.nodes import Edge

PLACES = {
    "jakarta-1": ("127.0.0.1", {"city": "Jakarta", "country": "ID", "latitude": -6.2, "longitude": 106.8}),
    "frankfurt-1": (
        "127.0.0.2",
        {"city": "Frankfurt am Main", "country": "DE", "latitude": 50.1, "longitude": 8.7},
    ),
}


@contextlib.asynccontextmanager
async def two_places(control: Control, directory: Path, origin_url: str) -> AsyncIterator[dict[str, Edge]]:
    site = {
        "name": "shop",
        "hosts": ["shop.test"],
        "origins": [{"url": origin_url}],
        "shield": "frankfurt-am-main",
    }
    status, problem = await control.ask("POST", "/sites", site)
    assert (status, problem["errors"][0]["field"]) == (422, "shield")
    port = await wires.free_port()
    async with contextlib.AsyncExitStack() as stack:
        nodes = {}
        for name, (address, place) in PLACES.items():
            body = {"name": name, "role": "edge", "place": place, "addresses": [address]}
            _, made = await control.ask("POST", "/nodes", body)
            token = directory / f"{name}.token"
            token.write_text(made["join_token"])
            document = {
                "name": name,
                "listen": [f"{address}:0"],
                "admin": f"{address}:0",
                "state": str(directory / name),
                "log": {"access": "off"},
                "control": {"url": control.nodes, "join_token": f"file:{token}"},
                "tiers": {"listen": f"{address}:{port}", "connect": 30.0, "patience": 30.0},
            }
            nodes[name] = Edge(await stack.enter_async_context(running(parse_edge(document))))
        status, problem = await control.ask("POST", "/sites", site | {"shield": "atlantis"})
        assert status == 422
        refused = {
            "field": "shield",
            "got": "'atlantis'",
            "expected": "a PoP of the fleet: frankfurt-am-main, jakarta",
        }
        assert problem["errors"] == [refused]
        assert (await control.ask("POST", "/sites", site))[0] == 201
        for edge in nodes.values():
            await wires.eventually(lambda edge=edge: _knows(edge), 20)  # type: ignore[misc]
        yield nodes


def _knows(edge: Edge) -> bool:
    peers = edge.running.vicinity.peers
    there = edge.running.ready() and edge.running.node.sites.named("shop") is not None
    return there and peers is not None and len(peers.fleet.peers) == 1


async def get(edge: Edge, host: str, path: str) -> wires.Reply:
    port = edge.port()
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: shop.test\r\n\r\n".encode())
    try:
        async with asyncio.timeout(30):
            return await wires.read_reply(reader)
    finally:
        writer.close()


async def test_a_fleet_under_control_asks_by_way_of_its_shield(tmp_path: Path) -> None:
    version = [0]

    async def script(heard: wires.Heard, writer: asyncio.StreamWriter) -> None:
        body = b"v%d" % version[0]
        writer.write(wires.answer(body, "200 OK", "Cache-Control: max-age=600", "Cache-Tag: page"))

    async with (
        controlling(tmp_path / "control") as control,
        wires.origin(script) as origin,
        two_places(control, tmp_path, origin.url) as nodes,
    ):
        reply = await get(nodes["jakarta-1"], "127.0.0.1", "/p/1")
        assert reply.fields["cache-status"].startswith("tepi-shield; fwd=uri-miss; fwd-status=200; ")
        await get(nodes["frankfurt-1"], "127.0.0.2", "/p/1")
        assert len(origin.heard) == 1
        await healthy(control, *nodes)  # a purge waits for who is
        version[0] = 1
        _, order = await control.ask("POST", "/purges", {"kind": "tag", "value": "page"})
        _, found = await control.ask("GET", f"/purges/{order['id']}?wait=20")
        assert found["done"]
        assert (await get(nodes["jakarta-1"], "127.0.0.1", "/p/1")).body == b"v1"
        assert (await get(nodes["frankfurt-1"], "127.0.0.2", "/p/1")).body == b"v1"
        assert len(origin.heard) == 2
        await control.ask("DELETE", "/nodes/frankfurt-1")
        peers = nodes["jakarta-1"].running.vicinity.peers
        assert peers is not None
        await wires.eventually(lambda: not peers.fleet.peers, 20)
        assert (await get(nodes["jakarta-1"], "127.0.0.1", "/p/2")).body == b"v1"
        _, site = await control.ask("GET", "/sites/shop")
        assert (await control.ask("PUT", "/sites/shop", site))[0] == 200
        assert (await control.ask("PUT", "/sites/shop", site | {"shield": "paris"}))[0] == 422


@pytest.mark.parametrize(
    ("city", "pop"),
    [
        ("Jakarta", "jakarta"),
        ("Frankfurt am Main", "frankfurt-am-main"),
        ("São Paulo", "sao-paulo"),
        ("Zürich (City)", "zurich-city"),
        ("東京", "nowhere"),
    ],
)
def test_a_place_names_its_pop(city: str, pop: str) -> None:
    assert pop_of({"city": city}) == pop
