"""How well rules do (pure): approval, block and dispute rates by rule, and what others would have done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from origin.risk.facts import Fact
from origin.risk.rules import Rule, judge

EVERYTHING = "all"
EXAMPLES = 20


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision, and what became of it."""

    id: str
    action: str
    challenge: bool
    matched: tuple[str, ...]
    facts: Mapping[str, Fact]
    review: str
    outcome: str

    @property
    def approved(self) -> bool:
        """Let through, at once or by a person."""
        return self.action == "allow" or self.review == "approved"


@dataclass(slots=True)
class Record:
    """What a rule matched, and how that went. `all` has every attempt."""

    rule: str
    attempts: int = 0
    approved: int = 0
    blocked: int = 0
    challenged: int = 0
    reviewed: int = 0
    rejected: int = 0
    cleared: int = 0  # reviews that a person approved: false positives
    paid: int = 0
    disputed: int = 0

    def rates(self) -> dict[str, float | None]:
        """Shares from 0 to 1; None where there is nothing to divide by."""
        answered = self.cleared + self.rejected
        return {
            "approval": _share(self.approved, self.attempts),
            "block": _share(self.blocked, self.attempts),
            "dispute": _share(self.disputed, self.paid),
            "false_positive": _share(self.cleared, answered),
        }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def records(history: Sequence[Decided]) -> list[Record]:
    """A record for everything and one for each rule that matched, the busiest first."""
    made = {EVERYTHING: Record(EVERYTHING)}
    for one in history:
        for name in (EVERYTHING, *one.matched):
            _add(made.setdefault(name, Record(name)), one)
    return sorted(made.values(), key=lambda one: (one.rule != EVERYTHING, -one.attempts, one.rule))


def _add(record: Record, one: Decided) -> None:
    record.attempts += 1
    record.approved += one.approved
    record.blocked += one.action == "block"
    record.challenged += one.challenge
    record.reviewed += one.action == "review"
    record.rejected += one.review == "rejected"
    record.cleared += one.review == "approved"
    record.paid += one.outcome in ("paid", "refunded", "disputed")
    record.disputed += one.outcome == "disputed"


def described(record: Record) -> dict[str, Any]:
    """A record as JSON can say it."""
    return {**asdict(record), **record.rates()}


def tried(rules: Sequence[Rule], history: Sequence[Decided]) -> dict[str, Any]:
    """What `rules` would have decided of `history`: counts, changes from what was decided, and examples."""
    actions = {"allow": 0, "block": 0, "review": 0}
    changes: dict[str, int] = {}
    matches = {rule.name: 0 for rule in rules}
    failed: dict[str, int] = {}
    examples: list[dict[str, Any]] = []
    disputes_stopped = paid_stopped = 0
    for one in history:
        judged = judge(rules, one.facts)
        actions[judged.action] += 1
        for name in judged.matched:
            matches[name] += 1
        for name in judged.failed:
            failed[name] = failed.get(name, 0) + 1
        if judged.action == one.action:
            continue
        change = f"{one.action}->{judged.action}"
        changes[change] = changes.get(change, 0) + 1
        if judged.action == "block":
            disputes_stopped += one.outcome == "disputed"
            paid_stopped += one.outcome == "paid"
        if len(examples) < EXAMPLES:
            examples.append({"id": one.id, "change": change, "matched": list(judged.matched)})
    return {
        "attempts": len(history),
        "actions": actions,
        "changes": dict(sorted(changes.items())),
        "matches": matches,
        "failed": failed,
        "newly_blocked": {"disputed": disputes_stopped, "paid": paid_stopped},
        "examples": examples,
    }
