"""Field lines set and unset by rule, both ways. What is stored never changes by it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import unquote

from edge.http.message import Fields, Line, Request
from edge.policy.patterns import Patterns
from edge.policy.traffic import AnswerFieldRule, Change, RequestFieldRule, TrafficRules
from edge.policy.wording import facts_of


def request_rules(request: Request, rules: TrafficRules) -> Sequence[RequestFieldRule]:
    """The rules that change what the origin is told of `request`."""
    return [rule for rule in rules.request_fields if _is_for(rule.paths, request)]


def answer_rules(request: Request, status: int, rules: TrafficRules) -> Sequence[AnswerFieldRule]:
    """The rules that change an answer of `status` to `request`."""
    return [
        rule
        for rule in rules.answer_fields
        if (rule.statuses is None or status in rule.statuses)
        and (not rule.scheme or rule.scheme == request.scheme)
        and _is_for(rule.paths, request)
    ]


def shaped(request: Request, rules: TrafficRules) -> Request:
    """`request` with the fields that the cache is to see, so that Vary speaks of what the origin will get."""
    found = request_rules(request, rules)
    if not found:
        return request
    return replace(request, fields=_told(request.fields, [rule.seen for rule in found], request))


def as_sent(fields: Fields, request: Request, rules: TrafficRules) -> Fields:
    """`fields`, on their way to the origin for the visitor's `request`, as the rules want them."""
    return _told(fields, [rule.change for rule in request_rules(request, rules)], request)


def as_answered(fields: Fields, request: Request, found: Sequence[AnswerFieldRule]) -> Fields:
    """`fields` of an answer to `request` as the rules that were `found` for it want them."""
    secure = request.scheme == "https"
    lines = list(fields.lines)
    for rule in found:
        change = rule.change if secure else rule.plain
        lines = [line for line in lines if line[0].lower() not in change.gone] if change.gone else lines
        lines += _brought(change, request)
    return Fields(lines)


def _told(fields: Fields, changes: Sequence[Change], request: Request) -> Fields:
    """`fields` after `changes`, in order. Lines that stay are not looked at: they may be anything."""
    for change in changes:
        fields = fields.without(*change.gone).plus(*_brought(change, request))
    return fields


def _brought(change: Change, request: Request) -> tuple[Line, ...]:
    return change.lines(facts_of(request, change.names)) if change.constant is None else change.constant


def _is_for(paths: Patterns | None, request: Request) -> bool:
    return paths is None or paths.fits(unquote(request.path))
