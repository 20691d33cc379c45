"""The dashboard in a real Chromium: looked at, operated by mouse and keyboard, judged by axe-core."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from axe_playwright_python.base import AXE_SCRIPT
from playwright.async_api import Browser, ConsoleMessage, Page, expect

from tests.control.dashboard.looking import SITE, browsing, enter, fleet_of, remember
from tests.control.planes import Control, controlling

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("dashboard-browser")]

NAMES = ("jakarta", "frankfurt", "virginia")
DESK, PHONE, SMALL = (1280, 900), (390, 844), (320, 640)
PAGES = (
    "/", "/purges", "/explain?url=http://shop.example/p/1", "/users", "/tokens", "/audit?verify=yes",
    "/account", "/rollouts", "/rollouts/shop",
)  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def control(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Control]:
    async with controlling(tmp_path_factory.mktemp("seen") / "control") as control:
        await remember(control, NAMES)
        assert (await control.ask("POST", "/sites", SITE))[0] == 201
        async with fleet_of(control, *NAMES):
            yield control


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with browsing() as browser:
        yield browser


@contextlib.asynccontextmanager
async def looking(
    browser: Browser, control: Control, size: tuple[int, int] = DESK, **options: Any
) -> AsyncIterator[Page]:
    """A tab of somebody who is logged in. Anything that the browser complains of fails the test."""
    options = {"locale": "en-GB", "timezone_id": "Asia/Jakarta"} | options
    context = await browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)
    tab = await context.new_page()
    complaints: list[str] = []
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("console", lambda said: complaints.extend(_errors(said)))
    tab.on("request", lambda one: None if one.url.startswith(control.api) else complaints.append(one.url))
    try:
        await enter(tab, control)
        yield tab
        assert complaints == []
    finally:
        await context.close()


def _errors(said: ConsoleMessage) -> list[str]:
    """What the console calls an error; that a form was refused (422) is no fault of the page."""
    return [said.text] if said.type == "error" and "status of 422" not in said.text else []


async def judged(tab: Page) -> list[tuple[str, str]]:
    """What axe-core finds wrong: its rule, and where."""
    await tab.evaluate(AXE_SCRIPT)
    result = await tab.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [(one["id"], one["nodes"][0]["html"][:200]) for one in result["violations"]]


@pytest.mark.parametrize("locale", ["en-GB", "id-ID"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
async def test_axe_finds_nothing(
    control: Control, browser: Browser, locale: str, scheme: str, size: tuple[int, int]
) -> None:
    async with looking(browser, control, size, locale=locale, color_scheme=scheme) as tab:
        for path in PAGES:
            await tab.goto(control.api + path)
            assert await judged(tab) == [], path


async def test_axe_finds_nothing_at_the_entrance_and_in_an_empty_house(
    tmp_path_factory: pytest.TempPathFactory, browser: Browser
) -> None:
    async with controlling(tmp_path_factory.mktemp("bare") / "control") as control:
        tab = await browser.new_page()
        await tab.goto(control.api + "/login")
        assert await judged(tab) == []
        await tab.fill("#user", "admin")
        await tab.fill("#password", "wrong")
        await tab.keyboard.press("Enter")
        await expect(tab.get_by_role("alert")).to_be_visible()
        assert await judged(tab) == []
        await enter(tab, control)
        assert await judged(tab) == []
        await tab.close()


@pytest.mark.parametrize("size", [SMALL, PHONE, DESK], ids=["small-phone", "phone", "desk"])
async def test_no_page_is_wider_than_its_screen(
    control: Control, browser: Browser, size: tuple[int, int]
) -> None:
    async with looking(browser, control, size, locale="id-ID") as tab:
        for path in PAGES:
            await tab.goto(control.api + path)
            assert await tab.evaluate("document.documentElement.scrollWidth") <= size[0], path


async def test_every_node_is_on_the_map_with_its_name_inside_the_frame(
    control: Control, browser: Browser
) -> None:
    async with looking(browser, control) as tab:
        frame = await tab.locator("#map > svg.wide").bounding_box()
        assert frame is not None
        assert await tab.locator("svg.wide .land").evaluate("land => land.getBBox().width") > 900
        for name in NAMES:
            dot = tab.locator("svg.wide a.dot.healthy", has_text=name)
            await expect(dot.locator("text")).to_be_visible()
            box = await dot.bounding_box()
            assert box is not None
            assert frame["x"] <= box["x"]
            assert box["x"] + box["width"] <= frame["x"] + frame["width"]


async def test_figures_move_by_themselves(control: Control, browser: Browser) -> None:
    async with looking(browser, control) as tab:
        await expect(tab.locator("#live")).to_have_text("live")
        before = await tab.inner_text("#figures")
        await tab.wait_for_function(
            "text => document.querySelector('#figures').innerText !== text", arg=before
        )


async def test_focus_stays_where_it_is_when_parts_are_renewed(control: Control, browser: Browser) -> None:
    async with looking(browser, control) as tab:
        await tab.locator("svg.wide a.dot", has_text="jakarta").focus()
        before = await tab.inner_text("#figures")
        await tab.wait_for_function(
            "text => document.querySelector('#figures').innerText !== text", arg=before
        )
        focused = await tab.evaluate("document.activeElement.getAttribute('aria-label')")
        assert focused.startswith("jakarta: healthy")


async def test_a_purge_by_keyboard_is_counted_first_and_then_seen_through(
    control: Control, browser: Browser
) -> None:
    async with looking(browser, control) as tab:
        await tab.goto(control.api + "/purges")
        await tab.get_by_role("radio", name="URL").focus()
        await tab.keyboard.press("ArrowRight")
        await tab.keyboard.press("ArrowRight")
        await expect(tab.get_by_role("radio", name="Tag")).to_be_checked()
        await tab.keyboard.press("Tab")
        await tab.keyboard.type("product-kopi-gayo")
        for _ in range(3):  # past "soft" and "purge", to the dry run
            await tab.keyboard.press("Tab")
        await tab.keyboard.press("Enter")
        await expect(tab.locator("#purge-outcome")).to_contain_text("9 entries would go")
        await expect(tab.locator(".order", has_text="product-kopi-gayo")).to_have_count(0)

        await tab.get_by_role("button", name="Purge", exact=True).focus()
        await tab.keyboard.press("Enter")
        order = tab.locator(".order", has_text="product-kopi-gayo")
        await expect(order).to_contain_text("3 of 3")
        await expect(order).to_contain_text("done")


async def test_a_purge_works_without_any_script(control: Control, browser: Browser) -> None:
    async with looking(browser, control, java_script_enabled=False) as tab:
        await tab.goto(control.api + "/purges")
        await tab.fill("#purge-value", "https://shop.example/without-script")
        await tab.click('button[value="purge"]')
        await expect(tab.locator(".order", has_text="without-script")).to_have_count(1)


async def test_a_bad_purge_is_answered_beside_the_field(control: Control, browser: Browser) -> None:
    async with looking(browser, control, java_script_enabled=False) as tab:
        await tab.goto(control.api + "/purges")
        await tab.fill("#purge-value", "not a URL")
        await tab.click('button[value="purge"]')
        await expect(tab.get_by_role("alert")).to_contain_text("absolute URL")
        await expect(tab.locator("#purge-value")).to_have_value("not a URL")


async def test_pointing_at_a_chart_reads_its_values(control: Control, browser: Browser) -> None:
    async with looking(browser, control) as tab:
        chart = tab.locator("#chart-latency")
        await chart.scroll_into_view_if_needed()
        await chart.locator("> svg").hover()
        await expect(chart.locator(".reading")).to_contain_text("p99: ")
        await tab.mouse.move(2, 2)
        await expect(chart.locator(".reading")).to_have_count(0)


async def test_times_are_those_of_the_browsers_zone(control: Control, browser: Browser) -> None:
    async with looking(browser, control) as tab:
        await expect(tab.locator(".zone")).to_contain_text("Asia/Jakarta")


async def test_colours_and_language_can_be_chosen_and_last(control: Control, browser: Browser) -> None:
    async with looking(browser, control, color_scheme="light") as tab:
        paper = "getComputedStyle(document.documentElement).backgroundColor"
        light = await tab.evaluate(paper)
        await tab.get_by_role("link", name="Dark").click()
        assert await tab.evaluate(paper) != light
        await tab.get_by_role("link", name="Bahasa Indonesia").click()
        await tab.goto(control.api + "/purges")
        await expect(tab.get_by_role("heading", level=1)).to_have_text("Hapus")
        assert await tab.evaluate(paper) != light


async def test_why_leads_from_a_url_to_the_nodes_reasons(control: Control, browser: Browser) -> None:
    async with looking(browser, control) as tab:
        await tab.get_by_role("link", name="Why?").click()
        await tab.fill("#why-url", "http://shop.example/p/1")
        await tab.select_option("#why-node", "virginia")
        await tab.get_by_role("button", name="Explain").click()
        await expect(tab.locator(".told")).to_contain_text("virginia")
        await expect(tab.locator(".told")).to_contain_text("the stored answer is stale")


async def test_the_first_tab_stop_skips_to_the_content(control: Control, browser: Browser) -> None:
    async with looking(browser, control) as tab:
        await tab.goto(control.api + "/explain")
        await tab.keyboard.press("Tab")
        await expect(tab.get_by_role("link", name="Skip to the content")).to_be_focused()
        await tab.keyboard.press("Enter")
        assert await tab.evaluate("document.activeElement.id") == "main"
