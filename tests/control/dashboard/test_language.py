"""Languages: which one, whether all of it is there, and how numbers and times look."""

from __future__ import annotations

import re
from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st

from control.dashboard.language import (
    LANGUAGES,
    ORIGINAL,
    Language,
    catalogue,
    choose_language,
    load_languages,
)

DASHBOARD = Path(__file__).parents[3] / "control" / "dashboard"
METHODS = [("**.py", "python"), ("templates/**.html", "jinja2")]
OPTIONS = {"templates/**.html": {"trimmed": "true", "newstyle_gettext": "true", "silent": "false"}}
KEYWORDS = {"gettext": None, "ngettext": (1, 2), "_": None, "text": None}
SAME_IN_INDONESIAN = {"Token", "Hit", "Miss", "Vary", "Status", "URL", "Tag", "Node"}
TRANSLATED = [code for code in LANGUAGES if code != ORIGINAL]
ENGLISH, INDONESIAN = (load_languages()[code] for code in ("en", "id"))


def texts_of(language: str) -> Catalog:
    with catalogue(language).open("rb") as file:
        return read_po(file, locale=language)


def used() -> set[str | tuple[str, ...]]:
    """Every text in the code and in the templates."""
    found = extract_from_dir(str(DASHBOARD), METHODS, OPTIONS, KEYWORDS)
    return {message for _, _, message, _, _ in found}


def forms(message: Message) -> list[str]:
    return [message.string] if isinstance(message.string, str) else list(message.string)


def places(text: str) -> set[str]:
    return set(re.findall(r"%\(\w+\)s", text))


def test_the_extraction_sees_code_and_templates() -> None:
    assert {
        "User and password do not belong together, or the code is missing or wrong.",
        "Skip to the content",
    } <= used()


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_text_is_translated(language: str) -> None:
    catalogue = texts_of(language)
    missing = [
        text
        for text in used()
        if (message := catalogue.get(text if isinstance(text, str) else text[0])) is None
        or message.fuzzy
        or not all(forms(message))
    ]
    assert missing == [], "run the commands in translations/babel.cfg, and translate"


@pytest.mark.parametrize("language", TRANSLATED)
def test_no_translation_is_left_over(language: str) -> None:
    known = {text if isinstance(text, str) else text[0] for text in used()}
    kept = {message.id if isinstance(message.id, str) else message.id[0] for message in texts_of(language)}
    assert kept - {""} <= known
    assert not texts_of(language).obsolete


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_translation_has_the_places_of_its_original(language: str) -> None:
    for message in texts_of(language):
        if message.id:
            original = message.id if isinstance(message.id, str) else message.id[-1]
            for form in forms(message):
                assert places(form) == places(original), original


def test_indonesian_is_not_english_again() -> None:
    same = {
        message.id
        for message in texts_of("id")
        if isinstance(message.id, str) and message.id == message.string
    }
    assert same - {""} <= SAME_IN_INDONESIAN


@pytest.mark.parametrize(
    ("remembered", "accepted", "chosen"),
    [
        (None, "", "en"),
        (None, "id-ID,id;q=0.9,en;q=0.8", "id"),
        (None, "in", "id"),
        (None, "fr-FR, en;q=0.5, id;q=0.7", "id"),
        (None, "id;q=0, en", "en"),
        (None, "*", "en"),
        (None, "fr", "en"),
        ("en", "id", "en"),
        ("id", "en", "id"),
        ("xx", "id", "id"),
    ],
)
def test_a_choice_beats_the_browser_and_the_browsers_best_beats_the_rest(
    remembered: str | None, accepted: str, chosen: str
) -> None:
    assert choose_language(remembered, accepted) == chosen


@given(st.none() | st.text(), st.text())
def test_some_language_is_always_chosen(remembered: str | None, accepted: str) -> None:
    assert choose_language(remembered, accepted) in LANGUAGES


@pytest.mark.parametrize(
    ("number", "english", "indonesian"),
    [
        (0, "0", "0"),
        (0.126, "0.13", "0,13"),
        (12.34, "12.3", "12,3"),
        (1234.6, "1,235", "1.235"),
    ],
)
def test_numbers_are_written_as_the_language_does(number: float, english: str, indonesian: str) -> None:
    assert (ENGLISH.number(number), INDONESIAN.number(number)) == (english, indonesian)


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (999, "999 B"), (999.9, "1 kB"), (1500, "1.5 kB"), (999_999, "1 MB"), (3.2e15, "3.2 PB")],
)
def test_bytes_climb_to_the_next_unit_in_time(count: float, shown: str) -> None:
    assert ENGLISH.bytes(count) == shown


@pytest.mark.parametrize(("share", "shown"), [(1, "100%"), (0.99999, "99.9%"), (0.5, "50%"), (0.0004, "0%")])
def test_only_all_is_a_hundred_percent(share: float, shown: str) -> None:
    assert ENGLISH.percent(share) == shown


@pytest.mark.parametrize("language", [ENGLISH, INDONESIAN], ids=["en", "id"])
def test_times_are_those_of_the_zone(language: Language) -> None:
    at = 1_795_492_800
    assert language.moment(at, UTC) in ("04:00", "04.00")
    assert language.moment(at, ZoneInfo("Asia/Jakarta")) in ("11:00", "11.00")
    assert language.moment(at, UTC, 30 * 86_400) == "24 Nov"
    assert "2026" in language.when(at, UTC)


def test_short_times_are_told_in_milliseconds() -> None:
    assert (ENGLISH.duration(0.0123), ENGLISH.duration(2.5)) == ("12.3 ms", "2.5 s")
