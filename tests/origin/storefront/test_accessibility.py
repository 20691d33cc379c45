"""Every page is valid HTML that everybody can read and use: html5lib, axe-core and Chromium are judges."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element

import html5lib
import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.async_api import Page as Tab
from playwright.async_api import async_playwright

from tests.origin.storefront.shop import Visit, every_page, open_shop
from tests.support.tools import chromium

KINDS = (
    "/",
    "/c/batik",
    "/p/kopi-gayo",
    "/p/sambal-matah",
    "/search?q=kopi",
    "/search?q=zzz",
    "/basket",
    "/nope",
)
PAGES = [base + path for base in ("", "/en") for path in KINDS]

PHONE, SMALL, DESK = (390, 844), (320, 640), (1280, 900)


def parsed(text: str) -> Element:
    """The tree of a page that has no parse error. Raises html5lib's ParseError."""
    tree: Element = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(text)
    return tree


def text_of(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


def headings(tree: Element) -> Iterator[int]:
    for element in tree.iter():
        if isinstance(element.tag, str) and element.tag in ("h1", "h2", "h3", "h4", "h5", "h6"):
            assert text_of(element)
            yield int(element.tag[1])


# The markup -------------------------------------------------------------------------------------


async def test_every_page_is_valid_and_well_ordered_html(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        await fill(visit)
        for path in every_page(visit):
            tree = parsed((await visit.get(path)).body)
            check_ids(tree, path)
            check_names(tree, path)
            check_order(tree, path)


def check_ids(tree: Element, path: str) -> None:
    ids = [element.get("id") for element in tree.iter() if element.get("id")]
    assert len(ids) == len(set(ids)), path
    for element in tree.iter():
        for attribute in ("for", "aria-labelledby"):
            assert element.get(attribute) is None or element.get(attribute) in ids, (path, attribute)
        if (target := element.get("href", "")).startswith("#"):
            assert target[1:] in ids, (path, target)


def check_names(tree: Element, path: str) -> None:
    """Whatever can be seen or used has a name in words."""
    labelled = {label.get("for") for label in tree.iter("label") if text_of(label)}
    for image in tree.iter("img"):
        assert image.get("alt") is not None, path
        assert image.get("width"), "room is kept for it"
        assert image.get("height"), "room is kept for it"
    for field in tree.iter("input"):
        assert field.get("type") == "hidden" or field.get("id") in labelled, (path, field.attrib)
    for element in (*tree.iter("a"), *tree.iter("button")):
        assert text_of(element) or element.get("aria-label"), (path, element.attrib)
    title = tree.find(".//title")
    assert title is not None
    assert "Warung Nusantara" in text_of(title)


def check_order(tree: Element, path: str) -> None:
    """One h1, no level left out, the landmarks once each, a language that is true."""
    levels = list(headings(tree))
    assert levels.count(1) == 1, path
    assert levels[0] == 1, path
    assert all(after <= before + 1 for before, after in pairwise(levels)), (path, levels)
    for landmark in ("header", "main", "footer"):
        assert len(list(tree.iter(landmark))) == 1, (path, landmark)
    navs = [nav.get("aria-label") for nav in tree.iter("nav")]
    assert all(navs), path
    assert len(navs) == len(set(navs)), "two of a kind are told apart by their names"
    assert tree.get("lang") == ("en" if path.startswith("/en/") else "id"), path
    meta = {element.get("name"): element.get("content") for element in tree.iter("meta")}
    assert meta["viewport"] == "width=device-width, initial-scale=1", "nobody is kept from zooming in"


async def test_titles_tell_pages_apart(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        titles: dict[str, str] = {}
        for path in every_page(visit):
            page = await visit.get(path)
            title = parsed(page.body).find(".//title")
            assert title is not None
            if page.status == 200 and "search" not in path:
                assert titles.setdefault(path.removeprefix("/en") + text_of(title), path) == path
        same = [title for title in titles.values() if title.endswith("/p/kopi-gayo")]
        assert len(same) == 2, "a title in each language"


async def test_each_page_leads_to_itself_in_the_other_language(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        for path in ("/", "/p/kopi-gayo", "/c/kopi", "/basket"):
            for here, there in ((path, f"/en{path}"), (f"/en{path}", path)):
                tree = parsed((await visit.get(here)).body)
                links = [link for link in tree.iter("a") if link.get("hreflang")]
                assert [link.get("href") for link in links] == [there]
                assert (await visit.get(there)).status == 200


async def test_every_link_of_the_shop_leads_somewhere(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        linked = {
            link.get("href", "").partition("#")[0]
            for path in every_page(visit)
            for link in parsed((await visit.get(path)).body).iter("a")
        }
        for target in linked - {""}:
            assert (await visit.get(target)).status == 200, target


# In a browser -----------------------------------------------------------------------------------


async def fill(visit: Visit) -> None:
    for sku, count in (("KOP-GAYO-250", 60), ("BUM-MATAH-180", 9), ("KOP-TORA-250", 1)):
        await visit.post("/basket", {"sku": sku, "add": str(count)})


@asynccontextmanager
async def browser(
    visit: Visit, size: tuple[int, int], **options: Any
) -> AsyncIterator[tuple[Tab, list[str]]]:
    """A tab with a filled basket; and what went wrong in it or went elsewhere."""
    wrong: list[str] = []
    base = f"http://{visit.bound.plain}"
    async with async_playwright() as play:
        engine = await play.chromium.launch(
            executable_path=chromium(),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        context = await engine.new_context(
            viewport={"width": size[0], "height": size[1]}, base_url=base, bypass_csp=False, **options
        )
        await context.add_cookies(
            [{"name": cookie.key, "value": cookie.value, "url": base} for cookie in visit.session.cookie_jar]
        )
        tab = await context.new_page()
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on("console", lambda said: wrong.append(said.text) if "404" not in said.text else None)
        tab.on(
            "request",
            lambda asked: (
                wrong.append(asked.url) if urlsplit(asked.url).netloc != visit.bound.plain else None
            ),
        )
        try:
            yield tab, wrong
        finally:
            await engine.close()


@pytest.mark.parametrize(
    ("size", "paths"), [pytest.param(PHONE, PAGES, id="phone"), pytest.param(DESK, KINDS, id="desk")]
)
async def test_axe_finds_nothing_on_any_kind_of_page(
    tmp_path: Path, size: tuple[int, int], paths: Sequence[str]
) -> None:
    """WCAG 2.2 A and AA, contrast as it is drawn among it, and axe's best practices."""
    async with open_shop(tmp_path) as visit:
        await fill(visit)
        async with browser(visit, size) as (tab, wrong):
            for path in paths:
                await tab.goto(path)
                await tab.evaluate(AXE_SCRIPT)
                result = await tab.evaluate("axe.run(document, {resultTypes: ['violations', 'incomplete']})")
                found = [
                    (one["id"], one["nodes"][0]["html"], one["nodes"][0].get("failureSummary"))
                    for one in result["violations"]
                ]
                assert found == [], path
                assert result["incomplete"] == [], path
            assert wrong == []


@pytest.mark.parametrize("size", [SMALL, PHONE, DESK], ids=["small-phone", "phone", "desk"])
async def test_pages_fit_their_screen_and_can_be_tapped(tmp_path: Path, size: tuple[int, int]) -> None:
    async with open_shop(tmp_path) as visit:
        await fill(visit)
        async with browser(visit, size) as (tab, _):
            for path in PAGES:
                await tab.goto(path)
                assert await tab.evaluate("document.documentElement.scrollWidth") <= size[0], path
                low = await tab.evaluate(
                    "[...document.querySelectorAll('button, input:not([type=hidden]), nav a, .call')]"
                    ".map((e) => [e.outerHTML.slice(0, 80), e.getBoundingClientRect().height])"
                    ".filter(([_, height]) => height < 24)"
                )
                assert low == [], path


async def test_a_keyboard_reaches_the_content_first_and_sees_where_it_is(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit, browser(visit, DESK) as (tab, _):
        await tab.goto("/p/kopi-gayo")
        await tab.keyboard.press("Tab")
        skip = tab.locator("a.skip")
        assert await skip.evaluate("(e) => e === document.activeElement")
        box = await skip.bounding_box()
        assert box is not None
        assert box["x"] >= 0, "it can be seen once it has the focus"
        await tab.keyboard.press("Enter")
        assert urlsplit(tab.url).fragment == "isi"
        await tab.locator("#jumlah").focus()
        assert await tab.locator("#jumlah").evaluate("(e) => getComputedStyle(e).outlineStyle") == "solid"


async def test_a_visitor_fills_a_basket_and_sees_its_count_on_shared_pages(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit, browser(visit, PHONE) as (tab, wrong):
        await tab.goto("/p/kopi-gayo")
        await tab.fill("#jumlah", "3")
        await tab.click("form.add button")
        assert urlsplit(tab.url).path == "/basket"
        assert "255.000" in await tab.inner_text(".lines")
        await tab.goto("/c/batik")
        assert await tab.inner_text("[data-basket-count]") == "3"
        assert wrong == []


async def test_the_product_page_brings_its_stock_up_to_date(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit, browser(visit, DESK) as (tab, wrong):
        await visit.store.set_stock("KOP-GAYO-250", 4)
        await tab.goto("/p/kopi-gayo")
        await tab.wait_for_function("document.querySelector('[data-stock]').innerText.includes('Sisa 4')")
        assert wrong == []


async def test_the_shop_works_without_scripts(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit, browser(visit, PHONE, java_script_enabled=False) as (tab, wrong):
        await tab.goto("/")
        await tab.fill("#q", "gayo")
        await tab.click(".search button")
        await tab.click(".card a")
        await tab.click("form.add button")
        assert urlsplit(tab.url).path == "/basket"
        await tab.click("button.plain")
        assert "Keranjang masih kosong." in await tab.inner_text("main")
        assert wrong == []
