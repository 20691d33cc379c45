"""The demo shop as a plugin: its declaration and its routes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qsl

import click
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from origin.contract import (
    GET,
    POST,
    Answer,
    CachePolicy,
    Call,
    Hearer,
    Host,
    Page,
    Plugin,
    PluginDefaults,
    Route,
    Task,
    Till,
)
from origin.exchange import from_our_pages
from origin.storefront.basket import COOKIE, MOST_OF_ONE, Basket, changed, cookies, opened
from origin.storefront.commands import product
from origin.storefront.goods import LANGUAGES, Language, Offer, found, read_catalogue, rupiah
from origin.storefront.pages import Pages, base
from origin.storefront.store import Store, tags_of

HERE = Path(__file__).parent
LONGEST_QUERY = 100
EXPIRE_EVERY = 5.0
LIVE = 5  # seconds: single pieces are not worth a purge, but the page's script asks for them
PERMISSION = "storefront.goods"


class StorefrontSettings(BaseModel):
    """The shop's settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    seconds: int = Field(
        600, ge=0, le=86_400, description="Seconds that the edge keeps pages; a change purges them at once."
    )


class Change(BaseModel):
    """A change of one product."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    price: int | None = Field(None, ge=0, le=10**10, description="Whole rupiah.")
    stock: int | None = Field(None, ge=0, le=10**6, description="Pieces.")


@dataclass(slots=True)
class Storefront(PluginDefaults):
    """A small shop. Its pages are the same for everybody, so the edge can keep them; the basket is not."""

    name: ClassVar[str] = "storefront"
    settings: ClassVar[type[BaseModel]] = StorefrontSettings
    store: Store = field(init=False)
    _pages: Pages = field(init=False)
    _host: Host = field(init=False)

    async def start(self, host: Host) -> None:
        """Reads the goods, opens the shop the first time, offers catalogue and stock to other plugins."""
        settings = host.settings
        assert isinstance(settings, StorefrontSettings)
        categories, goods = read_catalogue()
        self._host = host
        self._pages = Pages(categories, goods, host.prefix, settings.seconds)
        self.store = Store(host, categories, goods, self._pages.described)
        await self.store.seed()
        host.offer("catalogue", self.store)
        host.offer("stock", self.store, stand_in=True)

    def migrations(self) -> Path:
        """Products and holds."""
        return HERE / "migrations"

    def hears(self) -> Mapping[str, Hearer]:
        """Stock that is kept elsewhere crossed a threshold."""
        return {"stock.crossed": self.store.crossed}

    def tasks(self) -> Iterable[Task]:
        """Holds whose time is over go back on the shelf."""
        yield Task("expire holds", EXPIRE_EVERY, self.store.expire)

    def permissions(self) -> Iterable[str]:
        """Who may change prices and stock."""
        yield PERMISSION

    def pages(self) -> Iterable[Page]:
        """All goods as JSON, and the change of one."""
        titles = {"id": "Barang", "en": "Goods"}
        yield Page("/products", titles, self._all_json, PERMISSION)
        yield Page("/products/{sku}", titles, self._change_product, PERMISSION, method="POST")

    def commands(self) -> Iterable[click.Command]:
        """`tepi origin product …`."""
        yield product

    def routes(self) -> Iterable[Route]:
        """Pages at the site's root, in both languages, and the product as JSON under the commerce prefix."""
        for language in LANGUAGES:
            yield from self._pages_in(language)
        yield GET("/static/{name:.+}", self._file, at_root=True)
        yield GET("/healthz", self._health, at_root=True)
        yield GET("/storefront/products/{slug}", self._product_json)
        yield GET("/{rest:.*}", self._missing, at_root=True)

    def _pages_in(self, language: Language) -> Iterable[Route]:
        root = base(language)

        async def home(call: Call) -> Answer:
            return self._pages.home(
                _site(call), language, await self.store.offers(), await self.store.changed_at()
            )

        async def category(call: Call) -> Answer:
            offers, at = await self.store.offers(), await self.store.changed_at()
            return self._pages.category(_site(call), language, call.match["slug"], offers, at)

        async def one(call: Call) -> Answer:
            offers, at = await self.store.offers(), await self.store.changed_at()
            return self._pages.product(_site(call), language, call.match["slug"], offers, at)

        async def search(call: Call) -> Answer:
            query = " ".join(call.request.query.get("q", "")[:LONGEST_QUERY].split())
            return self._pages.search(language, query, found(await self.store.offers(), query, language))

        async def basket(call: Call) -> Answer:
            return await self._basket(language, self._opened(call))

        async def change(call: Call) -> Answer:
            return await self._change_basket(language, call)

        async def thanks(call: Call) -> Answer:
            return self._pages.thanks(language, cookies({}, self._host.secret, secure=_secure(call)))

        yield GET(f"{root}/", home, at_root=True)
        yield GET(f"{root}/c/{{slug}}", category, at_root=True)
        yield GET(f"{root}/p/{{slug}}", one, at_root=True)
        yield GET(f"{root}/search", search, at_root=True)
        yield GET(f"{root}/basket", basket, at_root=True)
        yield POST(f"{root}/basket", change, at_root=True)
        yield GET(f"{root}/thanks", thanks, at_root=True)

    def _opened(self, call: Call) -> Basket:
        return opened(call.request.cookies.get(COOKIE), self._host.secret)

    async def _basket(
        self, language: Language, basket: Basket, note: str | None = None, status: int = 200
    ) -> Answer:
        offers = {offer.good.sku: offer for offer in await self.store.offers()}
        return self._pages.basket(language, basket, offers, note, status, self._till())

    def _till(self) -> str | None:
        """Where the basket can be paid, if a plugin takes payments."""
        try:
            till: Till = self._host.use("checkout")
        except LookupError:
            return None
        return till.begin

    async def _change_basket(self, language: Language, call: Call) -> Answer:
        if not from_our_pages(call):
            return self._pages.refused(language)
        form = await _form(call)
        basket, sku = self._opened(call), form.get("sku", "")
        if sku not in self.store.goods:
            return self._pages.missing(language)
        try:
            if "add" in form:
                quantity = min(MOST_OF_ONE, basket.get(sku, 0) + _number(form["add"]))
            else:
                quantity = _number(form.get("set", ""))
            basket = changed(basket, sku, quantity)
        except ValueError:
            return await self._basket(language, basket, "wrong_quantity", 422)
        return Answer(
            "",
            status=303,
            fields={"Location": f"{base(language)}/basket"},
            cookies=cookies(basket, self._host.secret, secure=_secure(call)),
        )

    async def _file(self, call: Call) -> Answer:
        return self._pages.file(call.match["name"]) or self._pages.missing("id")

    async def _health(self, _call: Call) -> Answer:
        return Answer("ok\n", content_type="text/plain")

    async def _missing(self, call: Call) -> Answer:
        return self._pages.missing("en" if call.request.path.startswith("/en/") else "id")

    async def _all_json(self, _call: Call) -> Answer:
        return Answer({"products": [_described(offer) for offer in await self.store.offers()]})

    async def _change_product(self, call: Call) -> Answer:
        sku = call.match["sku"]
        if sku not in self.store.goods:
            return Answer({"detail": f"sku: got {sku!r}, expected one of the shop's"}, status=404)
        try:
            change = Change.model_validate_json(await call.request.read())
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            path = ".".join(str(step) for step in first["loc"]) or "document"
            return Answer({"detail": f"{path}: {first['msg']}"}, status=422)
        if change.stock is not None and self._host.use("stock") is not self.store:
            detail = "stock: it is kept by the inventory, expected `tepi origin stock count`"
            return Answer({"detail": detail}, status=409)
        if change.price is not None:
            await self.store.set_price(sku, rupiah(change.price))
        if change.stock is not None:
            await self.store.set_stock(sku, change.stock)
        offer = next(one for one in await self.store.offers() if one.good.sku == sku)
        return Answer(_described(offer))

    async def _product_json(self, call: Call) -> Answer:
        offers = await self.store.offers()
        offer = next((one for one in offers if one.good.slug == call.match["slug"]), None)
        if offer is None:
            return Answer({"error": "no such product"}, CachePolicy(seconds=30), status=404)
        document = {
            "sku": offer.good.sku,
            "price": {"minor": offer.price.minor, "currency": offer.price.currency},
            "availability": offer.availability,
            "stock": offer.stock if offer.availability == "low" else None,
        }
        return Answer(document, CachePolicy(seconds=LIVE, tags=tags_of(offer)))


def _site(call: Call) -> str:
    """The name that the shop's pages go by: the site's own, whichever of its names was asked for."""
    return call.visitor.site or call.request.host


def _secure(call: Call) -> bool:
    return call.request.headers.get("X-Forwarded-Proto", call.request.scheme) == "https"


async def _form(call: Call) -> dict[str, str]:
    """The fields of a form as browsers send it; nothing where it is of another kind."""
    if call.request.content_type != "application/x-www-form-urlencoded":
        return {}
    return dict(parse_qsl((await call.request.read()).decode("utf-8", "replace"), keep_blank_values=True))


def _described(offer: Offer) -> dict[str, object]:
    return {
        "sku": offer.good.sku,
        "slug": offer.good.slug,
        "name": offer.good.names["id"],
        "price": {"minor": offer.price.minor, "currency": offer.price.currency},
        "availability": offer.availability,
        "stock": offer.stock,
    }


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 4:
        raise ValueError(f"quantity: got {text[:10]!r}, expected a number")
    return int(text)


_: type[Plugin] = Storefront
