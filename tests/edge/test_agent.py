"""A node's line to control, against a control that follows a script."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from control.authority import Authority
from edge.journal import Signer
from edge.position import Position
from tests.edge.scripted import (
    Bench,
    Call,
    Clock,
    ScriptedControl,
    Told,
    agent_of,
    eventually,
    identity_by,
    running,
)

STRANGER = Signer(Ed25519PrivateKey.generate())
PURGE = {"id": "1", "kind": "tag", "value": "kopi", "soft": False, "site": None}


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    authority = Authority.open(tmp_path / "authority", datetime.now(UTC))
    context = identity_by(authority, tmp_path / "identity").client_context()
    async with ScriptedControl(tmp_path, authority).listening() as control:
        told, clock = Told(), Clock()
        agent = agent_of(control, context, told, clock, tmp_path / "state")
        yield Bench(control, agent, told, clock, context, tmp_path / "state")


async def in_step(bench: Bench) -> Call:
    """The first line, after its snapshot, with a node that is ready."""
    call = await bench.control.call()
    await call.say(bench.control.snapshot("shop"))
    await eventually(lambda: bench.agent.ready)
    return call


async def test_a_new_node_takes_the_snapshot_and_then_every_event_in_order(bench: Bench) -> None:
    bench.control.number = 7
    async with running(bench.agent):
        call = await bench.control.call()
        assert call.hello["position"] is None
        assert call.hello["version"] == "1.2.3"
        await call.say(bench.control.snapshot("shop"))
        assert (await call.heard("ack"))["position"] == {"lineage": "first", "number": 7}
        for _ in range(3):
            await call.say(bench.control.event("purge", PURGE))
        assert (await call.heard("ack", 4))["position"] == {"lineage": "first", "number": 10}
    assert [site["name"] for site in bench.told.snapshots[0].sites] == ["shop"]
    assert bench.told.numbers == [8, 9, 10]
    assert bench.told.events[0].body == PURGE


async def test_an_event_is_acknowledged_only_after_it_was_applied(bench: Bench) -> None:
    async with running(bench.agent):
        call = await in_step(bench)
        gate = asyncio.Event()

        async def wait() -> None:
            await gate.wait()

        bench.told.before = wait
        await call.say(bench.control.event("purge", PURGE))
        await asyncio.sleep(0.2)
        assert len(call.of("ack")) == 1
        gate.set()
        assert (await call.heard("ack", 2))["position"]["number"] == 1


async def test_an_event_that_comes_twice_is_applied_once(bench: Bench) -> None:
    async with running(bench.agent):
        call = await in_step(bench)
        event = bench.control.event("purge", PURGE)
        await call.say(event)
        await call.say(event)
        await call.heard("ack", 3)
    assert bench.told.numbers == [1]


async def test_a_replayed_old_event_changes_nothing(bench: Bench) -> None:
    async with running(bench.agent):
        call = await in_step(bench)
        old = bench.control.event("purge", PURGE)
        await call.say(old)
        await call.say(bench.control.event("purge", PURGE))
        await call.heard("ack", 3)
        await call.say(old)
        assert (await call.heard("ack", 4))["position"]["number"] == 2
    assert bench.told.numbers == [1, 2]


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(
            lambda control: control.event("purge", PURGE, signer=STRANGER), id="signed-by-a-stranger"
        ),
        pytest.param(
            lambda control: control.event("purge", PURGE).replace("kopi", "susu"), id="changed-after-signing"
        ),
        pytest.param(lambda control: control.event("purge", PURGE, number=5), id="out-of-order"),
        pytest.param(lambda control: control.event("root.shell", {}), id="of-an-unknown-kind"),
        pytest.param(lambda control: control.snapshot("evil", signer=STRANGER), id="forged-snapshot"),
        pytest.param(lambda control: '{"type": "event"}', id="unsigned"),
        pytest.param(lambda control: "]", id="not-json"),
        pytest.param(lambda control: "[" * 100_000, id="deep"),
        pytest.param(lambda control: '{"type": "head"}', id="half-a-head"),
        pytest.param(lambda control: '{"type": "health", "nodes": 1}', id="odd-health"),
    ],
)
async def test_a_frame_that_control_can_not_have_meant_cuts_the_line_and_changes_nothing(
    bench: Bench, broken: object
) -> None:
    async with running(bench.agent):
        call = await in_step(bench)
        assert callable(broken)
        await call.say(broken(bench.control))
        again = await bench.control.call(2)
        assert again.hello["position"] == {"lineage": "first", "number": 0}
    assert bench.told.events == []
    assert len(bench.told.snapshots) == 1
    assert bench.told.healths == []


async def test_an_event_of_another_lineage_is_not_taken_for_the_next_one(bench: Bench) -> None:
    async with running(bench.agent):
        call = await in_step(bench)
        bench.control.lineage = "second"
        await call.say(bench.control.event("purge", PURGE))
        again = await bench.control.call(2)
        assert again.hello["position"]["lineage"] == "first"
        await again.say(bench.control.snapshot("shop"))
        await eventually(lambda: bench.agent.position == Position("second", 1))
    assert bench.told.events == []


async def test_a_frame_of_an_unknown_type_is_passed_over(bench: Bench) -> None:
    async with running(bench.agent):
        call = await in_step(bench)
        await call.say({"type": "greeting", "text": "halo"})
        await call.say(bench.control.event("purge", PURGE))
        await call.heard("ack", 2)
    assert len(bench.control.calls) == 1


async def test_a_cut_line_is_dialled_again_and_resumed_where_it_was(bench: Bench) -> None:
    async with running(bench.agent):
        call = await in_step(bench)
        await call.say(bench.control.event("purge", PURGE))
        await call.heard("ack", 2)
        assert call.socket._req is not None
        assert call.socket._req.transport is not None
        call.socket._req.transport.abort()
        again = await bench.control.call(2)
        assert again.hello["position"] == {"lineage": "first", "number": 1}
        assert bench.agent.ready, "a short cut is no reason to stop answering"
        await again.say(bench.control.event("purge", PURGE))
        await again.heard("ack")
    assert bench.told.numbers == [1, 2]
    assert len(bench.told.snapshots) == 1


async def test_pauses_between_attempts_grow(bench: Bench) -> None:
    bench.control.turn_away = True
    async with running(bench.agent):
        await eventually(lambda: len(bench.control.dialled) >= 5)
    at = bench.control.dialled
    gaps = [after - before for before, after in pairwise(at)]
    assert gaps[-1] > 4 * gaps[0]
    assert gaps == sorted(gaps)


async def test_a_node_without_a_head_is_not_ready(bench: Bench) -> None:
    bench.control.answer_beats = False
    async with running(bench.agent):
        call = await bench.control.call()
        await call.say(bench.control.snapshot("shop"))
        await call.heard("heartbeat", 2)
        assert not bench.agent.ready
        await call.say(bench.control.head(2))
        await eventually(lambda: bench.agent.ready)


async def test_a_node_behind_the_head_is_not_ready_until_it_has_caught_up(bench: Bench) -> None:
    behind = bench.control.snapshot("shop")
    event = bench.control.event("purge", PURGE)
    async with running(bench.agent):
        call = await bench.control.call()
        await call.say(behind)
        await call.heard("heartbeat", 2)
        assert not bench.agent.ready
        await call.say(event)
        await eventually(lambda: bench.agent.ready)
        assert call.of("heartbeat")[0]["ready"] is False
        await eventually(lambda: call.of("heartbeat")[-1]["ready"] is True)


async def test_who_slept_is_not_ready_until_control_answers_a_heartbeat_of_after(bench: Bench) -> None:
    async with running(bench.agent):
        call = await in_step(bench)
        bench.control.answer_beats = False
        old = (await call.heard("heartbeat"))["beat"]
        bench.clock.skip(10)
        assert not bench.agent.ready, "even before it has noticed"
        again = await bench.control.call(2)
        assert not bench.agent.ready
        await again.heard("heartbeat")
        await again.say(bench.control.head(old + 1000))
        await asyncio.sleep(0.1)
        assert not bench.agent.ready, "an answer to what was never asked"
        await again.say(bench.control.head(again.of("heartbeat")[-1]["beat"]))
        await eventually(lambda: bench.agent.ready)


async def test_an_answer_that_waited_while_the_node_slept_proves_nothing(bench: Bench) -> None:
    async with running(bench.agent):
        call = await in_step(bench)
        bench.control.answer_beats = False
        beat = len(call.of("heartbeat")) + 1
        await call.heard("heartbeat", beat)
        bench.clock.skip(3.5)
        await call.say(bench.control.head(beat))
        await asyncio.sleep(0.5)
        assert not bench.agent.ready


async def test_a_long_cut_makes_a_node_prove_itself_again(bench: Bench) -> None:
    async with running(bench.agent):
        call = await in_step(bench)
        bench.control.answer_beats = False
        for _ in range(4):  # step by step: time passes, but this node did not sleep
            bench.clock.skip(0.9)
            await asyncio.sleep(0.3)
        await call.socket.close()
        again = await bench.control.call(2)
        await again.heard("heartbeat")
        assert not bench.agent.ready
        bench.control.answer_beats = True
        await eventually(lambda: bench.agent.ready)


async def test_a_node_out_of_touch_turns_unready_after_a_minute(bench: Bench) -> None:
    async with running(bench.agent):
        await in_step(bench)
        bench.control.answer_beats = False
        bench.control.turn_away = True
        for _ in range(20):
            bench.clock.skip(2.2)
            await asyncio.sleep(0.26)  # the agent's own tick sees no gap of more than three seconds
        assert bench.agent.ready
        for _ in range(8):
            bench.clock.skip(2.2)
            await asyncio.sleep(0.26)
        assert not bench.agent.ready


async def test_a_silent_control_is_given_up_and_dialled_again(bench: Bench) -> None:
    bench.control.answer_beats = False
    async with running(bench.agent):
        await bench.control.call()
        await bench.control.call(2)


async def test_a_snapshot_that_takes_long_does_not_cost_the_line(bench: Bench) -> None:
    async def slowly() -> None:
        for _ in range(4):
            bench.clock.skip(1.5)
            await asyncio.sleep(0.4)

    bench.told.before = slowly
    async with running(bench.agent):
        await in_step(bench)
        await asyncio.sleep(1.2)
    assert len(bench.control.calls) == 1
    assert len(bench.told.snapshots) == 1


async def test_a_restarted_node_takes_up_its_state_without_control(bench: Bench) -> None:
    async with running(bench.agent):
        call = await in_step(bench)
        await call.say(bench.control.event("site.put", {"name": "toko"}))
        await call.say(bench.control.event("site.delete", {"name": "shop"}))
        await call.heard("ack", 3)
    agent = bench.another()
    assert await agent.restore()
    assert [site["name"] for site in bench.told.snapshots[0].sites] == ["toko"]
    assert agent.position == Position("first", 2)
    assert agent.ready
    async with running(agent):
        assert (await bench.control.call(2)).hello["position"] == {"lineage": "first", "number": 2}


async def test_a_first_start_has_nothing_to_take_up(bench: Bench) -> None:
    assert not await bench.agent.restore()
    assert not bench.agent.ready
    assert bench.told.snapshots == []


async def test_what_a_node_can_not_take_in_is_told_to_control_and_holds_nothing_up(bench: Bench) -> None:
    async def refuse() -> None:
        raise ValueError("origins: expected at least one")

    async with running(bench.agent):
        call = await in_step(bench)
        bench.told.before = refuse
        await call.say(bench.control.event("site.put", {"name": "shop"}))
        await call.heard("ack", 2)
        await eventually(lambda: bool(call.of("heartbeat")[-1]["problems"]))
        assert call.of("heartbeat")[-1]["problems"] == {"site shop": "origins: expected at least one"}
        bench.told.before = None
        await call.say(bench.control.event("site.put", {"name": "shop"}))
        await eventually(lambda: not call.of("heartbeat")[-1]["problems"])
    assert bench.told.numbers == [2]


async def test_a_kept_state_that_no_longer_fits_does_not_stop_the_start(bench: Bench) -> None:
    async def refuse() -> None:
        raise ValueError("hosts: expected one at least")

    async with running(bench.agent):
        await in_step(bench)
    agent = bench.another()
    bench.told.before = refuse
    assert await agent.restore()
    assert agent.problems == {"snapshot": "hosts: expected one at least"}


async def test_an_event_that_breaks_the_node_is_not_acknowledged_but_tried_again(bench: Bench) -> None:
    failures = 0

    async def fail_once() -> None:
        nonlocal failures
        failures += 1
        if failures == 1:
            raise KeyError("bug")

    async with running(bench.agent):
        call = await in_step(bench)
        bench.told.before = fail_once
        event = bench.control.event("purge", PURGE)
        await call.say(event)
        again = await bench.control.call(2)
        assert again.hello["position"]["number"] == 0
        await again.say(event)
        await again.heard("ack")
    assert bench.told.numbers == [1]


async def test_commands_are_answered_while_others_are_under_way(bench: Bench) -> None:
    async with running(bench.agent):
        call = await in_step(bench)
        for id, verb in (("a", "sleep"), ("b", "echo"), ("c", "refuse"), ("d", "crash")):
            await call.say({"type": "command", "id": id, "verb": verb, "body": {"n": 1}})
        await call.heard("reply", 3)
    replies = {reply["id"]: reply for reply in call.of("reply")}
    assert replies["b"]["body"] == {"n": 1}
    assert replies["c"]["error"] == "not today"
    assert "RuntimeError" in replies["d"]["error"]
    assert "secret" not in json.dumps(replies["d"])


async def test_heartbeats_carry_position_and_counters(bench: Bench) -> None:
    async with running(bench.agent):
        call = await in_step(bench)
        await call.say(bench.control.event("purge", PURGE))
        await eventually(lambda: call.of("heartbeat")[-1]["counters"] == {"requests": 1})
        assert call.of("heartbeat")[-1]["position"] == {"lineage": "first", "number": 1}
        beats = [frame["beat"] for frame in call.of("heartbeat")]
        assert beats == list(range(1, len(beats) + 1))


async def test_controls_view_of_health_is_handed_on(bench: Bench) -> None:
    async with running(bench.agent):
        call = await in_step(bench)
        await call.say({"type": "health", "nodes": {"jakarta": "healthy", "virginia": "unhealthy"}})
        await eventually(lambda: bool(bench.told.healths))
    assert bench.told.healths == [{"jakarta": "healthy", "virginia": "unhealthy"}]


async def test_a_control_of_another_authority_is_not_talked_to(bench: Bench, tmp_path: Path) -> None:
    other = Authority.open(tmp_path / "other", datetime.now(UTC))
    (tmp_path / "impostor").mkdir()
    async with ScriptedControl(tmp_path / "impostor", other).listening() as impostor:
        agent = agent_of(impostor, bench.context, bench.told, bench.clock, bench.directory)
        async with running(agent):
            await asyncio.sleep(0.5)
        assert impostor.dialled == []
