"""What every answer bears on its way out: Age, Via, Cache-Status, Server-Timing, X-Request-Id."""

from __future__ import annotations

from edge.http.cache_status import cache_status
from edge.http.message import Answer, Fields, Line, Outcome, Request
from edge.policy.key import url_of


def sealed(answer: Answer, request: Request, identity: str, took: float) -> Answer:
    """`answer` to `request` as it leaves the cache called `identity`, after `took` milliseconds."""
    outcome = answer.outcome
    timing = f'tepi;desc="{outcome.verdict}"'
    if outcome.verdict != "hit":  # a hit takes no time worth telling
        timing += f";dur={took:.1f}"
    if outcome.origin_seconds is not None:
        timing += f", origin;dur={outcome.origin_seconds * 1000:.1f}"
    lines: list[Line] = [*answer.fields.lines]
    if outcome.age is not None:
        lines.append(("Age", str(outcome.age)))  # RFC 9111 §5.1
    lines += (
        ("Via", f"1.1 {identity}"),
        ("Cache-Status", _status(outcome, identity)),
        ("Server-Timing", timing),
    )
    if request.id:
        lines.append(("X-Request-Id", request.id))
    return Answer(answer.status, Fields(lines), answer.body, outcome)


def _status(outcome: Outcome, identity: str) -> str:
    """This answer's member of Cache-Status (RFC 9211)."""
    reason = None if outcome.reason == outcome.fwd else outcome.reason
    return cache_status(
        identity,
        hit=outcome.verdict in ("hit", "stale"),  # unless it went forward first
        fwd=outcome.fwd,
        fwd_status=outcome.origin_status,
        ttl=outcome.ttl,
        stored=outcome.stored,
        collapsed=outcome.collapsed,
        key=None if outcome.key is None else url_of(outcome.key),
        detail=", ".join(filter(None, (outcome.detail or reason, *outcome.rules))) or None,
    )
