"""Pages shared as nobody in particular sees them: what is asked, what is kept, who is marked. Pure.

A shop that sets cookies with every page, or says no-store on all of them, makes the same page for all who are
anonymous. The edge asks for it as one of them, and what comes may be everybody's, whatever it bears.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from edge.http.cache_control import ResponseDirectives
from edge.http.cookies import MARKER, cookies, set_cookies
from edge.http.dates import parse_date
from edge.http.message import Fields, Line, Request
from edge.http.queries import parameter_names
from edge.http.remembered import remembered
from edge.policy.freshness import TARGETED, explicit_lifetime, governing
from edge.policy.patterns import Patterns
from edge.policy.reasons import NotStored
from edge.policy.rules import Habit, PageRules
from edge.policy.statuses import SAFE_METHODS
from edge.policy.views import CookiesCalled

# What a browser says of itself and of what it can read, besides sec-*: sent on, or answered here.
_OF_THE_BROWSER = frozenset(
    {
        "accept", "accept-charset", "accept-encoding", "accept-language", "cache-control", "cdn-loop",
        "device-memory", "dnt", "downlink", "dpr", "ect", "host", "if-match", "if-modified-since",
        "if-none-match", "if-range", "if-unmodified-since", "pragma", "range", "rtt", "save-data",
        "upgrade-insecure-requests", "user-agent", "via", "viewport-width", "width",
    }
)  # fmt: skip
# What says nothing of the page wanted, besides _PASSING: how the message came, and from where. Not sent on.
_OF_THE_WAY = frozenset(
    {
        "b3", "baggage", "client-ip", "connection", "cookie", "early-data", "forwarded", "from", "keep-alive",
        "priority", "proxy-connection", "purpose", "referer", "te", "traceparent", "tracestate",
        "true-client-ip", "x-client-ip", "x-cloud-trace-context", "x-moz", "x-purpose", "x-real-ip",
        "x-request-id",
    }
)  # fmt: skip
_PASSING = (
    "x-forwarded-",
    "x-b3-",
    "x-amzn-trace",
    "x-amz-cf-",
    "cf-",
    "cdn-",
    "fastly-",
    "x-akamai-",
    "x-azure-",
    "tepi-",
)
_PERMANENT = frozenset({301, 308})
_TEMPORARY = frozenset({302, 303, 307})
_PAGES = frozenset({200, 404, 410})
_NAMES_A_SESSION = re.compile(
    r"(?:^|[;?&])(?:(?:j|php|asp|cf)?sess(?:ion)?(?:_?id|_?key|_?token)?|sid|oscsid|zenid|cf(?:id|token)"
    r"|(?:access_|auth_|id_|login_|one_time_)?token|nonce|ticket|code|otp|sig|signature)=",
    re.IGNORECASE,
)
_TELLING = 8  # characters that a value has at least, if finding it elsewhere is to mean something
_LATE = 2**40  # in place of a Date: whatever Expires says is past
_GIVEN = ";by=edge"  # tells a lifetime that we gave from one of the origin's


def not_a_browsers(fields: Fields, key_fields: tuple[str, ...], types: Patterns) -> str | None:
    """What tells `fields` from a browser's asking for a page: credentials, or a script's wish for data.

    Many shops forget to say in Vary that they heed it. `key_fields` do not count, being in the key.
    """
    for name in fields.names():
        if name in _OF_THE_BROWSER or name in _OF_THE_WAY or name in key_fields or _is_passing(name):
            continue
        if name == "x-requested-with" and fields.get(name) != "XMLHttpRequest":
            continue  # Android's web views name their application in it
        return name
    accept = fields.get("accept")
    if accept is not None and "json" in accept and "html" not in accept:
        return None if "accept" in key_fields or types.fits("application/json") else "accept"
    return None


@remembered(1024)
def _is_passing(name: str) -> bool:
    return name.startswith(("sec-", *_PASSING))


def nobodys(fields: Fields, key_cookies: Patterns, key_fields: tuple[str, ...]) -> Fields:
    """A request's fields as nobody in particular would send them: a browser's, and those of the key."""
    kept = fields.kept(OfNobody(key_fields))
    if key_cookies:
        pairs = sorted(fields.seen("cookie", CookiesCalled(key_cookies)))
        counted = "; ".join(f"{name}={value}" for name, value in pairs if name != MARKER)
        if counted:
            return kept.plus(("Cookie", counted))
    return kept


@dataclass(frozen=True, slots=True)
class OfNobody:
    """The names of fields that nobody in particular would send too."""

    key_fields: tuple[str, ...]

    def __call__(self, name: str) -> bool:
        return name in _OF_THE_BROWSER or name in self.key_fields or name.startswith("sec-")


@dataclass(frozen=True, slots=True)
class Oddity:
    """What tells fields from a browser's asking for a page, or None."""

    key_fields: tuple[str, ...]
    types: Patterns

    def __call__(self, fields: Fields) -> str | None:
        return not_a_browsers(fields, self.key_fields, self.types)


def as_page(rule: PageRules, request: Request, status: int, fields: Fields) -> Fields | NotStored:
    """The fields of an answer to nobody in particular as everybody may have them, or why nobody may.

    Only what is a page is changed: its cookies go, and a lifetime comes where there is none, or where what
    the answer says is its framework's habit. Of everything else RFC 9111 makes what it will.
    """
    fields = ungiven(fields)
    if status in _PERMANENT or status in _TEMPORARY:
        if is_somebodys_way(status, fields):
            return NotStored.REDIRECT
    elif status not in _PAGES or not is_page(rule, fields):
        return fields
    shared = fields.without("set-cookie", "set-cookie2")
    directives, targeted = governing(shared)
    if targeted:
        return shared
    lasts = explicit_lifetime(shared, directives, False, parse_date(shared.get("date") or "") or _LATE)
    forbids = _forbids(directives)
    if forbids and not (is_despite(rule, request) and forbids <= rule.habits):
        return shared
    if forbids or (is_despite(rule, request) and lasts is not None and lasts[0] <= 0):
        seconds = int(lasts[0]) if lasts is not None and lasts[0] > 0 else rule.seconds
        return shared.plus(_lifetime(seconds, directives, strict=False))
    if lasts is None:
        strict = directives.must_revalidate or directives.proxy_revalidate
        return shared.plus(_lifetime(rule.seconds, directives, strict=strict))
    return shared


def _forbids(directives: ResponseDirectives) -> frozenset[Habit]:
    """What `directives` say against sharing."""
    said: dict[Habit, bool] = {
        "private": directives.private,
        "no-store": directives.no_store,
        "no-cache": directives.no_cache,
    }
    return frozenset(word for word, given_here in said.items() if given_here)


def is_somebodys_way(status: int, fields: Fields) -> bool:
    """Whether a redirect is one visitor's: it names a session, or it is temporary and sets a cookie.

    Such a cookie may be what the link was for: something went into a basket.
    """
    given_here = [value for _, value in set_cookies(fields)]
    location = fields.get("location") or ""
    if given_here and status in _TEMPORARY:
        return True
    return _NAMES_A_SESSION.search(location) is not None or any(
        len(value) >= _TELLING and value in location for value in given_here
    )


def ungiven(fields: Fields) -> Fields:
    """`fields` less a lifetime that the edge gave."""
    value = fields.get(TARGETED[0])
    return fields.without(TARGETED[0]) if value is not None and _GIVEN in value else fields


def given(seconds: int) -> Line:
    """A lifetime that the edge gives, in the field that only the edge heeds."""
    return ("Tepi-Cache-Control", f"max-age={seconds}{_GIVEN}")


def is_page(rule: PageRules, fields: Fields) -> bool:
    """Whether an answer is of a page's media type."""
    return rule.types.fits((fields.get("content-type") or "").split(";", 1)[0].strip().lower())


def is_despite(rule: PageRules, request: Request) -> bool:
    """Whether what the answer says against caching is its framework's habit here."""
    return fits_route(rule.despite_paths, rule.despite_query, request)


def fits_route(paths: Patterns, query: Patterns, request: Request) -> bool:
    """Whether `request` is one of a route's, by its path or by a parameter."""
    if paths and paths.fits(unquote(request.path)):
        return True
    return bool(query) and any(query.fits(name) for name in parameter_names(request.query or ""))


def is_marked(request: Request) -> bool:
    """Whether the visitor bears the edge's marker."""
    return any(name == MARKER for name, _ in cookies(request.fields))


def marks(rule: PageRules, request: Request) -> bool:
    """Whether whoever sends `request` is somebody from then on."""
    if not rule.mark:
        return False
    if request.method in SAFE_METHODS:
        return fits_route(rule.marking_paths, rule.marking_query, request)
    return not fits_route(rule.sparing_paths, rule.sparing_query, request)


def marker(rule: PageRules, request: Request) -> Line:
    """The line that sets the marker (RFC 6265). It proves nothing: who forges it has uncached pages of it."""
    secure = "; Secure" if request.scheme == "https" else ""
    value = f"{MARKER}=1; Path=/; Max-Age={rule.mark_seconds}; HttpOnly; SameSite=Lax{secure}"
    return ("Set-Cookie", value)


def _lifetime(seconds: int, directives: ResponseDirectives, *, strict: bool) -> Line:
    """A given lifetime, with what the answer says of the time after."""
    name, value = given(seconds)
    said = [value]
    if directives.stale_while_revalidate is not None:
        said.append(f"stale-while-revalidate={directives.stale_while_revalidate}")
    if directives.stale_if_error is not None:
        said.append(f"stale-if-error={directives.stale_if_error}")
    if strict:
        said.append("must-revalidate")
    return (name, ", ".join(said))
