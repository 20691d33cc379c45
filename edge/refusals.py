"""Answers that the edge makes by itself: refusals, and failures of origins."""

from __future__ import annotations

from http import HTTPStatus

from edge.http.message import Answer, Fields, Outcome
from edge.intake import Exchange
from edge.policy.entry import Entry
from edge.policy.reasons import RefusedReason
from edge.policy.rules import SiteRules
from edge.upstream.contract import UpstreamError

_REFUSALS = {
    RefusedReason.UNKNOWN_HOST: (421, "No site of this node answers to that host.\n"),
    RefusedReason.LOOP: (508, "This request has come through this CDN before.\n"),
    RefusedReason.ONLY_IF_CACHED: (504, "Nothing stored can answer, and only-if-cached forbids to ask.\n"),
    RefusedReason.ESCAPE: (400, "This path leads out of where it begins.\n"),
    RefusedReason.METHOD_NOT_ALLOWED: (405, "This method is not allowed here.\n"),
}
_FAILURES = {"timeout": 504, "no-healthy-origin": 503, "overloaded": 503}
_DISCONNECTED = frozenset({"connect", "tls", "timeout", "reset", "no-healthy-origin"})


def refusal(reason: RefusedReason, rules: SiteRules | None) -> Answer:
    """The answer to a request that the edge will not take further."""
    status, text = _REFUSALS[reason]
    return _plain(status, text, Outcome("refused", reason, site=None if rules is None else rules.name))


def failure(x: Exchange, error: UpstreamError, fwd: str = "miss", stale: Entry | None = None) -> Answer:
    """The answer where no origin gave one, nor `stale` could stand in; `fwd` says why it was asked.

    If that is for want of validation, a cache that is disconnected answers 504 (RFC 9111 §5.2.2.2).
    """
    status = _FAILURES.get(error.failure, 502)
    if stale is not None and stale.freshness.must_revalidate and error.failure in _DISCONNECTED:
        status = 504
    outcome = Outcome("error", error.failure, site=x.rules.name, key=x.key, origin=error.origin, fwd=fwd)
    return _plain(status, f"{HTTPStatus(status).phrase}: the origin could not answer.\n", outcome)


def _plain(status: int, text: str, outcome: Outcome) -> Answer:
    body = text.encode()
    fields = Fields(
        (
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
        )
    )
    return Answer(status, fields, body, outcome)
