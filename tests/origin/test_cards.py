"""Cards as text: nothing that a catalogue says gets out of its place."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import html

from origin.cards import Crumb, Place, of_page, of_product
from origin.contract import Money, Product

texts = st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn"]), max_size=40)


def product(name: str = "Kopi", **more: object) -> Product:
    return Product("K-1", "kopi", {"id": name}, Money(8_500_000, "IDR"), (), **{"pictures": (), **more})


def place(**more: object) -> Place:
    return Place("shop.example", "/p/kopi", "Toko", **{"language": "id", "others": {}, **more})


def tree(head: str) -> html.HtmlElement:
    return html.document_fromstring(f"<!doctype html><html><head>{head}</head><body></body></html>")


@given(name=texts, about=texts)
def test_no_text_gets_out_of_its_place(name: str, about: str) -> None:
    found = tree(of_product(place(), product(name, descriptions={"id": about}), (Crumb(name, "/"),)))
    schema, crumbs = (json.loads(one.text) for one in found.xpath("//script"))
    assert schema["name"] == name
    assert schema.get("description", "") == about
    assert crumbs["itemListElement"][0]["name"] == name
    assert found.xpath("//meta[@property='og:title']/@content") == [name]
    assert {one.tag for one in found.iter()} == {"html", "head", "link", "meta", "script", "body"}


def test_a_product_without_a_picture_gets_the_small_card() -> None:
    bare, pictured = (of_product(place(), product(pictures=some), ()) for some in ((), ("/a.png",)))
    assert tree(bare).xpath("//meta[@name='twitter:card']/@content") == ["summary"]
    assert "image" not in bare
    assert tree(pictured).xpath("//meta[@name='twitter:card']/@content") == ["summary_large_image"]
    assert tree(pictured).xpath("//meta[@property='og:image']/@content") == ["https://shop.example/a.png"]


@pytest.mark.parametrize(
    ("price", "text"), [(Money(8_500_000, "IDR"), "85000.00"), (Money(1500, "JPY"), "1500")]
)
def test_a_price_has_the_decimals_of_its_currency(price: Money, text: str) -> None:
    found = tree(of_product(place(), replace(product(), price=price), ()))
    assert found.xpath("//meta[@property='product:price:amount']/@content") == [text]


def test_a_text_that_is_missing_in_a_language_is_taken_from_another() -> None:
    assert tree(of_product(place(language="en"), product("Kopi"), ())).xpath(
        "//meta[@property='og:title']/@content"
    ) == ["Kopi"]


def test_a_page_names_its_other_languages() -> None:
    found = tree(of_page(place(others={"en": "/en/p/kopi"}), "Toko", ""))
    assert found.xpath("//meta[@property='og:locale:alternate']/@content") == ["en_US"]
    assert not found.xpath("//meta[@property='og:description']")
