"""HTTP-date."""

from __future__ import annotations

import time
from inspect import unwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.dates import format_date, parse_date

AT = 2544400878  # Thu, 18 Aug 2050 02:01:18 GMT


@pytest.mark.parametrize(
    "text",
    [
        "Thu, 18 Aug 2050 02:01:18 GMT",
        "Thursday, 18-Aug-50 02:01:18 GMT",
        "Thu Aug 18 02:01:18 2050",
        "THU, 18 AUG 2050 02:01:18 gmt",
    ],
)
def test_the_three_forms_name_the_same_second(text: str) -> None:
    assert parse_date(text) == AT


@pytest.mark.parametrize(
    "text",
    [
        "", "0", "-1", "Thu, 18 Aug 50 02:01:18 GMT", "Thu 18 Aug 2050 02:01:18 GMT",
        "Thu, 18  Aug  2050 02:01:18 GMT", "Thu, 18-Aug-2050 02:01:18 GMT", "Thu, 18 Aug 2050 2:01:18 GMT",
        "Thu, 18 Aug 2050 02.01.18 GMT", "Thu, 18 Aug 2050 02:01:18 UTC", "Thu, 18 Aug 2050 02:01:18",
        "Thu, 31 Feb 2050 02:01:18 GMT", "Thu, 18 Aug 0000 02:01:18 GMT", "Thu, 18 Aug 2050 25:01:18 GMT",
        "Thu, 18 Aug 2050 02:01:18 GMT, Thu, 18 Aug 2050 02:01:18 GMT", "Thu, ١٨ Aug 2050 02:01:18 GMT",
    ],
)  # fmt: skip
def test_anything_else_is_no_date(text: str) -> None:
    assert parse_date(text) is None


def test_two_digits_mean_the_year_within_reach() -> None:
    assert parse_date("Sunday, 06-Nov-94 08:49:37 GMT") == 784111777
    assert parse_date("Sunday, 06-Nov-77 08:49:37 GMT") == parse_date("Sun, 06 Nov 1977 08:49:37 GMT")


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="this machine's time zone cannot be set")
@pytest.mark.parametrize("zone", ["Asia/Jakarta", "America/New_York", "<+13>-13"])
def test_the_machines_time_zone_does_not_matter(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert unwrap(parse_date)("Thu, 18 Aug 2050 02:01:18 GMT") == AT
        assert unwrap(format_date)(AT) == "Thu, 18 Aug 2050 02:01:18 GMT"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_leap_second_is_the_one_before() -> None:
    assert parse_date("Sat, 31 Dec 2016 23:59:60 GMT") == parse_date("Sat, 31 Dec 2016 23:59:59 GMT")


@given(st.integers(0, 253_402_300_799))
def test_dates_round_trip(seconds: int) -> None:
    assert parse_date(format_date(seconds)) == seconds


@given(st.text())
def test_parsing_never_raises(text: str) -> None:
    parsed = parse_date(text)
    assert parsed is None or isinstance(parsed, int)
