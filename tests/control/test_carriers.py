"""The journal's carriers behind one contract: control's own stream, and a real NATS with JetStream."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nats
import pytest

from control.carriers import names
from control.settings import ControlSettings
from edge.agent import Agent
from tests.control.planes import Control, JoinedNode, controlling, healthy, joined
from tests.edge.scripted import eventually, running
from tests.support.nats import NatsServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path / "nats")
    server.start()
    yield server
    server.stop()


@dataclass(slots=True)
class Fleet:
    control: Control
    node: JoinedNode
    agent: Agent

    async def purge(self, *values: str) -> list[str]:
        ids = []
        for value in values:
            status, order = await self.control.ask("POST", "/purges", {"kind": "tag", "value": value})
            assert status == 202
            ids.append(str(order["id"]))
        return ids

    async def applied(self, ids: list[str]) -> None:
        for id in ids:
            _, done = await self.control.ask("GET", f"/purges/{id}?wait=20")
            assert [receipt["state"] for receipt in done["receipts"]] == ["applied"], done

    @property
    def heard(self) -> list[str]:
        return [str(event.body["value"]) for event in self.node.told.events if event.kind == "purge"]


@contextlib.asynccontextmanager
async def fleet(directory: Path, **settings: Any) -> AsyncIterator[Fleet]:
    async with controlling(directory / "control", **settings) as control:
        node = await joined(control, "jakarta")
        async with running(node.agent()) as agent:
            await healthy(control, "jakarta")
            yield Fleet(control, node, agent)


def sequence(fleet: Fleet) -> list[int]:
    return [event.position.number for event in fleet.node.told.events]


@pytest.mark.parametrize("carrier", ["stream", "nats"])
async def test_every_event_comes_once_in_order_and_receipts_are_complete(
    tmp_path: Path, server: NatsServer, carrier: str
) -> None:
    settings = {"journal_nats": server.url} if carrier == "nats" else {}
    async with fleet(tmp_path, **settings) as one:
        ids = await one.purge(*(f"tag-{number}" for number in range(30)))
        await one.applied(ids)
        assert one.heard == [f"tag-{number}" for number in range(30)]
        numbers = sequence(one)
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        lineage = (await one.control.is_up.journal.head()).lineage
        client = await nats.connect(server.url)
        with contextlib.suppress(nats.js.errors.NotFoundError):
            consumers = await client.jetstream().consumers_info(names(lineage)[0])
            assert carrier == "nats"
            assert len(consumers) == 1, "the node hangs on NATS, not on control"
            info = await client.jetstream().stream_info(names(lineage)[0])
            assert info.state.last_seq == (await one.control.is_up.journal.head()).number
        await client.close()


async def test_nats_goes_and_comes_back_and_no_purge_is_lost_or_waits(
    tmp_path: Path, server: NatsServer
) -> None:
    async with fleet(tmp_path, journal_nats=server.url) as one:
        await one.applied(await one.purge("before"))
        server.stop()
        await one.applied(await one.purge("meanwhile"))  # by the line to control
        server.start()
        await one.applied(await one.purge("after"))
        assert one.heard == ["before", "meanwhile", "after"]
        lineage = (await one.control.is_up.journal.head()).lineage
        client = await nats.connect(server.url)
        async with asyncio.timeout(20):  # what was missed is made up for
            while True:
                with contextlib.suppress(nats.js.errors.NotFoundError):
                    info = await client.jetstream().stream_info(names(lineage)[0])
                    if info.state.last_seq == (await one.control.is_up.journal.head()).number:
                        break
                await asyncio.sleep(0.05)
        await client.close()


async def test_what_is_forged_or_left_out_on_nats_does_no_harm(tmp_path: Path, server: NatsServer) -> None:
    async with fleet(tmp_path, journal_nats=server.url) as one:
        await one.applied(await one.purge("before"))
        lineage = (await one.control.is_up.journal.head()).lineage
        client = await nats.connect(server.url)
        await client.jetstream().publish(names(lineage)[1], b'{"type": "event", "payload": "{}"}')
        await one.applied(await one.purge("after"))
        await client.close()
        assert one.heard == ["before", "after"]


async def test_a_new_lineage_has_a_stream_of_its_own(tmp_path: Path, server: NatsServer) -> None:
    async with fleet(tmp_path, journal_nats=server.url) as one:
        await one.applied(await one.purge("before"))
        await one.control.is_up.journal.new_lineage()
        head = await one.control.is_up.journal.head()
        await eventually(lambda: one.agent.position == head, 20)
        await one.applied(await one.purge("after"))
        assert one.heard == ["before", "after"]


def test_only_a_nats_server_can_be_named() -> None:
    for url in ("http://127.0.0.1:4222", "127.0.0.1:4222", "nats://"):
        with pytest.raises(ValueError, match="journal_nats"):
            ControlSettings(journal_nats=url)
