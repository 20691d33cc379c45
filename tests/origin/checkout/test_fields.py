"""Providers' own fields on our page, in a real browser: a card number goes from their frame to them alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import html5lib
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from axe_playwright_python.base import AXE_SCRIPT
from playwright.async_api import Page as Tab

from tests.origin.checkout.sandboxes import wiring
from tests.origin.checkout.test_pages import CONTACT, LARGEST, SAME, browser, pay_by
from tests.origin.checkout.till import Till, open_till
from tests.support.providers.fields import BAD, FieldsHost
from tests.support.providers.midtranses import MidtransStandIn
from tests.support.providers.stripes import StripeStandIn

GOOD = "4242424242424242"
KEYS = {"stripe": "pk_test_of_nobody", "midtrans": "SB-client-of-nobody"}
PAGES = {"stripe": "https://checkout.stripe.test/", "midtrans": "https://app.midtrans.test/"}
PAID = {"en": "Thank you, your payment has come", "id": "Terima kasih, pembayaran diterima"}
both = pytest.mark.parametrize("provider", ["stripe", "midtrans"])


@dataclass(slots=True)
class Counter:
    """A till whose cards one provider takes in its own fields."""

    till: Till
    host: FieldsHost
    url: str

    @property
    def shop(self) -> str:
        return f"http://{self.till.bound.plain}"

    async def open(self, **changes: Any) -> str:
        return f"{self.shop}/commerce/checkout/{(await self.till.open(**changes))['id']}"


def accounts(provider: str, url: str, secret: Path, key: str) -> dict[str, Any]:
    if provider == "stripe":
        about = {"secret_key": f"file:{secret}", "public_key": key, "url": url, "script": f"{url}/stripe.js"}
    else:
        about = {
            "server_key": f"file:{secret}", "client_key": key, "core_url": url,
            "snap_url": f"{url}/snap/v1", "script": f"{url}/snap.js",
        }  # fmt: skip
    return {provider: about}


def standing(provider: str) -> tuple[web.Application, FieldsHost]:
    if provider == "stripe":
        stripe = StripeStandIn()
        host = FieldsHost(lambda token: stripe.pay(token.partition("_secret")[0]))
        return host.join(stripe.application()), host
    midtrans = MidtransStandIn()
    host = FieldsHost(midtrans.pay)
    return host.join(midtrans.application()), host


@asynccontextmanager
async def counter(directory: Path, provider: str, *, public: bool = True) -> AsyncIterator[Counter]:
    (directory / "key").write_text("sk_test_of_nobody")
    app, host = standing(provider)
    async with TestServer(app) as server:
        url = str(server.make_url("")).rstrip("/")
        key = KEYS[provider] if public else ""
        tables = accounts(provider, url, directory / "key", key)
        async with open_till(directory / "origin", wiring=wiring(), providers=tables) as till:
            yield Counter(till, host, url)


async def fill(tab: Tab, provider: str, number: str) -> None:
    frame = tab.frame_locator("#card iframe")
    await frame.locator("#number").fill(number)
    if provider == "stripe":
        await tab.click("#fields button")
    else:
        await frame.locator("button").click()


@both
@pytest.mark.parametrize("language", ["en", "id"])
async def test_a_card_is_paid_in_the_providers_frame_and_its_number_never_comes_to_us(
    provider: str, language: str, tmp_path: Path
) -> None:
    async with counter(tmp_path, provider) as shop, browser(True, (320, 640)) as (tab, asked):
        told: list[str] = []
        tab.on("request", lambda one: told.append(f"{one.url} {one.post_data} {one.headers}"))
        await tab.goto(await shop.open(language=language))
        await pay_by(tab, "card")
        await fill(tab, provider, GOOD)
        await tab.wait_for_selector(f"text={PAID[language]}")
        assert (shop.host.numbers, shop.host.used) == ([GOOD], [(KEYS[provider], language)])
        assert {url.split("/")[2] for url in asked if not url.startswith("data:")} == {
            shop.shop[7:],
            shop.url[7:],
        }
        assert [one for one in told if GOOD in one and one.startswith(shop.shop)] == []
        assert any(GOOD in one for one in told), "this test sees what is sent"
    kept = b"".join(one.read_bytes() for one in (tmp_path / "origin").rglob("*") if one.is_file())
    assert GOOD.encode() not in kept


@both
async def test_the_policy_is_opened_for_that_provider_on_that_page_alone(
    provider: str, tmp_path: Path
) -> None:
    async with counter(tmp_path, provider) as shop, browser(True) as (tab, _):
        place = await shop.open(language="en")
        pages = {"choose": await tab.goto(place)}
        await pay_by(tab, "card")
        pages["fields"] = await tab.goto(place)
        await tab.wait_for_selector("#card iframe")
        for other in (shop.shop.replace("127.0.0.1", "localhost"), "https://other.example"):
            refused = await tab.evaluate(
                """async (url) => {
                  const heard = new Promise((done) => addEventListener("securitypolicyviolation",
                    (event) => done(event.effectiveDirective), { once: true }));
                  document.head.append(Object.assign(document.createElement("script"), { src: url }));
                  return [await heard, await fetch(url).then(() => "open", () => "closed")];
                }""",
                other,
            )
            assert refused == ["script-src-elem", "closed"]
        await fill(tab, provider, GOOD)
        await tab.wait_for_selector(f"text={PAID['en']}")
        pages["done"] = await tab.goto(place)
        for name, page in pages.items():
            assert page is not None
            policy = dict(
                part.strip().partition(" ")[::2]
                for part in (await page.all_headers())["content-security-policy"].split(";")
            )
            assert (shop.url in policy["script-src"], shop.url in policy["frame-src"]) == (
                (name == "fields"),
                (name == "fields"),
            ), name
            assert "unsafe" not in str(policy)
            assert shop.url not in policy["form-action"] + policy["style-src"] + policy["img-src"]


@both
@pytest.mark.parametrize("language", ["en", "id"])
async def test_the_page_is_small_and_for_everybody(provider: str, language: str, tmp_path: Path) -> None:
    async with counter(tmp_path, provider) as shop, browser(True, (320, 640)) as (tab, asked):
        place = await shop.open(language=language)
        await tab.goto(place)
        await pay_by(tab, "card")
        asked.clear()
        page = await tab.goto(place)
        assert page is not None
        html5lib.HTMLParser(strict=True).parse(await page.text())
        await tab.frame_locator("#card iframe").locator("#number").wait_for()
        await tab.evaluate(AXE_SCRIPT)
        found = await tab.evaluate("axe.run().then(one => one.violations.map(v => v.id + ' ' + v.help))")
        assert found == []
        assert await tab.evaluate("document.documentElement.scrollWidth") <= 320
        own = {url for url in asked if "/static/" in url}
        assert len(own) == 4, "style, and three small scripts"
        weights = [
            len((await shop.till.ask("GET", url.removeprefix(shop.shop))).text.encode()) for url in own
        ]
        assert len(await page.body()) + sum(weights) < LARGEST


async def test_a_card_that_is_declined_is_said_and_another_one_can_be_tried(tmp_path: Path) -> None:
    async with counter(tmp_path, "stripe") as shop, browser(True) as (tab, _):
        await tab.goto(await shop.open(language="en"))
        await pay_by(tab, "card")
        await fill(tab, "stripe", BAD)
        alert = tab.locator("#fields [role=alert]")
        await alert.wait_for()
        assert await alert.inner_text() == "Your card was declined."
        await fill(tab, "stripe", GOOD)
        await tab.wait_for_selector(f"text={PAID['en']}")
        assert shop.host.numbers == [BAD, GOOD]


@both
async def test_where_the_script_does_not_come_the_providers_page_is_offered(
    provider: str, tmp_path: Path
) -> None:
    async with counter(tmp_path, provider) as shop, browser(True) as (tab, _):
        await tab.route(f"{shop.url}/*.js", lambda route: route.abort())
        await tab.route(f"{PAGES[provider]}**", lambda route: route.fulfill(body="their page"))
        await tab.goto(await shop.open(language="en"))
        await pay_by(tab, "card")
        await tab.wait_for_selector("#fields [role=alert]:not([hidden])")
        await tab.click("text=Pay on the payment provider's page instead")
        if provider == "stripe":  # its page is another payment than its fields
            await pay_by(tab, "card")
        await tab.wait_for_url(f"{PAGES[provider]}**")


@both
async def test_without_scripts_the_card_is_paid_on_the_providers_page(provider: str, tmp_path: Path) -> None:
    async with counter(tmp_path, provider) as shop, browser(False) as (tab, asked):
        await tab.route(f"{PAGES[provider]}**", lambda route: route.fulfill(body="their page"))
        await tab.goto(await shop.open(language="en"))
        await pay_by(tab, "card")
        await tab.wait_for_url(f"{PAGES[provider]}**")
        assert not [url for url in asked if url.startswith(shop.url)]


@both
async def test_an_account_without_a_public_key_leads_to_its_page(provider: str, tmp_path: Path) -> None:
    async with counter(tmp_path, provider, public=False) as shop:
        place = (await shop.open(language="en")).removeprefix(shop.shop)
        assert "choose" not in (await shop.till.ask("GET", place)).text
        fields = {"method": "card", "fields": "1", **CONTACT}
        got = await shop.till.ask("POST", f"{place}/pay", data=fields, headers=SAME, allow_redirects=False)
        assert (got.status, got.fields["Location"].startswith(PAGES[provider])) == (303, True)


async def test_a_program_can_ask_for_fields_for_a_page_of_its_own(tmp_path: Path) -> None:
    async with counter(tmp_path, "stripe") as shop:
        id = (await shop.till.open())["id"]
        got = await shop.till.post(f"/sessions/{id}/payments", {"method": "card", "fields": True})
        assert got.json["payment"]["action"] == {"kind": "fields", "token": "cs_1_secret_1", "url": ""}


async def test_fields_that_nobody_has_used_yet_stay_open_however_often_it_is_asked(tmp_path: Path) -> None:
    """Midtrans knows no payment before somebody pays; asking must not end what is just being filled in."""
    async with counter(tmp_path, "midtrans") as shop:
        id = (await shop.till.open())["id"]
        await shop.till.post(f"/sessions/{id}/payments", {"method": "card", "fields": True})
        checkout = shop.till.checkout
        _, payment = await checkout.sessions.find(id)
        assert payment is not None
        for _ in range(2):
            assert (await checkout.payments.look(payment)).state == "pending"
        shop.host.pay(payment.id)
        assert (await checkout.payments.look(payment)).state == "paid"
