"""Listings as pages and feeds, each with the policy and the tags that are true of it."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

from babel.numbers import format_currency
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from origin.contract import PRIVATE, Answer, CachePolicy
from origin.money import decimal
from origin.p2p.event import Event, expires_at
from origin.p2p.listing import Listing, amount, category_tag, page_tag, place_tag
from origin.p2p.naddr import naddr
from origin.p2p.trade import BrokenChain, Trade

HERE = Path(__file__).parent
STATIC = HERE / "static"
TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
FOREVER = CachePolicy(seconds=31_536_000, browser=31_536_000, immutable=True)
DEFENCES = {  # members' pictures lie anywhere; scripts run from nowhere
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' https: data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
ASKED = ("q", "min", "max", "currency", "near", "km")
MISSING_SECONDS = 30
SELLERS_DEFENCES = DEFENCES | {  # our own scripts alone, which speak to this shop alone
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "geolocation=(self)",
}
Language = Literal["id", "en"]
LANGUAGES: tuple[Language, ...] = ("id", "en")
Offered = Sequence[tuple[Event, Listing]]


class Pages:
    """Renders. `prefix` is where the plugin is reached, such as /commerce/p2p."""

    def __init__(self, prefix: str, title: str, seconds: int) -> None:
        self._prefix = prefix
        self._title = title
        self._seconds = seconds
        self._texts: dict[str, dict[str, str]] = tomllib.loads(
            (HERE / "data" / "texts.toml").read_text(encoding="utf-8")
        )
        self._sellers: dict[str, dict[str, Any]] = tomllib.loads(
            (HERE / "data" / "seller.toml").read_text(encoding="utf-8")
        )
        self.files = {_hashed(path): path.read_bytes() for path in sorted(STATIC.iterdir())}
        self._names = {_plain(name): name for name in self.files}
        self._jinja = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
        )
        self._jinja.filters |= {"price": _price, "day": _day, "amount": amount}

    def listing(
        self, language: Language, ref: str, found: tuple[Event, Listing] | None, site: str, now: float
    ) -> Answer:
        """One listing, or that there is none: what is published later replaces that at once."""
        if found is None:
            return self._missing(language, page_tag(ref))
        event, one = found
        html = self._render(
            "listing.html",
            language,
            f"/l/{ref}",
            site=site,
            one=one,
            event=event,
            opens=naddr(
                event.kind, event.pubkey, event.first("d") or "", f"wss://{site}{self._prefix}/relay"
            ),
            structured=_structured(one, f"https://{site}{self.base(language)}/l/{ref}"),
        )
        return Answer(html, self._policy([found], now, page_tag(ref)), fields=DEFENCES)

    def feed(self, language: Language, path: str, heading: str, found: Offered, now: float) -> Answer:
        """What is new, everywhere, in a category (`/c/…`) or at a place (`/at/…`)."""
        texts = self._texts[language]
        html = self._render(
            "feed.html", language, f"{path}/", heading=heading or texts["newest"], found=found,
            atom=f"{path}/feed.atom", asked=dict.fromkeys(ASKED, ""),
        )  # fmt: skip
        return Answer(html, self._policy(found, now, feed_tag(path)), fields=DEFENCES)

    def atom(
        self, language: Language, path: str, heading: str, found: Offered, site: str, now: float
    ) -> Answer:
        """The same for feed readers (RFC 4287)."""
        xml = self._render(
            "feed.atom", language, f"{path}/feed.atom", heading=heading or self._title, found=found,
            site=site, newest=max((event.created_at for event, _ in found), default=0),
        )  # fmt: skip
        policy = self._policy(found, now, feed_tag(path))
        return Answer(xml, policy, content_type="application/atom+xml; charset=utf-8")

    def search(self, language: Language, asked: dict[str, str], found: Offered, now: float) -> Answer:
        """What a question found."""
        heading = self._texts[language]["found"].format(count=len(found))
        html = self._render(
            "feed.html",
            language,
            None,
            heading=heading,
            found=found,
            atom=None,
            asked=dict.fromkeys(ASKED, "") | asked,
        )
        return Answer(html, self._policy(found, now, feed_tag("")), fields=DEFENCES)

    def sell(self, language: Language, currency: str) -> Answer:
        """The seller's page: the same for all, for keys and drafts are in the browser alone."""
        texts = self._texts[language] | self._sellers[language]
        html = self._render(
            "sell.html",
            language,
            "/sell",
            t=SimpleNamespace(**texts),
            words=json.dumps(texts["words"], ensure_ascii=False),
            scripts={name: self._static(f"{name}.js") for name in ("nostr", "sell")},
            currency=currency,
        )
        return Answer(html, CachePolicy(seconds=self._seconds, tags=("p2p-sell",)), fields=SELLERS_DEFENCES)

    def verify(self, language: Language, chain: str, found: Trade | BrokenChain | None) -> Answer:
        """What a trade's documents prove; they are looked at, and not kept."""
        broken = str(found) if isinstance(found, BrokenChain) else ""
        trade = found if isinstance(found, Trade) else None
        html = self._render("verify.html", language, "/verify", chain=chain, trade=trade, broken=broken)
        return Answer(html, PRIVATE, status=422 if broken else 200, fields=DEFENCES)

    def refused(self, language: Language, why: str) -> Answer:
        """A question that can't be read."""
        html = self._render(
            "message.html", language, None, heading=self._texts[language]["refused"], text=why
        )
        return Answer(html, PRIVATE, status=422, fields=DEFENCES)

    def _missing(self, language: Language, *tags: str) -> Answer:
        texts = self._texts[language]
        html = self._render(
            "message.html", language, None, heading=texts["missing"], text=texts["missing_text"]
        )
        return Answer(html, CachePolicy(seconds=MISSING_SECONDS, tags=tags), status=404, fields=DEFENCES)

    def file(self, name: str) -> Answer:
        """A style by its hashed name."""
        known = self.files.get(name)
        if known is None:
            return self._missing("id", "p2p-file")
        return Answer(known, FOREVER, content_type=TYPES[Path(name).suffix])

    def base(self, language: Language) -> str:
        """The path that all pages of a language begin with."""
        return self._prefix if language == LANGUAGES[0] else f"{self._prefix}/{language}"

    def _policy(self, found: Offered, now: float, *tags: str) -> CachePolicy:
        """Kept until a change purges it, and never beyond the end of what it shows (NIP-40)."""
        ends = [until - int(now) for event, _ in found if (until := expires_at(event)) is not None]
        return CachePolicy(
            seconds=max(0, min(self._seconds, *ends, self._seconds)),
            stale_if_error=0 if ends else 86_400,
            tags=tags,
        )

    def _render(self, template: str, language: Language, path: str | None, **values: Any) -> str:
        other: Language = "en" if language == "id" else "id"
        return self._jinja.get_template(template).render(
            {
                "t": SimpleNamespace(**self._texts[language]),
                "language": language,
                "base": self.base(language),
                "root": self._prefix,
                "here": None if path is None else self.base(language) + path,
                "other": None if path is None else self.base(other) + path,
                "other_language": other,
                "title": self._title,
                "style": self._static("p2p.css"),
                **values,
            }
        )

    def _static(self, name: str) -> str:
        return f"{self._prefix}/static/{self._names[name]}"


def feed_tag(path: str) -> str:
    """The cache tag of a feed by its path."""
    match path.split("/", 2):
        case ["", "c", category]:
            return category_tag(category)
        case ["", "at", cell]:
            return place_tag(cell)
        case _:
            return "p2p-new"


def _structured(one: Listing, url: str) -> Markup:
    """schema.org's Product with its Offer, safe between script tags."""
    document = {
        "@context": "https://schema.org",
        "@type": "Product",
        "name": one.title,
        "description": one.summary or one.text[:500],
        "image": list(one.pictures),
        "category": list(one.categories),
        "url": url,
        "offers": {
            "@type": "Offer",
            "price": amount(one),
            "priceCurrency": one.price.currency,
            "availability": f"https://schema.org/{'InStock' if one.status == 'active' else 'SoldOut'}",
            "url": url,
        },
    }
    text = json.dumps(document, ensure_ascii=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))  # noqa: S704


def _price(one: Listing | Trade, language: Language) -> str:
    return str(format_currency(decimal(one.price), one.price.currency, locale=language))


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _hashed(path: Path) -> str:
    return f"{path.stem}.{hashlib.sha256(path.read_bytes()).hexdigest()[:10]}{path.suffix}"


def _plain(hashed: str) -> str:
    return f"{hashed.split('.')[0]}{Path(hashed).suffix}"
