"""HTTP-date in its three forms (RFC 9110 §5.6.7)."""

from __future__ import annotations

import re
from calendar import timegm
from datetime import UTC, datetime
from functools import lru_cache

from edge.http.remembered import remembered

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH = {name.lower(): number for number, name in enumerate(MONTHS, 1)}
_WEEKDAY = "(?:mon|tue|wed|thu|fri|sat|sun)"
_LONG_DAY = "(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_CLOCK = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_MON = f"(?P<month>{'|'.join(_MONTH)})"

_FORMS = tuple(
    re.compile(pattern, re.ASCII | re.IGNORECASE)
    for pattern in (
        rf"{_WEEKDAY}, (?P<day>\d\d) {_MON} (?P<year>\d{{4}}) {_CLOCK} GMT",
        rf"{_LONG_DAY}, (?P<day>\d\d)-{_MON}-(?P<short_year>\d\d) {_CLOCK} GMT",
        rf"{_WEEKDAY} {_MON} (?P<day>[ \d]\d) {_CLOCK} (?P<year>\d{{4}})",
    )
)
_THIS_CENTURY = 2000
_PIVOT = 2076  # §5.6.7: a two-digit year that seems more than 50 years ahead is in the past


@remembered(4096)
def parse_date(text: str) -> int | None:
    """Seconds since the epoch, or None if `text` is none of the three forms.

    Case does not matter; the name of the day is not checked against the date.
    """
    for form in _FORMS:
        match = form.fullmatch(text)
        if match is not None:
            break
    else:
        return None
    parts = match.groupdict()
    if parts.get("short_year") is not None:
        year = _THIS_CENTURY + int(parts["short_year"])
        if year > _PIVOT:
            year -= 100
    else:
        year = int(parts["year"])
    second = min(int(parts["second"]), 59)  # a leap second
    try:
        moment = datetime(
            year, _MONTH[parts["month"].lower()], int(parts["day"]), int(parts["hour"]), int(parts["minute"]),
            second, tzinfo=UTC,
        )  # fmt: skip
    except ValueError:
        return None
    return timegm(moment.utctimetuple())


@lru_cache(maxsize=1024)
def format_date(seconds: int) -> str:
    """`seconds` since the epoch as IMF-fixdate."""
    at = datetime.fromtimestamp(seconds, UTC)
    return (
        f"{DAYS[at.weekday()]}, {at.day:02d} {MONTHS[at.month - 1]} {at.year:04d} "
        f"{at.hour:02d}:{at.minute:02d}:{at.second:02d} GMT"
    )
