"""Purges by the API: durable when acknowledged, once for each key, counted before they are made."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from control.api.purges import total
from edge.journal import Document
from edge.purge import Weight
from tests.control.planes import Control, controlling, joined
from tests.edge.scripted import Told, eventually, running

TAG = {"kind": "tag", "value": "product-42"}


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Control]:
    async with controlling(tmp_path / "control") as made:
        yield made


async def test_a_purge_is_accepted_with_its_place_in_the_journal(control: Control) -> None:
    status, order = await control.ask("POST", "/purges", {**TAG, "soft": True, "site": "shop"})
    assert status == 202
    assert (order["kind"], order["value"], order["soft"], order["site"], order["by"]) == (
        "tag", "product-42", True, "shop", "first",
    )  # fmt: skip
    head = await control.is_up.journal.head()
    assert order["position"] == {"lineage": head.lineage, "number": head.number}
    assert order["done"], "there is no node to wait for"
    assert await control.ask("GET", f"/purges/{order['id']}") == (200, order)
    assert await control.ask("GET", "/purges") == (200, {"purges": [order]})


async def test_the_same_key_is_the_same_purge(control: Control) -> None:
    first = await control.ask("POST", "/purges", TAG, Idempotency_Key="outbox-7")
    assert await control.ask("POST", "/purges", TAG, Idempotency_Key="outbox-7") == first
    other = await control.ask("POST", "/purges", TAG, Idempotency_Key="outbox-8")
    assert other[1]["id"] != first[1]["id"]
    assert (await control.is_up.journal.head()).number == 2


async def test_the_same_key_at_once_is_one_purge(control: Control) -> None:
    answers = await asyncio.gather(
        *(control.ask("POST", "/purges", TAG, Idempotency_Key="outbox-7") for _ in range(12))
    )
    assert {status for status, _ in answers} == {202}
    assert len({order["id"] for _, order in answers}) == 1
    assert (await control.is_up.journal.head()).number == 1


async def test_the_same_key_after_a_restart_is_the_same_purge(control: Control) -> None:
    first = await control.ask("POST", "/purges", TAG, Idempotency_Key="outbox-7")
    await control.stop()
    await control.start()
    assert await control.ask("POST", "/purges", TAG, Idempotency_Key="outbox-7") == first


async def test_a_key_is_not_for_another_purge(control: Control) -> None:
    await control.ask("POST", "/purges", TAG, Idempotency_Key="outbox-7")
    status, problem = await control.ask(
        "POST", "/purges", {**TAG, "value": "product-43"}, Idempotency_Key="outbox-7"
    )
    assert status == 422
    assert "outbox-7" in problem["detail"]
    status, problem = await control.ask("POST", "/purges", TAG, Idempotency_Key="x" * 300)
    assert (status, problem["errors"][0]["field"]) == (400, "Idempotency-Key")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "tag"}, "value"),
        ({"kind": "tag", "value": ""}, "value"),
        ({"kind": "tag", "value": 7}, "value"),
        ({"kind": "tag", "value": "\ud800"}, "value"),
        ({"kind": "everything", "value": "x"}, "kind"),
        ({"kind": "url", "value": "/p/1"}, "value"),
        ({"kind": "url", "value": "ftp://shop.test/p"}, "value"),
        ({"kind": "prefix", "value": "shop.test/"}, "value"),
        ({"kind": "tag", "value": "x", "soft": "yes"}, "soft"),
        ({"kind": "tag", "value": "x", "wait": True}, "wait"),
        ({"kind": "tag", "value": "x" * 9000}, "value"),
    ],
)
async def test_what_is_no_purge_is_refused(control: Control, body: dict[str, Any], field: str) -> None:
    status, problem = await control.ask("POST", "/purges", body)
    assert status == 422
    assert [error["field"] for error in problem["errors"]] == [field]
    assert (await control.is_up.journal.head()).number == 0


async def test_an_odd_wait_is_refused(control: Control) -> None:
    _, order = await control.ask("POST", "/purges", TAG)
    for wait in ("-1", "301", "nan", "inf", "soon", "1e400"):
        status, problem = await control.ask("GET", f"/purges/{order['id']}?wait={wait}")
        assert (status, problem["errors"][0]["field"]) == (400, "wait"), wait


async def test_a_purge_that_nobody_made_is_not_found(control: Control) -> None:
    assert (await control.ask("GET", "/purges/none?wait=5"))[0] == 404


async def test_purges_are_forgotten_after_a_month_and_their_keys_with_them(control: Control) -> None:
    await joined(control, "jakarta")
    _, old = await control.ask("POST", "/purges", TAG, Idempotency_Key="outbox-7")
    control.shift.wall += 20 * 86_400
    _, young = await control.ask("POST", "/purges", TAG)
    control.shift.wall += 11 * 86_400
    await control.is_up.purges.sweep()
    assert (await control.ask("GET", f"/purges/{old['id']}"))[0] == 404
    assert await control.ask("GET", "/purges") == (200, {"purges": [young]})
    assert (await control.ask("POST", "/purges", TAG, Idempotency_Key="outbox-7"))[1]["id"] != old["id"]


class Counts(Told):
    """A node that would drop three entries, and half of its hot bytes."""

    async def command(self, verb: str, body: Document) -> Document:
        assert verb == "dry-run"
        return {**Weight(3, 900, 500, 1000).as_json(), "asked": dict(body)}


async def test_a_dry_run_counts_on_every_node_and_changes_nothing(control: Control) -> None:
    node = await joined(control, "jakarta")
    await joined(control, "virginia")  # never connected: it can't be asked
    node.told = Counts()
    async with running(node.agent()) as agent:
        await eventually(lambda: agent.ready)
        before = await control.is_up.journal.head()
        status, counted = await control.ask("POST", "/purges", {**TAG, "dry_run": True})
    assert status == 200
    asked = {"kind": "tag", "value": "product-42", "soft": False, "site": None}
    weight = {"entries": 3, "bytes": 900, "hot_bytes": 500, "hot_bytes_stored": 1000, "hot_share": 0.5}
    assert counted == {"dry_run": True, "nodes": {"jakarta": {**weight, "asked": asked}}, "total": weight}
    assert await control.is_up.journal.head() == before
    assert node.told.events == []


def test_the_fleet_would_drop_what_its_nodes_would() -> None:
    nodes = {
        "jakarta": Weight(3, 900, 500, 1000).as_json(),
        "virginia": Weight(1, 100, 0, 3000).as_json(),
        "older": {"entries": 2},
        "silent": {"error": "no answer"},
        "odd": {"entries": -5, "bytes": "many", "hot_bytes": True},
    }
    together = total(nodes)
    assert together == Weight(6, 1000, 500, 4000)
    assert together.hot_share == 0.125
    assert total({}) == Weight(0, 0, 0, 0) and total({}).hot_share == 0.0


async def test_an_acknowledged_purge_outlives_a_killed_control(tmp_path: Path) -> None:
    config = tmp_path / "control.toml"
    ports = "\n".join(f'{name} = "127.0.0.1:0"' for name in ("listen", "nodes_listen", "admin"))
    config.write_text(f'state = "{tmp_path / "state"}"\n{ports}\n')
    log = tmp_path / "control.log"
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "control.cli", "control", "--config", str(config),
            stdin=asyncio.subprocess.DEVNULL, stdout=file, stderr=file,
        )  # fmt: skip
    try:
        await eventually(lambda: b"dashboard and API at" in log.read_bytes(), 30)
        address = log.read_text().partition("dashboard and API at ")[2].partition(",")[0]
        control = Control(tmp_path / "state")
        headers = {"Authorization": f"Bearer {control.first_run['token']}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            accepted = []
            for number in range(20):
                body = {"kind": "tag", "value": f"t{number}"}
                async with session.post(f"http://{address}/api/v1/purges", json=body) as response:
                    assert response.status == 202
                    accepted.append((await response.json())["position"]["number"])
        os.kill(process.pid, signal.SIGKILL)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    with sqlite3.connect(tmp_path / "state" / "control.db") as connection:
        kept = [row[0] for row in connection.execute("select number from journal order by number")]
    connection.close()
    assert kept == accepted == list(range(1, 21))
