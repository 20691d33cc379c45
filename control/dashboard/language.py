"""The dashboard's languages: which one is read, its texts (gettext), its numbers and times (Babel)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path

from babel import Locale
from babel.dates import format_date, format_datetime, format_time
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent

TRANSLATIONS = Path(__file__).parent / "translations"
ORIGINAL = "en"
LANGUAGES: Mapping[str, str] = {"en": "English", "id": "Bahasa Indonesia"}
DAY = 86_400
_FORMER = {"in": "id"}  # codes that older software still sends
_BYTES = ("B", "kB", "MB", "GB", "TB", "PB")


@dataclass(frozen=True, slots=True)
class Language:
    """One language: its code, its texts, and how it writes numbers and times."""

    code: str
    texts: NullTranslations

    @property
    def locale(self) -> Locale:
        """As Babel knows it. English is written as outside America: 24 hours, day before month."""
        return Locale.parse("en_GB" if self.code == "en" else self.code)

    def number(self, value: float) -> str:
        """Three significant digits or all before the point, without trailing zeros."""
        digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
        return format_decimal(round(value, digits), "#,##0.##", locale=self.locale)

    def percent(self, share: float) -> str:
        """One digit after the point; a share just below the whole is not rounded up to it."""
        shown = min(round(share, 3), 0.999) if share < 1 else share
        return format_percent(shown, "#,##0.#%", locale=self.locale)

    def bytes(self, count: float) -> str:
        """Bytes in powers of 1000."""
        size, unit = float(count), 0
        while abs(size) >= 999.5 and unit < len(_BYTES) - 1:
            size, unit = size / 1000, unit + 1
        return f"{self.number(size)} {_BYTES[unit]}"

    def duration(self, seconds: float) -> str:
        """Milliseconds below one second, else seconds."""
        return f"{self.number(seconds * 1000)} ms" if seconds < 1 else f"{self.number(seconds)} s"

    def moment(self, at: float, zone: tzinfo, span: int = DAY) -> str:
        """A time; with its day where the span that it stands in is longer than one."""
        when = datetime.fromtimestamp(at, zone)
        if span > DAY:
            return format_date(when, "d MMM", locale=self.locale)
        return format_time(when, "HH:mm", locale=self.locale)

    def when(self, at: float, zone: tzinfo) -> str:
        """Day and time to the second."""
        return format_datetime(datetime.fromtimestamp(at, zone), "d MMM y HH:mm:ss", locale=self.locale)

    def gettext(self, text: str) -> str:
        """`text` in this language."""
        return self.texts.gettext(text)


def load_languages() -> dict[str, Language]:
    """Every language by its code. The catalogues are compiled here, so that none can be out of date."""
    return {
        code: Language(code, NullTranslations() if code == ORIGINAL else _texts(code)) for code in LANGUAGES
    }


def catalogue(code: str) -> Path:
    """The file in which the texts of a language are kept."""
    return TRANSLATIONS / code / "LC_MESSAGES" / "dashboard.po"


def choose_language(remembered: str | None, accept_language: str) -> str:
    """The language that was chosen before, else the best of an Accept-Language field (RFC 9110 §12.5.4)."""
    if remembered is not None and remembered in LANGUAGES:
        return remembered
    wishes = []
    for at, part in enumerate(accept_language[:1000].split(",")):
        tag, _, rest = part.strip().partition(";")
        weight = _weight(rest)
        if tag and weight > 0:
            wishes.append((-weight, at, tag.split("-")[0].strip().lower()))
    wished = [_FORMER.get(tag, tag) for _, _, tag in sorted(wishes)]
    return next((code for code in wished if code in LANGUAGES), ORIGINAL)


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def _texts(code: str) -> GNUTranslations:
    with catalogue(code).open("rb") as file:
        texts = read_po(file, locale=code)
    compiled = BytesIO()
    write_mo(compiled, texts)
    compiled.seek(0)
    return GNUTranslations(compiled)
