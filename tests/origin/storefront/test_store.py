"""Prices and stock: holds never oversell, and what pages say is purged when it changes, and only then."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from origin.contract import Catalogue, Money, OutOfStock, Stock
from origin.storefront.goods import LOW, rupiah
from tests.origin.storefront.shop import open_shop

SKU = "KOP-GAYO-250"
TAG = "product-kopi-gayo"


async def test_the_first_start_opens_the_shop_and_later_ones_keep_what_changed(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        assert len(await visit.store.offers()) == 24
        await visit.store.set_price(SKU, rupiah(91_000))
        await visit.store.set_stock(SKU, 7)
    async with open_shop(tmp_path) as visit:
        offer = next(one for one in await visit.store.offers() if one.good.sku == SKU)
        assert (offer.price, offer.stock) == (Money(9_100_000, "IDR"), 7)


async def test_another_price_purges_the_products_pages_in_the_same_transaction(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        await visit.store.set_price(SKU, rupiah(91_000))
        assert await visit.purged() == [TAG]
        with pytest.raises(Exception, match="CHECK"):
            await visit.store.set_price(SKU, rupiah(-1))
        assert await visit.purged() == [TAG], "what was not changed is not purged"


async def test_one_product_is_as_it_stands_among_all(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        await visit.store.set_price(SKU, rupiah(91_000))
        everything = {one.sku: one for one in await visit.store.products()}
        assert {sku: await visit.store.product(sku) for sku in everything} == everything
        assert everything[SKU].price == Money(9_100_000, "IDR")
        assert await visit.store.product("NO-SUCH") is None


async def test_only_a_change_of_what_pages_say_purges(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        for stock in (41, 20, LOW + 1):
            await visit.store.set_stock(SKU, stock)
        assert await visit.purged() == []
        await visit.store.set_stock(SKU, LOW)
        assert await visit.purged() == [TAG]
        await visit.store.set_stock(SKU, 1)
        assert await visit.purged() == [TAG]
        await visit.store.set_stock(SKU, 0)
        await visit.store.set_stock(SKU, 50)
        assert await visit.purged() == [TAG] * 3


async def test_a_hold_is_taken_off_the_stock_and_goes_back_when_released(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        before = await visit.store.available(SKU)
        hold = await visit.store.hold(SKU, 2, 60)
        assert (hold.sku, hold.quantity, hold.until) == (SKU, 2, visit.clock.now + 60)
        assert await visit.store.available(SKU) == before - 2
        await visit.store.release(hold.id)
        await visit.store.release(hold.id)
        assert await visit.store.available(SKU) == before


async def test_what_is_sold_does_not_come_back(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        before = await visit.store.available(SKU)
        hold = await visit.store.hold(SKU, 2, 60)
        await visit.store.commit(hold.id)
        await visit.store.release(hold.id)
        visit.clock.now += 61
        await visit.store.expire()
        assert await visit.store.available(SKU) == before - 2
        with pytest.raises(LookupError):
            await visit.store.commit(hold.id)


async def test_a_hold_whose_time_is_over_goes_back_by_itself(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        before = await visit.store.available(SKU)
        hold = await visit.store.hold(SKU, before, 60)
        assert await visit.purged() == [TAG], "sold out"
        visit.clock.now += 59
        await visit.store.expire()
        assert await visit.store.available(SKU) == 0
        visit.clock.now += 1
        await visit.store.expire()
        assert await visit.store.available(SKU) == before
        assert await visit.purged() == [TAG, TAG], "and back"
        with pytest.raises(LookupError):
            await visit.store.commit(hold.id)


async def test_more_buyers_than_pieces_get_exactly_the_pieces(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        await visit.store.set_stock(SKU, 5)

        async def buy() -> bool:
            try:
                await visit.store.commit((await visit.store.hold(SKU, 1, 60)).id)
            except OutOfStock as out:
                assert (out.sku, out.left) == (SKU, 0)
                return False
            return True

        assert sum(await asyncio.gather(*(buy() for _ in range(30)))) == 5
        assert await visit.store.available(SKU) == 0


async def test_nonsense_is_refused(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        for quantity in (0, -1):
            with pytest.raises(ValueError, match=f"quantity: got {quantity}"):
                await visit.store.hold(SKU, quantity, 60)
        with pytest.raises(OutOfStock):
            await visit.store.hold(SKU, 10**9, 60)
        for call in (
            visit.store.hold("NO", 1, 60),
            visit.store.available("NO"),
            visit.store.set_price("NO", rupiah(1)),
            visit.store.set_stock("NO", 1),
            visit.store.commit("NO"),
        ):
            with pytest.raises(LookupError):
                await call


async def test_other_plugins_see_the_shop_as_catalogue_and_stock(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as visit:
        catalogue: Catalogue = visit.origin.shared.use("catalogue")
        stock: Stock = visit.origin.shared.use("stock")
        product = await catalogue.product(SKU)
        assert product is not None
        assert (product.slug, product.price) == ("kopi-gayo", Money(8_500_000, "IDR"))
        assert await catalogue.product("NO") is None
        assert len(await catalogue.products()) == 24
        assert await stock.available(SKU) == 42
        for picture in product.pictures:
            assert (await visit.get(picture)).status == 200
