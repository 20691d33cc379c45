"""What a site's traffic rules do with a request, as steps of an explanation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from edge.explain import Explanation, Step, refused
from edge.http.message import Request
from edge.policy.alterations import answer_rules, request_rules
from edge.policy.course import Closed, Onward
from edge.policy.errorpages import standin
from edge.policy.reasons import RefusedReason, RuleReason
from edge.policy.redirects import Redirect
from edge.policy.rewrites import Escape
from edge.policy.traffic import Change, Page, TrafficRules
from edge.upstream.contract import Standing

_SHOWN = (404, 500, 502, 503, 504)  # the errors of which an explanation says what stands in for them


def ruled_out(request: Request, site: str, way: Closed | Redirect | Escape) -> Explanation:
    """The story of a request that the cache is never asked about."""
    match way:
        case Closed(rule):
            reason, step = (
                RuleReason.MAINTENANCE,
                Step(
                    "maintenance",
                    "the site is closed: 503, whatever is stored; purges are carried out all the same",
                    {"retry_after": rule.retry_after, **_page(rule.page)},
                ),
            )
        case Redirect(number, rule, location, chain):
            reason, step = (
                RuleReason.REDIRECT,
                Step(
                    "redirect",
                    f"redirects.{number} sends the visitor to {location}",
                    {"status": rule.status, "cache_control": rule.cache_control, "then": list(chain)},
                ),
            )
        case Escape(number, path):
            told = refused(request, RefusedReason.ESCAPE, site)
            step = Step("rewrite", f"rewrites.{number} would ask the origin for {path}", {})
            return replace(told, steps=(*told.steps, step))
        case _:
            assert_never(way)
    return Explanation(request.url, request.method, site, None, "rule", reason, (step,), (), ())


def steps_of(way: Onward, request: Request, rules: TrafficRules) -> tuple[Step, ...]:
    """What the rules say of a request that goes on to the cache."""
    steps: list[Step] = []
    if way.opened is not None:
        steps.append(Step("maintenance", f"the site is closed, but not to this request: {way.opened}", {}))
    if way.circle is not None:
        number, chain = way.circle.number, list(way.circle.chain)
        steps.append(
            Step("redirect", f"redirects.{number} would never end, so it is not made", {"chain": chain})
        )
    if way.inner is not None:
        inner = way.inner
        target = inner.path if inner.query is None else f"{inner.path}?{inner.query}"
        at = f" of host {inner.host}" if inner.host else ""
        steps.append(Step("rewrite", f"rewrites.{inner.number}: the origin is asked for {target}{at}", {}))
    altered = [rule.change for rule in request_rules(request, rules)]
    if altered:
        steps.append(Step("request fields", "the origin is told other fields", _changes(altered)))
    answered = [rule.change for rule in answer_rules(request, 200, rules)]
    if answered:
        steps.append(Step("answer fields", "an answer with 200 bears other fields", _changes(answered)))
    pages = {
        str(status): _page(rule.page)
        for status in _SHOWN
        if (rule := standin(request, status, request.fields.without("content-type"), rules)) is not None
    }
    if pages:
        steps.append(Step("error pages", "a page stands in for errors", pages))
    return tuple(steps)


def hop_steps(asked: Sequence[str]) -> tuple[Step, ...]:
    """Who is asked before an origin is, in order."""
    if not asked:
        return ()
    return (Step("tiers", f"asked before the origin: {', then '.join(asked)}", {"asked": list(asked)}),)


def origin_steps(standing: Sequence[Standing]) -> tuple[Step, ...]:
    """Which origins answer for what is asked of them, in the order in which they are thought of."""
    if not standing:
        return ()
    facts: dict[str, object] = {
        one.url: f"{one.state}{', backup' if one.backup else ''}, weight {one.weight}, {one.busy} under way"
        for one in standing
    }
    return (Step("origin", f"origins of prefix {standing[0].prefix} answer for it", facts),)


def _changes(changes: Sequence[Change]) -> dict[str, object]:
    """Names only: values may be credentials."""
    return {
        "set": [name for change in changes for name, _ in change.replace],
        "added": [name for change in changes for name, _ in change.add],
        "unset": [name for change in changes for name in change.unset],
    }


def _page(page: Page) -> dict[str, object]:
    return {"page": page.path or "a text of the rule's own"}
