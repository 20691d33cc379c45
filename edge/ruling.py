"""Carrying out a site's traffic rules around the cache: before it a request's course, after it its answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import assert_never

from edge.clock import Clock
from edge.http.dates import format_date
from edge.http.message import Answer, Fields, Line, Outcome, Request
from edge.pages.kept import Ask, KeptPages
from edge.policy.alterations import answer_rules, as_answered
from edge.policy.course import Closed, Onward, course
from edge.policy.errorpages import KEPT, standin, written
from edge.policy.reasons import RefusedReason, RuleReason
from edge.policy.redirects import Redirect
from edge.policy.rewrites import Escape
from edge.policy.rules import SiteRules
from edge.policy.traffic import ErrorPage, Maintenance, TrafficRules
from edge.refusals import refusal
from edge.upstream.collapse import close

CLOSED = "This site is closed for maintenance.\n"


class Ruling:
    """The way through the pipeline of a site that has traffic rules. `ask` is the pipeline without them."""

    def __init__(self, ask: Ask, clock: Clock) -> None:
        self._ask = ask
        self._clock = clock
        self.pages = KeptPages(ask, clock)

    async def answer(self, request: Request, rules: SiteRules, traffic: TrafficRules) -> Answer:
        """The answer to `request` of a site under `traffic`."""
        way = course(request, traffic)
        match way:
            case Closed(rule):
                answer = await self._closed(request, rules, rule)
            case Redirect():
                answer = self._sent(way, rules)
            case Escape():
                answer = refusal(RefusedReason.ESCAPE, rules)
            case Onward():
                answer = await self._onward(request, way, rules, traffic)
            case _:
                assert_never(way)
        return dressed(answer, request, rules)

    async def _onward(self, request: Request, way: Onward, rules: SiteRules, traffic: TrafficRules) -> Answer:
        answer = await self._ask(request, rules)
        forwarded = answer.outcome.fwd is not None
        for applied, reason in (
            (way.circle is not None, RuleReason.REDIRECT_CIRCLE),
            (way.altered and forwarded, RuleReason.REQUEST_FIELDS),
            (way.inner is not None and forwarded, RuleReason.REWRITE),
        ):
            answer = _noted(answer, reason) if applied else answer
        if not traffic.error_pages or answer.outcome.verdict == "refused":
            return answer
        rule = standin(request, answer.status, answer.fields, traffic)
        return answer if rule is None else await self._stood_in(request, rules, rule, answer)

    async def _stood_in(self, request: Request, rules: SiteRules, rule: ErrorPage, error: Answer) -> Answer:
        """`rule`'s page under the status of `error`; `error` itself where the page can't be had."""
        page = await self._page(request, rules, rule.page.path, written(rule.page, request.fields))
        if page is None:
            return error
        await close(error.body)
        own = [line for line in error.fields.lines if line[0].lower() in KEPT]
        lines: list[Line] = [*own, ("Cache-Control", rule.cache_control)]
        if rule.cache_control != "no-store":
            lines.append(("Vary", "Accept, Sec-Fetch-Dest"))
        answer = Answer(error.status, page.fields.plus(*lines), page.body, error.outcome)
        return _noted(answer, RuleReason.ERROR_PAGE)

    async def _closed(self, request: Request, rules: SiteRules, rule: Maintenance) -> Answer:
        page = await self._page(request, rules, rule.page.path, written(rule.page, request.fields))
        if page is None:
            page = Answer(503, Fields([("Content-Type", "text/plain; charset=utf-8")]), CLOSED.encode())
        lines: list[Line] = [
            ("Date", self._date()),
            ("Cache-Control", "no-store"),
            ("Retry-After", str(rule.retry_after)),
        ]
        outcome = Outcome("rule", RuleReason.MAINTENANCE, site=rules.name)
        return Answer(503, page.fields.plus(*lines), page.body, outcome)

    def _sent(self, way: Redirect, rules: SiteRules) -> Answer:
        fits = way.rule.fits
        lines: list[Line] = [
            ("Date", self._date()),
            ("Location", way.location),
            ("Cache-Control", way.rule.cache_control),
        ]
        if fits.languages:
            lines.append(("Vary", "Accept-Language"))
        if fits.unless_cookies:
            lines.append(("Vary", "Cookie"))
        return Answer(
            way.rule.status, Fields(lines), b"", Outcome("rule", RuleReason.REDIRECT, site=rules.name)
        )

    async def _page(
        self, request: Request, rules: SiteRules, path: str | None, text: tuple[str, bytes] | None
    ) -> Answer | None:
        """The page at `path`, or where it can't be had the text, which is Content-Type and body."""
        found = None if path is None else await self.pages.page(path, request, rules)
        if found is None and text is not None:
            return Answer(200, Fields([("Content-Type", text[0])]), text[1])
        return found

    def _date(self) -> str:
        return format_date(int(self._clock.wall()))


def dressed(answer: Answer, request: Request, rules: SiteRules | None) -> Answer:
    """`answer` to `request` with the fields that the rules have every answer bear."""
    traffic = None if rules is None else rules.traffic
    found = () if traffic is None else answer_rules(request, answer.status, traffic)
    if not found:
        return answer
    answer = _noted(answer, RuleReason.ANSWER_FIELDS)
    return Answer(answer.status, as_answered(answer.fields, request, found), answer.body, answer.outcome)


def barred(request: Request, rules: SiteRules) -> tuple[int, str] | None:
    """Status and reason where `request`, a handshake that leaves the pipeline, goes no further."""
    if rules.traffic is None:
        return None
    way = course(request, rules.traffic)
    if isinstance(way, Closed):
        return 503, RuleReason.MAINTENANCE
    return (400, RefusedReason.ESCAPE) if isinstance(way, Escape) else None


def host_of(names: Iterable[str]) -> str | None:
    """The first of a site's hosts by which it can be asked."""
    return next((name for name in names if "*" not in name), None)


def _noted(answer: Answer, reason: RuleReason) -> Answer:
    outcome = replace(answer.outcome, rules=(*answer.outcome.rules, reason))
    return Answer(answer.status, answer.fields, answer.body, outcome)
