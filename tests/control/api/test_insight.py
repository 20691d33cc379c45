"""Explain, where, samples, nodes: what the API tells of the fleet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.journal import Document
from tests.control.planes import JAKARTA, Control, controlling, healthy, joined
from tests.edge.scripted import Told, eventually, running


class Explains(Told):
    """A node that explains by repeating what it was asked."""

    async def command(self, verb: str, body: Document) -> Document:
        if body["url"].endswith("/refuse"):
            raise ValueError("url: got that, expected another")
        return {"verb": verb, **body}


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Control]:
    async with controlling(tmp_path / "control") as made:
        yield made


async def test_explain_asks_a_healthy_node_or_the_one_that_is_named(control: Control) -> None:
    body = {"url": "http://shop.test/p"}
    assert (await control.ask("POST", "/explain", body))[0] == 409
    jakarta, virginia = await joined(control, "jakarta"), await joined(control, "virginia")
    jakarta.told, virginia.told = Explains(), Explains()
    async with running(virginia.agent()):
        await healthy(control, "virginia")
        status, told = await control.ask("POST", "/explain", body)
        assert (status, told["node"], told["verb"], told["method"]) == (200, "virginia", "explain", "GET")
        assert (await control.ask("POST", "/explain", {**body, "node": "jakarta"}))[0] == 404
        async with running(jakarta.agent()) as agent:
            await eventually(lambda: agent.ready)
            status, told = await control.ask("POST", "/explain", {**body, "node": "jakarta"})
            assert (status, told["node"]) == (200, "jakarta")
            status, problem = await control.ask("POST", "/explain", {"url": "http://shop.test/refuse"})
            assert (status, problem["detail"]) == (422, "url: got that, expected another")


async def test_where_names_nodes_and_refuses_what_is_no_address(control: Control) -> None:
    await joined(control, "jakarta")
    status, found = await control.ask("GET", "/where?address=36.66.0.1")
    assert (status, found["node"]) == (200, "jakarta")
    assert found["choices"][0]["city"] == "Jakarta"
    for query in ("", "?address=", "?address=nowhere", "?address=36.66.0.1&resolver=x"):
        assert (await control.ask("GET", f"/where{query}"))[0] == 400


async def test_samples_are_told_by_time_and_node(control: Control) -> None:
    node = await joined(control, "jakarta")
    async with running(node.agent()) as agent:
        await eventually(lambda: agent.ready)
        for _ in range(4):
            await control.ask("POST", "/purges", {"kind": "tag", "value": "x"})
        await eventually(lambda: node.told.heartbeat() == {"requests": 4})

        async def counted() -> int:
            _, told = await control.ask("GET", "/samples?resolution=second&node=jakarta")
            return sum(row["counters"]["requests"] for row in told["samples"])

        total = 0
        for _ in range(60):
            total = await counted()
            if total == 4:
                break
            await asyncio.sleep(0.1)
        assert total == 4
        _, told = await control.ask("GET", "/samples?resolution=second&node=virginia")
        assert told["samples"] == []


async def test_an_odd_question_for_samples_is_refused(control: Control) -> None:
    odd = {"resolution": ["day", ""], "since": ["yesterday", "nan", "inf", "1e300", "-5"]}
    for field, values in odd.items():
        for value in values:
            status, problem = await control.ask("GET", f"/samples?{field}={value or '%20'}")
            assert (status, problem["errors"][0]["field"]) == (400, field), value


async def test_nodes_are_told_with_place_health_and_figures(control: Control) -> None:
    node = await joined(control, "jakarta")
    await control.invite("virginia")
    async with running(node.agent()):
        await healthy(control, "jakarta")
        _, told = await control.ask("GET", "/nodes")
        jakarta, virginia = told["nodes"]
        assert jakarta["place"] == JAKARTA
        assert (jakarta["health"], jakarta["connected"], jakarta["joined"]) == ("healthy", True, True)
        assert (jakarta["version"], jakarta["behind"]) == ("1.0", 0)
        assert (virginia["health"], virginia["connected"], virginia["joined"]) == ("unknown", False, False)
        assert "serial" not in jakarta
        assert await control.ask("GET", "/nodes/virginia") == (200, virginia)
        assert (await control.ask("GET", "/nodes/frankfurt"))[0] == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "Jakarta!"}, "name"),
        ({"role": "boss"}, "role"),
        ({"addresses": []}, "addresses"),
        ({"addresses": ["jakarta.example"]}, "addresses.0"),
        ({"capacity": 0}, "capacity"),
        ({"place": {**JAKARTA, "latitude": 91}}, "place.latitude"),
        ({"place": {**JAKARTA, "country": "Indonesia"}}, "place.country"),
        ({"place": None}, ""),
    ],
)
async def test_an_impossible_node_is_refused(control: Control, change: dict[str, object], field: str) -> None:
    node = {"name": "jakarta", "role": "edge", "place": JAKARTA, "addresses": ["127.0.0.1"], **change}
    status, problem = await control.ask("POST", "/nodes", node)
    assert status == 422
    assert [error["field"] for error in problem["errors"]] == [field]
    assert (await control.ask("GET", "/nodes"))[1] == {"nodes": []}
