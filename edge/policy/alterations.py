"""Field lines set and unset by rule, both ways. What is stored never changes by it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from urllib.parse import unquote

from edge.http.message import Fields, Line, Request
from edge.policy.patterns import Patterns
from edge.policy.traffic import AnswerFieldRule, Change, RequestFieldRule, TrafficRules
from edge.policy.wording import Wording, facts_of

# Only over TLS: a browser must ignore it elsewhere, and nobody else should read it there (RFC 6797 §7.2).
_SECURE = "strict-transport-security"
# Credentials that a rule brings are the operator's, so the cache need not think of them as a visitor's.
_OF_THE_OPERATOR = frozenset({"authorization"})


def request_rules(request: Request, rules: TrafficRules) -> tuple[RequestFieldRule, ...]:
    """The rules that change what the origin is told of `request`."""
    if not rules.request_fields:
        return ()
    path = unquote(request.path)
    return tuple(rule for rule in rules.request_fields if _is_for(rule.paths, path))


def answer_rules(request: Request, status: int, rules: TrafficRules) -> tuple[AnswerFieldRule, ...]:
    """The rules that change an answer of `status` to `request`."""
    if not rules.answer_fields:
        return ()
    path = unquote(request.path)
    return tuple(
        rule
        for rule in rules.answer_fields
        if _is_for(rule.paths, path)
        and (rule.statuses is None or status in rule.statuses)
        and rule.scheme in ("", request.scheme)
    )


def shaped(request: Request, rules: TrafficRules) -> Request:
    """`request` with the fields that the cache is to see, so that Vary speaks of what the origin will get."""
    if not rules.request_fields:
        return request
    values = facts_of(request)
    fields = request.fields
    for rule in request_rules(request, rules):
        fields = changed(fields, _without(rule.change, _OF_THE_OPERATOR), values)
    return replace(request, fields=fields)


def as_sent(fields: Fields, request: Request, rules: TrafficRules) -> Fields:
    """`fields`, on their way to the origin for the visitor's `request`, as the rules want them."""
    if not rules.request_fields:
        return fields
    values = facts_of(request)
    for rule in request_rules(request, rules):
        fields = changed(fields, rule.change, values)
    return fields


def as_answered(fields: Fields, request: Request, status: int, rules: TrafficRules) -> Fields:
    """`fields` of an answer as the rules want them."""
    values = facts_of(request)
    for rule in answer_rules(request, status, rules):
        change = rule.change
        if request.scheme != "https":
            change = _without(change, frozenset({_SECURE}))
        fields = changed(fields, change, values)
    return fields


def changed(fields: Fields, change: Change, values: Mapping[str, str]) -> Fields:
    """`fields` after `change`."""
    gone = (*change.unset, *(name.lower() for name, _ in change.replace))
    return fields.without(*gone).plus(*_lines((*change.replace, *change.add), values))


def _lines(told: Iterable[tuple[str, Wording]], values: Mapping[str, str]) -> Iterable[Line]:
    for name, wording in told:
        value = wording.said(values)
        if value:
            yield name, value


def _without(change: Change, names: frozenset[str]) -> Change:
    """`change` less the lines that it brings of `names`."""
    brought = (*change.replace, *change.add)
    if not any(name.lower() in names for name, _ in brought):
        return change
    return Change(
        tuple(pair for pair in change.replace if pair[0].lower() not in names),
        tuple(pair for pair in change.add if pair[0].lower() not in names),
        change.unset,
    )


def _is_for(paths: Patterns | None, path: str) -> bool:
    return paths is None or paths.fits(path)
