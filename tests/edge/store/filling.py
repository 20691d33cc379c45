"""Entries as the pipeline makes them, for stores in processes of their own."""

from __future__ import annotations

import time

from edge.http.dates import format_date
from edge.http.message import Fields, Request
from edge.policy.entry import Entry
from edge.policy.freshness import Freshness, Timing
from edge.policy.key import key_of
from edge.policy.rules import SiteRules
from edge.policy.storing import judge, make_entry
from edge.position import ALONE
from edge.store.content import Stored

RULES = SiteRules("shop")
TIMES = (12_000, 500, 1)  # how often a version may be written


def key_at(path: str) -> str:
    """The key of what lies at `path`."""
    return key_of(Request("GET", "http", "shop.test", path))


def version_in(entry: Entry) -> int:
    """The number that is written all over the body, as `tests.edge.store.filler` does."""
    assert isinstance(entry.content, Stored) and entry.content.plain is not None
    body = entry.content.plain.decode()
    assert str(len(body)) == entry.fields.get("content-length")
    times = next(times for times in TIMES if body == body[: len(body) // times] * times)
    return int(body[: len(body) // times])


def filled(path: str, body: bytes, tags: tuple[str, ...] = (), number: int = 0, seconds: int = 3600) -> Entry:
    """An entry that came just now."""
    now, wall = time.monotonic(), time.time()
    lines = [
        ("Date", format_date(int(wall))),
        ("Content-Type", "text/html"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", f"max-age={seconds}"),
        ("Cache-Tag", ",".join(tags)),
    ]
    fields, timing, request = Fields(lines), Timing(now, now, wall), Request("GET", "http", "shop.test", path)
    fresh = judge(request, 200, fields, timing, RULES)
    assert isinstance(fresh, Freshness)
    return make_entry(
        request, 200, fields, timing, fresh, Stored(body), site="shop", order=0, position=ALONE, number=number
    )
