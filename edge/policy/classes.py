"""What kind of request this is, by the site's rules, before RFC 9111 has its say. Pure.

Precedence: never-rules; Authorization and the answer's own `private` and `no-store` (`storing`); file rules;
the session bypass; then pages. Never cached means never cached.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from edge.http.lists import names
from edge.http.message import Fields, Request
from edge.policy.freshness import TARGETED, governing
from edge.policy.rules import FileRule, SiteRules


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


@dataclass(frozen=True, slots=True)
class Page:
    """Whatever RFC 9111 makes of it."""


Class = Never | File | Personal | Page
PAGE = Page()


def classify(request: Request, rules: SiteRules) -> Class:
    """The kind of `request`, by path, query and cookies."""
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
    for name, _ in cookies(request.fields):
        if classes.bypass_cookies.fits(name):
            return Personal(f"cookie {name}")
    return PAGE


def cookies(fields: Fields) -> list[tuple[str, str]]:
    """Name and value of each of a request's cookies, in order (RFC 6265 §4.2.1); nonsense is skipped."""
    pairs = []
    for line in fields.all("cookie"):
        for pair in line.split(";"):
            name, equals, value = pair.partition("=")
            if equals and (name := name.strip()):
                pairs.append((name, value.strip()))
    return pairs


def parameter_names(query: str) -> list[str]:
    """The decoded names of a query's parameters, in order."""
    return [unquote(part.partition("=")[0].replace("+", " ")) for part in query.split("&") if part]


def is_the_file(rule: FileRule, status: int, fields: Fields) -> bool:
    """Whether an answer is what its path promised, so that nobody's page is kept as a picture."""
    if status not in (200, 206):
        return False
    media_type = (fields.get("content-type") or "").split(";", 1)[0].strip().lower()
    directives, _ = governing(fields)
    return rule.types.fits(media_type) and not directives.private and not directives.no_store


def as_file(rule: FileRule, fields: Fields) -> Fields:
    """A file's fields as everybody may have them: no cookies, no Vary on them, and a lifetime."""
    shared = fields.without("set-cookie", "set-cookie2")
    vary = shared.get("vary")
    if vary is not None:
        left = [name for name in names(vary) if name != "cookie"]
        shared = shared.replaced("Vary", ", ".join(left)) if left else shared.without("vary")
    directives, targeted = governing(shared)
    silent = directives.max_age is None and directives.s_maxage is None and "expires" not in shared
    if rule.seconds is not None and silent and not targeted and not directives.no_cache:
        shared = shared.plus((TARGETED[0], f"max-age={rule.seconds}"))
    return shared
