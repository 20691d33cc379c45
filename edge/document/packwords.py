"""What a pack does, in plain words: for who adds a site, and for who asks what there is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edge.document.packs import Pack
from edge.document.pages import PagesTable, RouteTable

SHOWN = 6  # of a list, before it is cut
_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
_SOURCES = {
    "cookie": "each visitor gets one of the edge's making, with the cookie",
    "session": "each visitor's own is fetched with a session of his when he first sends a form",
    "common": "all who are anonymous have the same",
}


def words(pack: Pack) -> Iterator[str]:
    """One sentence for each thing that the pack does."""
    if pack.never.paths or pack.never.query:
        yield f"Never cached: {_list((*pack.never.paths, *(f'?{name}' for name in pack.never.query)))}."
    for rule in pack.files:
        lasts = "" if rule.seconds is None else f", {duration(rule.seconds)} where they do not say how long"
        yield f"Files, the same for everybody, asked for without cookies: {_list(rule.paths)}{lasts}."
    if pack.bypass_cookies:
        yield f"Who bears one of these cookies gets pages of his own: {_list(pack.bypass_cookies)}."
    variants = (*pack.key.cookies, *pack.key.fields)
    if variants:
        yield f"Pages differ by {_list(variants)}."
    if pack.pages is not None and pack.pages.share:
        yield from _pages(pack.pages)


def _pages(pages: PagesTable) -> Iterator[str]:
    yield (
        "Other pages are asked for as nobody in particular, kept without their cookies, and shared, for "
        f"{duration(pages.seconds)} where they do not say how long."
    )
    if _routes(pages.despite):
        habits = _list(pages.despite.directives)
        yield f"What says {habits} says so by habit, and is shared all the same, on {_routes(pages.despite)}."
    else:
        yield "What says private, no-store or no-cache is not shared."
    if pages.mark:
        also = f", or asked for {_routes(pages.marking)}" if _routes(pages.marking) else ""
        yield (
            f"Whoever has sent a form{also} is marked by a cookie of the edge's, and gets pages of his own "
            f"for {duration(pages.mark_seconds)}, whatever his other cookies say."
        )
    elif "*" not in pages.ignore_cookies:
        yield "Who bears a cookie that no rule knows gets pages of his own."
    if pages.browsers != "as-said":
        asked = "ask again each time" if pages.browsers == "no-cache" else "keep nothing"
        yield f"Browsers are told of pages to {asked}, whatever the shop says for caches."
    for token in pages.tokens:
        yield f"Form token {token.name}: {_SOURCES[token.source]}."


def _routes(table: RouteTable) -> str:
    named = (*table.paths, *(f"?{name}" for name in table.query))
    return _list(named) if named else ""


def _list(items: Iterable[str]) -> str:
    listed = list(items)
    if len(listed) <= SHOWN:
        return ", ".join(listed)
    return f"{', '.join(listed[:SHOWN])} and {len(listed) - SHOWN} more"


def duration(seconds: int) -> str:
    """`90` is `90 seconds`, `86400` is `a day`: in the largest unit of which there is a whole number."""
    size, unit = next(one for one in _UNITS if one[0] == 1 or (seconds and seconds % one[0] == 0))
    count = seconds // size
    if count == 1:
        return "an hour" if unit == "hour" else f"a {unit}"
    return f"{count} {unit}s"
