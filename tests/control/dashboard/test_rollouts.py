"""The page of roll-outs: what changed, what is tried, and back, for whoever may; also in a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import html5lib
import pytest

from tests.control.dashboard.looking import browsing, logged_in
from tests.control.dashboard.test_browser import DESK, PHONE, judged, looking
from tests.control.dashboard.test_people import PASSWORD, member
from tests.control.planes import Control, controlling, joined

SHOP: dict[str, Any] = {"name": "shop", "hosts": ["shop.test"], "origins": [{"url": "http://127.0.0.1:9000"}]}
TRIED = {**SHOP, "cache": {"stale_if_error": 60}}


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Control]:
    """Two edges, a site in its second version, and another that nobody has changed."""
    async with controlling(tmp_path / "control") as made:
        for name in ("jakarta", "frankfurt"):
            await joined(made, name)
        await made.ask("POST", "/sites", SHOP)
        changed = {**SHOP, "answer_fields": [{"set": {"X-Shop": "<b>"}}]}
        assert (await made.ask("PUT", "/sites/shop", changed))[0] == 200
        await made.ask("POST", "/sites", {**SHOP, "name": "toko", "hosts": ["toko.test"]})
        yield made


async def begin_trial(control: Control) -> None:
    status, told = await control.ask("POST", "/sites/shop/trial", {"site": TRIED, "nodes": ["jakarta"]})
    assert status == 201, told


async def test_every_site_is_listed_with_its_version_and_its_trial(control: Control) -> None:
    await begin_trial(control)
    async with logged_in(control) as admin:
        status, page = await admin.get("/rollouts")
    assert status == 200
    html5lib.HTMLParser(strict=True).parse(page)
    rows = page.split("<tbody>", 1)[1].split("</tr>")
    assert ['href="/rollouts/shop"' in rows[0], "jakarta" in rows[0], ">2<" in rows[0]] == [True] * 3
    assert ['href="/rollouts/toko"' in rows[1], "jakarta" in rows[1], ">1<" in rows[1]] == [True, False, True]


async def test_what_a_version_changed_is_shown_and_taken_back(control: Control) -> None:
    async with logged_in(control) as admin:
        _, page = await admin.get("/rollouts/shop")
        html5lib.HTMLParser(strict=True).parse(page)
        assert "What version 2 changed" in page
        assert "answer_fields" in page
        assert "<b>" not in page.split("<table>", 1)[1]
        form = {"csrf": await admin.csrf(), "do": "restore", "version": "1"}
        assert (await admin.post("/rollouts/shop", form))[0] == 303
    assert await control.ask("GET", "/sites/shop") == (200, SHOP)


@pytest.mark.parametrize("do", ["promote", "abandon"])
async def test_a_trial_is_settled_by_a_button(control: Control, do: str) -> None:
    _, before = await control.ask("GET", "/sites/shop")
    await begin_trial(control)
    async with logged_in(control) as admin:
        _, page = await admin.get("/rollouts/shop")
        html5lib.HTMLParser(strict=True).parse(page)
        assert "stale_if_error" in page
        form = {"csrf": await admin.csrf(), "do": do}
        assert (await admin.post("/rollouts/shop", form))[0] == 303
        status, page = await admin.post("/rollouts/shop", form)
        assert (status, "No node tries another document" in page) == (422, True)
    assert (await control.ask("GET", "/sites/shop"))[1] == (TRIED if do == "promote" else before)


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"do": "x"},
        {"do": "restore"},
        {"do": "restore", "version": "9"},
        {"do": "restore", "version": "-1"},
        {"do": "restore", "version": "²"},
    ],
)
async def test_a_form_that_says_nothing_sensible_changes_nothing(
    control: Control, form: dict[str, str]
) -> None:
    before = await control.is_up.journal.head()
    async with logged_in(control) as admin:
        status, _ = await admin.post("/rollouts/shop", {"csrf": await admin.csrf(), **form})
        assert status == 422
        assert (await admin.get("/rollouts/none"))[0] == 404
    assert await control.is_up.journal.head() == before


async def test_who_may_only_look_finds_no_buttons_and_is_denied(control: Control) -> None:
    made = {"name": "vera", "role": "viewer", "password": PASSWORD}
    assert (await control.ask("POST", "/users", made))[0] == 201
    limited = {"name": "omar", "role": "operator", "password": PASSWORD, "sites": ["toko"]}
    assert (await control.ask("POST", "/users", limited))[0] == 201
    async with member(control, "vera") as vera:
        _, page = await vera.get("/rollouts/shop")
        assert 'value="restore"' not in page
        form = {
            "csrf": page.split('name="csrf" value="', 1)[1].split('"', 1)[0],
            "do": "restore",
            "version": "1",
        }
        assert (await vera.post("/rollouts/shop", form))[0] == 403
    async with member(control, "omar") as omar:
        _, page = await omar.get("/rollouts")
        assert ("toko" in page, "/rollouts/shop" in page) == (True, False)
        assert (await omar.get("/rollouts/shop"))[0] == 403


@pytest.mark.parametrize("locale", ["en-GB", "id-ID"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
async def test_axe_finds_nothing_and_a_person_can_promote(
    control: Control, locale: str, size: tuple[int, int]
) -> None:
    await begin_trial(control)
    async with browsing() as browser, looking(browser, control, size, locale=locale) as tab:
        for path in ("/rollouts", "/rollouts/shop"):
            await tab.goto(control.api + path)
            assert await judged(tab) == [], path
        await tab.click('button[value="promote"]')
        await tab.wait_for_load_state("domcontentloaded")
        assert await tab.locator('button[value="promote"]').count() == 0
    assert await control.ask("GET", "/sites/shop") == (200, TRIED)
