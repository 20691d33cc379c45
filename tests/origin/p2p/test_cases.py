"""Moderation: reports, decisions with reasons that reach all pages, and appeals."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner

from origin.p2p.commands import p2p
from tests.origin.ledger.books import ENGINES, database_url
from tests.origin.p2p.members import ANI, BUDI, Line, Market, Member, market
from tests.origin.p2p.test_pages import purged, ref, shown
from tests.origin.standing import NOON

KNIFE = ANI.listing("pisau", "Pisau", at=NOON - 10)
ADDRESS = f"30402:{ANI.pubkey}:pisau"

Decide = Callable[..., Awaitable[tuple[int, dict[str, Any]]]]


@pytest.fixture(params=ENGINES)
async def bazaar(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Market]:
    with database_url(request.param) as url:
        async with market(tmp_path, url) as found:
            yield found


@pytest.fixture
async def line(bazaar: Market) -> AsyncIterator[Line]:
    async with bazaar.line() as found:
        yield found


@pytest.fixture
async def decide(bazaar: Market) -> AsyncIterator[Decide]:
    async with aiohttp.ClientSession() as session:

        async def ask(action: str, reason: str = "senjata", **more: Any) -> tuple[int, dict[str, Any]]:
            url = f"{bazaar.admin}/plugins/p2p/cases/{ref(KNIFE)}"
            body = {"action": action, "reason": reason, "by": "sari", **more}
            async with session.post(url, json=body) as answer:
                return answer.status, await answer.json()

        yield ask


async def waiting(bazaar: Market) -> list[dict[str, Any]]:
    async with aiohttp.ClientSession() as session, session.get(f"{bazaar.admin}/plugins/p2p/cases") as answer:
        found = (await answer.json())["waiting"]
        assert isinstance(found, list)
        return found


def report(who: Member, text: str = "") -> dict[str, Any]:
    return who.sign(1984, ("e", KNIFE["id"], "illegal"), ("p", ANI.pubkey), content=text)


async def test_reports_wait_for_a_person_each_key_once(bazaar: Market, line: Line) -> None:
    await line.publish(KNIFE)
    await line.publish(report(BUDI, "tajam"))
    await line.publish(report(BUDI, "tajam sekali"))
    await line.publish(report(Member.named("citra")))
    await line.publish(BUDI.sign(1984, ("e", "0" * 64, "spam")))
    (case,) = await waiting(bazaar)
    assert (case["ref"], case["state"], case["reports"]) == (ref(KNIFE), "open", 2)
    assert {"kind": "illegal", "text": "tajam"} in case["said"]
    assert await line.find({"kinds": [30402]}) == [KNIFE]  # reports alone remove nothing


async def test_a_takedown_reaches_every_page_and_holds_until_it_is_taken_back(
    bazaar: Market, line: Line, decide: Decide
) -> None:
    await line.publish(KNIFE)
    await purged(bazaar)
    assert (await decide("takedown"))[0] == 200  # nobody had to report it
    assert {f"p2p-{ref(KNIFE)}", "p2p-new"} <= await purged(bazaar)
    await shown(bazaar, f"/l/{ref(KNIFE)}", 404)
    assert await line.find({"kinds": [30402]}) == []
    again = ANI.listing("pisau", "Pisau lagi")
    assert (await line.publish(again))[2:] == [False, "blocked: taken down: senjata"]
    assert (await line.publish(ANI.listing("lain", "Lain")))[2] is True

    assert (await decide("takedown"))[0] == 404
    await line.publish(BUDI.sign(1111, ("A", ADDRESS), content="bukan urusanku"))
    assert await waiting(bazaar) == []
    await line.publish(ANI.sign(1111, ("A", ADDRESS), content="pisau dapur"))
    (case,) = await waiting(bazaar)
    assert (case["state"], case["appeal"]) == ("appealed", "pisau dapur")
    assert (await line.publish(again))[2] is False
    assert (await decide("restore", "pisau dapur"))[0] == 200
    assert (await line.publish(again))[2] is True


async def test_an_appeal_is_dismissed_once_and_for_all(bazaar: Market, line: Line, decide: Decide) -> None:
    await line.publish(KNIFE)
    await decide("takedown")
    await line.publish(ANI.sign(1111, ("A", ADDRESS), content="tolong"))
    assert (await decide("dismiss", "tetap senjata"))[0] == 200
    await line.publish(ANI.sign(1111, ("A", ADDRESS), content="tolong lagi"))
    assert await waiting(bazaar) == []
    assert (await line.publish(ANI.listing("pisau", "Pisau")))[3] == "blocked: taken down: senjata"


async def test_what_was_dismissed_opens_again_with_a_new_reporter(
    bazaar: Market, line: Line, decide: Decide
) -> None:
    await line.publish(KNIFE)
    await line.publish(report(BUDI))
    assert (await decide("dismiss", "pisau dapur"))[0] == 200
    await line.publish(report(BUDI, "lagi"))
    assert await waiting(bazaar) == []
    await line.publish(report(Member.named("citra")))
    assert len(await waiting(bazaar)) == 1


async def test_a_wrong_decision_changes_nothing(bazaar: Market, line: Line, decide: Decide) -> None:
    await line.publish(KNIFE)
    for action, more in (
        ("burn", {}),
        ("takedown", {"reason": ""}),
        ("takedown", {"by": ""}),
        ("takedown", {"x": 1}),
    ):
        status, said = await decide(action, **more)
        assert (status, ": " in said["detail"]) == (422, True)
    assert (await decide("restore"))[0] == 404
    assert await line.find({"kinds": [30402]}) == [KNIFE]


def test_the_commands_say_when_nobody_answers() -> None:
    told = CliRunner().invoke(p2p, ["cases", "--admin", "http://127.0.0.1:1"])
    assert told.exit_code == 1
    assert "can't be reached" in told.output
