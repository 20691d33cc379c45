"""Rewrites: the origin is asked for something else than the visitor, whose URL stays the key. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never
from urllib.parse import urlsplit

from edge.http.message import Fields, Request
from edge.policy.alterations import as_sent
from edge.policy.paths import covers, has_dot_segments, plain_path
from edge.policy.redirects import fitting, joined, within_query
from edge.policy.traffic import RewriteRule, TrafficRules
from edge.policy.wording import OF_THE_URL, facts_of

_LOCATIONS = ("location", "content-location")


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What the origin is asked for. `host` "": the visitor's."""

    number: int
    rule: RewriteRule
    path: str
    query: str | None
    host: str


@dataclass(frozen=True, slots=True)
class Escape:
    """What the visitor put into the path would lead out of what the rule names."""

    number: int
    path: str


def rewritten(request: Request, rules: TrafficRules) -> Rewritten | Escape | None:
    """What the first rule that fits makes of `request`; None where none fits."""
    if not rules.rewrites:
        return None
    path = plain_path(request.path)
    if _is_commerce(path, rules):
        return None
    for number, rule in enumerate(rules.rewrites):
        captures = fitting(rule.fits, request, path)
        if captures is None:
            continue
        values = {**facts_of(request, OF_THE_URL), "path": path, **captures}
        inner = rule.path.said(values)
        if has_dot_segments(inner) or _is_commerce(inner, rules):
            return Escape(number, inner)
        query = joined(
            None if rule.query is None else rule.query.said(values, within_query),
            request.query if rule.keep_query else None,
        )
        return Rewritten(number, rule, inner, query, rule.host)
    return None


def _is_commerce(path: str, rules: TrafficRules) -> bool:
    """Whether the commerce origin answers for `path`: its paths are its own, and no rule leads there."""
    return rules.commerce is not None and covers(rules.commerce, path)


def towards(outbound: Request, asked: Request, rules: TrafficRules) -> Request | Escape:
    """`outbound`, made of what the visitor `asked`, as the rules send it to the origin."""
    outbound = replace(outbound, fields=as_sent(outbound.fields, asked, rules))
    match inner := rewritten(asked, rules):
        case None:
            return outbound
        case Escape():
            return inner
        case Rewritten(path=path, query=query, host=host):
            fields = outbound.fields.replaced("Host", host) if host else outbound.fields
            return replace(outbound, path=path, query=query, fields=fields)
        case _:
            assert_never(inner)


def put_back(fields: Fields, asked: Request, rules: TrafficRules) -> Fields:
    """An answer's fields with Location and Content-Location as the visitor's URLs, where that can be told."""
    if not any(name in fields for name in _LOCATIONS):
        return fields
    inner = rewritten(asked, rules)
    if not isinstance(inner, Rewritten):
        return fields
    return Fields(
        (name, _shown(value, asked, inner)) if name.lower() in _LOCATIONS else (name, value)
        for name, value in fields.lines
    )


def _shown(reference: str, asked: Request, inner: Rewritten) -> str:
    """`reference`, as the origin wrote it, as the visitor may ask for it."""
    try:
        parts = urlsplit(reference)
    except ValueError:
        return reference
    if parts.netloc and parts.netloc.lower() not in (asked.host, inner.host):
        return reference
    changed = {}
    if parts.netloc and parts.netloc.lower() == inner.host:
        changed = {"scheme": asked.scheme, "netloc": asked.host}
    rule = inner.rule
    if rule.hidden and parts.path.startswith(rule.hidden):
        changed["path"] = rule.shown + parts.path.removeprefix(rule.hidden)
    return parts._replace(**changed).geturl() if changed else reference
