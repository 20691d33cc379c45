"""Prices and stock of the moment, in the origin's database; a change purges its pages in one transaction."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    insert,
    select,
    update,
)

from origin.contract import Event, Hold, Host, Money, OutOfStock, Product, Shown, Stock, stock_tag
from origin.storefront.goods import Category, Good, Offer

metadata = MetaData()

products = Table(
    "storefront_products",
    metadata,
    Column("sku", String(63), primary_key=True),
    Column("price", BigInteger, nullable=False),  # minor units
    Column("stock", Integer, nullable=False),
    Column("changed_at", Float, nullable=False),
)

holds = Table(
    "storefront_holds",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("sku", ForeignKey("storefront_products.sku"), nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("until", Float, nullable=False),
)


class Store:
    """Implements `Catalogue` and `Stock` for the shop's own goods, which other plugins see as `described`."""

    def __init__(
        self,
        host: Host,
        categories: Sequence[Category],
        goods: Sequence[Good],
        described: Callable[[Offer], Product],
    ) -> None:
        self._host = host
        self._described = described
        self.categories = {category.slug: category for category in categories}
        self.goods = {good.sku: good for good in goods}
        self.slugs = {good.slug: good for good in goods}

    async def seed(self) -> None:
        """Opens the shop: goods that have no row yet get the data file's price and stock."""
        async with self._host.write() as connection:
            known = set((await connection.execute(select(products.c.sku))).scalars())
            for good in self.goods.values():
                if good.sku not in known:
                    await connection.execute(
                        insert(products).values(
                            sku=good.sku,
                            price=good.price.minor,
                            stock=good.stock,
                            changed_at=self._host.now(),
                        )
                    )

    async def offers(self) -> list[Offer]:
        """Everything, in the data file's order, at today's price and stock."""
        async with self._host.read() as connection:
            rows = {row.sku: row for row in await connection.execute(select(products))}
        kept_elsewhere = await self._kept_elsewhere()
        return [
            _offer(good, rows[good.sku], kept_elsewhere) for good in self.goods.values() if good.sku in rows
        ]

    async def _kept_elsewhere(self) -> Mapping[str, Shown] | None:
        """What pages say of stock that another plugin keeps; None where it is ours."""
        stock: Stock = self._host.use("stock")
        return None if stock is self else await stock.shown()

    async def changed_at(self) -> float:
        """When a price or an availability changed last."""
        async with self._host.read() as connection:
            rows = (await connection.execute(select(products.c.changed_at))).scalars().all()
        return max(rows, default=0.0)

    async def set_price(self, sku: str, price: Money) -> None:
        """Another price; the product's pages are purged. LookupError: no such product."""
        good = self._good(sku)
        async with self._host.write() as connection:
            await connection.execute(
                update(products)
                .where(products.c.sku == sku)
                .values(price=price.minor, changed_at=self._host.now())
            )
            await self._host.events.purge(connection, tag_of(good))

    async def set_stock(self, sku: str, stock: int) -> None:
        """Another stock. LookupError: no such product."""
        self._good(sku)
        async with self._host.write() as connection:
            row = (await connection.execute(select(products.c.stock).where(products.c.sku == sku))).one()
            await self._change(connection, sku, row.stock, stock)

    # Catalogue ------------------------------------------------------------------------------------

    async def product(self, sku: str) -> Product | None:
        """The product with `sku`."""
        good = self.goods.get(sku)
        if good is None:
            return None
        async with self._host.read() as connection:
            row = (await connection.execute(select(products).where(products.c.sku == sku))).one_or_none()
        return None if row is None else self._described(_offer(good, row, await self._kept_elsewhere()))

    async def products(self) -> Sequence[Product]:
        """Everything for sale."""
        return [self._described(offer) for offer in await self.offers()]

    # Stock ----------------------------------------------------------------------------------------

    async def available(self, sku: str) -> int:
        """How many can be promised: what is held is taken off already."""
        self._good(sku)
        async with self._host.read() as connection:
            row = (await connection.execute(select(products.c.stock).where(products.c.sku == sku))).one()
        return int(row.stock)

    async def shown(self) -> Mapping[str, Shown]:
        """What pages say of each product."""
        return {one.good.sku: Shown(one.stock, one.availability) for one in await self.offers()}

    async def crossed(self, event: Event) -> None:
        """Pages say something else of stock that is kept elsewhere: from now on they are newer."""
        async with self._host.write() as connection:
            await connection.execute(
                update(products).where(products.c.sku == event.body["sku"]).values(changed_at=event.at)
            )

    async def hold(self, sku: str, quantity: int, seconds: float) -> Hold:
        """Keeps `quantity` back by one conditional update. Raises OutOfStock."""
        if quantity < 1:
            raise ValueError(f"quantity: got {quantity}, expected 1 or more")
        self._good(sku)
        kept = Hold(secrets.token_hex(16), sku, quantity, self._host.now() + seconds)
        async with self._host.write() as connection:
            row = (await connection.execute(select(products.c.stock).where(products.c.sku == sku))).one()
            taken = await connection.execute(
                update(products)
                .where(products.c.sku == sku, products.c.stock >= quantity)
                .values(stock=products.c.stock - quantity)
            )
            if not taken.rowcount:
                raise OutOfStock(sku, row.stock)
            await connection.execute(
                insert(holds).values(id=kept.id, sku=sku, quantity=quantity, until=kept.until)
            )
            await self._tell(connection, sku, row.stock, row.stock - quantity)
        return kept

    async def commit(self, hold: str) -> None:
        """The held quantity is sold. LookupError: no such hold, or it expired."""
        async with self._host.write() as connection:
            gone = await connection.execute(holds.delete().where(holds.c.id == hold))
            if not gone.rowcount:
                raise LookupError(f"no hold {hold}")

    async def release(self, hold: str) -> None:
        """The held quantity is for sale again; a hold that is gone is left alone."""
        async with self._host.write() as connection:
            await self._give_back(connection, holds.c.id == hold)

    async def expire(self) -> None:
        """Releases every hold whose time is over."""
        async with self._host.write() as connection:
            await self._give_back(connection, holds.c.until <= self._host.now())

    async def _give_back(self, connection: Any, which: Any) -> None:
        for row in (await connection.execute(select(holds).where(which))).all():
            await connection.execute(holds.delete().where(holds.c.id == row.id))
            now = (await connection.execute(select(products.c.stock).where(products.c.sku == row.sku))).one()
            await self._change(connection, row.sku, now.stock, now.stock + row.quantity)

    async def _change(self, connection: Any, sku: str, before: int, after: int) -> None:
        await connection.execute(update(products).where(products.c.sku == sku).values(stock=after))
        await self._tell(connection, sku, before, after)

    async def _tell(self, connection: Any, sku: str, before: int, after: int) -> None:
        """Purges the product's pages if what they say of its stock has changed; single units do not."""
        good = self._good(sku)
        if Offer(good, good.price, before).availability == Offer(good, good.price, after).availability:
            return
        await connection.execute(
            update(products).where(products.c.sku == sku).values(changed_at=self._host.now())
        )
        await self._host.events.purge(connection, tag_of(good))

    def _good(self, sku: str) -> Good:
        good = self.goods.get(sku)
        if good is None:
            raise LookupError(f"sku: no product {sku}")
        return good


def tag_of(good: Good) -> str:
    """The tag that all pages bear which show this product."""
    return f"product-{good.slug}"


def tags_of(offer: Offer) -> tuple[str, ...]:
    """The tags of all pages that show this offer; its stock's own where that is kept elsewhere."""
    tag = tag_of(offer.good)
    return (tag,) if offer.says is None else (tag, stock_tag(offer.good.sku))


def _offer(good: Good, row: Any, kept_elsewhere: Mapping[str, Shown] | None) -> Offer:
    price = Money(row.price, good.price.currency)
    if kept_elsewhere is None:
        return Offer(good, price, row.stock)
    shown = kept_elsewhere.get(good.sku, Shown(0, "out"))
    return Offer(good, price, shown.pieces, shown.says)
