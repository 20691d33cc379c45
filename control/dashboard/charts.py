"""Charts over time as lines and areas in an SVG: scales, ticks, paths. Pure; templates draw it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Literal

WIDTH, HEIGHT = 480, 190
LEFT, RIGHT, TOP, BOTTOM = 60, 14, 10, 24  # room for the axes
MOST_TICKS = 5
SMALLEST = 1e-6  # what is less is drawn as nothing

Points = Sequence[float | None]  # None where nothing was heard: the line is broken there
Form = Literal["line", "area", "stack"]
Measure = Literal["rate", "bytes", "share", "seconds"]  # of the vertical axis; seconds are drawn logarithmic


@dataclass(frozen=True, slots=True)
class Series:
    """One line: its name for people, its colour's name in the style sheet, its points."""

    name: str
    colour: str
    points: Points


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """A series as drawn. `area` is empty for a mere line; `last` is the latest point as text."""

    name: str
    colour: str
    stroke: str
    area: str
    last: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything that a template needs to draw a chart. `hover` is what the pointer's reading is made of."""

    id: str
    title: str
    unit: str
    measure: Measure
    lines: tuple[Line, ...]
    x: tuple[Tick, ...]
    y: tuple[Tick, ...]
    empty: bool
    hover: dict[str, object]


@dataclass(frozen=True, slots=True)
class Times:
    """The horizontal axis: when the first step starts, how long one is, how many there are, whose clock."""

    start: int
    step: int
    count: int
    zone: tzinfo = UTC

    @property
    def seconds(self) -> int:
        """How long the whole axis is."""
        return self.step * self.count

    def x(self, index: float) -> float:
        """Where step `index` is."""
        return round(LEFT + (WIDTH - LEFT - RIGHT) * index / max(1, self.count - 1), 1)


def draw(
    id: str,
    title: str,
    unit: str,
    series: Sequence[Series],
    times: Times,
    *,
    form: Form,
    measure: Measure,
    value: Callable[[float], str],
    moment: Callable[[float], str],
) -> Chart:
    """Draws `series`. `value` writes a number on the vertical axis, `moment` a time on the horizontal one."""
    heights = _stacked([one.points for one in series]) if form == "stack" else [one.points for one in series]
    known = [point for points in heights for point in points if point is not None]
    marks, y = _vertical(known, measure)
    lines = []
    floors: list[Points] = (
        [[0.0] * times.count, *heights] if form == "stack" else [[0.0] * times.count] * len(series)
    )
    for one, points, floor in zip(series, heights, floors, strict=False):
        area = "" if form == "line" else _area(points, floor, times, y)
        latest = next((point for point in reversed(one.points) if point is not None), None)
        stroke = _stroke(points, times, y)
        lines.append(Line(one.name, one.colour, stroke, area, "" if latest is None else value(latest)))
    return Chart(
        id=id,
        title=title,
        unit=unit,
        measure=measure,
        lines=tuple(lines),
        x=tuple(Tick(times.x((at - times.start) / times.step), moment(at)) for at in time_marks(times)),
        y=tuple(Tick(y(mark), value(mark)) for mark in marks),
        empty=not known,
        hover={
            "start": times.start,
            "step": times.step,
            "points": [
                [None if point is None else float(f"{point:.4g}") for point in one.points] for one in series
            ],
        },
    )


def linear_marks(top: float) -> list[float]:
    """Round values from 0 to at least `top`, at most `MOST_TICKS` steps."""
    if top < SMALLEST:
        return [0.0, 1.0]
    rough = top / (MOST_TICKS - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * nice for nice in (1, 2, 2.5, 5, 10) if power * nice >= rough * 0.999)
    return [step * index for index in range(math.ceil(top / step * 0.999) + 1)]


def decade_marks(lowest: float, highest: float) -> list[float]:
    """Powers of ten that enclose both, at least one decade."""
    low = math.floor(math.log10(lowest) + 1e-9)
    high = max(low + 1, math.ceil(math.log10(highest) - 1e-9))
    return [10.0**power for power in range(low, high + 1)]


def time_marks(times: Times) -> list[float]:
    """Round moments on the clock of the operator's zone."""
    steps = (60, 300, 900, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86_400, 2 * 86_400, 7 * 86_400)
    step = next((step for step in steps if times.seconds / step <= 6), steps[-1])
    shift = datetime.fromtimestamp(times.start, times.zone).utcoffset()
    offset = 0 if shift is None else int(shift.total_seconds())
    first = math.ceil((times.start + offset) / step) * step - offset
    end = times.start + times.step * (times.count - 1)
    return [float(at) for at in range(first, end + 1, step)]


def _vertical(known: Sequence[float], measure: Measure) -> tuple[list[float], Callable[[float], float]]:
    room = HEIGHT - TOP - BOTTOM
    if measure == "seconds":
        positive = [max(point, SMALLEST) for point in known if point > 0]
        marks = decade_marks(min(positive), max(positive)) if positive else [0.001, 0.01, 0.1, 1.0]
        low, high = math.log10(marks[0]), math.log10(marks[-1])

        def logarithmic(value: float) -> float:
            share = (math.log10(max(value, marks[0])) - low) / (high - low)
            return round(HEIGHT - BOTTOM - room * share, 1)

        return marks, logarithmic
    marks = [0.0, 0.25, 0.5, 0.75, 1.0] if measure == "share" else linear_marks(max(known, default=0.0))
    top = marks[-1]
    return marks, lambda value: round(HEIGHT - BOTTOM - room * value / top, 1)


def _stacked(all_points: Sequence[Points]) -> list[Points]:
    stacked: list[Points] = []
    below: Points = [0.0] * len(all_points[0]) if all_points else []
    for points in all_points:
        below = [
            None if point is None or under is None else point + under
            for point, under in zip(points, below, strict=True)
        ]
        stacked.append(below)
    return stacked


def _runs(points: Points) -> list[range]:
    """The stretches without a gap."""
    runs, start = [], None
    for index, point in enumerate([*points, None]):
        if point is None and start is not None:
            runs.append(range(start, index))
            start = None
        elif point is not None and start is None:
            start = index
    return runs


def _stroke(points: Points, times: Times, y: Callable[[float], float]) -> str:
    pieces = []
    for run in _runs(points):
        spots = [f"{times.x(index):g} {y(points[index] or 0.0):g}" for index in run]
        pieces.append("M" + "L".join(spots) + ("h.01" if len(spots) == 1 else ""))
    return "".join(pieces)


def _area(points: Points, floor: Points, times: Times, y: Callable[[float], float]) -> str:
    pieces = []
    for run in _runs(points):
        over = [f"{times.x(index):g} {y(points[index] or 0.0):g}" for index in run]
        under = [f"{times.x(index):g} {y(floor[index] or 0.0):g}" for index in reversed(run)]
        pieces.append("M" + "L".join(over + under) + "Z")
    return "".join(pieces)
