"""Rules: what may be written, in which order they are asked, and that none can do harm."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from origin.risk.facts import MEANINGS
from origin.risk.reports import Decided, records, tried
from origin.risk.rules import DEFAULT, SAMPLES, RuleSet, check, judge
from tests.origin.risk.desks import ruleset

FACTS = SAMPLES[0]
YES, NO = "amount >= 0.0", "amount < 0.0"


@pytest.mark.parametrize(
    ("rules", "action", "challenge", "matched"),
    [
        pytest.param((), "allow", False, (), id="nothing"),
        pytest.param((("c", "challenge", YES),), "allow", True, ("c",), id="challenge-goes-on"),
        pytest.param(
            (("b", "block", YES), ("a", "allow", YES)), "allow", False, ("a",), id="allow-before-block"
        ),
        pytest.param((("r", "review", YES), ("b", "block", YES)), "block", False, ("b",), id="block-first"),
        pytest.param(
            (("r", "review", YES), ("c", "challenge", YES), ("d", "challenge", YES)),
            "review", True, ("c", "d", "r"), id="challenge-and-review",
        ),
        pytest.param((("b", "block", NO), ("r", "review", YES)), "review", False, ("r",), id="not-met"),
        pytest.param((("x", "block", YES), ("y", "block", YES)), "block", False, ("x",), id="first"),
    ],
)  # fmt: skip
def test_rules_are_asked_in_their_order(
    rules: tuple[tuple[str, str, str], ...], action: str, challenge: bool, matched: tuple[str, ...]
) -> None:
    judged = judge(ruleset(*rules).rules, FACTS)
    assert (judged.action, judged.challenge, judged.matched) == (action, challenge, matched)


@pytest.mark.parametrize(
    ("when", "says"),
    [
        pytest.param("amount >", "Syntax error", id="syntax"),
        pytest.param("colour == 'red'", "'colour' is no fact", id="unknown"),
        pytest.param("amount", "expected a condition that is true or false", id="number"),
        pytest.param("amount == 'x' || country < 1", "No such overload", id="types"),
        pytest.param("nosuch(country)", "nosuch", id="function"),
        pytest.param("__import__('os').system('x') == 0", "__import__", id="python"),
        pytest.param("[1,2,3].map(x, x * 2).size() > 0", "'x' is no fact", id="loops"),
        pytest.param("[[1]].all(a, a.all(b, b > 0))", "is no fact", id="nested-loops"),
        pytest.param("(" * 400 + "amount > 0.0" + ")" * 400, "", id="deep"),
    ],
)
def test_what_is_no_condition_is_refused(when: str, says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ruleset(("x", "block", when))
    assert says in str(refused.value)


def test_names_are_told_apart_and_length_is_bounded() -> None:
    with pytest.raises(ValidationError, match="two rules are called 'x'"):
        ruleset(("x", "block", YES), ("x", "allow", YES))
    with pytest.raises(ValidationError, match="at most 1000"):
        ruleset(("x", "block", "amount > 0.0 || " * 100 + "true"))
    with pytest.raises(ValidationError, match="block"):
        ruleset(("x", "destroy", YES))


def test_a_condition_that_fails_holds_nobody_up_and_is_told() -> None:
    judged = judge(
        ruleset(("ratio", "block", "100 / address_hour > 3"), ("r", "review", YES)).rules, SAMPLES[1]
    )
    assert (judged.action, judged.failed) == ("review", ("ratio",))


def test_the_shipped_rules_are_rules() -> None:
    assert RuleSet.model_validate(DEFAULT.model_dump(mode="json")) == DEFAULT
    assert judge(DEFAULT.rules, {**SAMPLES[1], "session_age": 60.0}).action == "allow"


@given(st.text(max_size=60))
def test_any_text_is_a_condition_or_refused(when: str) -> None:
    try:
        check(when)
    except ValueError as refused:
        assert str(refused)


@given(st.sampled_from(sorted(MEANINGS)), st.sampled_from(SAMPLES))
def test_every_fact_can_be_asked_for(name: str, facts: dict[str, object]) -> None:
    assert judge(ruleset(("same", "block", f"{name} == {name}")).rules, facts).action == "block"  # type: ignore[arg-type]


def decided(action: str, outcome: str = "", review: str = "", amount: float = 1.0, *matched: str) -> Decided:
    return Decided("id", action, False, matched, {**FACTS, "amount": amount}, review, outcome)


def test_rules_are_measured_by_what_became_of_orders() -> None:
    history = [
        decided("allow", "paid"),
        decided("allow", "disputed", "", 1.0, "vip"),
        decided("block", "", "", 1.0, "card-testing"),
        decided("review", "paid", "approved", 1.0, "far"),
        decided("review", "", "rejected", 1.0, "far"),
        decided("review", "", "open", 1.0, "far"),
    ]
    everything, far, *rest = records(history)
    assert (everything.rule, everything.attempts) == ("all", 6)
    assert everything.rates() == {
        "approval": 0.5, "block": 0.1667, "dispute": 0.3333, "false_positive": 0.5,
    }  # fmt: skip
    assert (far.rule, far.rates()["approval"], far.rates()["false_positive"]) == ("far", 0.3333, 0.5)
    vip = next(one for one in rest if one.rule == "vip")
    assert (vip.rates()["dispute"], vip.rates()["false_positive"]) == (1.0, None)


def test_a_trial_says_what_would_have_been_otherwise() -> None:
    history = [decided("allow", "disputed", "", 900.0), decided("allow", "paid", "", 900.0), decided("block")]
    told = tried(ruleset(("large", "block", "amount > 500.0")).rules, history)
    assert told["actions"] == {"allow": 1, "block": 2, "review": 0}
    assert told["changes"] == {"allow->block": 2, "block->allow": 1}
    assert told["newly_blocked"] == {"disputed": 1, "paid": 1}
    assert told["matches"] == {"large": 2}
