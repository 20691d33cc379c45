"""Why an answer is not a plain hit: every reason has a name, and the name is what everybody sees.

Cache-Status (RFC 9211) shows it as `detail`, log and metrics as `reason`, `tepi explain` in words.
"""

from __future__ import annotations

from enum import StrEnum


class MissReason(StrEnum):
    """Nothing stored can answer."""

    COLD = "uri-miss"  # nothing is stored under the key
    VARY = "vary-miss"  # only other variants are
    AUTHORIZATION = "authorization"  # what is stored was not allowed for requests with credentials
    PARTIAL = "partial"  # only a part is, and not the one that is wanted


class RevalidateReason(StrEnum):
    """Something is stored, but the origin must be asked first."""

    STALE = "stale"
    NO_CACHE = "no-cache"  # the origin wants to be asked every time
    REQUEST = "request"  # the client wants it
    DISTRUSTED = "distrusted"  # filled before the node lost touch with purges
    BEHIND = "behind"  # filled before a purge that the node which asks has applied, and this one has not


class StaleReason(StrEnum):
    """What is stored is stale and served all the same."""

    WHILE_REVALIDATE = "stale-while-revalidate"
    IF_ERROR = "stale-if-error"
    UNREACHABLE = "origin-unreachable"
    REQUEST = "max-stale"


class PassReason(StrEnum):
    """The request is not the cache's business."""

    METHOD = "method"
    BODY = "request-body"
    PRECONDITION = "precondition"  # If-Match and If-Unmodified-Since are for the origin (RFC 9111 §4.3.2)
    NEVER = "never-rule"  # the site's rules say so
    PERSONAL = "personal"  # a cookie says that the answer is this visitor's own
    MARKED = "marked"  # the edge's marker says so
    RANGE = "range"  # several parts, not all stored, or a part of a version that is not known here


class RefusedReason(StrEnum):
    """The edge answers by itself, and not from the store."""

    UNKNOWN_HOST = "unknown-host"
    LOOP = "loop"
    ONLY_IF_CACHED = "only-if-cached"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    ESCAPE = "path-escape"  # dot segments would lead out of what a rewrite names


class HookReason(StrEnum):
    """A webhook was not taken in."""

    UNKNOWN_PROVIDER = "unknown-provider"
    NO_SECRET = "no-secret"  # noqa: S105  # the provider is known, and nothing is there to verify it with
    METHOD = "webhook-method"
    SIZE = "webhook-size"
    CODING = "webhook-coding"
    MALFORMED = "webhook-malformed"
    SIGNATURE = "webhook-signature"
    TIME = "webhook-time"  # signed too long ago, or ahead of time
    FULL = "spool-full"
    UNPROVEN = "webhook-unproven"  # the provider's certificate can't be had now


class RuleReason(StrEnum):
    """The site's rules had a say in the answer, beyond caching."""

    MAINTENANCE = "maintenance"
    REDIRECT = "redirect"
    REDIRECT_CIRCLE = "redirect-circle"  # a redirect that would never end was not made
    REWRITE = "rewrite"
    REQUEST_FIELDS = "request-fields"
    ANSWER_FIELDS = "answer-fields"
    ERROR_PAGE = "error-page"


class NotStored(StrEnum):
    """Why an answer was not kept (RFC 9111 §3)."""

    METHOD = "method"
    STATUS = "status"
    PARTIAL = "partial"
    NO_STORE = "no-store"
    REQUEST_NO_STORE = "request-no-store"
    PRIVATE = "private"
    AUTHORIZATION = "authorization"
    SET_COOKIE = "set-cookie"
    COOKIE = "cookie-without-explicit-freshness"
    NO_FRESHNESS = "no-freshness"
    BORN_STALE = "born-stale"
    VARY_STAR = "vary-star"
    NO_FILE = "not-the-file"  # a file rule fits the path, but not what came
    REDIRECT = "personal-redirect"  # it names a session, or sets a cookie on the way
    UNPROVEN = "unproven"  # the first of its template: whether it is the same for all is being looked at
    LEAK_GUARD = "leak-guard"  # something in it is one visitor's own
    TOKENS = "tokens-not-understood"  # it bears what looks like a form token, and no rule speaks of it
    UNREAD = "page-not-read"  # too large, encoded, or in no charset that can be searched
    TOO_LARGE = "too-large"
    TOO_MANY_VARIANTS = "too-many-variants"
    PURGED = "purged-meanwhile"
    INCOMPLETE = "incomplete"


# These speak of the answer, not of the request that got it: the next answer will most likely be the same.
LASTING = frozenset(
    {
        NotStored.STATUS, NotStored.NO_STORE, NotStored.PRIVATE, NotStored.SET_COOKIE, NotStored.NO_FRESHNESS,
        NotStored.BORN_STALE, NotStored.VARY_STAR, NotStored.NO_FILE, NotStored.REDIRECT,
        NotStored.LEAK_GUARD, NotStored.TOKENS, NotStored.UNREAD,
    }
)  # fmt: skip
# These say nothing against what was stored before.
OF_THE_ASKER = frozenset(
    {
        NotStored.REQUEST_NO_STORE, NotStored.SET_COOKIE, NotStored.AUTHORIZATION, NotStored.COOKIE,
        NotStored.UNPROVEN,
    }
)  # fmt: skip


class FragmentReason(StrEnum):
    """Why a page goes without one of its fragments."""

    URL = "bad-url"
    HOST = "foreign-host"  # only the site's own hosts are asked
    CYCLE = "cycle"  # it would include itself, or a page that includes it
    DEPTH = "too-deep"
    NUMBER = "too-many"
    STATUS = "error-status"
    SIZE = "too-large"
    TIME = "timeout"
    CODING = "encoded"  # in a coding that the edge cannot undo
    BROKEN = "broken-off"
    FAULT = "fault"  # an error of the edge


# RFC 9211 §2.2: how the decision to go forward is told to strangers.
FORWARDED = {
    MissReason.COLD: "uri-miss",
    MissReason.VARY: "vary-miss",
    MissReason.AUTHORIZATION: "miss",
    MissReason.PARTIAL: "partial",
    RevalidateReason.STALE: "stale",
    RevalidateReason.NO_CACHE: "stale",
    RevalidateReason.REQUEST: "request",
    RevalidateReason.DISTRUSTED: "stale",
    RevalidateReason.BEHIND: "stale",
    PassReason.METHOD: "method",
    PassReason.BODY: "bypass",
    PassReason.PRECONDITION: "bypass",
    PassReason.NEVER: "bypass",
    PassReason.PERSONAL: "bypass",
    PassReason.MARKED: "bypass",
    PassReason.RANGE: "bypass",
}
