from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.dataset.ranges import BadRange, Range, countries, merge, read


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_file_is_read_in_order(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "10.0.0.0,10.0.0.255,ID\n1.0.0.0,1.0.0.0,AU\n")
    assert read(path, 4) == [
        Range(0x01000000, 0x01000000, "AU"),
        Range(0x0A000000, 0x0A0000FF, "ID"),
    ]


@pytest.mark.parametrize(
    "line", ["1.0.0.0,1.0.0.9", "1.0.0.9,1.0.0.0,ID", "x,1.0.0.0,ID", "::1,::2,ID", "1.0.0.0,1.0.0.1,IDN"]
)
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    path = write(tmp_path / "x.csv", f"1.0.0.0,1.0.0.0,AU\n{line}\n")
    with pytest.raises(BadRange, match=r"x\.csv, line 2: got"):
        read(path, 4)


def test_the_narrower_range_wins() -> None:
    wide, narrow = Range(0, 99, "AU"), Range(10, 19, "ID")
    expected = [Range(0, 9, "AU"), Range(10, 19, "ID"), Range(20, 99, "AU")]
    assert merge([[wide], [narrow]]) == expected
    assert merge([[narrow], [wide]]) == expected


def test_of_equally_wide_ranges_the_later_files_wins() -> None:
    assert merge([[Range(0, 9, "AU")], [Range(0, 9, "ID")]]) == [Range(0, 9, "ID")]


def test_neighbours_of_a_country_are_joined_and_gaps_stay() -> None:
    source = [Range(0, 4, "ID"), Range(5, 9, "ID"), Range(20, 29, "ID")]
    assert merge([source]) == [Range(0, 9, "ID"), Range(20, 29, "ID")]


def test_countries_are_listed_once() -> None:
    assert countries([Range(0, 1, "ID"), Range(2, 3, "AU"), Range(4, 5, "ID")]) == ["AU", "ID"]


@st.composite
def sources(draw: st.DrawFn) -> list[Range]:
    edges = sorted(draw(st.sets(st.integers(0, 60), max_size=10)))
    pairs = zip(edges[::2], edges[1::2], strict=False)
    return [Range(first, last, draw(st.sampled_from(["ID", "AU", "DE"]))) for first, last in pairs]


@given(st.lists(sources(), min_size=1, max_size=3))
def test_every_address_has_the_country_of_the_narrowest_range_around_it(files: list[list[Range]]) -> None:
    merged = merge(files)
    assert all(one.last < other.first for one, other in pairwise(merged))
    for address in range(-1, 63):
        around = [one for file in files for one in file if one.first <= address <= one.last]
        right = {one.country for one in around if one.width == min(other.width for other in around)}
        found = {one.country for one in merged if one.first <= address <= one.last}
        assert found <= right
        assert bool(found) == bool(right)
