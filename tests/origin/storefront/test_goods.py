"""What the shop sells, how prices are written, what a search finds."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from origin.contract import Money
from origin.storefront.art import SHAPES, mixed
from origin.storefront.goods import LANGUAGES, LOW, Offer, found, price_text, read_catalogue, rupiah

CATEGORIES, GOODS = read_catalogue()
OFFERS = [Offer(good, good.price, good.stock) for good in GOODS]


def test_the_shop_has_24_goods_on_6_shelves() -> None:
    assert (len(GOODS), len(CATEGORIES)) == (24, 6)
    assert {good.category for good in GOODS} == {category.slug for category in CATEGORIES}
    assert "kopi-gayo" in [good.slug for good in GOODS]


def test_skus_and_slugs_are_unique_and_fit_into_addresses_and_tags() -> None:
    for names in ([good.sku for good in GOODS], [good.slug for good in GOODS]):
        assert [name for name, count in Counter(names).items() if count > 1] == []
    assert [good.slug for good in GOODS if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", good.slug)] == []


def test_every_good_is_described_in_both_languages_priced_and_drawn() -> None:
    for good in GOODS:
        assert all(good.names[language] and len(good.about[language]) > 40 for language in LANGUAGES), (
            good.slug
        )
        assert good.price.currency == "IDR"
        assert 1_000 * 100 < good.price.minor < 1_000_000 * 100
        assert good.art in SHAPES
        assert re.fullmatch("#[0-9a-f]{6}", good.shade)


def test_something_is_low_and_something_is_out_so_that_the_shop_shows_how_it_says_so() -> None:
    assert {offer.availability for offer in OFFERS} == {"in", "low", "out"}


@pytest.mark.parametrize(
    ("stock", "said"), [(-1, "out"), (0, "out"), (1, "low"), (LOW, "low"), (LOW + 1, "in"), (10_000, "in")]
)
def test_availability_has_three_words(stock: int, said: str) -> None:
    assert Offer(GOODS[0], GOODS[0].price, stock).availability == said


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "Rp 0"), (500, "Rp 500"), (85_000, "Rp 85.000"), (1_250_000, "Rp 1.250.000")],
)
def test_prices_are_written_as_in_indonesia(amount: int, text: str) -> None:
    assert price_text(rupiah(amount)) == text.replace(" ", "\N{NO-BREAK SPACE}")


@given(st.integers(0, 10**12))
def test_a_written_price_reads_back(amount: int) -> None:
    assert int(price_text(rupiah(amount)).removeprefix("Rp\N{NO-BREAK SPACE}").replace(".", "")) == amount
    assert rupiah(amount) == Money(amount * 100, "IDR")


def test_a_search_finds_all_words_in_any_order_and_case_best_named_first() -> None:
    slugs = [offer.good.slug for offer in found(OFFERS, "GAYO kopi", "id")]
    assert slugs == ["kopi-gayo"]
    coffee = [offer.good.slug for offer in found(OFFERS, "kopi", "id")]
    assert set(coffee) >= {"kopi-gayo", "kopi-toraja", "kopi-robusta-temanggung"}
    assert all("kopi" in one.good.names["id"].casefold() for one in found(OFFERS, "kopi", "id")[:3])
    assert [offer.good.slug for offer in found(OFFERS, "coffee gayo", "en")] == ["kopi-gayo"]


@given(st.text(max_size=20))
def test_no_query_breaks_the_search_and_none_invents_goods(query: str) -> None:
    hits = found(OFFERS, query, "id")
    assert len(hits) == len({hit.good.sku for hit in hits})
    assert all(hit in OFFERS for hit in hits)
    if not query.split():
        assert hits == []


@given(st.floats(0, 1))
def test_mixed_colours_are_colours(share: float) -> None:
    assert re.fullmatch("#[0-9a-f]{6}", mixed("#102030", "#fffefd", share))
