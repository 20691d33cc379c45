"""Where a node stands on the dashboard's map of the world, and where its label has room. Pure.

The map is static/world.svg: Equal Earth (Šavrič, Patterson, Jenny 2018), centred on 11° east.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

WIDTH, HEIGHT = 960, 450
CENTRE = 11.0  # degrees east in the middle: no land is cut at the edges
SCALE, DOWN, RIGHT = 191.0, 252.0, 479.0
A1, A2, A3, A4 = 1.340264, -0.081106, 0.000893, 0.003796
M = math.sqrt(3) / 2

SMALLEST, LARGEST = 5.0, 15.0  # radius of a node without traffic, and of the busiest
LETTER = 0.58  # mean width of a letter, in sizes of its type

Anchor = Literal["start", "middle", "end"]
Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True, slots=True)
class Dot:
    """A node on the map: a circle, and its name beside it."""

    node: dict[str, Any]
    x: float
    y: float
    radius: float
    label_x: float
    label_y: float
    anchor: Anchor


def project(latitude: float, longitude: float) -> tuple[float, float]:
    """x and y of a place on the map; what lies beyond its edge (the poles) is put on the edge."""
    turned = math.radians((longitude - CENTRE + 180) % 360 - 180)
    slant = math.asin(M * math.sin(math.radians(latitude)))
    square = slant * slant
    sixth = square**3
    x = turned * math.cos(slant) / (M * (A1 + 3 * A2 * square + sixth * (7 * A3 + 9 * A4 * square)))
    y = slant * (A1 + A2 * square + sixth * (A3 + A4 * square))
    return (
        round(min(max(RIGHT + SCALE * x, 0.0), WIDTH), 1),
        round(min(max(DOWN - SCALE * y, 0.0), HEIGHT), 1),
    )


def place_dots(nodes: Sequence[dict[str, Any]], rates: dict[str, float], size: float) -> list[Dot]:
    """The nodes that have a place, sized by their share of traffic, labelled where there is room.

    `size` is the labels' type size in the map's units: larger where the map is shown small.
    """
    busiest = max(rates.values(), default=0.0)
    circles = []
    for node in nodes:
        place = node["place"]
        if place is None:
            continue
        x, y = project(place["latitude"], place["longitude"])
        share = rates.get(node["name"], 0.0) / busiest if busiest else 0.0
        grown = size / 13
        circles.append((node, x, y, round(grown * (SMALLEST + (LARGEST - SMALLEST) * math.sqrt(share)), 1)))
    taken: list[Box] = [(x - r, y - r, x + r, y + r) for _, x, y, r in circles]
    dots = []
    for at, (node, x, y, radius) in enumerate(circles):
        others = [box for index, box in enumerate(taken) if index != at]
        label_x, label_y, anchor, box = _label(len(node["name"]), x, y, radius, size, others)
        taken.append(box)
        dots.append(Dot(node, x, y, radius, round(label_x, 1), round(label_y, 1), anchor))
    return dots


def _label(
    letters: int, x: float, y: float, radius: float, size: float, taken: Iterable[Box]
) -> tuple[float, float, Anchor, Box]:
    """The first spot around a circle at which a label overlaps nothing, else the one that overlaps least."""
    width, gap = letters * size * LETTER, radius + size * 0.4
    middle = y + size * 0.35
    spots: list[tuple[float, float, Anchor]] = [
        (x + gap, middle, "start"),
        (x - gap, middle, "end"),
        (x, y - gap, "middle"),
        (x, y + gap + size * 0.7, "middle"),
        (x + gap, middle - size, "start"),
        (x + gap, middle + size, "start"),
        (x - gap, middle - size, "end"),
        (x - gap, middle + size, "end"),
    ]
    found = []
    for label_x, label_y, anchor in spots:
        left = label_x - {"start": 0.0, "middle": width / 2, "end": width}[anchor]
        box = (left, label_y - size * 0.8, left + width, label_y + size * 0.2)
        outside = max(0.0, -box[0]) + max(0.0, box[2] - WIDTH)
        found.append(
            (outside * size + sum(_overlap(box, other) for other in taken), label_x, label_y, anchor, box)
        )
    _, label_x, label_y, anchor, box = min(found, key=lambda spot: spot[0])
    return label_x, label_y, anchor, box


def _overlap(one: Box, other: Box) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return wide * high if wide > 0 and high > 0 else 0.0
