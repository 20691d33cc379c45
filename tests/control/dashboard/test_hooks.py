"""Dead letters through control: a real node that has some, its line, the API, the verbs and a browser."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import html5lib
import pytest
from click.testing import CliRunner, Result

from control.cli import main
from edge.__main__ import running
from edge.config import parse_edge
from tests.control.dashboard.looking import Member, browsing, logged_in
from tests.control.dashboard.test_browser import DESK, PHONE, judged, looking
from tests.control.dashboard.test_people import PASSWORD, csrf, member
from tests.control.planes import JAKARTA, Control, controlling, healthy
from tests.edge.hooked import Notes, document, event, send
from tests.edge.nodes import HOST, Edge
from tests.edge.wires import eventually, origin


@dataclass(slots=True)
class Fleet:
    """A control plane, its one node, and the origin that refuses what is in `refused`."""

    control: Control
    edge: Edge
    notes: Notes
    refused: set[str] = field(default_factory=lambda: {"evt_1", "evt_2"})

    async def letters(self) -> dict[str, str]:
        """Names of dead letters by their events."""
        _, told = await self.control.ask("GET", "/hooks")
        (node,) = told["nodes"]
        return {one["id"]: one["letter"] for one in node["letters"]}

    async def done(self, verb: str, *letters: str, **more: Any) -> tuple[int, Any]:
        body = {"node": "jakarta", "verb": verb, "letters": letters, **more}
        return await self.control.ask("POST", "/hooks", body)

    async def audited(self) -> list[tuple[str, str, str, Any]]:
        _, told = await self.control.ask("GET", "/audit")
        return [
            (one["who"], one["action"], one["outcome"], one["after"])
            for one in told["entries"]
            if one["action"].startswith("hooks.")
        ]


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    refused = {"evt_1", "evt_2"}
    notes = Notes(status=lambda id: 422 if id in refused else 200)
    async with controlling(tmp_path / "control") as control, origin(notes.script) as shop:
        made = document(tmp_path, shop.url)
        site = {"name": "shop", "hosts": [HOST], "origins": [{"url": shop.url}], **made["site"]}
        assert (await control.ask("POST", "/sites", site))[0] == 201
        invited = {"name": "jakarta", "role": "edge", "place": JAKARTA, "addresses": ["127.0.0.1"]}
        token = tmp_path / "token"
        token.write_text((await control.ask("POST", "/nodes", invited))[1]["join_token"])
        config = parse_edge(
            {
                "name": "jakarta",
                "listen": ["127.0.0.1:0"],
                "admin": "127.0.0.1:0",
                "state": str(tmp_path / "jakarta"),
                "log": {"access": "off"},
                "control": {"url": control.nodes, "join_token": f"file:{token}"},
                "webhooks": made["webhooks"],
            }
        )
        async with running(config) as started:
            edge = Edge(started)
            await healthy(control, "jakarta")
            for number in (1, 2, 3):
                assert (await send(edge, event(number))).status == 200
            hooks = started.hooks
            assert hooks is not None
            await eventually(lambda: not hooks.waiting and len(notes.answered) == 3)
            yield Fleet(control, edge, notes, refused)


async def test_letters_are_listed_shown_replayed_and_discarded_over_the_nodes_line(fleet: Fleet) -> None:
    letters = await fleet.letters()
    assert set(letters) == {"evt_1", "evt_2"}
    status, told = await fleet.done("inspect", letters["evt_1"])
    assert (status, told["letters"][0]["body"]) == (200, {"id": "evt_1", "object": "event"})
    fleet.refused.clear()
    status, told = await fleet.done("replay", letters["evt_1"])
    assert (status, told["replayed"]) == (200, [letters["evt_1"]])
    await eventually(lambda: fleet.notes.ids == ["evt_3", "evt_1"])
    assert set(await fleet.letters()) == {"evt_2"}
    status, told = await fleet.done("discard", every=True)
    assert (status, told["discarded"]) == (200, [letters["evt_2"]])
    assert await fleet.letters() == {}
    assert fleet.notes.ids == ["evt_3", "evt_1"], "what is discarded goes nowhere"
    assert [entry[1:3] for entry in await fleet.audited()] == [
        ("hooks.discard", "done"), ("hooks.replay", "done"), ("hooks.inspect", "done"),
    ]  # fmt: skip


async def test_what_cannot_be_done_is_said_and_changes_nothing(fleet: Fleet) -> None:
    before = await fleet.letters()
    status, problem = await fleet.done("replay", "0-9-9")
    assert (status, "'0-9-9'" in problem["detail"], "list shows" in problem["detail"]) == (422, True, True)
    assert (await fleet.done("replay"))[0] == 422
    assert (await fleet.done("burn", every=True))[1]["errors"][0]["field"] == "verb"
    assert (await fleet.done("discard", node="frankfurt", every=True))[0] == 404
    assert await fleet.letters() == before
    (refusal, _) = await fleet.audited()
    assert refusal[1:3] == ("hooks.replay", "refused")


@pytest.mark.parametrize(
    ("scope", "sites", "lists", "changes"),
    [
        ("read", None, 200, 403),
        ("purge", None, 403, 403),
        ("sites", None, 403, 200),
        ("admin", None, 200, 200),
        ("admin", ["shop"], 403, 403),
    ],
)
async def test_each_scope_may_what_it_says(
    fleet: Fleet, scope: str, sites: list[str] | None, lists: int, changes: int
) -> None:
    body = {"name": "program", "scopes": [scope], "sites": sites}
    _, made = await fleet.control.ask("POST", "/tokens", body)
    assert (await fleet.control.ask("GET", "/hooks", token=made["token"]))[0] == lists
    wish = {"node": "jakarta", "verb": "discard", "every": True}
    assert (await fleet.control.ask("POST", "/hooks", wish, token=made["token"]))[0] == changes
    assert bool(await fleet.letters()) == (changes == 403)


async def test_who_may_only_read_sees_no_body_and_no_button(fleet: Fleet) -> None:
    letter = (await fleet.letters())["evt_1"]
    body = {"name": "viewer", "password": PASSWORD, "role": "viewer"}
    assert (await fleet.control.ask("POST", "/users", body))[0] == 201
    async with member(fleet.control, "viewer") as viewer:
        status, page = await viewer.get("/hooks")
        assert (status, letter in page, 'value="replay"' in page) == (200, True, False)
        assert (await viewer.get(f"/hooks/jakarta/{letter}"))[0] == 403
        form = {"csrf": await csrf(viewer), "node": "jakarta", "do": "discard", "every": "yes"}
        assert (await viewer.post("/hooks", form))[0] == 403
    assert len(await fleet.letters()) == 2


async def test_a_form_without_a_letter_or_with_another_deed_is_told_so(fleet: Fleet) -> None:
    async with logged_in(fleet.control) as admin:
        form = {"csrf": await admin.csrf(), "node": "jakarta", "do": "replay"}
        for wrong, says in (
            ({}, "Tick at least one letter."),
            ({"do": "burn", "every": "yes"}, "Choose to replay or to discard"),
            ({"node": "nowhere", "every": "yes"}, "The node nowhere is not connected."),
            ({"letter": "0-9-9"}, "jakarta refused"),
        ):
            status, page = await admin.post("/hooks", {**form, **wrong})
            assert (status, says in page) == (422, True), wrong
        assert (await admin.post("/hooks", {**form, "csrf": "", "every": "yes"}))[0] == 403
        await _valid(admin, "/hooks")
        await _valid(admin, f"/hooks/jakarta/{(await fleet.letters())['evt_1']}")
    assert len(await fleet.letters()) == 2


async def _valid(one: Member, path: str) -> None:
    status, page = await one.get(path)
    assert status == 200
    html5lib.HTMLParser(strict=True).parse(page)


async def test_the_verbs_go_through_control(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TEPI_CONTROL", fleet.control.api)
    monkeypatch.setenv("TEPI_TOKEN", fleet.control.first_run["token"])
    listed = await _run("list")
    assert "jakarta: 0 waiting, 2 dead letters" in listed.output
    assert json.loads((await _run("list", "--at", "jakarta", "--json")).output)[0]["dead"] == 2
    assert "no edge node called nowhere" in (await _run("list", "--at", "nowhere")).output
    assert "--at NAME" in (await _run("replay", "--all")).output
    assert '"evt_2"' in (await _run("inspect", "--all", "--at", "jakarta")).output
    fleet.refused.clear()
    assert (await _run("replay", "--all", "--at", "jakarta")).output == "2 replayed\n"
    await eventually(lambda: sorted(fleet.notes.ids) == ["evt_1", "evt_2", "evt_3"])


async def _run(*words: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, main, ["hooks", *words])


@pytest.mark.xdist_group("dashboard-browser")
@pytest.mark.parametrize(
    ("locale", "replay", "discard"),
    [("en-GB", "Replay", "Discard for good"), ("id-ID", "Kirim ulang", "Buang selamanya")],
)
async def test_letters_are_read_replayed_and_discarded_in_a_browser(
    fleet: Fleet, locale: str, replay: str, discard: str
) -> None:
    letters = await fleet.letters()
    async with browsing() as browser:
        for size in (DESK, PHONE):
            async with looking(browser, fleet.control, size, locale=locale) as tab:
                for path in ("/hooks", f"/hooks/jakarta/{letters['evt_1']}"):
                    await tab.goto(fleet.control.api + path)
                    assert await judged(tab) == [], path
                    width = await tab.evaluate("document.documentElement.scrollWidth")
                    assert width <= size[0], "the page is as wide as the screen"
        async with looking(browser, fleet.control, locale=locale) as tab:
            await tab.get_by_role("link", name="Webhook").click()
            await tab.get_by_role("link", name=letters["evt_1"]).click()
            assert '"evt_1"' in await tab.locator("pre").inner_text()
            fleet.refused.clear()
            await tab.get_by_role("button", name=replay).click()
            await tab.wait_for_url("**/hooks")
            await eventually(lambda: "evt_1" in fleet.notes.ids)
            await tab.get_by_label(letters["evt_2"]).check()
            await tab.get_by_role("button", name=discard).click()
            await tab.wait_for_url("**/hooks")
            assert await fleet.letters() == {}
