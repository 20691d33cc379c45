"""The shop's pages as crawlers read them: extruct, lxml and html5lib are judges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import extruct
import html5lib
import pytest
from lxml import html

from tests.origin.storefront.shop import Page, Visit, open_shop

GAYO = "KOP-GAYO-250"
CRAWLERS = (
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "Twitterbot/1.0",
    "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "WhatsApp/2.23.20.0",
    "TelegramBot (like TwitterBot)",
    "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0",
)


def read(page: Page, visit: Visit) -> dict[str, Any]:
    """What extruct finds: `og`, and the schema.org things by type."""
    found = extruct.extract(
        page.body, base_url=f"https://{visit.bound.plain}", syntaxes=["json-ld", "opengraph"], uniform=True
    )
    (og,) = found["opengraph"]
    return {"og": og, **{one["@type"]: one for one in found["json-ld"]}}


@pytest.mark.parametrize(("base", "locale", "name"), [("", "id_ID", "Kopi"), ("/en", "en_US", "coffee")])
async def test_a_products_page_says_what_it_sells(tmp_path: Path, base: str, locale: str, name: str) -> None:
    async with open_shop(tmp_path) as visit:
        page = await visit.get(f"{base}/p/kopi-gayo")
        found, address = read(page, visit), f"https://{visit.bound.plain}{base}/p/kopi-gayo"
        assert name in found["og"]["og:title"]
        assert (found["og"]["og:url"], found["og"]["og:locale"]) == (address, locale)
        product = found["Product"]
        assert (product["sku"], product["url"], product["offers"]["priceCurrency"]) == (GAYO, address, "IDR")
        steps = [step["item"] for step in found["BreadcrumbList"]["itemListElement"]]
        assert steps[-1] == address
        for step in steps:
            assert (await visit.get(step.removeprefix(f"https://{visit.bound.plain}"))).status == 200
        (picture,) = product["image"]
        assert (await visit.get(picture.removeprefix(f"https://{visit.bound.plain}"))).status == 200


async def test_price_and_availability_are_those_of_the_page_after_each_change(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        for price, stock, text, available in (
            (85_000, 9, "85.000", True),
            (91_500, 2, "91.500", True),
            (91_500, 0, "91.500", False),
        ):
            await visit.admin(f"/products/{GAYO}", {"price": price, "stock": stock})
            page = await visit.get("/p/kopi-gayo")
            found = read(page, visit)
            assert text in page.body
            assert found["Product"]["offers"]["price"] == found["og"]["product:price:amount"] == f"{price}.00"
            assert found["og"]["product:availability"] == ("in stock" if available else "out of stock")
            assert found["Product"]["offers"]["availability"].endswith("/InStock") is available


async def test_cards_stand_early_once_and_are_the_same_for_everybody(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        for path in ("/", "/en/", "/c/kopi", "/p/kopi-gayo", "/en/p/sambal-matah"):
            pages = {(await visit.get(path, **{"User-Agent": crawler})).body for crawler in CRAWLERS}
            (body,) = pages
            html5lib.HTMLParser(strict=True).parse(body)
            tree = html.fromstring(body)
            for wanted in (
                "/html/head/link[@rel='canonical']",
                "/html/head/meta[@property='og:title']",
                "/html/head/meta[@property='og:url']",
                "/html/head/meta[@name='twitter:card']",
            ):
                assert len(tree.xpath(wanted)) == 1, (path, wanted)
            assert 0 < body.encode().index(b"og:title") < 2_000


async def test_pages_that_nobody_shares_have_no_cards(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        for path in ("/basket", "/search?q=kopi", "/nope"):
            assert "og:" not in (await visit.get(path)).body
