"""Feeds as channels read them: feedparser, lxml and the standard library's csv are judges."""

from __future__ import annotations

import csv
import io
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import feedparser
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from origin.contract import Money, Product
from origin.social.feeds import CHANNELS, Shop, feed, rejects

SHOP = Shop("shop.example", "Toko", "id")
KOPI = Product(
    "K-1",
    "kopi",
    {"id": "Kopi", "en": "Coffee"},
    Money(8_500_000, "IDR"),
    ("kopi",),
    ("/k.svg", "/k.jpg"),
    {"id": "Enak", "en": "Good"},
    paths={"id": "/p/kopi", "en": "/en/p/kopi"},
)
G = "{http://base.google.com/ns/1.0}"


def written(name: str, *products: Product, shop: Shop = SHOP) -> bytes:
    return b"".join(feed(CHANNELS[name], shop, products))


def rows(name: str, *products: Product, shop: Shop = SHOP) -> list[dict[str, str]]:
    """What an independent reader finds in the feed."""
    text = written(name, *products, shop=shop)
    if name.endswith(".csv"):
        return list(csv.DictReader(io.StringIO(text.decode(), newline="")))
    items = etree.fromstring(text).iter("item")
    return [{one.tag.removeprefix(G): one.text or "" for one in item} for item in items]


@pytest.mark.parametrize(
    ("name", "available", "sold_out", "id"),
    [
        ("google.xml", "in_stock", "out_of_stock", "id"),
        ("meta.xml", "in stock", "out of stock", "id"),
        ("meta.csv", "in stock", "out of stock", "id"),
        ("tiktok.csv", "in stock", "out of stock", "sku_id"),
    ],
)
def test_each_channel_reads_what_is_for_sale_in_its_own_words(
    name: str, available: str, sold_out: str, id: str
) -> None:
    first, second = rows(name, KOPI, replace(KOPI, sku="K-2", available=False))
    assert (first[id], first["availability"]) == ("K-1", available)
    assert (second[id], second["availability"]) == ("K-2", sold_out)
    assert (first["price"], first["title"]) == ("85000.00 IDR", "Kopi")
    assert first["link"] == "https://shop.example/p/kopi"
    assert first["image_link"] == "https://shop.example/k.jpg", "the first picture that the channel takes"


def test_texts_and_links_are_in_the_language_asked_for() -> None:
    (row,) = rows("google.xml", KOPI, shop=replace(SHOP, language="en"))
    assert (row["title"], row["link"]) == ("Coffee", "https://shop.example/en/p/kopi")


def test_a_feed_reader_takes_the_rss() -> None:
    found = feedparser.parse(written("google.xml", KOPI))
    assert not found.bozo
    assert (found.version, found.feed.title, len(found.entries)) == ("rss20", "Toko", 1)


@pytest.mark.parametrize(
    ("product", "field", "why"),
    [
        pytest.param(replace(KOPI, pictures=()), "image_link", "is missing", id="no picture"),
        pytest.param(replace(KOPI, pictures=("/k.svg",)), "image_link", "expected one of .bmp", id="svg"),
        pytest.param(replace(KOPI, price=Money(0, "IDR")), "price", "is 0.00 IDR", id="no price"),
        pytest.param(replace(KOPI, price=Money(-1, "JPY")), "price", "is -1 JPY", id="less than nothing"),
        pytest.param(replace(KOPI, names={}), "title", "is missing", id="no name"),
        pytest.param(replace(KOPI, names={"id": "x" * 151}), "title", "has 151", id="long name"),
        pytest.param(replace(KOPI, descriptions={}), "description", "is missing", id="no description"),
        pytest.param(replace(KOPI, paths={}), "link", "is missing", id="no page"),
        pytest.param(replace(KOPI, gtin="4006381333932"), "gtin", "is 4006381333932", id="wrong check digit"),
    ],
)
def test_what_a_channel_would_refuse_is_left_out_and_reported(product: Product, field: str, why: str) -> None:
    (one,) = rejects(CHANNELS["google.xml"], SHOP, [KOPI, product])
    assert (one.row, one.sku, one.field) == (2, "K-1", field)
    assert why in one.why
    assert len(rows("google.xml", KOPI, product)) == 1


@pytest.mark.parametrize("price", [Money(1, "IDR"), Money(50, "USD"), Money(1, "JPY")])
def test_a_price_below_one_is_a_price(price: Money) -> None:
    assert not list(rejects(CHANNELS["google.xml"], SHOP, [replace(KOPI, price=price)]))


@pytest.mark.parametrize("gtin", ["4006381333931", "73513537", "012345678905"])
def test_a_good_gtin_is_taken(gtin: str) -> None:
    (row,) = rows("google.xml", replace(KOPI, gtin=gtin))
    assert row["gtin"] == gtin


@pytest.mark.parametrize("name", CHANNELS)
@given(title=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_no_text_breaks_a_feed(name: str, title: str) -> None:
    found = rows(name, replace(KOPI, names={"id": title}), KOPI)
    assert len(found) == 2
    assert found[1]["title"] == "Kopi"


@pytest.mark.parametrize("name", CHANNELS)
def test_a_feed_of_many_products_is_written_piece_by_piece(name: str) -> None:
    """Memory in bytes: what the writer holds must not grow with the rows."""

    def many() -> Iterator[Product]:
        for number in range(5_000):
            yield replace(KOPI, sku=f"K-{number}")

    tracemalloc.start()
    try:
        size = sum(len(piece) for piece in feed(CHANNELS[name], SHOP, many()))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 5_000 * 100
    assert peak < 200_000
