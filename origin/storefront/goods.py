"""What the shop sells, as its data file says: categories and products, with texts in two languages."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from origin.contract import Money

Language = Literal["id", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
CURRENCY = "IDR"
SEN = 100  # ISO 4217 gives the rupiah two places, though nobody has seen a sen for decades
LOW = 5  # from here on down the shop says how few are left
DATA = Path(__file__).parent / "data"


@dataclass(frozen=True, slots=True)
class Category:
    """A shelf of the shop."""

    slug: str
    names: Mapping[str, str]
    colour: str


@dataclass(frozen=True, slots=True)
class Good:
    """A product as it is described. Price and stock at the shop's opening; today's are in the store."""

    sku: str
    slug: str
    category: str
    names: Mapping[str, str]
    about: Mapping[str, str]
    price: Money
    stock: int
    art: str
    shade: str


@dataclass(frozen=True, slots=True)
class Offer:
    """A product with its price and stock of the moment."""

    good: Good
    price: Money
    stock: int
    says: Literal["in", "low", "out"] | None = None  # where the stock is kept elsewhere

    @property
    def availability(self) -> Literal["in", "low", "out"]:
        """What the shop says of its stock; pages change only when this does."""
        if self.says is not None:
            return self.says
        if self.stock <= 0:
            return "out"
        return "low" if self.stock <= LOW else "in"


def read_catalogue(path: Path = DATA / "catalogue.toml") -> tuple[tuple[Category, ...], tuple[Good, ...]]:
    """The shelves and goods in `path`, in its order."""
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    categories = tuple(
        Category(one["slug"], {language: one[language] for language in LANGUAGES}, one["colour"])
        for one in document["categories"]
    )
    goods = tuple(
        Good(
            sku=one["sku"],
            slug=one["slug"],
            category=one["category"],
            names={language: one[language] for language in LANGUAGES},
            about={language: one[f"about_{language}"] for language in LANGUAGES},
            price=rupiah(one["price"]),
            stock=one["stock"],
            art=one["art"],
            shade=one["shade"],
        )
        for one in document["products"]
    )
    return categories, goods


def rupiah(amount: int) -> Money:
    """Whole rupiah as money."""
    return Money(amount * SEN, CURRENCY)


def price_text(price: Money) -> str:
    """`Rp 85.000`, as prices are written in Indonesia."""
    whole = f"{price.minor // SEN:,}".replace(",", ".")
    return f"Rp\N{NO-BREAK SPACE}{whole}"


def found(offers: list[Offer], query: str, language: Language) -> list[Offer]:
    """The offers whose name or description has every word of `query`; the best named first."""
    words = query.casefold().split()
    hits: list[tuple[int, int, Offer]] = []
    for offer in offers:
        name = offer.good.names[language].casefold()
        text = f"{name} {offer.good.about[language].casefold()} {offer.good.slug}"
        if words and all(word in text for word in words):
            hits.append((-sum(word in name for word in words), len(hits), offer))
    return [offer for _, _, offer in sorted(hits, key=lambda hit: hit[:2])]
