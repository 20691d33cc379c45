"""Rules over facts (pure): read, checked, and asked in the order challenge, allow, block, review.

Conditions are CEL (Common Expression Language): no loops, no side effects, no way out of the expression.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal, get_args

import cel
from pydantic import BaseModel, ConfigDict, Field, field_validator

from origin.risk.facts import MEANINGS, Fact

Action = Literal["challenge", "allow", "block", "review"]
ORDER: tuple[Action, ...] = get_args(Action)
SEVERITY = {"allow": 0, "review": 1, "block": 2}
MOST_RULES = 200
LONGEST = 1000
SAMPLES: tuple[dict[str, Fact], ...] = tuple(
    {
        name: (
            number if name in ("amount", "session_age", "page_age", "travel_kmh")
            else number > 0 if name in ("card_abroad", "shipping_abroad", "has_device")
            else text if name in ("currency", "method", "provider", "country", "network_kind", "card_country",
                                  "shipping_country", "billing_country", "email_domain")
            else int(number)
        )
        for name in MEANINGS
    }
    for number, text in ((1.0, "ID"), (0.0, ""), (50.0, "card"))
)  # fmt: skip


class Rule(BaseModel):
    """One rule: if its condition holds, its action follows."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    action: Action
    when: Annotated[str, Field(min_length=1, max_length=LONGEST)]

    @field_validator("when")
    @classmethod
    def _can_be_asked(cls, when: str) -> str:
        check(when)
        return when


class RuleSet(BaseModel):
    """All rules; within one action they are asked as they stand."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    rules: Annotated[list[Rule], Field(max_length=MOST_RULES)]

    @field_validator("rules")
    @classmethod
    def _have_names_of_their_own(cls, rules: list[Rule]) -> list[Rule]:
        names = [rule.name for rule in rules]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two rules are called {twice!r}, expected names of their own")
        return rules


@dataclass(frozen=True, slots=True)
class Judged:
    """What the rules say. `failed` are those whose condition could not be answered: they count as not met."""

    action: Literal["allow", "block", "review"]
    challenge: bool
    matched: tuple[str, ...]
    failed: tuple[str, ...]


@lru_cache(maxsize=1024)
def _compiled(when: str) -> cel.Program:
    return cel.compile(when)


def check(when: str) -> None:
    """Raises ValueError: the condition is no CEL, names what there is not, or is not true or false."""
    try:
        program = _compiled(when)
    except Exception as error:
        raise ValueError(" ".join(str(error).split())[:300]) from None
    unknown = sorted(set(program.variables()) - set(MEANINGS))
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no fact, expected some of {', '.join(MEANINGS)}")
    for sample in SAMPLES:
        try:
            answer = program.execute(dict(sample))
        except ZeroDivisionError:
            continue
        except Exception as error:
            raise ValueError(" ".join(str(error).split())[:300]) from None
        if not isinstance(answer, bool):
            raise ValueError(f"gives {type(answer).__name__}, expected a condition that is true or false")


def judge(rules: Sequence[Rule], facts: Mapping[str, Fact]) -> Judged:
    """A challenge goes with any action; of the others the first that matches decides, else it is allowed."""
    known = dict(facts)
    matched: list[str] = []
    failed: list[str] = []
    challenge = False
    for action in ORDER:
        for rule in rules:
            if rule.action != action or not _holds(rule, known, failed):
                continue
            matched.append(rule.name)
            if action != "challenge":
                return Judged(action, challenge, tuple(matched), tuple(failed))
            challenge = True
    return Judged("allow", challenge, tuple(matched), tuple(failed))


def _holds(rule: Rule, facts: dict[str, Fact], failed: list[str]) -> bool:
    try:
        return _compiled(rule.when).execute(facts) is True
    except Exception:  # whatever the library says, an order is not held up by a rule that can't be asked
        failed.append(rule.name)
        return False


DEFAULT = RuleSet(
    rules=[
        Rule(name="card-from-abroad", action="challenge", when="card_abroad && method == 'card'"),
        Rule(name="new-session", action="challenge", when="session_age >= 0.0 && session_age < 5.0"),
        Rule(name="cards-of-an-address", action="challenge", when="address_cards_hour >= 20"),
        Rule(name="card-testing", action="block", when="cards_day >= 5"),
        Rule(name="many-at-once", action="block", when="card_hour >= 20 || email_hour >= 20"),
        Rule(name="hidden-network", action="review", when="network_kind != '' && card_abroad"),
        Rule(name="impossible-travel", action="review", when="travel_kmh > 1000.0"),
        Rule(name="far-from-home", action="review", when="card_abroad && shipping_abroad"),
    ]
)
