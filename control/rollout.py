"""Whether what some nodes try is worse than what the rest does: decided from what both counted. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

ENOUGH = 200  # answers on each side before anything is concluded
ERRORS = 0.02  # so much more of the answers failing turns a trial back
HITS = 0.20  # so much less of the answers from the store
SLOWER = 2.0  # so many times the rest's 95th percentile, and
SLOWER_BY = 0.05  # so many seconds above it
QUANTILE = 0.95


@dataclass(frozen=True, slots=True)
class Side:
    """What nodes answered meanwhile. Shares of all answers, `p95` in seconds; None where nothing tells."""

    answers: int
    errors: float | None
    hits: float | None
    p95: float | None


def side(rows: Iterable[Mapping[str, Any]]) -> Side:
    """The counters of several rows (control.samples) as one side."""
    answers = errors = hits = 0
    latency: dict[str, int] = {}
    for row in rows:
        answers += row.get("requests", 0)
        errors += row.get("errors", 0)
        hits += row.get("hits", 0) + row.get("stale", 0)
        for bound, count in (row.get("latency") or {}).items():
            latency[bound] = latency.get(bound, 0) + count
    if not answers:
        return Side(0, None, None, None)
    return Side(answers, errors / answers, hits / answers, _quantile(latency))


def turned(trial: Side, rest: Side) -> str | None:
    """Why the trial has turned against the rest, in a sentence; None while it has not, or nobody can say."""
    if min(trial.answers, rest.answers) < ENOUGH:
        return None
    assert trial.errors is not None
    assert rest.errors is not None
    assert trial.hits is not None
    assert rest.hits is not None
    if trial.errors > rest.errors + ERRORS:
        return f"{trial.errors:.1%} of its answers are errors, of the others' {rest.errors:.1%}"
    if trial.hits < rest.hits - HITS:
        return f"{trial.hits:.1%} of its answers are hits, of the others' {rest.hits:.1%}"
    if (
        trial.p95 is not None
        and rest.p95 is not None
        and trial.p95 > max(rest.p95 * SLOWER, rest.p95 + SLOWER_BY)
    ):
        return f"95 of 100 answers take up to {trial.p95:g} s, the others' up to {rest.p95:g} s"
    return None


def _quantile(latency: Mapping[str, int]) -> float | None:
    """The least bound up to which QUANTILE of the answers came, in seconds."""
    lacking = QUANTILE * sum(latency.values())
    for bound, count in sorted((float(bound), count) for bound, count in latency.items()):
        lacking -= count
        if count and lacking <= 0:
            return bound
    return None
