"""What crawlers read in a page's head: Open Graph, Twitter Cards, JSON-LD, the canonical link. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from origin.contract import Product
from origin.money import decimal

LOCALES = {"id": "id_ID", "en": "en_US"}  # Open Graph wants a country with each language
SAFE = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})  # in a script, and the same JSON


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page stands: `site` is a host name, with a port where there is one, and `path` begins with /.

    `others` are the paths of the same page in other languages.
    """

    site: str
    path: str
    shop: str
    language: str
    others: Mapping[str, str]

    @property
    def address(self) -> str:
        """The one address that the page goes by, whichever way it was asked for."""
        return self.absolute(self.path)

    def absolute(self, path: str) -> str:
        """`path` as an address; addresses stay as they are."""
        return path if path.startswith(("https://", "http://")) else f"https://{self.site}{path}"


@dataclass(frozen=True, slots=True)
class Crumb:
    """A step on the way from the shop's front to a page."""

    name: str
    path: str


def of_page(place: Place, title: str, description: str) -> str:
    """The head's part of a page that shows no single product."""
    return "".join([*_links(place), *_metas(_basics(place, "website", title, description))])


def of_product(place: Place, product: Product, trail: Sequence[Crumb]) -> str:
    """The head's part of a product's page. Price and availability are `product`'s own."""
    title = worded(product.names, place.language)
    basics = _basics(place, "product", title, worded(product.descriptions, place.language))
    about = [*basics, *_pictures(place, product, title), *_offer(product)]
    data = [_schema(place, product), _breadcrumbs(place, trail)]
    return "".join([*_links(place), *_metas(about), *(_script(one) for one in data)])


def worded(texts: Mapping[str, str], language: str) -> str:
    """The text in `language`, else in any there is, else nothing."""
    return texts.get(language) or next(iter(texts.values()), "")


def _links(place: Place) -> Iterable[str]:
    yield f'<link rel="canonical" href="{escape(place.address)}">\n'


def _basics(place: Place, kind: str, title: str, description: str) -> Iterable[tuple[str, str]]:
    yield "og:type", kind
    yield "og:title", title
    yield "og:url", place.address
    yield "og:site_name", place.shop
    yield "og:locale", LOCALES.get(place.language, place.language)
    for language in place.others:
        yield "og:locale:alternate", LOCALES.get(language, language)
    yield "twitter:title", title
    if description:
        yield "og:description", description
        yield "twitter:description", description
    if kind != "product":
        yield "twitter:card", "summary"


def _pictures(place: Place, product: Product, title: str) -> Iterable[tuple[str, str]]:
    yield "twitter:card", "summary_large_image" if product.pictures else "summary"
    for picture in product.pictures:
        yield "og:image", place.absolute(picture)
        yield "og:image:alt", title
    for picture in product.pictures[:1]:
        yield "twitter:image", place.absolute(picture)
        yield "twitter:image:alt", title


def _offer(product: Product) -> Iterable[tuple[str, str]]:
    yield "product:price:amount", str(decimal(product.price))
    yield "product:price:currency", product.price.currency
    yield "product:availability", "in stock" if product.available else "out of stock"
    yield "product:retailer_item_id", product.sku


def _metas(pairs: Iterable[tuple[str, str]]) -> Iterable[str]:
    """Twitter's are named, the others are properties (RDFa), as each reader looks for them."""
    for name, value in pairs:
        kind = "name" if name.startswith("twitter:") else "property"
        yield f'<meta {kind}="{name}" content="{escape(value)}">\n'


def _schema(place: Place, product: Product) -> Mapping[str, Any]:
    about: dict[str, Any] = {
        "@context": "https://schema.org",
        "@type": "Product",
        "name": worded(product.names, place.language),
        "sku": product.sku,
        "url": place.address,
        "offers": {
            "@type": "Offer",
            "url": place.address,
            "price": str(decimal(product.price)),
            "priceCurrency": product.price.currency,
            "availability": f"https://schema.org/{'InStock' if product.available else 'OutOfStock'}",
            "itemCondition": "https://schema.org/NewCondition",
        },
    }
    if description := worded(product.descriptions, place.language):
        about["description"] = description
    if product.pictures:
        about["image"] = [place.absolute(picture) for picture in product.pictures]
    if product.gtin:
        about["gtin"] = product.gtin
    return about


def _breadcrumbs(place: Place, trail: Sequence[Crumb]) -> Mapping[str, Any]:
    steps = [
        {"@type": "ListItem", "position": at, "name": crumb.name, "item": place.absolute(crumb.path)}
        for at, crumb in enumerate(trail, 1)
    ]
    return {"@context": "https://schema.org", "@type": "BreadcrumbList", "itemListElement": steps}


def _script(data: Mapping[str, Any]) -> str:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).translate(SAFE)
    return f'<script type="application/ld+json">{text}</script>\n'
