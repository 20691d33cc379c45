"""Somebody sells something with nothing but a browser: Chromium at a real node, on a phone's screen."""

from __future__ import annotations

import io
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import nostr_sdk as nostr
import pytest
from PIL import Image
from playwright.async_api import Page as Tab
from playwright.async_api import async_playwright

from origin.p2p.filters import Filter
from tests.origin.p2p.members import SITE, Market, market
from tests.support.tools import chromium

pytestmark = [pytest.mark.xdist_group("p2p-seller"), pytest.mark.timeout(240)]


def photograph(path: Path) -> Path:
    """4000 × 3000 pixels, and the place where it was taken."""
    picture = Image.effect_noise((4000, 3000), 60).convert("RGB")
    exif = Image.Exif()
    exif[0x010F] = "Kamera"
    exif.get_ifd(0x8825)[2] = (7.0, 47.0, 0.0)
    picture.save(path, "JPEG", exif=exif, quality=60)
    assert b"Exif" in path.read_bytes()
    return path


@asynccontextmanager
async def phone(bazaar: Market) -> AsyncIterator[tuple[Tab, str, list[str]]]:
    """A tab of the size of a phone, where the shop is, and what went wrong in it."""
    async with async_playwright() as play:
        engine = await play.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", f"--host-resolver-rules=MAP {SITE} 127.0.0.1"]
        )
        context = await engine.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
        tab, wrong = await context.new_page(), list[str]()
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        try:
            yield tab, f"http://{SITE}:{bazaar.edge.port()}/commerce/p2p", wrong
        finally:
            await engine.close()


async def fill(tab: Tab, **fields: str) -> None:
    for name, value in fields.items():
        await tab.fill(f"#listing [name={name}]", value)


@pytest.fixture
async def bazaar(tmp_path: Path) -> AsyncIterator[Market]:
    async with market(tmp_path) as found:
        found.clock.now = time.time()
        yield found


async def test_a_listing_with_a_picture_is_written_on_a_phone(bazaar: Market, tmp_path: Path) -> None:
    async with phone(bazaar) as (tab, base, wrong):
        await tab.goto(f"{base}/en/sell")
        assert await tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await fill(tab, title="Teak lamp", price="85000", text="40 cm high", category="Home", geohash="qqwgh")
        await tab.set_input_files("[name=pictures]", photograph(tmp_path / "lamp.jpg"))
        await tab.click("text=Sign and publish")
        await tab.wait_for_url("**/en/l/*", timeout=60_000)
        assert await tab.text_content("h1") == "Teak lamp"
        picture = tab.locator("article img")
        await picture.scroll_into_view_if_needed()
        await tab.wait_for_function("document.querySelector('article img').naturalWidth > 0")
        source = await picture.get_attribute("src")
        assert source is not None
        assert wrong == []
        body = await fetched(source.replace(SITE, "127.0.0.1"))
        with Image.open(io.BytesIO(body)) as stored:
            assert max(stored.size) <= 1600
            assert not stored.getexif()
        assert len(body) < 1024 * 1024

        await tab.goto(f"{base}/en/sell")
        await tab.click("#mine >> text=Mark as sold")
        await tab.wait_for_selector("#mine li:not(:has-text('Mark as sold'))")
        events = await bazaar.plugin.relay.store.find([Filter(kinds=frozenset({30402}))], 10)
        assert len(events) == 1
        assert '["status","sold"]' in events[0]


async def test_a_refusal_is_told_in_the_sellers_words(bazaar: Market) -> None:
    async with phone(bazaar) as (tab, base, _):
        await tab.goto(f"{base}/sell")
        await fill(tab, title="Lampu", price="1", currency="XXY")
        await tab.click("text=Tanda tangani dan pasang")
        await tab.wait_for_selector("#said.bad")
        assert "Tidak diterima: " in (await tab.text_content("#said") or "")
        assert "currency: got 'XXY'" in (await tab.text_content("#said") or "")


async def test_the_key_is_backed_up_under_a_password_that_others_open(bazaar: Market) -> None:
    async with phone(bazaar) as (tab, base, wrong):
        await tab.goto(f"{base}/en/sell")
        await tab.fill("#backup [name=password]", "kata sandi panjang")
        await tab.click("text=Back up or restore")
        await tab.wait_for_function("document.querySelector('[name=sealed]').value.startsWith('ncryptsec1')")
        sealed = await tab.input_value("[name=sealed]")
        key = await tab.evaluate("localStorage.getItem('p2p-key')")
        opened = nostr.EncryptedSecretKey.from_bech32(sealed).decrypt("kata sandi panjang")
        assert opened.to_hex() == key

        await tab.evaluate("localStorage.clear()")
        await tab.fill("[name=sealed]", sealed)
        await tab.fill("#backup [name=password]", "lain sama sekali")
        await tab.click("text=Back up or restore")
        await tab.wait_for_selector("#said.bad")
        assert await tab.evaluate("localStorage.getItem('p2p-key')") is None
        await tab.fill("#backup [name=password]", "kata sandi panjang")
        await tab.click("text=Back up or restore")
        await tab.wait_for_selector("#said:not(.bad)")
        assert await tab.evaluate("localStorage.getItem('p2p-key')") == key
        assert wrong == []


async def fetched(url: str) -> bytes:
    async with aiohttp.ClientSession() as session, session.get(url, headers={"Host": SITE}) as answer:
        assert answer.status == 200
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        return await answer.read()
