"""Freshness (RFC 9111 §4.2) and its prolongation (RFC 5861). Pure: no clock, no I/O."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from edge.http.cache_control import SILENT_RESPONSE, ResponseDirectives, delta_seconds, parse_response
from edge.http.cache_control import parse_targeted as parse_targeted_field
from edge.http.dates import format_date, parse_date
from edge.http.message import Fields
from edge.http.values import dataclass
from edge.policy.reasons import StaleReason
from edge.policy.rules import SiteRules
from edge.policy.statuses import HEURISTICALLY_CACHEABLE

# Surrogate-Control in RFC 9213's words, on sites that have ESI (`surrogate.obeyed`).
SURROGATE = "tepi-surrogate-control"
TARGETED = ("tepi-cache-control", "cdn-cache-control", SURROGATE)  # RFC 9213 §2.2: the most specific first
HEURISTIC_FRACTION = 0.1  # of the time since Last-Modified (§4.2.2)
HEURISTIC_LIMIT = 86_400.0  # a day


class LifetimeSource(StrEnum):
    """Which rule gave the lifetime (§4.2.1)."""

    S_MAXAGE = "s-maxage"
    MAX_AGE = "max-age"
    EXPIRES = "expires"
    HEURISTIC = "heuristic"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Timing:
    """When a response came: `asked` and `heard` monotonic, `heard_at` by the wall clock."""

    asked: float
    heard: float
    heard_at: float

    @property
    def asked_at(self) -> float:
        """When it was asked for, by the wall clock."""
        return self.heard_at - (self.heard - self.asked)


@dataclass(frozen=True, slots=True)
class Freshness:
    """How long a response may be used, and how. Durations and monotonic moments in seconds."""

    lifetime: float
    source: LifetimeSource
    initial_age: float  # corrected_initial_age (§4.2.3)
    heard: float
    no_cache: bool  # never without asking first (§5.2.2.4)
    must_revalidate: bool  # never stale (§5.2.2.2, §5.2.2.8, §5.2.2.10)
    while_revalidate: int
    if_error: int
    if_unreachable: int
    expired: float | None = None  # when a soft purge made it stale

    def age(self, now: float) -> float:
        """current_age (§4.2.3)."""
        return self.initial_age + max(0.0, now - self.heard)

    def ttl(self, now: float) -> float:
        """Seconds of freshness left; negative: stale since (§4.2)."""
        left = self.lifetime - self.initial_age - max(0.0, now - self.heard)
        return left if self.expired is None else min(left, self.expired - now)

    @property
    def born(self) -> float:
        """The monotonic moment at which the age was 0."""
        return self.heard - self.initial_age

    @property
    def expires(self) -> float:
        """The monotonic moment from which on it is stale."""
        fresh_until = self.heard + self.lifetime - self.initial_age
        return fresh_until if self.expired is None else min(fresh_until, self.expired)

    def expired_at(self, now: float) -> Freshness:
        """The same, stale from `now` on unless it was stale before."""
        return replace(self, expired=now if self.expired is None else min(self.expired, now))


def governing(fields: Fields) -> tuple[ResponseDirectives, bool]:
    """The directives that hold for us, and whether they came in a targeted field (RFC 9213 §2.2)."""
    for name in TARGETED:
        value = fields.get(name)
        if value is not None:
            targeted = parse_targeted_field(value)
            if targeted is not None:
                return targeted, True
    value = fields.get("cache-control")
    return (SILENT_RESPONSE if value is None else parse_response(value)), False


def forbids_transforming(fields: Fields) -> bool:
    """Whether the answer's content must stay as it is (§5.2.2.6): Cache-Control speaks to every intermediary,
    a targeted field to us."""
    value = fields.get("cache-control")
    if value is not None and parse_response(value).no_transform:
        return True
    return governing(fields)[0].no_transform


def explicit_lifetime(
    fields: Fields, directives: ResponseDirectives, targeted: bool, date: int
) -> tuple[float, LifetimeSource] | None:
    """What the origin says itself: the first rule that applies wins (§4.2.1)."""
    if directives.s_maxage is not None:
        return directives.s_maxage, LifetimeSource.S_MAXAGE
    if directives.max_age is not None:
        return directives.max_age, LifetimeSource.MAX_AGE
    expires = None if targeted else fields.get("expires")
    if expires is not None:
        at = parse_date(expires)  # malformed means already expired (§5.3)
        return (0.0 if at is None else max(0.0, at - date)), LifetimeSource.EXPIRES
    return None


def heuristic_lifetime(
    status: int, fields: Fields, directives: ResponseDirectives, date: int
) -> tuple[float, LifetimeSource]:
    """A tenth of the age that Last-Modified tells, a day at most (§4.2.2)."""
    modified = fields.get("last-modified")
    since = None if modified is None else parse_date(modified)
    if since is None or not (status in HEURISTICALLY_CACHEABLE or directives.public):
        return 0.0, LifetimeSource.NONE
    return min(HEURISTIC_LIMIT, max(0.0, (date - since) * HEURISTIC_FRACTION)), LifetimeSource.HEURISTIC


def initial_age(fields: Fields, date: int, timing: Timing) -> float:
    """corrected_initial_age (§4.2.3); a malformed Age is ignored, of several the first counts (§5.1)."""
    apparent = max(0, int(timing.heard_at) - date)
    value = fields.get("age")
    stated = 0 if value is None else delta_seconds(value.partition(",")[0].strip(" \t")) or 0
    return max(float(apparent), stated + (timing.heard - timing.asked))


def response_date(fields: Fields, timing: Timing) -> int:
    """Date, or when the response came if that is absent or malformed (RFC 9110 §6.6.1)."""
    value = fields.get("date")
    date = None if value is None else parse_date(value)
    return int(timing.heard_at) if date is None else date


def dated(fields: Fields, timing: Timing) -> Fields:
    """`fields` with a Date that can be trusted (RFC 9110 §6.6.1)."""
    value = fields.get("date")
    if value is not None and parse_date(value) is not None:
        return fields
    return fields.replaced("Date", format_date(int(timing.heard_at)))


def freshness(
    status: int, fields: Fields, timing: Timing, rules: SiteRules, governed: tuple[ResponseDirectives, bool]
) -> Freshness:
    """All that §4.2 says of a response. `governed` is what `governing` found."""
    directives, targeted = governed
    date = response_date(fields, timing)
    lifetime, source = explicit_lifetime(fields, directives, targeted, date) or heuristic_lifetime(
        status, fields, directives, date
    )
    strict = directives.must_revalidate or directives.proxy_revalidate or directives.no_cache
    implied = directives.s_maxage is not None  # §5.2.2.10: means proxy-revalidate, but RFC 5861's words win

    def window(said: int | None, otherwise: int) -> int:
        if strict:
            return 0
        return said if said is not None else 0 if implied else otherwise

    return Freshness(
        lifetime=float(lifetime),
        source=source,
        initial_age=initial_age(fields, date, timing),
        heard=timing.heard,
        no_cache=directives.no_cache,
        must_revalidate=strict or implied,
        while_revalidate=window(directives.stale_while_revalidate, rules.stale_while_revalidate),
        if_error=window(directives.stale_if_error, rules.stale_if_error),
        if_unreachable=window(directives.stale_if_error, rules.stale_if_unreachable),
    )


def usable_while_revalidating(it: Freshness, now: float) -> bool:
    """Whether a stale response may be served while it is refreshed (RFC 5861 §3)."""
    return -it.ttl(now) < it.while_revalidate


def usable_on_error(
    it: Freshness, now: float, *, reachable: bool, wished: int | None = None
) -> StaleReason | None:
    """Why a stale response may stand in for an error, or None (RFC 5861 §4, RFC 9111 §4.2.4).

    `reachable`: the origin answered, with a 5xx. Where it cannot be reached the cache is disconnected.
    `wished` is the request's own stale-if-error, which must-revalidate and its like outrank.
    """
    if it.no_cache:
        return None
    staleness = -it.ttl(now)
    if staleness < it.if_error or (wished is not None and not it.must_revalidate and staleness < wished):
        return StaleReason.IF_ERROR
    if not reachable and staleness < it.if_unreachable:
        return StaleReason.UNREACHABLE
    return None
