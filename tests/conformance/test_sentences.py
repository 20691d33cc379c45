"""Every sentence of the caching RFCs has a case or a test that shows it, and every case shows a sentence."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.test_conformance import CASES

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
REGISTER: dict[str, Any] = tomllib.loads((HERE / "sentences.toml").read_text())
SENTENCES: list[dict[str, Any]] = REGISTER["sentence"]
OURS = [sentence for sentence in SENTENCES if "because" not in sentence]
RFCS = {rfc["number"]: rfc for rfc in REGISTER["rfc"]}
LEVELS = {
    "MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY",
    "must", "should", "ought", "encouraged",  # as the RFC has it, without capitals
    "chosen",  # no requirement, but how a cache is to be understood, or a choice that it leaves
}  # fmt: skip
PAGE = ROOT / "docs" / "behaviour.md"


def place(sentence: dict[str, Any]) -> tuple[int, str]:
    """The RFC and section that a sentence's id tells."""
    number, section, _ = sentence["id"].split("-")
    return int(number), section


@cache
def names_in(path: str) -> frozenset[str]:
    """The names of the tests in a file, none if there is no such file."""
    file = ROOT / path
    tree = ast.parse(file.read_text()) if file.is_file() else ast.Module([], [])
    functions = (node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))
    return frozenset(function.name for function in functions if function.name.startswith("test_"))


def is_there(shown_by: str) -> bool:
    """Whether `shown_by` is the name of a case, or of a test as pytest writes it."""
    path, colons, test = shown_by.partition("::")
    return test in names_in(path) if colons else any(case["id"] == shown_by for case in CASES)


@pytest.mark.parametrize("sentence", SENTENCES, ids=[sentence["id"] for sentence in SENTENCES])
def test_a_sentence_is_shown_or_not_ours_to_keep(sentence: dict[str, Any]) -> None:
    assert sentence["level"] in LEVELS
    assert sentence["says"]
    number, section = place(sentence)
    assert section in RFCS[number]["sections"].split(), "the RFC has no such section"
    if "because" in sentence:
        assert sentence["because"] and "by" not in sentence
    else:
        assert [name for name in sentence["by"] if not is_there(name)] == []
        assert sentence["by"]


def test_every_sentence_has_a_number_of_its_own() -> None:
    assert [name for name, count in Counter(one["id"] for one in SENTENCES).items() if count > 1] == []


@pytest.mark.parametrize("number", RFCS)
def test_every_section_has_a_sentence_that_is_shown_or_asks_nothing(number: int) -> None:
    rfc = RFCS[number]
    shown = {section for rfc_number, section in map(place, OURS) if rfc_number == number}
    assert set(rfc["sections"].split()) - shown == set(rfc["silent"])
    assert shown & set(rfc["silent"]) == set()
    assert all(rfc["silent"].values())


def test_every_case_of_these_rfcs_shows_a_sentence() -> None:
    named = {name for sentence in OURS for name in sentence["by"]}
    wanted = {case["id"] for case in CASES if int(case["section"].split()[1]) in RFCS}
    assert wanted - named == set()


def test_every_case_cites_a_section_that_there_is() -> None:
    for case in CASES:
        cited = re.fullmatch(r"RFC (\d+) §([\d.]+)", case["section"])
        assert cited is not None, case["section"]
        if int(cited[1]) in RFCS:
            assert cited[2] in RFCS[int(cited[1])]["sections"].split(), case["section"]


def table() -> str:
    """The register in figures, as docs/behaviour.md has it."""
    lines = [
        "| RFC | sections | sentences | MUST | SHOULD | MAY and chosen | cases | tests |",
        "|---" * 8 + "|",
    ]
    for number, rfc in RFCS.items():
        ours = [sentence for sentence in OURS if place(sentence)[0] == number]
        levels = Counter(sentence["level"].split()[0].lower() for sentence in ours)
        by = {name for sentence in ours for name in sentence["by"]}
        tests = sum("::" in name for name in by)
        must, should = levels["must"], levels["should"]
        row = [
            f"{number} {rfc['title']}", len({place(sentence)[1] for sentence in ours}), len(ours),
            must, should, len(ours) - must - should, len(by) - tests, tests,
        ]  # fmt: skip
        lines.append("| " + " | ".join(map(str, row)) + " |")
    return "\n".join(lines)


def test_the_page_shows_the_figures_of_the_register() -> None:
    assert table() in PAGE.read_text(), f"put this into {PAGE.name}:\n{table()}"
