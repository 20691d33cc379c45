"""What holds for every template: all texts can be translated, and nothing needs a looser policy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DASHBOARD = Path(__file__).parents[3] / "control" / "dashboard"
TEMPLATES = sorted((DASHBOARD / "templates").rglob("*.html"))
NAMES = {"Tepi", "p50", "p99", "s"}  # the same in every language
SPOKEN = ("aria-label", "title", "alt", "placeholder", "data-on", "data-off")


def without_code(text: str) -> str:
    """A template's own words: without what is translated, computed, or a command to be typed."""
    text = re.sub(r"{% block body_attributes %}.*?{% endblock %}", "", text)
    text = re.sub(r"{% trans\b.*?{% endtrans %}", "", text, flags=re.DOTALL)
    text = re.sub(r"{#.*?#}|{%.*?%}|{{.*?}}", "", text, flags=re.DOTALL)
    return re.sub(r"<(code|pre)\b.*?</\1>", "", text, flags=re.DOTALL)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_word_escapes_translation(template: Path) -> None:
    text = without_code(template.read_text())
    shown = re.sub(r"<[^>]*>", " ", text)
    assert set(re.findall(r"\w*[A-Za-z]\w*", re.sub(r"&\w+;", "", shown))) <= NAMES
    for attribute in SPOKEN:
        for said in re.findall(rf'\s{attribute}="([^"]*)"', text):
            assert not re.search(r"[A-Za-z]", said) or said.startswith("https://shop.example"), said


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_nothing_is_inline_and_nothing_comes_from_elsewhere(template: Path) -> None:
    text = template.read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", text)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))
    assert not re.search(r'\s(?:src|href|action)="(?:https?:)?//', text)


def test_style_sheet_and_script_fetch_nothing_from_elsewhere() -> None:
    for name in ("dashboard.css", "dashboard.js"):
        text = (DASHBOARD / "static" / name).read_text().replace("http://www.w3.org/2000/svg", "")
        assert "//" not in re.sub(r"(^|\s)// ", " ", text), name
        assert "@import" not in text
