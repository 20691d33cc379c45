"""What of a request tells stored answers apart, by the site's rules: query, cookies, fields, place. Pure."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import quote

from edge.http.cookies import MARKER
from edge.http.message import Request
from edge.http.queries import parameter_names
from edge.policy.classes import Anonymous, Class, File, Page
from edge.policy.pages import nobodys
from edge.policy.rules import KeyRules, QueryRules, SiteRules
from edge.policy.vary import Selection
from edge.policy.views import CookiesCalled

VARIANT = "tepi-variant"  # a field of our own: strangers' are stripped, the origin may read it
_BY_NAME = "; asked for by name"  # keeps answers apart from pages for nobody in particular
_MOBILE = re.compile(r"Mobi|iPhone|iPod|Windows Phone|Opera Mini")
_TABLET = re.compile(r"iPad|Tablet|Kindle|Silk/|Android(?!.*Mobi)")


def keyed(request: Request, rules: SiteRules, kind: Class) -> Request:
    """`request` as the cache sees it: its query in the key's spelling, the variant in a field of its own.

    A file's request has no cookies, an anonymous page's nothing that tells who asks. What the origin is sent
    keeps the query as the visitor wrote it.
    """
    fields = request.fields
    variant = variant_of(request, rules.key)
    if isinstance(kind, File):
        fields = fields.without("cookie")
    elif isinstance(kind, Anonymous):
        fields = nobodys(fields, rules.key.cookies, rules.key.fields)
    elif isinstance(kind, Page) and rules.classes.pages is not None:
        variant = f"{variant or ''}{_BY_NAME}"
    if variant is not None:
        fields = fields.replaced("Tepi-Variant", variant)
    query = request.query if request.query is None else key_query(request.query, rules.key.query)
    if query == request.query and fields is request.fields:
        return request
    return replace(request, query=query, fields=fields)


def is_nobodys(selection: Selection, rules: SiteRules) -> bool:
    """Whether what is stored under `selection` was asked for as nobody in particular."""
    return rules.classes.pages is not None and any(
        name == VARIANT and not (value or "").endswith(_BY_NAME) for name, value in selection
    )


def key_query(query: str, rules: QueryRules) -> str | None:
    """`query` as it stands in the key; None where nothing is left of it."""
    if not rules:
        return query
    kept = [
        (name, part)
        for name, part in zip(parameter_names(query), filter(None, query.split("&")), strict=True)
        if not rules.drop.fits(name) and (rules.keep is None or rules.keep.fits(name))
    ]
    if rules.sort:
        kept.sort(key=lambda one: one[0])  # stable: repeated parameters keep their order
    return "&".join(part for _, part in kept) or None


def spelled(key: str, rules: QueryRules) -> str:
    """A key made of a URL, its query as `rules` have it."""
    place, between, scheme = key.partition("\x00")
    target, mark, query = place.partition("?")
    if not mark:
        return key
    left = key_query(query, rules)
    return f"{target if left is None else f'{target}?{left}'}{between}{scheme}"


def variant_of(request: Request, rules: KeyRules) -> str | None:
    """The values by which this site's answers differ, spelled as one; None if there are no such rules.

    The node that the visitor came to has found them, and told them on.
    """
    if not rules.varies:
        return None
    if request.asker is not None:
        return request.asker.variant
    said = []
    if rules.cookies:
        said += [
            (f"cookie {name}", value)
            for name, value in sorted(request.fields.seen("cookie", CookiesCalled(rules.cookies)))
            if name != MARKER
        ]
    said += [(f"field {name}", request.fields.get(name) or "") for name in rules.fields]
    if rules.buckets:
        country = request.client.country or ""
        said.append(("place", rules.bucket_of.get(country, rules.elsewhere)))
    if rules.device:
        said.append(("device", request.fields.seen("user-agent", _device)))
    return "; ".join(f"{quote(name, safe=' ')}={quote(value, safe='')}" for name, value in said)


def _device(lines: tuple[str, ...]) -> str:
    return device_of(", ".join(lines))


def device_of(agent: str) -> str:
    """`mobile`, `tablet` or `desktop`, as the browser calls itself."""
    if _TABLET.search(agent):
        return "tablet"
    return "mobile" if _MOBILE.search(agent) else "desktop"
