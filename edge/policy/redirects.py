"""Redirects, and that they end: each is followed in thought before it is made. Pure.

A visitor who is sent on is sent to an absolute URL whose scheme and authority the rule declares, or that he
asked for himself; what a rule takes over from his path or query is escaped and stays behind the authority.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote

from edge.http.message import Request
from edge.policy.key import host_name
from edge.policy.paths import Captures, plain_path, plain_query
from edge.policy.traffic import Condition, RedirectRule, Target, TrafficRules
from edge.policy.views import NamesCalled, Speaks
from edge.policy.wording import OF_THE_URL, facts_of

LONGEST_CHAIN = 10  # redirects that a visitor may be led through by the rules of one site
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


@dataclass(frozen=True, slots=True)
class Redirect:
    """The visitor is sent to `location`; from there, by the site's own rules, to each URL of `chain`."""

    number: int
    rule: RedirectRule
    location: str
    chain: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Circle:
    """A redirect that is not made, for it would never end: `chain` is where it would lead."""

    number: int
    chain: tuple[str, ...]


def redirected(request: Request, rules: TrafficRules) -> Redirect | Circle | None:
    """Where `request` is sent instead: by the first rule that fits and leads elsewhere. None: nowhere."""
    first = _step(request, rules)
    if first is None:
        return None
    number, rule, target = first
    location = _spelled(target, rule)
    if _is_told_apart_by_scheme_alone(request, target):
        return Circle(number, (location,))
    chain = followed(target, rules)
    if len(chain) >= LONGEST_CHAIN:
        return Circle(number, (location, *chain))
    return Redirect(number, rule, location, chain)


def followed(request: Request, rules: TrafficRules) -> tuple[str, ...]:
    """The URLs that a visitor is led through who asks `request`, as many as `LONGEST_CHAIN` at most."""
    return tuple(_urls(request, rules))


def _urls(request: Request, rules: TrafficRules) -> Iterator[str]:
    for _ in range(LONGEST_CHAIN):
        step = _step(request, rules)
        if step is None:
            return
        _, rule, request = step
        yield _spelled(request, rule)


def _step(request: Request, rules: TrafficRules) -> tuple[int, RedirectRule, Request] | None:
    """The rule that sends `request` on, and what the visitor asks next."""
    path = plain_path(request.path)
    for number in rules.redirects_for(path):
        rule = rules.redirects[number]
        captures = fitting(rule.fits, request, path)
        if captures is None:
            continue
        if not is_own(request.host, rules.hosts):
            return None
        target = _target(rule, request, path, captures)
        if url_of(target) != url_of(replace(request, path=path)):
            return number, rule, target
    return None


def fitting(fits: Condition, request: Request, path: str) -> Captures | None:
    """What `fits` captures of `request`, whose plain path is `path`; None where it is not for it."""
    if fits.scheme and fits.scheme != request.scheme:
        return None
    captures = fits.path.captured(path)
    if captures is None or (fits.unless_paths and fits.unless_paths.fits(unquote(path))):
        return None
    if fits.hosts and not is_own(request.host, fits.hosts):
        return None
    if fits.countries and request.client.country not in fits.countries:
        return None
    if fits.languages and not request.fields.seen("accept-language", Speaks(fits.languages)):
        return None
    if fits.parameters and not _has_parameters(fits.parameters, request.query):
        return None
    if fits.unless_cookies and request.fields.seen("cookie", NamesCalled(fits.unless_cookies)):
        return None
    return captures


def is_own(host: str, names: tuple[str, ...]) -> bool:
    """Whether `host`, its port aside, is one of `names`, ends like one (`*.`), or anything fits (`*`)."""
    name = host_name(host).rstrip(".")
    return any(
        name == own or own == "*" or (own.startswith("*.") and name.endswith(own[1:])) for own in names
    )


def _has_parameters(wanted: tuple[tuple[str, str], ...], query: str | None) -> bool:
    there = set()
    for part in (query or "").split("&"):
        name, _, value = part.replace("+", " ").partition("=")
        there.add((unquote(name), unquote(value)))
    return all(pair in there for pair in wanted)


def _target(rule: RedirectRule, request: Request, path: str, captures: Captures) -> Request:
    """What the visitor asks next, at the URL to which `rule` sends him."""
    target = rule.target
    scheme = target.scheme or request.scheme
    host = _authority(target, request, scheme)
    values = {**facts_of(request, OF_THE_URL), "path": path, **captures}
    query = joined(
        None if target.query is None else target.query.said(values, within_query),
        request.query if rule.keep_query else None,
    )
    return replace(request, scheme=scheme, host=host, path=plain_path(target.path.said(values)), query=query)


def _authority(target: Target, request: Request, scheme: str) -> str:
    if not target.authority:
        return request.host
    authority = target.authority.replace("$host", host_name(request.host))
    return authority.removesuffix(_DEFAULT_PORTS[scheme])


def joined(query: str | None, more: str | None) -> str | None:
    """A rule's own query, and after it the visitor's."""
    more = more if more is None else plain_query(more)
    if query is None or more is None:
        return more if query is None else query
    return f"{query}&{more}" if query and more else query or more


def within_query(text: str) -> str:
    """`text`, already without what a URL can't hold, so that it stays one value of a query."""
    return quote(text, safe="/%:@,*!'()-._~")


def url_of(request: Request) -> str:
    query = request.query
    return f"{request.scheme}://{request.host}{request.path}" + (
        f"?{plain_query(query)}" if query is not None else ""
    )


def _spelled(request: Request, rule: RedirectRule) -> str:
    fragment = rule.target.fragment
    return url_of(request) + (f"#{fragment}" if fragment else "")


def _is_told_apart_by_scheme_alone(request: Request, target: Request) -> bool:
    """Whether a proxy that is not trusted says that the visitor is there: he would come back for ever."""
    said = (request.fields.get("x-forwarded-proto") or "").rpartition(",")[2].strip().lower()
    return (
        said == target.scheme != request.scheme
        and host_name(target.host) == host_name(request.host)
        and target.target == Request("", "", "", plain_path(request.path), request.query).target
    )
