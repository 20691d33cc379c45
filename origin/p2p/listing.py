"""A classified listing in an event (NIP-99), checked. Pure."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from origin.contract import Money
from origin.money import decimal, money
from origin.p2p.event import DRAFT, LISTING, Event, Unacceptable, address_of
from origin.p2p.geohash import GEOHASH, centre

LONGEST_TITLE = 200
LONGEST_D = 200
MOST_PICTURES = 20
MOST_CATEGORIES = 10
NUMBER = re.compile(r"\d{1,13}(\.\d{1,4})?\Z", re.ASCII)
FREQUENCIES = ("hour", "day", "week", "month", "year")

Status = Literal["active", "sold"]


@dataclass(frozen=True, slots=True)
class Listing:
    """What somebody offers. `ref` names its page, and stays when the listing is replaced."""

    ref: str
    title: str
    summary: str
    text: str
    price: Money
    frequency: str
    location: str
    geohash: str
    status: Status
    categories: tuple[str, ...]
    pictures: tuple[str, ...]
    published_at: int

    @property
    def place(self) -> tuple[float, float] | None:
        """Latitude and longitude in degrees, as exact as its geohash."""
        return centre(self.geohash) if self.geohash else None

    def tags(self) -> tuple[str, ...]:
        """The cache tags of every page that shows it: its own, and its feeds'."""
        cells = (self.geohash[:length] for length in range(1, len(self.geohash) + 1))
        return (
            page_tag(self.ref), "p2p-new", *map(category_tag, self.categories), *map(place_tag, cells)
        )  # fmt: skip


def page_tag(ref: str) -> str:
    """The tag of one listing's page."""
    return f"p2p-{ref}"


def category_tag(category: str) -> str:
    """The tag of a category's feed: categories are anybody's words, so it is made of a digest."""
    return f"p2p-c-{hashlib.sha256(category.encode()).hexdigest()[:16]}"


def place_tag(geohash: str) -> str:
    """The tag of a place's feed."""
    return f"p2p-g-{geohash}"


def ref_of(address: str) -> str:
    """The name of the page of what stands at an address."""
    return hashlib.sha256(address.encode()).hexdigest()[:20]


def amount(listing: Listing) -> str:
    """Its price in whole units, with all decimals."""
    return str(decimal(listing.price))


def check(event: Event) -> Listing | None:
    """The listing in `event`; None for another kind, and for a draft. Raises Unacceptable."""
    if event.kind not in (LISTING, DRAFT):
        return None
    d = event.first("d")
    if d is None or not 1 <= len(d) <= LONGEST_D:
        raise Unacceptable(f"invalid: d: got {(d or '')[:40]!r}, expected 1 to {LONGEST_D} characters")
    if event.kind == DRAFT:
        return None
    address = address_of(event)
    assert address is not None
    return Listing(
        ref=ref_of(address),
        title=_line(event, "title", required=True),
        summary=_line(event, "summary"),
        text=event.content,
        price=_price(event),
        frequency=_frequency(event),
        location=_line(event, "location"),
        geohash=_geohash(event),
        status=_status(event),
        categories=_categories(event),
        pictures=_pictures(event),
        published_at=_published(event),
    )


def _line(event: Event, name: str, *, required: bool = False) -> str:
    text = " ".join((event.first(name) or "").split())
    if (required and not text) or len(text) > LONGEST_TITLE:
        least = 1 if required else 0
        raise Unacceptable(
            f"invalid: {name}: got {text[:40]!r}, expected {least} to {LONGEST_TITLE} characters"
        )
    return text


def _price_tag(event: Event) -> list[str]:
    tag = next((tag for tag in event.tags if tag and tag[0] == "price"), [])
    if len(tag) < 3:
        raise Unacceptable('invalid: price: got none, expected ["price", "85000", "IDR"]')
    return tag


def _price(event: Event) -> Money:
    _, number, currency, *_ = _price_tag(event)
    if not NUMBER.match(number):
        raise Unacceptable(f"invalid: price: got {number[:40]!r}, expected a number such as 85000")
    try:
        return money(number, currency.upper())
    except ValueError as error:
        raise Unacceptable(f"invalid: price: {error}") from None


def _frequency(event: Event) -> str:
    given = (_price_tag(event)[3:] or [""])[0]
    if given and given not in FREQUENCIES:
        raise Unacceptable(f"invalid: price: got {given[:20]!r}, expected one of {', '.join(FREQUENCIES)}")
    return given


def _geohash(event: Event) -> str:
    """The most exact of its geohashes: many clients write every beginning of it, too."""
    given = event.values("g")
    wrong = next((one for one in given if not GEOHASH.match(one)), None)
    if wrong is not None:
        raise Unacceptable(f"invalid: g: got {wrong[:20]!r}, expected a geohash of 1 to 12 letters")
    return max(given, key=len, default="")


def _status(event: Event) -> Status:
    match event.first("status"):
        case None | "active":
            return "active"
        case "sold":
            return "sold"
        case other:
            raise Unacceptable(f"invalid: status: got {other[:20]!r}, expected active or sold")


def _categories(event: Event) -> tuple[str, ...]:
    given = dict.fromkeys(word.strip().lower() for word in event.values("t") if word.strip())
    if len(given) > MOST_CATEGORIES or any(len(word) > 50 for word in given):
        raise Unacceptable(
            f"invalid: t: got {len(given)}, expected up to {MOST_CATEGORIES} of up to 50 characters"
        )
    return tuple(given)


def _pictures(event: Event) -> tuple[str, ...]:
    given = event.values("image")
    if len(given) > MOST_PICTURES:
        raise Unacceptable(f"invalid: image: got {len(given)}, expected up to {MOST_PICTURES}")
    for url in given:
        if not _is_web(url):
            raise Unacceptable(f"invalid: image: got {url[:80]!r}, expected an address https://…")
    return tuple(given)


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and url.isprintable() and " " not in url


def _published(event: Event) -> int:
    text = event.first("published_at") or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else event.created_at
