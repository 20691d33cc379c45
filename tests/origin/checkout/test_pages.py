"""The checkout's pages, in a browser without scripts and without: usable, small, and of our shop alone."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import html5lib
import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.async_api import Page as Tab
from playwright.async_api import async_playwright

from origin.contract import Money
from tests.origin.checkout.sandboxes import Market, market
from tests.origin.checkout.till import COFFEE, PPN, PRICE, SHIPPING, TORAJA, Got
from tests.support.tools import chromium

SAME = {"Sec-Fetch-Site": "same-origin"}
LARGEST = 50_000
CONTACT = {
    "email": "ani@contoh.id",
    "name": "Ani",
    "line1": "Jl. Malioboro 1",
    "city": "Yogyakarta",
    "country": "ID",
}
STATES = (
    (None, None, None),
    ("qris", None, None),
    ("bank_transfer", "bca", None),
    ("card", None, "paid"),
    ("card", None, "failed"),
)
FAST = {"id": "fast", "names": {"id": "Kilat", "en": "Express"}, "price": 5_000_000, "countries": ["ID"]}


async def form(
    shop: Market,
    path: str,
    fields: Mapping[str, str] | Sequence[tuple[str, str]],
    headers: dict[str, str] | None = None,
) -> Got:
    return await shop.till.ask(
        "POST", f"/commerce/checkout{path}", data=fields, headers=SAME if headers is None else headers,
        allow_redirects=False,
    )  # fmt: skip


def wanted(price: int = PRICE, **changes: str) -> dict[str, str]:
    return {
        "line": f"{COFFEE}:2:{price}",
        "currency": "IDR",
        "language": "en",
        "back": "/en/basket",
        **changes,
    }


async def test_a_baskets_form_leads_to_a_session_once_however_often_it_is_sent(tmp_path: Path) -> None:
    async with market(tmp_path) as shop:
        places = {(await form(shop, "/begin", wanted(attempt="a"))).fields["Location"] for _ in range(3)}
        assert len(places) == 1
        page = await shop.till.ask("GET", places.pop())
        html5lib.HTMLParser(strict=True).parse(page.text)
        assert page.fields["Cache-Control"] == "private, no-store"
        assert "form-action 'self' https: " + shop.sandbox.url in page.fields["Content-Security-Policy"]
        assert "Rp\N{NO-BREAK SPACE}170,000" in page.text


@pytest.mark.parametrize(
    ("fields", "status", "says"),
    [
        (
            wanted(price=PRICE - 500_000),
            409,
            "was Rp\N{NO-BREAK SPACE}80,000 and is Rp\N{NO-BREAK SPACE}85,000",
        ),
        (wanted(line=f"{COFFEE}:900:{PRICE}"), 409, "left"),
        (wanted(line="NO-SUCH:1:5"), 422, "lines.0.sku"),
        (wanted(line="<script>:1:1"), 422, "&lt;script&gt;"),
        (wanted(currency="XXX"), 422, "currency"),
        ({}, 422, "lines"),
    ],
)
async def test_a_basket_that_cannot_be_paid_is_told_why(
    fields: dict[str, str], status: int, says: str, tmp_path: Path
) -> None:
    async with market(tmp_path) as shop:
        page = await form(shop, "/begin", fields)
        assert page.status == status
        assert says in page.text
        html5lib.HTMLParser(strict=True).parse(page.text)


@pytest.mark.parametrize(
    ("language", "says"),
    [
        ("en", ("Gayo arabica coffee 250 g was Rp1 and is Rp85,000.", "Toraja")),
        ("id", ("tadi Rp1, sekarang Rp85.000.", "Toraja")),
    ],
)
async def test_every_product_whose_price_changed_is_named_with_both(
    language: str, says: tuple[str, ...], tmp_path: Path
) -> None:
    async with market(tmp_path) as shop:
        lines = [f"{COFFEE}:1:100", f"{TORAJA}:2:100"]
        basket = [*wanted(language=language).items(), *(("line", line) for line in lines)]
        page = await form(shop, "/begin", [one for one in basket if one[1] != f"{COFFEE}:2:{PRICE}"])
        points = [one for one in page.text.splitlines() if one.startswith("<li>")]
        assert (page.status, len(points)) == (409, 2)
        text = " ".join(points).replace("\N{NO-BREAK SPACE}", "")
        assert [one in text for one in says] == [True, True], text
        html5lib.HTMLParser(strict=True).parse(page.text)
        got = await shop.till.post(
            "/sessions", {"lines": [{"sku": COFFEE, "quantity": 1, "price": 100}], "currency": "IDR"}
        )
        assert (got.status, list(got.json["names"])) == (409, [COFFEE])


async def test_forms_of_other_sites_are_refused(tmp_path: Path) -> None:
    async with market(tmp_path) as shop:
        strange = {"Sec-Fetch-Site": "cross-site"}
        assert (await form(shop, "/begin", wanted(), strange)).status == 403
        session = await shop.till.open()
        page = await form(shop, f"/{session['id']}/pay", {"method": "card", **CONTACT}, strange)
        assert page.status == 403
        assert (await shop.till.session(session["id"]))["state"] == "open"


async def test_shipping_and_taxes_follow_the_address_at_the_price_that_was_agreed(tmp_path: Path) -> None:
    tax = {**PPN, "included": False, "countries": ["ID"]}
    async with market(tmp_path, shipping=[SHIPPING, FAST], taxes=[tax]) as shop:
        session = await shop.till.open(shipping="regular")
        page = await form(shop, f"/{session['id']}/pay", {"method": "qris", "shipping": "fast", **CONTACT})
        assert page.status == 303
        found = await shop.till.session(session["id"])
        assert [line["amount"] for line in found["lines"]] == [2 * PRICE, 5_000_000, 2_420_000]
        assert found["total"] == 2 * PRICE + 5_000_000 + 2_420_000
        assert found["shipping_address"]["city"] == "Yogyakarta"
        _, payment = await shop.till.checkout.sessions.find(session["id"])
        assert payment is not None
        assert payment.amount == found["total"]


@pytest.mark.parametrize(
    "change", [{"email": "nobody"}, {"country": "XX1"}, {"method": "cheque"}, {"name": ""}]
)
async def test_a_wrong_field_brings_the_form_back_with_a_word(change: dict[str, str], tmp_path: Path) -> None:
    async with market(tmp_path) as shop:
        session = await shop.till.open()
        page = await form(shop, f"/{session['id']}/pay", {"method": "card", **CONTACT, **change})
        assert page.status == 422
        assert 'role="alert"' in page.text
        html5lib.HTMLParser(strict=True).parse(page.text)


async def test_an_address_of_nothing_is_a_page_too(tmp_path: Path) -> None:
    async with market(tmp_path) as shop:
        for path in ("/cs_none", "/cs_none/return", "/static/none.css"):
            assert (await shop.till.ask("GET", f"/commerce/checkout{path}")).status == 404


# In a browser -----------------------------------------------------------------------------------


@asynccontextmanager
async def browser(scripts: bool, size: tuple[int, int] = (390, 844)) -> AsyncIterator[tuple[Tab, list[str]]]:
    """A tab, and the URLs that it asked for."""
    asked: list[str] = []
    async with async_playwright() as play:
        engine = await play.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        tab = await engine.new_page(
            java_script_enabled=scripts, viewport={"width": size[0], "height": size[1]}
        )
        tab.on("request", lambda request: asked.append(request.url))
        yield tab, asked
        await engine.close()


async def pay_by(tab: Tab, method: str) -> None:
    for name, value in CONTACT.items():
        if name == "country":
            await tab.select_option("#country", value)
        else:
            await tab.fill(f"#{name}", value)
    await tab.check(f'input[value="{method}"]')
    await tab.click("main form button")


@pytest.mark.parametrize("scripts", [False, True], ids=["without-scripts", "with-scripts"])
async def test_a_basket_is_paid_by_card_with_3d_secure(scripts: bool, tmp_path: Path) -> None:
    async with market(tmp_path) as shop, browser(scripts) as (tab, asked):
        base = f"http://{shop.till.bound.plain}"
        await tab.goto(f"{base}/en/p/kopi-gayo")
        await tab.click("form.add button")
        await tab.click("form.till button")
        await pay_by(tab, "card")
        await tab.click('button[value="challenge"]')
        await tab.click('button[value="paid"]')
        await tab.wait_for_url("**/commerce/checkout/cs_*")
        assert await tab.inner_text("h1") == "Thank you, your payment has come"
        await tab.click("main a.call")
        assert tab.url == f"{base}/en/thanks"
        await tab.goto(f"{base}/en/basket")
        assert await tab.query_selector("form.till") is None
        assert {url.split("/")[2] for url in asked if not url.startswith("data:")} == {
            shop.till.bound.plain,
            shop.sandbox.url[7:],
        }


async def test_a_code_is_shown_and_the_page_changes_by_itself_once_it_was_paid(tmp_path: Path) -> None:
    async with market(tmp_path) as shop, browser(True) as (tab, _):
        session = await shop.till.open(language="id")
        await tab.goto(f"http://{shop.till.bound.plain}/commerce/checkout/{session['id']}")
        await pay_by(tab, "qris")
        code = tab.locator("img.code")
        assert await code.evaluate("one => one.naturalWidth") > 100
        await shop.sandbox.pay(await shop.reference(session["id"]))
        await tab.wait_for_selector("text=Terima kasih, pembayaran diterima", timeout=30_000)


@pytest.mark.parametrize("language", ["id", "en"])
async def test_every_state_is_small_and_for_everybody(language: str, tmp_path: Path) -> None:
    """axe-core finds nothing, nothing is wider than a small phone, and all of a page weighs under 50 KB."""
    async with market(tmp_path, shipping=[SHIPPING, FAST]) as shop, browser(True, (320, 640)) as (tab, asked):
        one = {"language": language, "shipping": "regular", "lines": [{"sku": COFFEE, "quantity": 1}]}
        ids = ["cs_none"]
        for method, channel, outcome in STATES:
            session = await shop.till.open(**one)
            if method:
                await shop.begin(session["id"], method, channel)
            if outcome:
                await shop.sandbox.pay(await shop.reference(session["id"]), outcome)
                await shop.becomes(session["id"], outcome)
            ids.append(session["id"])
        gone = await shop.till.open(**one)
        await shop.till.post(f"/sessions/{gone['id']}/cancel", {})
        for id in (*ids, gone["id"]):
            page = await tab.goto(f"http://{shop.till.bound.plain}/commerce/checkout/{id}")
            assert page is not None
            await tab.evaluate(AXE_SCRIPT)
            found = await tab.evaluate("axe.run().then(one => one.violations.map(v => v.id + ' ' + v.help))")
            assert found == [], id
            assert await tab.evaluate("document.documentElement.scrollWidth") <= 320, id
            files = {url.split("/", 3)[3] for url in asked if "/static/" in url}
            weights = [len((await shop.till.ask("GET", f"/{path}")).text.encode()) for path in files]
            assert len(await page.body()) + sum(weights) < LARGEST, id


async def test_a_baskets_form_with_a_carts_token_is_paid_at_its_prices_once(tmp_path: Path) -> None:
    async with market(tmp_path) as shop:
        lines = [{"sku": COFFEE, "quantity": 2}]
        cart = (await shop.till.post("/carts", {"lines": lines, "currency": "IDR"})).json
        basket = {"cart": cart["token"], "language": "en", "back": "/en/basket", "attempt": "a"}
        for forged in (cart["token"][:-2], "x.y.z", cart["token"].replace(".", "", 1)):
            page = await form(shop, "/begin", {**basket, "cart": forged})
            assert (page.status, 'href="/en/basket"' in page.text) in ((403, True), (422, True))
            html5lib.HTMLParser(strict=True).parse(page.text)
        places = {(await form(shop, "/begin", basket)).fields["Location"] for _ in range(2)}
        (place,) = places
        session = await shop.till.session(place.rsplit("/", 1)[1])
        assert session["total"] == 2 * PRICE
        again = await form(shop, "/begin", {**basket, "attempt": "b"})
        assert (again.status, 'href="/en/basket"' in again.text) == (409, True)


async def promised(shop: Market, basket: dict[str, str]) -> str:
    """The cookie that a basket goes on to the checkout with."""
    got = await form(shop, "/basket", basket)
    assert (got.status, got.fields["Location"]) == (307, "/commerce/checkout/begin")
    said = got.fields.get("Set-Cookie", "")
    kept = r"Path=/commerce/checkout/begin; Max-Age=(600|5[89]\d); HttpOnly; SameSite=Strict"
    assert not said or re.search(kept, said), said
    return str(said.partition(";")[0])


async def begun(shop: Market, basket: dict[str, str], cookie: str) -> Got:
    return await form(shop, "/begin", basket, {**SAME, "Cookie": cookie})


async def test_the_demo_shops_basket_is_promised_its_prices_and_goods_when_it_is_to_be_paid(
    tmp_path: Path,
) -> None:
    async with market(tmp_path) as shop:
        basket = wanted(attempt="a")
        cookie = await promised(shop, basket)
        assert cookie == await promised(shop, basket), "pressed twice, it is one cart"
        await shop.till.store.set_price(COFFEE, Money(PRICE + 100_000, "IDR"))
        (place,) = {(await begun(shop, basket, cookie)).fields["Location"] for _ in range(2)}
        session, _ = await shop.till.checkout.sessions.find(place.rsplit("/", 1)[1])
        assert (session.total, session.cart is not None) == (2 * PRICE, True)
        assert await promised(shop, wanted(attempt="b")) == "", "what changed before is not promised"
        page = await begun(shop, wanted(attempt="b"), "")
        assert (page.status, "was Rp\N{NO-BREAK SPACE}85,000" in page.text) == (409, True)


async def test_a_carts_cookie_counts_for_its_own_basket_alone(tmp_path: Path) -> None:
    async with market(tmp_path) as shop:
        cookie = await promised(shop, wanted(attempt="a"))
        other = await begun(shop, wanted(line=f"{COFFEE}:1:{PRICE}", attempt="b"), cookie)
        session, _ = await shop.till.checkout.sessions.find(other.fields["Location"].rsplit("/", 1)[1])
        assert (session.total, session.cart) == (PRICE, None)
        forged = await begun(shop, wanted(attempt="c"), cookie[:-4] + "AAAA")
        assert (forged.status, 'href="/en/basket"' in forged.text) == (403, True)
        strange = await form(shop, "/basket", wanted(), {"Sec-Fetch-Site": "cross-site"})
        assert (strange.status, "Set-Cookie" in strange.fields) == (307, False), "begin refuses it"
