"""Storing (RFC 9111 §3): whether an answer may be kept, and what is kept of it. Pure."""

from __future__ import annotations

from edge.http.cache_control import ResponseDirectives, parse_request
from edge.http.dates import parse_date
from edge.http.etags import parse_etag
from edge.http.hops import end_to_end
from edge.http.message import Fields, Line, Request
from edge.policy.entry import Content, Entry
from edge.policy.freshness import (
    Freshness,
    LifetimeSource,
    Timing,
    dated,
    freshness,
    governing,
    response_date,
)
from edge.policy.groups import groups_of
from edge.policy.key import key_of, same_origin_key
from edge.policy.keying import VARIANT
from edge.policy.reasons import NotStored
from edge.policy.rules import SiteRules
from edge.policy.statuses import HEURISTICALLY_CACHEABLE, NEVER_STORED, UNDERSTOOD
from edge.policy.tags import tags_of
from edge.policy.vary import nominated, select
from edge.position import Position

# What an answer says of one exchange only. Hits get fresh ones, or none.
# Cache-Status is kept: it tells how the caches before us came to what is stored (RFC 9211 §3).
_OF_THE_EXCHANGE = frozenset({"age", "server-timing", "x-request-id"})
COOKIES = frozenset({"set-cookie", "set-cookie2"})


def judge(
    request: Request, status: int, fields: Fields, timing: Timing, rules: SiteRules
) -> Freshness | NotStored:
    """The freshness under which an answer to `request` may be kept and shared, or why it may not."""
    governed = governing(fields)
    directives = governed[0]
    refused = (
        _of_the_request(request, status, fields)
        or _of_the_origin(status, directives, fields, rules)
        or _of_credentials(request, directives)
    )
    if refused is not None:
        return refused
    fresh = freshness(status, fields, timing, rules, governed)
    return _of_use(request, status, fields, directives, fresh) or fresh


def _of_the_request(request: Request, status: int, fields: Fields) -> NotStored | None:
    if request.method != "GET" and not _answers_for_get(request, fields):
        return NotStored.METHOD
    if status < 200 or status in NEVER_STORED:
        return NotStored.PARTIAL if status == 206 else NotStored.STATUS
    wishes = request.fields.get("cache-control")
    if wishes is not None and parse_request(wishes).no_store:  # §5.2.1.5
        return NotStored.REQUEST_NO_STORE
    return None


def _answers_for_get(request: Request, fields: Fields) -> bool:
    """Whether a POST's answer stands for a later GET of the same URI (RFC 9110 §9.3.3)."""
    location = fields.get("content-location")
    if request.method != "POST" or location is None:
        return False
    directives, targeted = governing(fields)
    explicit = directives.max_age is not None or directives.s_maxage is not None
    explicit = explicit or (not targeted and "expires" in fields)
    return explicit and same_origin_key(request, location) == key_of(request)


def _of_the_origin(
    status: int, directives: ResponseDirectives, fields: Fields, rules: SiteRules
) -> NotStored | None:
    if directives.must_understand:  # §5.2.2.3: it takes no-store's place where the code is understood
        if status not in UNDERSTOOD:
            return NotStored.STATUS
    elif directives.no_store:
        return NotStored.NO_STORE
    if directives.private:
        return NotStored.PRIVATE
    if nominated(fields) is None:
        return NotStored.VARY_STAR
    spared = directives.no_cache_fields | directives.private_fields  # by name, so not stored at all
    if not rules.share_set_cookie and any(name in fields and name not in spared for name in COOKIES):
        return NotStored.SET_COOKIE
    return None


def _of_credentials(request: Request, directives: ResponseDirectives) -> NotStored | None:
    if "authorization" in request.fields and not _for_authorized(directives):
        return NotStored.AUTHORIZATION
    return None


def _for_authorized(directives: ResponseDirectives) -> bool:
    """Whether credentials in the request do not matter (§3.5)."""
    return directives.public or directives.must_revalidate or directives.s_maxage is not None


def _of_use(
    request: Request, status: int, fields: Fields, directives: ResponseDirectives, fresh: Freshness
) -> NotStored | None:
    explicit = fresh.source not in (LifetimeSource.HEURISTIC, LifetimeSource.NONE) or directives.public
    if not explicit and status not in HEURISTICALLY_CACHEABLE:
        return NotStored.NO_FRESHNESS
    if not explicit and not directives.no_cache and "cookie" in request.fields:
        # Nothing says that this answer does not depend on who asked.
        return NotStored.COOKIE
    if fresh.ttl(fresh.heard) > 0 and not fresh.no_cache:
        return None
    if _has_validator(fields):
        return None
    if fresh.source is LifetimeSource.NONE:
        return NotStored.NO_FRESHNESS
    lasts = -fresh.ttl(fresh.heard) < max(fresh.while_revalidate, fresh.if_error) and not fresh.no_cache
    return None if lasts else NotStored.BORN_STALE


def _has_validator(fields: Fields) -> bool:
    modified = fields.get("last-modified")
    return parse_etag(fields.get("etag")) is not None or (
        modified is not None and parse_date(modified) is not None
    )


def stored_fields(fields: Fields, directives: ResponseDirectives, timing: Timing) -> Fields:
    """What is kept of an answer's fields (§3.1), with a Date that can be trusted (RFC 9110 §6.6.1)."""
    gone = _OF_THE_EXCHANGE | directives.no_cache_fields | directives.private_fields
    return dated(end_to_end(fields).without(*gone), timing)


def left_out(fields: Fields) -> tuple[Line, ...]:
    """What is not kept, but is for the one who asked."""
    directives, _ = governing(fields)
    gone = _OF_THE_EXCHANGE | directives.no_cache_fields | directives.private_fields
    if fields.names().isdisjoint(gone):
        return ()
    return tuple(line for line in end_to_end(fields).lines if line[0].lower() in gone)


def make_entry(
    request: Request,
    status: int,
    fields: Fields,
    timing: Timing,
    fresh: Freshness,
    content: Content,
    *,
    site: str,
    order: int,
    position: Position,
    number: int = 0,
    by_variant: bool = False,
) -> Entry:
    """The entry for an answer to `request`, as `keyed` made it, that `judge` found fit."""
    directives, _ = governing(fields)
    modified = fields.get("last-modified")
    return Entry(
        key=key_of(request),
        site=site,
        status=status,
        fields=stored_fields(fields, directives, timing),
        selection=select(_differs_by(fields, by_variant), request.fields),
        directives=directives,
        freshness=fresh,
        etag=parse_etag(fields.get("etag")),
        last_modified=None if modified is None else parse_date(modified),
        date=response_date(fields, timing),
        tags=tags_of(fields),
        groups=groups_of(fields),
        for_authorized=_for_authorized(directives),
        content=content,
        order=order,
        position=position,
        number=number,
    )


def _differs_by(fields: Fields, by_variant: bool) -> tuple[str, ...]:
    """The request fields that tell this answer's variants apart: Vary's, and the site's own."""
    named = nominated(fields) or ()
    return (*named, VARIANT) if by_variant else named
