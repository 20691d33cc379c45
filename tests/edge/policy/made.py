"""Entries and answers for policy tests, said in a few words."""

from __future__ import annotations

from edge.http.dates import format_date
from edge.http.message import Fields, Request
from edge.policy.entry import Entry
from edge.policy.freshness import Freshness, Timing
from edge.policy.reasons import NotStored
from edge.policy.rules import SiteRules
from edge.policy.storing import judge, make_entry
from edge.position import ALONE
from edge.store.content import Stored
from tests.edge.stage import T0, make_request

RULES = SiteRules("shop")
AT_ONCE = Timing(asked=0.0, heard=0.0, heard_at=T0)


def fields(**words: str | int) -> Fields:
    """`cache_control="max-age=5"` becomes a line; a number is a date, in seconds from T0."""
    return Fields(
        (name.replace("_", "-"), value if isinstance(value, str) else format_date(int(T0) + value))
        for name, value in words.items()
    )


def judged(
    answer: Fields,
    *,
    request: Request | None = None,
    status: int = 200,
    rules: SiteRules = RULES,
    timing: Timing = AT_ONCE,
) -> Freshness | NotStored:
    return judge(request or make_request(), status, answer, timing, rules)


def stored(
    answer: Fields,
    *,
    request: Request | None = None,
    status: int = 200,
    rules: SiteRules = RULES,
    timing: Timing = AT_ONCE,
    order: int = 0,
    body: bytes = b"body",
) -> Entry:
    """The entry for an answer that may be kept."""
    request = request or make_request()
    fresh = judge(request, status, answer, timing, rules)
    assert isinstance(fresh, Freshness), fresh
    return make_entry(
        request, status, answer, timing, fresh, Stored(body), site=rules.name, order=order, position=ALONE
    )
