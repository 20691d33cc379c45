"""Feeds, sitemaps and robots.txt of a running shop, over real sockets."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from lxml import etree

from origin.contract import Host, Plugin, PluginDefaults, Product
from origin.registry import installed, load
from origin.social.plugin import Social
from origin.storefront.plugin import Storefront
from tests.origin.social.test_feeds import KOPI
from tests.origin.standing import NoSettings, running

SITEMAP = "{http://www.sitemaps.org/schemas/sitemap/0.9}"


class Photographed(PluginDefaults):
    """A catalogue of one product with a photograph, as a foreign shop's."""

    name = "photographed"
    settings = NoSettings

    async def start(self, host: Host) -> None:
        host.offer("catalogue", self)

    async def products(self) -> Sequence[Product]:
        return [KOPI]


@asynccontextmanager
async def shop(directory: Path, *kinds: type[Plugin], **options: Any) -> AsyncIterator[Any]:
    """A function that gets a path: status, fields, text. Addresses of `admin` are the operator's."""
    async with running(directory, *kinds, **options) as (_, bound), aiohttp.ClientSession() as session:

        async def get(path: str, *, admin: bool = False, **headers: str) -> tuple[int, Any, str]:
            at = f"http://{bound.admin if admin else bound.plain}{path}"
            async with session.get(at, headers=headers) as response:
                return response.status, response.headers, await response.text()

        yield get


def test_it_is_a_plugin_that_comes_by_its_entry_point() -> None:
    assert load(installed())["social"] is Social


async def test_a_feed_is_asked_for_each_time_and_costs_little_when_nothing_changed(tmp_path: Path) -> None:
    async with shop(tmp_path, Photographed, Social, tables={"social": {"shop": "Toko"}}) as get:
        status, fields, text = await get("/commerce/social/feeds/meta.csv", Host="shop.example")
        assert (status, fields["Cache-Control"]) == (200, "public, max-age=0, s-maxage=0")
        (row,) = csv.DictReader(io.StringIO(text, newline=""))
        assert (row["id"], row["brand"], row["link"]) == ("K-1", "Toko", "https://shop.example/p/kopi")
        again = {"Host": "shop.example", "If-None-Match": fields["ETag"]}
        assert (await get("/commerce/social/feeds/meta.csv", **again))[0] == 304


@pytest.mark.parametrize(
    ("path", "field", "accepted"),
    [
        ("/commerce/social/feeds/yahoo.xml", "name", "google.xml"),
        ("/commerce/social/feeds/google.xml?language=de", "language", "en, id"),
        ("/sitemap/2.xml", "number", "/sitemap.xml"),
        ("/sitemap/0.xml", "number", "/sitemap.xml"),
    ],
)
async def test_what_is_not_there_says_what_would_be(
    tmp_path: Path, path: str, field: str, accepted: str
) -> None:
    async with shop(tmp_path, Photographed, Social) as get:
        status, fields, text = await get(path)
        assert (status, fields["Content-Type"]) == (404, "application/problem+json")
        assert f'"field":"{field}"' in text
        assert accepted in text


async def test_a_shop_without_a_catalogue_has_empty_feeds(tmp_path: Path) -> None:
    async with shop(tmp_path, Social) as get:
        status, _, text = await get("/commerce/social/feeds/google.xml")
        assert status == 200
        assert "<item>" not in text
        assert (await get("/sitemap/1.xml"))[0] == 200


async def test_the_report_says_why_drawings_are_left_out(tmp_path: Path) -> None:
    async with shop(tmp_path, Storefront, Social) as get:
        _, _, text = await get("/commerce/social/feeds/google.xml")
        assert "<item>" not in text, "Google takes no SVG"
        status, _, report = await get("/plugins/social/feeds?language=en", admin=True)
        assert status == 200
        assert "KOP-GAYO-250" in report
        assert "image_link" in report


async def test_every_product_stands_in_the_sitemap_in_each_language(tmp_path: Path) -> None:
    async with shop(tmp_path, Storefront, Social) as get:
        _, _, robots = await get("/robots.txt", Host="shop.example")
        assert "Disallow: /basket\n" in robots
        assert "Sitemap: https://shop.example/sitemap.xml\n" in robots
        _, _, index = await get("/sitemap.xml", Host="shop.example")
        (part,) = [one.text or "" for one in etree.fromstring(index.encode()).iter(f"{SITEMAP}loc")]
        _, _, text = await get(part.removeprefix("https://shop.example"), Host="shop.example")
        found = [one.text or "" for one in etree.fromstring(text.encode()).iter(f"{SITEMAP}loc")]
        assert len(found) == len(set(found)) > 40
        assert "https://shop.example/en/p/kopi-gayo" in found
        for address in found[::10]:
            status, _, page = await get(address.removeprefix("https://shop.example"), Host="shop.example")
            assert status == 200
            assert f'<link rel="canonical" href="{address}">' in page
