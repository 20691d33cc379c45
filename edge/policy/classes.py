"""What kind of request this is, by the site's rules, before RFC 9111 has its say. Pure.

Precedence: never-rules; Authorization and the answer's own `private` and `no-store` (`storing`); file rules;
the session bypass; then pages. Never cached means never cached.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never
from urllib.parse import unquote

from edge.http.cookies import MARKER, pairs_of
from edge.http.lists import names
from edge.http.message import Fields, Line, Request
from edge.http.queries import parameter_names
from edge.policy.freshness import governing
from edge.policy.pages import (
    Oddity,
    as_page,
    fits_route,
    given,
    is_marked,
    is_page,
    marker,
    marks,
    ungiven,
)
from edge.policy.patterns import Patterns
from edge.policy.reasons import NotStored, PassReason
from edge.policy.rules import FileRule, PageRules, SiteRules
from edge.policy.standins import COOKIES
from edge.policy.views import NamesCalled


@dataclass(frozen=True, slots=True)
class Never:
    """Never cached."""

    because: str


@dataclass(frozen=True, slots=True)
class File:
    """The same for everybody, if the answer proves to be one: cookies are neither sent nor looked at."""

    rule: FileRule


@dataclass(frozen=True, slots=True)
class Personal:
    """One visitor's own."""

    because: str
    why: PassReason = PassReason.PERSONAL


@dataclass(frozen=True, slots=True)
class Anonymous:
    """A page as nobody in particular sees it: asked for as one of many, and shared among them."""

    rule: PageRules


@dataclass(frozen=True, slots=True)
class Page:
    """Whatever RFC 9111 makes of it. `because`: why it is not anonymous, on a site that has such pages."""

    because: str = ""


Class = Never | File | Personal | Anonymous | Page
PAGE = Page()


def classify(request: Request, rules: SiteRules) -> Class:
    """The kind of `request`, by path, query, cookies and fields."""
    classes = rules.classes
    if not classes:
        return PAGE
    path = unquote(request.path)
    if classes.never_paths.fits(path):
        return Never(f"path {path}")
    if classes.never_query and request.query:
        for name in parameter_names(request.query):
            if classes.never_query.fits(name):
                return Never(f"query parameter {name}")
    for rule in classes.files:
        if rule.paths.fits(path):
            return File(rule)
    if classes.bypass_cookies:
        for name in request.fields.seen("cookie", NamesCalled(classes.bypass_cookies)):
            return Personal(f"cookie {name}")
    return PAGE if classes.pages is None else _page(request, rules, classes.pages)


def _page(request: Request, rules: SiteRules, pages: PageRules) -> Class:
    """The kind of a request on a site that shares pages as nobody in particular sees them."""
    if request.method not in ("GET", "HEAD"):
        return PAGE
    if pages.mark and fits_route(pages.marking_paths, pages.marking_query, request):
        return Never("it marks its visitor")
    telling = Telling(rules.classes.bypass_cookies, rules.key.cookies, pages)
    for name in request.fields.seen("cookie", telling):
        if name == MARKER:
            return Personal("the edge's marker", PassReason.MARKED)
        return Personal(f"cookie {name}, which no rule knows")
    odd = request.fields.surveyed(Oddity(rules.key.fields, pages.types))
    return Anonymous(pages) if odd is None else Page(f"field {odd}")


class CookieClass(StrEnum):
    """What a cookie means on a site that shares pages."""

    BYPASS = "bypass"  # its bearer gets pages of his own
    MARKER = "marker"  # so does whom the edge has marked
    KEY = "key"  # its value makes a variant
    IGNORED = "ignored"  # it says nothing of a visitor
    UNKNOWN = "unknown"  # no rule knows it, so it may be a session


def cookie_class(name: str, rules: SiteRules) -> CookieClass:
    """What the cookie called `name` means."""
    return _class_of(name, rules.classes.bypass_cookies, rules.key.cookies, rules.classes.pages)


@dataclass(frozen=True, slots=True)
class Telling:
    """The names of cookies that make their bearer somebody, in order: the marker, and what no rule knows."""

    bypass: Patterns
    key: Patterns
    pages: PageRules

    def __call__(self, lines: tuple[str, ...]) -> tuple[str, ...]:
        told = (CookieClass.MARKER, CookieClass.UNKNOWN)
        borne = (name for name, _ in pairs_of(lines))
        return tuple(name for name in borne if _class_of(name, self.bypass, self.key, self.pages) in told)


def _class_of(name: str, bypass: Patterns, key: Patterns, pages: PageRules | None) -> CookieClass:
    if bypass.fits(name):
        return CookieClass.BYPASS
    if name == MARKER:
        return CookieClass.MARKER if pages is not None and pages.mark else CookieClass.IGNORED
    if key.fits(name):
        return CookieClass.KEY
    ignored = pages is not None and (pages.mark or pages.ignore_cookies.fits(name) or _is_token(name, pages))
    return CookieClass.IGNORED if ignored else CookieClass.UNKNOWN


def _is_token(name: str, pages: PageRules) -> bool:
    """Whether a cookie only goes with a form token that the edge gives: it says nothing of its bearer."""
    return COOKIES.fits(name) or any(
        rule.cookie == name and (rule.source == "cookie" or rule.in_cookie) for rule in pages.tokens
    )


def is_for_all(kind: Class) -> bool:
    """Whether the origin is asked without what tells who asks."""
    return isinstance(kind, File | Anonymous)


def for_all(kind: Class, request: Request, status: int, fields: Fields) -> Fields | NotStored:
    """The fields of an answer to a request of `kind` as everybody may have them, or why nobody else may.

    `request` is as `keyed` made it.
    """
    match kind:
        case File(rule):
            return as_file(rule, fields) if is_the_file(rule, status, fields) else NotStored.NO_FILE
        case Anonymous(rule):
            return as_page(rule, request, status, fields)
        case Never() | Personal() | Page():
            return fields
        case _:
            assert_never(kind)


def parting(kind: Class, request: Request, rules: SiteRules, fields: Fields) -> Fields:
    """An answer's fields as its visitor gets them: what browsers are told of pages, and his mark."""
    pages = rules.classes.pages
    if pages is None:
        return fields
    if isinstance(kind, Anonymous):
        if pages.browsers is None or ("content-type" in fields and not is_page(pages, fields)):
            return fields
        return fields.without("expires", "pragma").replaced("Cache-Control", pages.browsers)
    line = mark(kind, request, rules)
    return fields if line is None else fields.plus(line)


def mark(kind: Class, request: Request, rules: SiteRules) -> Line | None:
    """The line that marks whoever sent `request`, or keeps him marked; None where he is nobody yet."""
    pages = rules.classes.pages
    if pages is None or not pages.mark:
        return None
    if marks(pages, request) or (isinstance(kind, Never | Personal) and is_marked(request)):
        return marker(pages, request)
    return None


def is_the_file(rule: FileRule, status: int, fields: Fields) -> bool:
    """Whether an answer is what its path promised, so that nobody's page is kept as a picture."""
    if status not in (200, 206):
        return False
    media_type = (fields.get("content-type") or "").split(";", 1)[0].strip().lower()
    directives, _ = governing(ungiven(fields))
    return rule.types.fits(media_type) and not directives.private and not directives.no_store


def as_file(rule: FileRule, fields: Fields) -> Fields:
    """A file's fields as everybody may have them: no cookies, no Vary on them, and a lifetime."""
    shared = ungiven(fields).without("set-cookie", "set-cookie2")
    vary = shared.get("vary")
    if vary is not None:
        left = [name for name in names(vary) if name != "cookie"]
        shared = shared.replaced("Vary", ", ".join(left)) if left else shared.without("vary")
    directives, targeted = governing(shared)
    silent = directives.max_age is None and directives.s_maxage is None and "expires" not in shared
    if rule.seconds is not None and silent and not targeted and not directives.no_cache:
        shared = shared.plus(given(rule.seconds))
    return shared
