"""Rules as an operator writes them: TOML, read and written (pure)."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable

from pydantic import ValidationError

from origin.risk.rules import Rule, RuleSet

PARTS = ("name", "action", "when")


def as_toml(rules: Iterable[Rule]) -> str:
    """What `from_toml` reads."""
    blocks = (
        "\n".join(["[[rules]]", *(f"{part} = {_quoted(getattr(rule, part))}" for part in PARTS)])
        for rule in rules
    )
    return "\n\n".join(blocks) + "\n"


def from_toml(text: str) -> RuleSet:
    """The rules in `text`. ValueError: a line for every place that can't be taken, with what is expected."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"TOML: {error}") from None
    try:
        return RuleSet.model_validate(document)
    except ValidationError as error:
        raise ValueError("\n".join(_said(document, one) for one in error.errors(include_url=False))) from None


def _said(document: dict[str, object], error: object) -> str:
    """Where it is wrong, by the rule's own name where it has one."""
    assert isinstance(error, dict)
    place = list(error["loc"])
    rules = document.get("rules")
    if len(place) > 1 and isinstance(rules, list) and isinstance(place[1], int) and place[1] < len(rules):
        rule = rules[place[1]]
        name = rule.get("name") if isinstance(rule, dict) else None
        place[1] = name if isinstance(name, str) else place[1] + 1
    return f"{'.'.join(str(step) for step in place) or 'rules'}: {error['msg']}"


def _quoted(text: str) -> str:
    """A string of TOML's."""
    if "'" not in text and "\n" not in text:
        return f"'{text}'"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'
