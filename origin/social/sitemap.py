"""What crawlers may read, and where it is: sitemaps of all products' pages, and robots.txt. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.sax.saxutils import quoteattr

from origin.contract import Product

MOST = 50_000 // 10  # products in one file: the protocol's limit is 50,000 addresses, a product has a few
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
SPACE = "http://www.sitemaps.org/schemas/sitemap/0.9"


def index(site: str, products: int) -> str:
    """The list of all sitemaps of a shop with so many products; one at least."""
    files = range(1, max(1, -(-products // MOST)) + 1)
    listed = "".join(f"<sitemap><loc>{_loc(site, f'/sitemap/{at}.xml')}</loc></sitemap>\n" for at in files)
    return f'{HEAD}<sitemapindex xmlns="{SPACE}">\n{listed}</sitemapindex>\n'


def part(site: str, products: Sequence[Product], number: int) -> str | None:
    """Sitemap `number`, from 1: each page in each language, with its others. None: there are not so many."""
    chosen = products[(number - 1) * MOST : number * MOST]
    if number < 1 or (not chosen and number > 1):
        return None
    pages = "".join(_pages(site, chosen))
    return f'{HEAD}<urlset xmlns="{SPACE}" xmlns:xhtml="http://www.w3.org/1999/xhtml">\n{pages}</urlset>\n'


def robots(site: str, hidden: Iterable[str]) -> str:
    """robots.txt (RFC 9309)."""
    lines = "".join(f"Disallow: {path}\n" for path in hidden)
    return f"User-agent: *\n{lines or 'Allow: /' + chr(10)}\nSitemap: https://{site}/sitemap.xml\n"


def _pages(site: str, products: Iterable[Product]) -> Iterable[str]:
    for product in products:
        others = "".join(
            f'<xhtml:link rel="alternate" hreflang={quoteattr(language)} href="{_loc(site, path)}"/>'
            for language, path in product.paths.items()
        )
        for path in product.paths.values():
            yield f"<url><loc>{_loc(site, path)}</loc>{others}</url>\n"


def _loc(site: str, path: str) -> str:
    address = path if path.startswith(("https://", "http://")) else f"https://{site}{path}"
    return quoteattr(address)[1:-1]
