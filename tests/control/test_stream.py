"""Control's end of the line, with real nodes over real TLS."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from control.stream import CommandFailed, NoSuchNode
from edge.position import Position
from tests.control.planes import Control, JoinedNode, controlling, healthy, joined
from tests.edge.scripted import eventually, running

SHOP = {"name": "shop", "hosts": ["shop.test"], "origins": [{"url": "http://127.0.0.1:9000"}]}


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Control]:
    async with controlling(tmp_path / "control") as made:
        yield made


async def purge(control: Control, value: str) -> dict[str, Any]:
    status, order = await control.ask("POST", "/purges", {"kind": "tag", "value": value})
    assert status == 202, order
    assert isinstance(order, dict)
    return order


async def receipts(control: Control, order: dict[str, Any], wait: float = 0) -> dict[str, Any]:
    status, found = await control.ask("GET", f"/purges/{order['id']}?wait={wait}")
    assert status == 200
    assert isinstance(found, dict)
    return found


async def applied(control: Control, order: dict[str, Any]) -> None:
    """Waits until the only node's receipt is written, healthy or not."""
    async with asyncio.timeout(10):
        while (await receipts(control, order))["receipts"][0]["state"] != "applied":
            await asyncio.sleep(0.05)


async def test_what_was_there_before_a_node_joined_comes_with_its_snapshot(control: Control) -> None:
    await control.ask("POST", "/sites", SHOP)
    node = await joined(control, "jakarta")
    async with running(node.agent()) as agent:
        await eventually(lambda: agent.ready)
    (snapshot,) = node.told.snapshots
    assert [site["name"] for site in snapshot.sites] == ["shop"]
    assert [(one["name"], one["role"]) for one in snapshot.fleet] == [("jakarta", "edge")]
    assert [dict(one) for one in snapshot.certificates] == [{"name": "shop", "hosts": ["shop.test"]}]
    assert node.told.events == []


async def test_a_purge_reaches_every_node_and_is_receipted(control: Control) -> None:
    jakarta, virginia = await joined(control, "jakarta"), await joined(control, "virginia")
    async with running(jakarta.agent()), running(virginia.agent()):
        await healthy(control, "jakarta", "virginia")
        found = await receipts(control, await purge(control, "kopi"), wait=10)
    assert found["done"]
    assert {one["node"]: (one["state"], one["healthy"]) for one in found["receipts"]} == {
        "jakarta": ("applied", True),
        "virginia": ("applied", True),
    }
    assert all(0 <= one["seconds"] < 10 for one in found["receipts"])
    for node in (jakarta, virginia):
        (event,) = [event for event in node.told.events if event.kind == "purge"]
        assert event.body["value"] == "kopi"
        assert event.position.number == found["position"]["number"]


async def test_a_purge_waits_for_who_was_healthy_and_lists_who_was_not(control: Control) -> None:
    jakarta, virginia = await joined(control, "jakarta"), await joined(control, "virginia")
    async with running(jakarta.agent()):
        await healthy(control, "jakarta")
        found = await receipts(control, await purge(control, "kopi"), wait=10)
        assert found["done"]
        state = {one["node"]: (one["state"], one["healthy"]) for one in found["receipts"]}
        assert state == {"jakarta": ("applied", True), "virginia": ("pending", False)}
        async with running(virginia.agent()):
            await eventually(lambda: bool(virginia.told.snapshots))
            await healthy(control, "virginia")
            found = await receipts(control, found)
    assert {one["node"]: one["state"] for one in found["receipts"]}["virginia"] == "applied"


async def test_a_node_that_does_not_answer_leaves_the_purge_pending(control: Control) -> None:
    jakarta = await joined(control, "jakarta")
    async with running(jakarta.agent()):
        await healthy(control, "jakarta")
        stuck = asyncio.Event()

        async def wait() -> None:
            await stuck.wait()

        jakarta.told.before = wait
        order = await purge(control, "kopi")
        found = await receipts(control, order, wait=0.5)
        assert not found["done"]
        assert found["receipts"][0]["state"] == "pending"
        stuck.set()
        assert (await receipts(control, order, wait=10))["done"]


async def test_a_revoked_node_is_cut_at_once_and_never_let_in_again(control: Control) -> None:
    jakarta, virginia = await joined(control, "jakarta"), await joined(control, "virginia")
    async with running(jakarta.agent()) as agent, running(virginia.agent()):
        await healthy(control, "jakarta", "virginia")
        status, _ = await control.ask("DELETE", "/nodes/jakarta")
        assert status == 204
        await purge(control, "secret")
        await asyncio.sleep(1.5)  # it has dialled again by now
        assert not agent.connected
        await eventually(lambda: virginia.told.events[-1].body.get("value") == "secret")
    assert "secret" not in [event.body.get("value") for event in jakarta.told.events]
    fleet = next(event for event in virginia.told.events if event.kind == "fleet.put")
    assert [one["name"] for one in fleet.body["nodes"]] == ["virginia"]
    assert await _status(control, jakarta, "/node/v1/certificates/shop") == 403
    assert await _status(control, jakarta, "/node/v1/stream") == 403


async def test_a_node_revoked_while_it_dials_gets_no_line(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    jakarta = await joined(control, "jakarta")
    membership = control.is_up.membership
    real = membership.by_certificate
    revoked = False

    async def revoke_in_between(name: str, serial: str) -> Any:
        nonlocal revoked
        role = await real(name, serial)
        if not revoked:
            revoked = True
            await membership.revoke(name)
            await control.is_up.stream.revoked(name)
        return role

    monkeypatch.setattr(membership, "by_certificate", revoke_in_between)
    async with running(jakarta.agent()):
        await eventually(lambda: revoked)
        await asyncio.sleep(0.5)
    assert jakarta.told.snapshots == []


async def test_a_purge_does_not_wait_for_a_node_that_was_revoked_since(control: Control) -> None:
    jakarta = await joined(control, "jakarta")
    async with running(jakarta.agent()):
        await healthy(control, "jakarta")
        stuck = asyncio.Event()

        async def wait() -> None:
            await stuck.wait()

        jakarta.told.before = wait
        order = await purge(control, "kopi")
        waiting = asyncio.create_task(receipts(control, order, wait=20))
        await asyncio.sleep(0.2)
        await control.ask("DELETE", "/nodes/jakarta")
        found = await asyncio.wait_for(waiting, 5)
    assert found["done"]
    assert found["receipts"] == []


async def test_a_node_that_comes_back_gets_what_it_missed_event_by_event(control: Control) -> None:
    node = await joined(control, "jakarta")
    async with running(node.agent()) as agent:
        await eventually(lambda: agent.ready)
    orders = [await purge(control, f"tag-{number}") for number in range(5)]
    again = node.agent()
    assert await again.restore()
    async with running(again):
        found = await receipts(control, orders[-1])
        await eventually(lambda: len(node.told.events) == 5)
    assert [event.body["value"] for event in node.told.events] == [f"tag-{number}" for number in range(5)]
    assert len(node.told.snapshots) == 2, "at the first start by control, at the second from disk"
    assert not found["receipts"][0]["healthy"]


async def test_a_node_that_missed_too_much_gets_a_snapshot(tmp_path: Path) -> None:
    async with controlling(tmp_path / "control", journal_keep=10) as control:
        node = await joined(control, "jakarta")
        async with running(node.agent()) as agent:
            await eventually(lambda: agent.ready)
        for number in range(120):
            last = await purge(control, f"tag-{number}")
        again = node.agent()
        await again.restore()
        async with running(again):
            await eventually(lambda: again.position == Position(**last["position"]))
            await applied(control, last)
    assert node.told.events == []
    assert len(node.told.snapshots) == 3


async def test_a_new_lineage_makes_every_node_take_a_snapshot_at_once(control: Control) -> None:
    node = await joined(control, "jakarta")
    async with running(node.agent()) as agent:
        await eventually(lambda: agent.ready)
        before = agent.position
        await control.is_up.journal.new_lineage()
        await purge(control, "kopi")
        head = await control.is_up.journal.head()
        await eventually(lambda: agent.position == head)
    assert before is not None
    assert head.lineage != before.lineage
    assert len(node.told.snapshots) == 2
    assert [event for event in node.told.events if event.position.lineage == before.lineage] == []


async def test_a_node_ahead_of_the_journal_shows_that_a_backup_was_restored(control: Control) -> None:
    node = await joined(control, "jakarta")
    async with running(node.agent()) as agent:
        await eventually(lambda: agent.ready)
    before = await control.is_up.journal.head()
    state = json.loads((node.directory / "state" / "journal.json").read_text())
    state["number"] += 3  # it has applied what the restored database knows nothing of
    (node.directory / "state" / "journal.json").write_text(json.dumps(state))
    again = node.agent()
    await again.restore()
    async with running(again):
        await eventually(lambda: again.position is not None and again.position.lineage != before.lineage)
    assert (await control.is_up.journal.head()).lineage != before.lineage


async def test_control_restarts_in_the_middle_of_purges_and_none_is_lost(control: Control) -> None:
    node = await joined(control, "jakarta")
    accepted: list[str] = []
    stop = asyncio.Event()

    async def keep_purging() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            with contextlib.suppress(aiohttp.ClientError, OSError):
                status, _ = await control.ask("POST", "/purges", {"kind": "tag", "value": f"t{number}"})
                if status == 202:
                    accepted.append(f"t{number}")
            await asyncio.sleep(0.01)

    async with running(node.agent()) as agent:
        await healthy(control, "jakarta")
        purging = asyncio.create_task(keep_purging())
        for _ in range(3):
            await asyncio.sleep(0.3)
            await control.stop()
            await control.start()
        await asyncio.sleep(0.3)
        stop.set()
        await purging
        head = await control.is_up.journal.head()
        await eventually(lambda: agent.position is not None and agent.position.reaches(head))
        _, listed = await control.ask("GET", "/purges")
        for order in listed["purges"]:
            await applied(control, order)
    assert len(accepted) > 10
    assert len(node.told.snapshots) == 1
    numbers = node.told.numbers
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert set(accepted) <= {event.body["value"] for event in node.told.events}


async def test_commands_go_to_one_node_and_come_back(control: Control) -> None:
    node = await joined(control, "jakarta")
    stream = control.is_up.stream
    with pytest.raises(NoSuchNode):
        await stream.command("jakarta", "echo", {})
    async with running(node.agent()) as agent:
        await eventually(lambda: agent.ready)
        assert await stream.command("jakarta", "echo", {"n": 1}) == {"n": 1}
        with pytest.raises(CommandFailed, match="not today"):
            await stream.command("jakarta", "refuse", {})
        with pytest.raises(CommandFailed, match=r"did not answer within 0\.2 s"):
            await stream.command("jakarta", "sleep", {}, seconds=0.2)
        slow = asyncio.create_task(stream.command("jakarta", "sleep", {}, seconds=10))
        await asyncio.sleep(0.1)
        await stream.revoked("jakarta")
        with pytest.raises(CommandFailed, match="cut"):
            await slow


async def test_a_node_that_dials_twice_keeps_only_its_newer_line(control: Control) -> None:
    node = await joined(control, "jakarta")
    async with _line(control, node) as first, _line(control, node) as second:
        message = await first.receive()
        while message.type is aiohttp.WSMsgType.TEXT:
            message = await first.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 4409)
        await second.send_str(json.dumps({"type": "hello", "position": None, "version": "2"}))
        assert await _has_snapshot(second)


@pytest.mark.parametrize(
    "frame",
    [
        "no json",
        "[]",
        "[" * 50_000,
        '{"type": "ack"}',
        '{"type": "ack", "position": "yesterday"}',
        '{"type": "ack", "position": {"lineage": 1, "number": 1}}',
        '{"type": "hello", "position": 7}',
        '{"type": "heartbeat", "position": []}',
        '{"type": "heartbeat", "counters": [1]}',
        '{"type": "heartbeat", "problems": "many"}',
    ],
)
async def test_a_frame_that_can_not_be_read_ends_that_line_alone(control: Control, frame: str) -> None:
    node, other = await joined(control, "jakarta"), await joined(control, "virginia")
    async with _line(control, other) as still, _line(control, node) as line:
        await line.send_str(frame)
        message = await line.receive(timeout=5)
        while message.type is aiohttp.WSMsgType.TEXT:
            message = await line.receive(timeout=5)
        assert line.closed
        await still.send_str(json.dumps({"type": "hello", "position": None}))
        assert await _has_snapshot(still)


async def test_an_acknowledgement_of_another_lineage_is_no_receipt(control: Control) -> None:
    node = await joined(control, "jakarta")
    order = await purge(control, "kopi")
    async with _line(control, node) as line:
        position = {"lineage": "elsewhere", "number": 999}
        await line.send_str(json.dumps({"type": "ack", "position": position}))
        await asyncio.sleep(0.3)
        assert (await receipts(control, order))["receipts"][0]["state"] == "pending"


async def test_without_a_certificate_there_is_only_joining(control: Control) -> None:
    async with aiohttp.ClientSession() as session:
        for path in ("/node/v1/stream", "/node/v1/certificates/shop"):
            async with session.get(control.nodes + path, ssl=False) as response:
                assert response.status == 403
        async with session.get(f"{control.nodes}/node/v1/authority", ssl=False) as response:
            assert await response.text() == control.is_up.authority.pem


async def test_a_member_fetches_a_sites_certificate_with_its_key(control: Control) -> None:
    await control.ask("POST", "/sites", SHOP)
    node = await joined(control, "jakarta")
    context = node.identity.client_context()
    async with aiohttp.ClientSession() as session:
        url = f"{control.nodes}/node/v1/certificates/"
        async with session.get(url + "shop", ssl=context) as response:
            pair = await response.json()
        assert "BEGIN PRIVATE KEY" in pair["key"]
        assert "BEGIN CERTIFICATE" in pair["certificate"]
        async with session.get(url + "other", ssl=context) as response:
            assert response.status == 404


async def test_a_silent_node_is_unhealthy_and_its_line_is_dropped(control: Control) -> None:
    node = await joined(control, "jakarta")
    async with running(node.agent()):
        await healthy(control, "jakarta")
    async with _line(control, node) as line:
        await line.send_str(json.dumps({"type": "hello", "position": None}))
        await _until(line, lambda message: message.type is not aiohttp.WSMsgType.TEXT)
        seen = control.is_up.fanout.get("jakarta")
        assert seen is not None
        assert seen.health == "unhealthy"
        assert not seen.connected


async def test_every_node_hears_of_every_nodes_health(control: Control) -> None:
    jakarta, names = await joined(control, "jakarta"), await joined(control, "ns1", "dns")
    async with running(names.agent()):
        async with running(jakarta.agent()):
            await eventually(lambda: {"jakarta": "healthy", "ns1": "healthy"} in names.told.healths, 20)
        await eventually(lambda: names.told.healths[-1] == {"jakarta": "unhealthy", "ns1": "healthy"})


async def test_that_control_itself_slept_makes_no_node_unhealthy(control: Control) -> None:
    node = await joined(control, "jakarta")
    async with running(node.agent()):
        await healthy(control, "jakarta")
        control.shift.monotonic += 30
        await asyncio.sleep(2.5)
        seen = control.is_up.fanout.get("jakarta")
        assert seen is not None
        assert (seen.health, seen.connected) == ("healthy", True)
    assert {"jakarta": "unhealthy"} not in node.told.healths


async def test_control_stops_without_waiting_for_nodes(control: Control) -> None:
    node = await joined(control, "jakarta")
    async with running(node.agent()) as agent:
        await eventually(lambda: agent.ready)
        async with asyncio.timeout(3):
            await control.stop()
        await eventually(lambda: not agent.connected)
        await control.start()
        await eventually(lambda: agent.connected)


async def test_an_acknowledged_position_stands_after_a_restart_of_control(control: Control) -> None:
    node = await joined(control, "jakarta")
    async with running(node.agent()) as agent:
        await eventually(lambda: agent.ready)
        await control.stop()
        await control.start()
        order = await purge(control, "kopi")
        await eventually(lambda: agent.position == Position(**order["position"]))
        await eventually(lambda: agent.ready)
        await applied(control, order)


async def _status(control: Control, node: JoinedNode, path: str) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.get(control.nodes + path, ssl=node.identity.client_context()) as response,
    ):
        return response.status


@contextlib.asynccontextmanager
async def _line(control: Control, node: JoinedNode) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{control.nodes}/node/v1/stream", ssl=node.identity.client_context()) as socket,
    ):
        yield socket


async def _until(
    line: aiohttp.ClientWebSocketResponse, condition: Callable[[aiohttp.WSMessage], bool]
) -> None:
    while not condition(await line.receive(timeout=10)):
        pass


async def _has_snapshot(line: aiohttp.ClientWebSocketResponse) -> bool:
    """Whether a snapshot comes, after whatever is told of health."""
    frame = await line.receive_json(timeout=5)
    while frame["type"] == "health":
        frame = await line.receive_json(timeout=5)
    return bool(frame["type"] == "snapshot")
