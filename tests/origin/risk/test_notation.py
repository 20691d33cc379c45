"""Rules as TOML: what is written is read again, and what is wrong is told by the rule's name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from origin.risk.notation import as_toml, from_toml
from origin.risk.rules import DEFAULT, Rule, RuleSet

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), include_characters="\n\t"))
GOOD = "[[rules]]\nname = 'large'\naction = 'block'\nwhen = 'amount > 1.0'\n"


def test_the_rules_that_tepi_ships_survive_the_way_to_a_file_and_back() -> None:
    assert from_toml(as_toml(DEFAULT.rules)) == DEFAULT
    assert from_toml("rules = []") == RuleSet(rules=[])


@given(TEXTS.filter(lambda text: 0 < len(text) < 900))
def test_any_text_in_a_condition_is_quoted_so_that_it_comes_back(text: str) -> None:
    rule = Rule.model_construct(name="odd", action="block", when=f"currency == {text!r}")
    try:
        found = from_toml(as_toml([rule]))
    except ValueError as error:
        assert "TOML" not in str(error), "the file itself can always be read"
    else:
        assert found.rules[0].when == rule.when


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[rules]", "TOML: "),
        ("", "rules: Field required"),
        (GOOD.replace("block", "burn"), "rules.large.action: "),
        (GOOD.replace("amount", "amuont"), "rules.large.when: Value error, 'amuont' is no fact"),
        (GOOD.replace("'amount > 1.0'", "'amount'"), "rules.large.when: "),
        (GOOD + GOOD, "two rules are called 'large'"),
        (GOOD.replace("name = 'large'\n", ""), "rules.1.name: Field required"),
        ("rules = 3", "rules: "),
        (GOOD + "colour = 'red'\n", "rules.large.colour: "),
    ],
)
def test_what_is_wrong_is_said_where_it_is(text: str, says: str) -> None:
    with pytest.raises(ValueError) as refused:
        from_toml(text)
    assert says in str(refused.value)
