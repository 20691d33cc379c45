"""A change at some nodes first: kept over restarts, promoted, abandoned, or taken back by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from control.tasks import judge_trial
from edge.journal import Snapshot
from tests.control.planes import Control, controlling, joined
from tests.edge.scripted import eventually, running

SHOP: dict[str, Any] = {"name": "shop", "hosts": ["shop.test"], "origins": [{"url": "http://127.0.0.1:9000"}]}
TRIED = {**SHOP, "cache": {"stale_if_error": 60}}
HERE = {"site": TRIED, "nodes": ["jakarta"]}
GOOD = {"requests": 1000, "hits": 900, "errors": 5, "latency": {"0.01": 1000, "inf": 0}}
FAILING = {**GOOD, "errors": 100}


@pytest.fixture
async def control(tmp_path: Path, database_setting: str) -> AsyncIterator[Control]:
    async with controlling(tmp_path / "control", database=database_setting) as made:
        yield made


@pytest.fixture
async def fleet(control: Control) -> Control:
    """The control of two edges and a site."""
    for name in ("jakarta", "frankfurt"):
        await joined(control, name)
    await control.ask("POST", "/sites", SHOP)
    return control


async def begun(fleet: Control, **more: Any) -> dict[str, Any]:
    status, told = await fleet.ask("POST", "/sites/shop/trial", {**HERE, **more})
    assert status == 201, told
    trial = await fleet.is_up.sites.trial("shop")
    assert trial is not None
    return trial


async def counted(fleet: Control, **counters: dict[str, Any]) -> None:
    """Lets nodes have counted so much in this second."""
    plane = fleet.is_up
    for node, now in counters.items():
        plane.fanout.know(node, "edge").counters = {name: _zero(value) for name, value in now.items()}
    await plane.samples.take(plane.fanout, plane.clocks.wall())
    for node, now in counters.items():
        plane.fanout.know(node, "edge").counters = now
    fleet.shift.wall += 30
    await plane.samples.take(plane.fanout, plane.clocks.wall())


def _zero(value: Any) -> Any:
    return dict.fromkeys(value, 0) if isinstance(value, dict) else 0


async def test_every_node_is_told_who_tries_what_and_a_new_one_too(control: Control) -> None:
    node = await joined(control, "jakarta")
    other = await joined(control, "frankfurt")
    async with running(node.agent()) as agent:
        await eventually(lambda: agent.ready)
        await control.ask("POST", "/sites", SHOP)
        await begun(control)
        await eventually(lambda: "site.try" in [event.kind for event in node.told.events])
        (told,) = [event.body for event in node.told.events if event.kind == "site.try"]
        assert told == {"site": TRIED, "nodes": ["jakarta"]}
        assert await control.ask("GET", "/sites/shop") == (200, SHOP)  # nothing of it has changed
        async with running(other.agent()) as late:
            await eventually(lambda: late.ready)
            snapshot = other.told.snapshots[-1]
            assert isinstance(snapshot, Snapshot)
            assert snapshot.trials == ({"site": TRIED, "nodes": ["jakarta"]},)


async def test_what_is_promoted_is_for_all_and_a_version_of_its_own(fleet: Control) -> None:
    await begun(fleet)
    assert await fleet.ask("POST", "/sites/shop/trial/promote") == (200, TRIED)
    assert await fleet.ask("GET", "/sites/shop") == (200, TRIED)
    _, told = await fleet.ask("GET", "/sites/shop/versions")
    assert [version["number"] for version in told["versions"]] == [2, 1]
    _, ended = await fleet.ask("GET", "/sites/shop/trial")
    assert (ended["outcome"], ended["reason"]) == ("promoted", "")
    assert (await fleet.ask("POST", "/sites/shop/trial/promote"))[0] == 404


async def test_what_is_abandoned_leaves_nothing_but_its_record(fleet: Control) -> None:
    await begun(fleet)
    assert (await fleet.ask("DELETE", "/sites/shop/trial"))[0] == 204
    assert await fleet.ask("GET", "/sites/shop") == (200, SHOP)
    _, ended = await fleet.ask("GET", "/sites/shop/trial")
    assert ended["outcome"] == "abandoned"
    assert (await fleet.ask("DELETE", "/sites/shop/trial"))[0] == 404
    actions = [entry["action"] for entry in await fleet.is_up.audit.entries()]
    assert actions[:2] == ["trial.abandon", "trial.begin"]


async def test_nothing_else_changes_the_site_meanwhile_and_its_removal_ends_it(fleet: Control) -> None:
    await begun(fleet)
    for method, path, body in (
        ("PUT", "/sites/shop", SHOP),
        ("POST", "/sites/shop/restore", {"version": 1}),
        ("POST", "/sites/shop/trial", HERE),
    ):
        status, told = await fleet.ask(method, path, body)
        assert (status, "on trial" in told["detail"]) == (409, True), path
    assert (await fleet.ask("DELETE", "/sites/shop"))[0] == 204
    assert await fleet.is_up.sites.trials() == []


async def test_a_trial_outlives_controls_restart(fleet: Control) -> None:
    await begun(fleet)
    await fleet.stop()
    await fleet.start()
    _, told = await fleet.ask("GET", "/sites/shop/trial")
    assert (told["nodes"], told["ended_at"]) == (["jakarta"], None)
    _, signed = await fleet.is_up.journal.snapshot()
    assert '"trials":[{"site":{"name":"shop"' in signed.payload


async def test_what_turns_against_the_rest_is_taken_back_with_the_reason(fleet: Control) -> None:
    trial = await begun(fleet)
    await counted(fleet, jakarta=FAILING, frankfurt=GOOD)
    _, told = await fleet.ask("GET", "/sites/shop/trial")
    assert (told["at_its_nodes"]["errors"], told["elsewhere"]["errors"]) == (0.1, 0.005)
    await judge_trial(fleet.is_up, trial)
    _, ended = await fleet.ask("GET", "/sites/shop/trial")
    assert ended["outcome"] == "turned"
    assert ended["reason"] == "10.0% of its answers are errors, of the others' 0.5%"
    assert await fleet.ask("GET", "/sites/shop") == (200, SHOP)


async def test_what_holds_for_its_minutes_is_promoted_by_itself(fleet: Control) -> None:
    trial = await begun(fleet, minutes=5)
    await counted(fleet, jakarta=GOOD, frankfurt=GOOD)
    await judge_trial(fleet.is_up, trial)
    assert await fleet.ask("GET", "/sites/shop") == (200, SHOP)
    fleet.shift.wall += 300
    await judge_trial(fleet.is_up, trial)
    assert await fleet.ask("GET", "/sites/shop") == (200, TRIED)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"nodes": ["sydney"]}, "nodes.0"),
        ({"nodes": ["jakarta", "frankfurt"]}, "nodes"),
        ({"nodes": []}, "nodes"),
        ({"minutes": 0}, "minutes"),
        ({"site": {**TRIED, "hosts": ["other.test"]}}, "site.hosts"),
        ({"site": {**TRIED, "name": "other"}}, "site.name"),
        ({"site": {**TRIED, "cache": {"x": 1}}}, "site.cache.x"),
        ({"site": 7}, "site"),
    ],
)
async def test_a_trial_that_cannot_be_is_refused_and_changes_nothing(
    fleet: Control, body: dict[str, Any], field: str
) -> None:
    head = await fleet.is_up.journal.head()
    status, told = await fleet.ask("POST", "/sites/shop/trial", {**HERE, **body})
    assert (status, told["errors"][0]["field"]) == (422, field)
    assert await fleet.is_up.journal.head() == head
    assert (await fleet.ask("GET", "/sites/shop/trial"))[0] == 404


async def test_of_a_site_that_is_not_there_nothing_is_tried(control: Control) -> None:
    assert (await control.ask("POST", "/sites/none/trial", HERE))[0] == 404
