"""The first slice, whole: `tepi up` from a clean directory, real processes, a visitor, an operator.

The tests are one story and run in this order on one fleet. With TEPI_PICTURES set to a directory, the
pictures that the README shows are written there.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import ssl
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Request, async_playwright
from playwright.async_api import Page as Tab

from tests.scenarios.fleet import Fleet, Page, eventually
from tests.support.tools import chromium

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("first-slice"),
    pytest.mark.timeout(300),
]

PRODUCT = "/p/kopi-gayo"
TAG = "product-kopi-gayo"
SUBNETS = {
    "jakarta": "36.66.0.0/24",
    "frankfurt": "91.0.0.0/24",
    "virginia": "12.0.0.0/24",
}
CATEGORY_LINKS = 6
METRICS = Path(__file__).parents[2] / "docs" / "logs-and-metrics.md"
FIGURES_OF_CHOICE = (  # of what this fleet's shop does not use
    "tepi_edge_disk_", "tepi_edge_fragment", "tepi_edge_guard_", "tepi_edge_forms_", "tepi_edge_webhook",
)  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    fleet = Fleet(tmp_path_factory.mktemp("first-slice") / "state")
    try:
        await fleet.start()
        yield fleet
    finally:
        await fleet.end()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def visitor() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        yield session


async def pages_of_the_shop(fleet: Fleet, visitor: aiohttp.ClientSession) -> dict[str, bool]:
    """Every page that the home page links to, with whether it bears the product's tag at the origin."""
    home = await fleet.get(visitor, fleet.ready["origin"], "/", **{"Accept-Encoding": "identity"})
    text = home.body.decode()
    paths = {"/", PRODUCT}
    for start in ('href="/c/', 'href="/p/'):
        for piece in text.split(start)[1:]:
            paths.add(start[6:] + piece.split('"', 1)[0])
    tagged = {}
    for path in sorted(paths):
        page = await fleet.get(visitor, fleet.ready["origin"], path)
        assert page.status == 200, path
        tagged[path] = TAG in [tag.strip() for tag in page.headers["cache-tag"].split(",")]
    return tagged


async def warm(fleet: Fleet, visitor: aiohttp.ClientSession, node: str, paths: list[str]) -> None:
    for path in paths:
        await fleet.get(visitor, fleet.edge(node)["http"], path)
    for path in paths:
        page = await fleet.get(visitor, fleet.edge(node)["http"], path)
        assert page.hit, (node, path, page.cache_status)


async def test_the_second_view_through_each_node_is_a_compressed_hit(
    fleet: Fleet, visitor: aiohttp.ClientSession
) -> None:
    bodies = set()
    for edge in fleet.ready["edges"]:
        first = await fleet.get(visitor, edge["http"], PRODUCT)
        second = await fleet.get(visitor, edge["http"], PRODUCT)
        assert (first.status, second.status) == (200, 200)
        assert not first.hit
        assert second.hit, second.cache_status
        assert second.headers["content-encoding"] == "br"
        assert "cache-tag" not in second.headers
        assert len(second.raw) < len(second.body) / 2
        bodies |= {first.body, second.body}
    assert len(bodies) == 1
    assert "Kopi Gayo" in bodies.pop().decode()


async def test_https_bears_a_certificate_of_the_fleets_authority(
    fleet: Fleet, visitor: aiohttp.ClientSession
) -> None:
    trust = ssl.create_default_context(cafile=str(fleet.directory / "ca.pem"))
    for edge in fleet.ready["edges"]:
        async with visitor.get(
            edge["https"] + PRODUCT,
            headers={"Host": fleet.ready["site"]},
            server_hostname=fleet.ready["site"],
            ssl=trust,
        ) as response:
            assert response.status == 200


async def test_dns_gives_each_visitor_the_nearest_node(fleet: Fleet) -> None:
    assert {name: await fleet.nearest(subnet) for name, subnet in SUBNETS.items()} == {
        name: name for name in SUBNETS
    }


async def test_the_operator_is_told_where_a_visitor_goes_and_why(fleet: Fleet) -> None:
    code, said = await fleet.tepi("where", "36.66.0.1")
    assert code == 0, said
    assert "jakarta" in said
    assert "km" in said


async def test_explain_shows_how_an_answer_came_about(fleet: Fleet) -> None:
    url = fleet.edge("jakarta")["http"].replace("127.0.0.1", fleet.ready["site"]) + PRODUCT
    code, said = await fleet.tepi("explain", url)
    assert code == 0, said
    for word in ("key", "hit", TAG, "br"):
        assert word in said.lower(), said


async def test_commerce_is_reached_through_every_edge_over_mutual_tls(
    fleet: Fleet, visitor: aiohttp.ClientSession
) -> None:
    path = "/commerce/storefront/products/kopi-gayo"
    for edge in fleet.ready["edges"]:
        first = await fleet.get(visitor, edge["http"], path)
        second = await fleet.get(visitor, edge["http"], path)
        assert first.status == 200, first
        assert second.hit, second.cache_status
        assert json.loads(second.body)["availability"] == "in"


async def test_a_new_price_is_on_every_node_soon_after(fleet: Fleet, visitor: aiohttp.ClientSession) -> None:
    for edge in fleet.ready["edges"]:
        await warm(fleet, visitor, edge["name"], [PRODUCT])
    settings = tomllib.loads((fleet.directory / "config" / "origin.toml").read_text())
    code, said = await fleet.tepi(
        "origin", "product", "set-price", "KOP-GAYO-250", "91500", "--admin", f"http://{settings['admin']}"
    )
    assert code == 0, said

    async def everywhere() -> bool:
        pages = [await fleet.get(visitor, edge["http"], PRODUCT) for edge in fleet.ready["edges"]]
        return all("91.500" in page.body.decode() for page in pages)

    await eventually(everywhere, 10)


async def test_a_frozen_node_leaves_the_answers_and_a_purge_goes_on_without_it(
    fleet: Fleet, visitor: aiohttp.ClientSession
) -> None:
    tagged = await pages_of_the_shop(fleet, visitor)
    assert 2 <= sum(tagged.values()) < len(tagged)
    for edge in fleet.ready["edges"]:
        await warm(fleet, visitor, edge["name"], list(tagged))

    fleet.signal("frankfurt", signal.SIGSTOP)
    try:

        async def germans_go_elsewhere() -> bool:
            return await fleet.nearest(SUBNETS["frankfurt"]) not in (None, "frankfurt")

        await eventually(germans_go_elsewhere, 15)
        assert await fleet.nearest(SUBNETS["jakarta"]) == "jakarta"

        code, said = await fleet.tepi("purge", "--tag", TAG, "--wait")
        assert code == 0, said
        assert "frankfurt" in said
        assert "pending" in said

        for node in ("jakarta", "virginia"):
            for path, bears_tag in tagged.items():
                page = await fleet.get(visitor, fleet.edge(node)["http"], path)
                assert page.hit is not bears_tag, (node, path, page.cache_status)
    finally:
        fleet.signal("frankfurt", signal.SIGCONT)

    async def ready_again() -> bool:
        return (await fleet.health(visitor))["frankfurt"] == "healthy"

    await eventually(ready_again, 20)
    for path, bears_tag in tagged.items():
        page = await fleet.get(visitor, fleet.edge("frankfurt")["http"], path)
        assert page.hit is not bears_tag, (path, page.cache_status)

    async def germans_come_back() -> bool:
        return await fleet.nearest(SUBNETS["frankfurt"]) == "frankfurt"

    await eventually(germans_come_back, 15)


async def test_pages_are_served_while_control_dies_and_comes_back(
    fleet: Fleet, visitor: aiohttp.ClientSession
) -> None:
    served: list[Page] = []
    before = fleet.pid("control")
    assert before is not None

    async def keep_looking() -> None:
        while True:
            served.extend([await fleet.get(visitor, edge["http"], PRODUCT) for edge in fleet.ready["edges"]])
            await asyncio.sleep(0.05)

    async def all_healthy() -> bool:
        try:
            health = await fleet.health(visitor)
        except aiohttp.ClientError:
            return False
        return all(health[edge["name"]] == "healthy" for edge in fleet.ready["edges"])

    looking = asyncio.create_task(keep_looking())
    fleet.signal("control", signal.SIGKILL)
    await asyncio.sleep(1)
    assert await fleet.nearest(SUBNETS["frankfurt"]) == "frankfurt"
    await eventually(all_healthy, 40)
    assert not looking.done()
    looking.cancel()

    assert fleet.pid("control") not in (None, before)
    assert len(served) > 30
    assert {page.status for page in served} == {200}
    code, said = await fleet.tepi("purge", "--tag", TAG, "--wait")
    assert code == 0, said
    assert "pending" not in said
    assert not (await fleet.get(visitor, fleet.edge("jakarta")["http"], PRODUCT)).hit


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium(),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"],
        )
        yield browser
        await browser.close()


def keep_picture(picture: Path) -> None:
    wanted = os.environ.get("TEPI_PICTURES")
    if wanted:
        Path(wanted).mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, Path(wanted) / picture.name)


def failed_by_itself(request: Request) -> list[str]:
    """The request's URL and failure, unless the page was left while it was under way."""
    failure = request.failure or ""
    return [] if "ERR_ABORTED" in failure else [f"{request.url}: {failure}"]


async def open_without_errors(tab: Tab, url: str) -> list[str]:
    """Opens `url`; the list that comes back grows with every error that the browser meets."""
    errors: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("requestfailed", lambda request: errors.extend(failed_by_itself(request)))
    tab.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    await tab.goto(url)
    return errors


async def test_a_visitor_shops_through_an_edge_node(fleet: Fleet, browser: Browser, tmp_path: Path) -> None:
    shop = fleet.edge("jakarta")["http"].replace("127.0.0.1", fleet.ready["site"])
    tab = await browser.new_page(viewport={"width": 1280, "height": 900})
    errors = await open_without_errors(tab, shop + "/")
    assert await tab.locator('a[href^="/c/"]').count() >= CATEGORY_LINKS
    await tab.screenshot(path=tmp_path / "shop.png")
    keep_picture(tmp_path / "shop.png")
    await tab.locator(f'a[href="{PRODUCT}"]').first.click()
    await tab.wait_for_url("**" + PRODUCT)
    await tab.locator('form[action="/basket"] button, form[action^="/basket"] button').first.click()
    await tab.goto(shop + "/basket")
    assert "Kopi Gayo" in await tab.inner_text("main")
    assert errors == []

    stranger = await browser.new_context()
    other = await stranger.new_page()
    await other.goto(shop + "/basket")
    assert "Kopi Gayo" not in await other.inner_text("main")
    await stranger.close()


async def test_the_admin_sees_the_fleet_on_the_dashboard(
    fleet: Fleet, browser: Browser, tmp_path: Path
) -> None:
    tab = await browser.new_page(viewport={"width": 1280, "height": 900}, locale="en-GB")
    errors = await open_without_errors(tab, fleet.ready["control"] + "/")
    await tab.fill('input[name="user"]', fleet.ready["admin"]["user"])
    await tab.fill('input[name="password"]', fleet.ready["admin"]["password"])
    await tab.click('button[type="submit"]')
    await tab.wait_for_load_state("domcontentloaded")
    text = await tab.inner_text("body")
    for edge in fleet.ready["edges"]:
        assert edge["name"] in text.lower()
    await tab.wait_for_timeout(3000)
    await tab.screenshot(path=tmp_path / "dashboard.png")
    keep_picture(tmp_path / "dashboard.png")
    assert errors == []


async def test_a_change_is_tried_at_one_node_and_then_everywhere(
    fleet: Fleet, visitor: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async def rules(node: str) -> str | None:
        return (await fleet.get(visitor, fleet.edge(node)["http"], PRODUCT)).headers.get("x-rules")

    code, said = await fleet.tepi("site", "show", "shop")
    assert code == 0, said
    document = json.loads(said) | {"answer_fields": [{"set": {"X-Rules": "new"}}]}
    file = tmp_path / "tried.json"
    file.write_text(json.dumps(document))
    code, said = await fleet.tepi("site", "try", str(file), "--node", "frankfurt")
    assert code == 0, said
    async with asyncio.timeout(10):
        while await rules("frankfurt") != "new":
            await asyncio.sleep(0.05)
    assert [await rules(node) for node in ("jakarta", "virginia")] == [None, None]
    code, said = await fleet.tepi("site", "promote", "shop")
    assert code == 0, said
    async with asyncio.timeout(10):
        while [await rules(node) for node in SUBNETS] != ["new"] * len(SUBNETS):
            await asyncio.sleep(0.05)
    code, said = await fleet.tepi("site", "restore", "shop", "1")
    assert code == 0, said
    async with asyncio.timeout(10):
        while [await rules(node) for node in SUBNETS] != [None] * len(SUBNETS):
            await asyncio.sleep(0.05)


async def test_every_figure_that_a_part_shows_is_documented_and_the_other_way_round(
    fleet: Fleet, visitor: aiohttp.ClientSession
) -> None:
    shown: set[str] = set()
    for file in (fleet.directory / "config").glob("*.toml"):
        async with visitor.get(f"http://{tomllib.loads(file.read_text())['admin']}/metrics") as scraped:
            text = await scraped.text()
        shown |= set(re.findall(r"^# TYPE (tepi_\w+)", text, re.MULTILINE))
    documented = set(re.findall(r"`(tepi_(?:edge|control|dns|origin)_\w+)`", METRICS.read_text()))
    shown = {name for name in shown if not name.endswith("_created")}  # the moments at which counters began
    assert shown - documented == set()
    assert {name for name in documented - shown if not name.startswith(FIGURES_OF_CHOICE)} == set()


async def test_ctrl_c_ends_every_part_and_a_second_start_takes_up_the_state(
    fleet: Fleet, visitor: aiohttp.ClientSession
) -> None:
    names = ("control", "origin", "dns", *(edge["name"] for edge in fleet.ready["edges"]))
    assert all(fleet.pid(name) for name in names)
    before = fleet.ready
    await fleet.end()
    assert [name for name in names if fleet.pid(name)] == []

    await fleet.start()
    assert (fleet.ready["admin"], fleet.ready["token"]) == (before["admin"], before["token"])
    page = await fleet.get(visitor, fleet.edge("virginia")["http"], PRODUCT)
    assert page.status == 200
    code, said = await fleet.tepi("purge", "--tag", TAG, "--wait")
    assert code == 0, said
    assert not (await fleet.get(visitor, fleet.edge("virginia")["http"], PRODUCT)).hit
