"""The shop's pages as HTML, each with the policy and the tags that are true of it."""

from __future__ import annotations

import hashlib
import secrets
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from types import SimpleNamespace

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from origin import cards
from origin.contract import PRIVATE, Answer, CachePolicy, Money, Product
from origin.storefront.art import picture
from origin.storefront.basket import Basket
from origin.storefront.goods import DATA, LANGUAGES, Category, Good, Language, Offer, price_text
from origin.storefront.store import tags_of

HERE = Path(__file__).parent
STATIC = HERE / "static"
TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
FEATURED = 10
DEFENCES = {  # everything a page needs comes from the shop itself, and nobody may frame it
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "strict-origin-when-cross-origin",
}
FOREVER = CachePolicy(seconds=31_536_000, browser=31_536_000, immutable=True)


class Pages:
    """Renders. `commerce` is the prefix under which this origin's other routes are reached."""

    def __init__(
        self, categories: Sequence[Category], goods: Sequence[Good], commerce: str, seconds: int
    ) -> None:
        self._categories = categories
        self._shelves = {category.slug: category for category in categories}
        self._first = {good.category: good for good in reversed(goods)}
        self._commerce = commerce
        self._seconds = seconds
        self._texts: dict[str, dict[str, str]] = tomllib.loads(
            (DATA / "texts.toml").read_text(encoding="utf-8")
        )
        self._made = _newest(HERE / "templates", STATIC, DATA)
        self.files = {**_static_files(), **_pictures(goods)}
        self._hashed = {_plain(name): name for name in self.files}
        self._jinja = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
        )
        self._jinja.filters["rupiah"] = price_text

    def home(self, site: str, language: Language, offers: Sequence[Offer], changed: float) -> Answer:
        """The shop's front: some goods of every shelf."""
        chosen = _some_of_each(offers)
        racks = [(category, self._first[category.slug]) for category in self._categories]
        texts = self._texts[language]
        head = cards.of_page(self._place(site, language, "/"), texts["shop"], texts["claim"])
        html = self._render("home.html", language, "/", offers=chosen, racks=racks, cards=head)
        return self._page(html, self._policy(chosen, "home"), modified=changed)

    def category(
        self, site: str, language: Language, slug: str, offers: Sequence[Offer], changed: float
    ) -> Answer:
        """One shelf, or a page that says there is none."""
        shelf = self._shelves.get(slug)
        if shelf is None:
            return self.missing(language)
        on_it = [offer for offer in offers if offer.good.category == slug]
        heading, path = shelf.names[language], f"/c/{slug}"
        head = cards.of_page(self._place(site, language, path), heading, self._texts[language]["claim"])
        html = self._render(
            "listing.html", language, path, offers=on_it, heading=heading, shelf=shelf, cards=head
        )
        return self._page(html, self._policy(on_it, f"category-{slug}"), modified=changed)

    def product(
        self, site: str, language: Language, slug: str, offers: Sequence[Offer], changed: float
    ) -> Answer:
        """One product, and others of its shelf."""
        offer = next((one for one in offers if one.good.slug == slug), None)
        if offer is None:
            return self.missing(language)
        shelf = self._shelves[offer.good.category]
        more = [one for one in offers if one.good.category == shelf.slug and one is not offer]
        path, root = f"/p/{slug}", base(language)
        trail = (
            cards.Crumb(self._texts[language]["shop"], f"{root}/"),
            cards.Crumb(shelf.names[language], f"{root}/c/{shelf.slug}"),
            cards.Crumb(offer.good.names[language], root + path),
        )
        head = cards.of_product(self._place(site, language, path), self.described(offer), trail)
        html = self._render("product.html", language, path, offer=offer, shelf=shelf, more=more, cards=head)
        return self._page(html, self._policy([offer, *more], "product"), modified=changed)

    def search(self, language: Language, query: str, hits: Sequence[Offer]) -> Answer:
        """What a query found."""
        texts = self._texts[language]
        heading = texts["results_for"].format(query=query) if query else texts["results"]
        html = self._render("listing.html", language, None, offers=hits, heading=heading, query=query)
        return self._page(html, self._policy(hits, "search"))

    def basket(
        self,
        language: Language,
        basket: Basket,
        offers: Mapping[str, Offer],
        note: str | None,
        status: int,
        till: str | None,
    ) -> Answer:
        """The visitor's own basket; `till` is where it can be paid."""
        lines = [
            (offers[sku], count, offers[sku].price.times(count))
            for sku, count in basket.items()
            if sku in offers
        ]
        total = sum((amount for _, _, amount in lines), Money(0, "IDR"))
        text = None if note is None else self._texts[language][note]
        html = self._render(
            "basket.html",
            language,
            "/basket",
            lines=lines,
            total=total,
            note=text,
            till=till,
            attempt=secrets.token_hex(12),
        )
        return self._page(html, PRIVATE, status)

    def thanks(self, language: Language, emptied: tuple[str, ...]) -> Answer:
        """The order is placed: the basket is empty again."""
        texts = self._texts[language]
        html = self._render(
            "message.html", language, None, heading=texts["thanks"], text=texts["thanks_text"]
        )
        return replace(self._page(html, PRIVATE), cookies=emptied)

    def missing(self, language: Language) -> Answer:
        """Nothing is here."""
        texts = self._texts[language]
        html = self._render(
            "message.html", language, None, heading=texts["missing"], text=texts["missing_text"]
        )
        return self._page(html, CachePolicy(seconds=30, tags=("page-missing",)), 404)

    def refused(self, language: Language) -> Answer:
        """A form that did not come from the shop."""
        texts = self._texts[language]
        html = self._render(
            "message.html", language, None, heading=texts["refused"], text=texts["refused_text"]
        )
        return self._page(html, PRIVATE, 403)

    def described(self, offer: Offer) -> Product:
        """An offer as other plugins see it."""
        good = offer.good
        return Product(
            sku=good.sku,
            slug=good.slug,
            names=dict(good.names),
            price=offer.price,
            categories=(good.category,),
            pictures=(self.picture(good),),
            descriptions=dict(good.about),
            paths={language: f"{base(language)}/p/{good.slug}" for language in LANGUAGES},
            available=offer.availability != "out",
        )

    def picture(self, good: Good) -> str:
        """The path of a product's picture; another one when the picture is."""
        return self._static(f"p/{good.slug}.svg")

    def file(self, name: str) -> Answer | None:
        """A style, a script or a picture by its hashed name."""
        known = self.files.get(name)
        if known is None:
            return None
        return Answer(known, FOREVER, content_type=TYPES[Path(name).suffix])

    def _page(
        self, html: str, policy: CachePolicy, status: int = 200, modified: float | None = None
    ) -> Answer:
        newest = None if modified is None else max(modified, self._made)
        return Answer(html, policy, status=status, fields=DEFENCES, last_modified=newest)

    def _policy(self, shown: Sequence[Offer], *tags: str) -> CachePolicy:
        return CachePolicy(
            seconds=self._seconds,
            stale_while_revalidate=60,
            stale_if_error=86_400,
            tags=(*(f"page-{tag}" for tag in tags), *(tag for offer in shown for tag in tags_of(offer))),
        )

    def _place(self, site: str, language: Language, path: str) -> cards.Place:
        others: dict[str, str] = {other: base(other) + path for other in LANGUAGES if other != language}
        return cards.Place(site, base(language) + path, self._texts[language]["shop"], language, others)

    def _render(self, template: str, language: Language, path: str | None, **values: object) -> str:
        other: Language = "en" if language == "id" else "id"
        return self._jinja.get_template(template).render(
            {
                "t": SimpleNamespace(**self._texts[language]),  # a dict's own methods would hide words
                "language": language,
                "base": base(language),
                "other": None if path is None else base(other) + path,
                "other_language": other,
                "categories": self._categories,
                "commerce": self._commerce,
                "static": self._static,
                "art": self.picture,
                "shelf": None,
                "query": None,
                "cards": "",
                **values,
            }
        )

    def _static(self, name: str) -> str:
        return f"/static/{self._hashed[name]}"


def base(language: Language) -> str:
    """The path that all pages of a language begin with: none for Indonesian."""
    return "" if language == LANGUAGES[0] else f"/{language}"


def _newest(*directories: Path) -> float:
    """When the shop's own files changed last: its pages did, too."""
    return max(path.stat().st_mtime for directory in directories for path in directory.iterdir())


def _some_of_each(offers: Sequence[Offer]) -> list[Offer]:
    """The first of each shelf, then the second ones, until there are enough."""
    shelves: dict[str, list[Offer]] = {}
    for offer in offers:
        shelves.setdefault(offer.good.category, []).append(offer)
    rounds = zip_longest(*shelves.values())
    return [offer for one_of_each in rounds for offer in one_of_each if offer is not None][:FEATURED]


def _hashed(name: str, data: bytes) -> str:
    stem, _, suffix = name.rpartition(".")
    return f"{stem}.{hashlib.sha256(data).hexdigest()[:10]}.{suffix}"


def _plain(hashed: str) -> str:
    stem, _, suffix = hashed.rpartition(".")
    return f"{stem.rpartition('.')[0]}.{suffix}"


def _static_files() -> dict[str, bytes]:
    files = {path.name: path.read_bytes() for path in sorted(STATIC.iterdir())}
    return {_hashed(name, data): data for name, data in files.items()}


def _pictures(goods: Sequence[Good]) -> dict[str, bytes]:
    drawn = {f"p/{good.slug}.svg": picture(good) for good in goods}
    return {_hashed(name, data): data for name, data in drawn.items()}
