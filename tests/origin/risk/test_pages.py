"""Rules, trials, reviews and reports over the admin listener and by commands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner, Result

from control.cli import main
from origin.app import Wiring
from origin.risk.plugin import RiskPlugin
from tests.origin.risk.desks import Desks, attempt
from tests.origin.standing import Clock, running

RULES = """
[[rules]]
name = "large"
action = "review"
when = "amount > 50000.0 && currency == 'IDR'"
"""


@dataclass(frozen=True, slots=True)
class Office:
    """A running origin, and who asks it."""

    desks: Desks
    admin: str
    session: aiohttp.ClientSession

    async def get(self, path: str) -> tuple[int, Any]:
        async with self.session.get(f"{self.admin}/plugins/risk{path}") as answer:
            return answer.status, await answer.json()

    async def post(self, path: str, body: Any) -> tuple[int, Any]:
        async with self.session.post(f"{self.admin}/plugins/risk{path}", json=body) as answer:
            return answer.status, await answer.json()

    async def tepi(self, *words: str) -> Result:
        command = ["origin", "risk", *words, "--admin", self.admin]
        return await asyncio.to_thread(CliRunner().invoke, main, command)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    clock = Clock()
    async with (
        running(tmp_path, RiskPlugin, wiring=Wiring(clock, lambda: 0.5)) as (origin, bound),
        aiohttp.ClientSession() as session,
    ):
        yield Office(Desks(origin, clock), f"http://{bound.admin}", session)


async def test_rules_are_shown_tried_and_set(office: Office, tmp_path: Path) -> None:
    shown = await office.tepi("rules", "show")
    assert shown.output.startswith("# version 0\n")
    file = tmp_path / "rules.toml"
    file.write_text(shown.output)
    assert (await office.tepi("rules", "set", str(file))).output == "version 1 holds from now on\n"
    assert (await office.tepi("rules", "show")).output == shown.output.replace("version 0", "version 1")
    await office.desks.assess(attempt("1"))
    file.write_text(RULES)
    tried = await office.tepi("rules", "try", str(file))
    assert "changed allow->review: 1" in tried.output
    assert (await office.get("/rules"))[1]["version"] == 1, "a trial changes nothing"
    assert "travel_kmh" in (await office.tepi("rules", "facts")).output


async def test_the_queue_is_worked_off(office: Office) -> None:
    verdict = await office.desks.assess(attempt("1042", card_country="US", shipping_country="SG"))
    listed = await office.tepi("queue")
    assert verdict.decision in listed.output
    assert "85,000.00 IDR" in listed.output
    assert (await office.tepi("approve", verdict.decision)).output == f"{verdict.decision}: approved\n"
    again = await office.tepi("reject", verdict.decision)
    assert (again.exit_code, "waits for a review" in again.output) == (1, True)
    await office.desks.learn("1042", "paid")
    report = await office.tepi("report")
    assert report.exit_code == 0
    far = next(line for line in report.output.splitlines() if line.startswith("far-from-home"))
    assert far.split() == ["far-from-home", "1", "100.0%", "0.0%", "0.0%", "100.0%"]


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("/rules", {"rules": [{"name": "x", "action": "block", "when": "colour"}]}, "rules.0.when"),
        ("/rules", {"rules": [{"name": "X!", "action": "block", "when": "true"}]}, "rules.0.name"),
        ("/rules", {}, "rules: "),
        ("/rules/try?days=0", {"rules": []}, "days: got '0', expected 1 to 3660"),
        ("/decisions/x", {"approved": "maybe", "by": "a"}, "approved"),
        ("/decisions/x", {"approved": True}, "by: "),
    ],
)
async def test_what_is_wrong_is_named_and_changes_nothing(
    office: Office, path: str, body: Any, says: str
) -> None:
    status, answer = await office.post(path, body)
    assert status == 422
    assert says in answer["detail"]
    assert (await office.get("/rules"))[1]["versions"] == []


async def test_an_orders_decisions_are_shown_without_marks(office: Office) -> None:
    assert (await office.get("/orders/1"))[0] == 404
    await office.desks.assess(attempt("1", email="sari@x.example"))
    status, found = await office.get("/orders/1")
    assert status == 200
    assert {"email", "card", "device"} & set(found["decisions"][0]) == set()
