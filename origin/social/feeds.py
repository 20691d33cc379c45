"""Product feeds as channels read them: a row for each product, and why a channel would refuse one. Pure."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from posixpath import splitext
from typing import Literal
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from origin.cards import worded
from origin.contract import Product
from origin.money import decimal

NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0 §2.2
Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Shop:
    """Whose feed it is. `site` is a host name; texts are in `language`."""

    site: str
    name: str
    language: str

    def absolute(self, path: str) -> str:
        """`path` as an address; addresses stay as they are, nothing stays nothing."""
        return f"https://{self.site}{path}" if path.startswith("/") else path


@dataclass(frozen=True, slots=True)
class Channel:
    """What one channel takes: lengths in characters, kinds of pictures by their ending."""

    name: str
    form: Literal["rss", "csv"]
    id: str  # what it calls the column of the sku
    words: tuple[str, str]  # for what can be bought, and for what can't
    longest: Mapping[str, int]
    pictures: frozenset[str]

    @property
    def content_type(self) -> str:
        """Of the whole feed."""
        return "application/rss+xml; charset=utf-8" if self.form == "rss" else "text/csv; charset=utf-8"


PHOTOS = frozenset({".jpg", ".jpeg", ".png"})
META = {"id": 100, "title": 200, "description": 9_999}
CHANNELS = {
    "google.xml": Channel(
        "Google Merchant",
        "rss",
        "id",
        ("in_stock", "out_of_stock"),
        {"id": 50, "title": 150, "description": 5_000},
        PHOTOS | {".webp", ".gif", ".bmp", ".tif", ".tiff"},
    ),
    "meta.xml": Channel("Meta", "rss", "id", ("in stock", "out of stock"), META, PHOTOS),
    "meta.csv": Channel("Meta", "csv", "id", ("in stock", "out of stock"), META, PHOTOS),
    "tiktok.csv": Channel(
        "TikTok",
        "csv",
        "sku_id",
        ("in stock", "out of stock"),
        {"id": 100, "title": 150, "description": 10_000},
        PHOTOS,
    ),
}
COLUMNS = (
    "title", "description", "availability", "condition", "price", "link", "image_link", "brand", "gtin",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that a channel would not take: which (from 1), what of it, and what would be taken."""

    row: int
    sku: str
    field: str
    why: str


def feed(channel: Channel, shop: Shop, products: Iterable[Product]) -> Iterator[bytes]:
    """The feed, piece by piece; what the channel would refuse is left out."""
    rows = (row for row in (row_of(channel, shop, one) for one in products) if not _faults(channel, row))
    return WRITERS[channel.form](channel, shop, rows)


def rejects(channel: Channel, shop: Shop, products: Iterable[Product]) -> Iterator[Reject]:
    """All that the channel would refuse, each fault of each row."""
    for number, product in enumerate(products, 1):
        for name, why in _faults(channel, row_of(channel, shop, product)):
            yield Reject(number, product.sku, name, why)


def row_of(channel: Channel, shop: Shop, product: Product) -> Row:
    """A product in the channel's words, by our names of columns."""
    pictures = [shop.absolute(one) for one in product.pictures]
    taken = [one for one in pictures if _ending(one) in channel.pictures]
    return {
        "id": product.sku,
        "title": worded(product.names, shop.language),
        "description": worded(product.descriptions, shop.language),
        "availability": channel.words[0 if product.available else 1],
        "condition": "new",
        "price": f"{decimal(product.price)} {product.price.currency}",
        "link": shop.absolute(worded(product.paths, shop.language)),
        "image_link": next(iter(taken or pictures), ""),
        "brand": shop.name,
        "gtin": product.gtin or "",
    }


def _faults(channel: Channel, row: Row) -> list[tuple[str, str]]:
    found = [(name, "is missing") for name in ("id", "title", "description", "link") if not row[name]]
    for name, most in channel.longest.items():
        if len(row[name]) > most:
            found.append((name, f"has {len(row[name])} characters, expected at most {most}"))
    if row["price"].startswith(("-", "0 ", "0.0")) and not re.match(r"0\.0*[1-9]", row["price"]):
        found.append(("price", f"is {row['price']}, expected more than nothing"))
    picture, kinds = row["image_link"], ", ".join(sorted(channel.pictures))
    if not picture:
        found.append(("image_link", f"is missing, expected a picture ({kinds})"))
    elif _ending(picture) not in channel.pictures:
        found.append(("image_link", f"is {picture}, expected one of {kinds}"))
    if row["gtin"] and not _is_gtin(row["gtin"]):
        found.append(("gtin", f"is {row['gtin']}, expected 8, 12, 13 or 14 digits with the right last one"))
    return found


def _ending(address: str) -> str:
    return splitext(urlsplit(address).path)[1].lower()


def _is_gtin(text: str) -> bool:
    """GS1 General Specifications §7.9: weights 3 and 1 from the right, the sum a multiple of ten."""
    if not re.fullmatch(r"[0-9]{8}|[0-9]{12,14}", text):
        return False
    weighted = (int(digit) * (3 if at % 2 else 1) for at, digit in enumerate(reversed(text)))
    return sum(weighted) % 10 == 0


def _rss(channel: Channel, shop: Shop, rows: Iterable[Row]) -> Iterator[bytes]:
    """RSS 2.0, the products' columns in Google's namespace."""
    name = _xml(shop.name)
    yield (
        '<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0">'
        f"<channel><title>{name}</title><link>https://{_xml(shop.site)}/</link>"
        f"<description>{name}</description>\n"
    ).encode()
    for row in rows:
        columns = "".join(f"<g:{key}>{_xml(value)}</g:{key}>" for key, value in row.items() if value)
        yield f"<item>{columns}</item>\n".encode()
    yield b"</channel></rss>\n"


def _csv(channel: Channel, shop: Shop, rows: Iterable[Row]) -> Iterator[bytes]:
    """RFC 4180, the columns' names first."""
    line = io.StringIO()
    writer = csv.writer(line)
    writer.writerow((channel.id, *COLUMNS))
    for row in rows:
        yield _taken(line)
        writer.writerow([row["id"], *(row[name] for name in COLUMNS)])
    yield _taken(line)


def _taken(line: io.StringIO) -> bytes:
    text = line.getvalue()
    line.seek(0)
    line.truncate()
    return text.encode("utf-8", "replace")


def _xml(text: str) -> str:
    return escape(NOT_XML.sub("", text))


WRITERS: Mapping[str, Callable[[Channel, Shop, Iterable[Row]], Iterator[bytes]]] = {"rss": _rss, "csv": _csv}
