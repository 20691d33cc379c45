"""Scales, ticks and paths of the charts."""

from __future__ import annotations

import re
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.dashboard.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Chart,
    Form,
    Measure,
    Points,
    Series,
    Times,
    decade_marks,
    draw,
    linear_marks,
    time_marks,
)

T0 = 1_795_492_800  # 2026-11-24 04:00 UTC


def drawn(*all_points: Points, form: Form = "line", measure: Measure = "rate") -> Chart:
    times = Times(T0, 10, len(all_points[0]))
    series = [Series(f"series {at}", "store", points) for at, points in enumerate(all_points)]
    return draw(
        "id", "Title", "unit", series, times, form=form, measure=measure, value="{:g}".format, moment=str
    )


def numbers(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path)]


def test_the_axis_has_round_marks_that_hold_every_point() -> None:
    chart = drawn([0, 37, 12])
    assert [tick.text for tick in chart.y] == ["0", "10", "20", "30", "40"]
    assert chart.y[0].at == HEIGHT - BOTTOM
    assert chart.y[-1].at == TOP


@given(st.floats(1e-6, 1e12))
def test_linear_marks_are_few_and_reach_the_top(top: float) -> None:
    marks = linear_marks(top)
    assert marks[0] == 0
    assert 2 <= len(marks) <= 6
    assert marks[-1] >= top * 0.99
    assert marks[-1] <= top * 3


@given(st.floats(1e-6, 100), st.floats(1e-6, 100))
def test_decades_enclose_what_is_shown(one: float, other: float) -> None:
    low, high = sorted((one, other))
    marks = decade_marks(low, high)
    assert len(marks) >= 2
    assert marks[0] <= low * 1.001
    assert marks[-1] >= high * 0.999


def test_a_gap_breaks_the_line_instead_of_lying() -> None:
    stroke = drawn([1, 2, None, 4, 5]).lines[0].stroke
    assert stroke.count("M") == 2
    assert len(numbers(stroke)) == 4


def test_a_single_point_between_gaps_is_still_seen() -> None:
    assert drawn([None, 3, None]).lines[0].stroke.endswith("h.01")


def test_stacked_areas_stand_on_one_another() -> None:
    below, above = drawn([1, 1], [2, 2], form="stack").lines
    top_of_below = numbers(below.stroke)[0][1]
    area_of_above = [y for _, y in numbers(above.area)]
    assert max(area_of_above) == top_of_below
    assert min(area_of_above) < top_of_below


def test_the_legend_tells_the_latest_known_value() -> None:
    assert [line.last for line in drawn([1, 2, None], [None, None, None]).lines] == ["2", ""]


def test_without_any_point_the_chart_says_so() -> None:
    assert drawn([None, None], measure="seconds").empty
    assert not drawn([0, None]).empty


@given(
    st.lists(st.none() | st.floats(0, 1e9), min_size=2, max_size=30),
    st.sampled_from(["rate", "bytes", "share", "seconds"]),
    st.sampled_from(["line", "area", "stack"]),
)
def test_nothing_is_drawn_outside_the_frame(points: list[float | None], measure: Measure, form: Form) -> None:
    if measure == "share":
        points = [None if point is None else min(1.0, point) for point in points]
    chart = drawn(points, form=form, measure=measure)
    for line in chart.lines:
        for x, y in numbers(line.stroke + line.area):
            assert LEFT <= x <= WIDTH - RIGHT
            assert TOP - 0.1 <= y <= HEIGHT - BOTTOM + 0.1


@pytest.mark.parametrize(
    ("count", "step", "between"), [(90, 10, 300), (144, 600, 6 * 3600), (180, 14_400, 7 * 86_400)]
)
def test_times_are_marked_at_round_moments(count: int, step: int, between: int) -> None:
    marks = time_marks(Times(T0, step, count))
    assert 2 <= len(marks) <= 7
    assert {later - earlier for earlier, later in pairwise(marks)} == {between}


def test_round_moments_are_those_of_the_operators_clock() -> None:
    kathmandu = ZoneInfo("Asia/Kathmandu")  # 5:45 ahead of UTC
    marks = time_marks(Times(T0, 600, 144, kathmandu))
    assert {(mark + 5.75 * 3600) % (6 * 3600) for mark in marks} == {0}
