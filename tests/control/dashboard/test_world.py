"""Places and labels on the map."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from control.dashboard.world import HEIGHT, LARGEST, SMALLEST, WIDTH, Dot, place_dots, project

SIZE = 13.0


def node(name: str, latitude: float, longitude: float) -> dict[str, Any]:
    return {"name": name, "place": {"latitude": latitude, "longitude": longitude}}


def box(dot: Dot) -> tuple[float, float, float, float]:
    width = len(dot.node["name"]) * SIZE * 0.58
    left = dot.label_x - {"start": 0.0, "middle": width / 2, "end": width}[dot.anchor]
    return left, dot.label_y - SIZE * 0.8, left + width, dot.label_y + SIZE * 0.2


def overlap(one: Dot, other: Dot) -> bool:
    a, b = box(one), box(other)
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def test_places_are_where_the_drawn_map_has_them() -> None:
    # as d3-geo's geoEqualEarth, which drew static/world.svg, puts them
    for latitude, longitude, x, y in (
        (-6.2, 106.8, 753.4, 276.0),
        (50.1, 8.68, 473.5, 71.9),
        (39.0, -77.5, 252.3, 107.4),
    ):
        at = project(latitude, longitude)
        assert abs(at[0] - x) < 0.2, (latitude, longitude, at)
        assert abs(at[1] - y) < 0.2, (latitude, longitude, at)


@given(st.floats(-90, 90), st.floats(-180, 180))
def test_every_place_is_on_the_map(latitude: float, longitude: float) -> None:
    x, y = project(latitude, longitude)
    assert 0 <= x <= WIDTH
    assert 0 <= y <= HEIGHT


def test_the_date_line_does_not_tear_siberia_apart() -> None:
    assert abs(project(66, 179.9)[0] - project(66, -179.9)[0]) < 1


def test_a_busier_node_is_larger_and_a_silent_one_still_seen() -> None:
    nodes = [node("a", 0, 0), node("b", 0, 60), node("c", 0, 120)]
    busy, less, silent = place_dots(nodes, {"a": 100.0, "b": 25.0}, SIZE)
    assert busy.radius == LARGEST
    assert silent.radius == SMALLEST
    assert less.radius == (SMALLEST + LARGEST) / 2


def test_without_traffic_every_node_is_small() -> None:
    assert place_dots([node("a", 0, 0)], {"a": 0.0}, SIZE)[0].radius == SMALLEST


def test_a_node_without_a_place_is_not_on_the_map() -> None:
    assert place_dots([{"name": "dns", "place": None}], {}, SIZE) == []


def test_labels_of_neighbours_keep_out_of_each_others_way() -> None:
    nodes = [
        node("amsterdam", 52.4, 4.9),
        node("frankfurt", 50.1, 8.7),
        node("london", 51.5, -0.1),
        node("paris", 48.9, 2.4),
    ]
    dots = place_dots(nodes, {}, SIZE)
    assert not [(a.node, b.node) for at, a in enumerate(dots) for b in dots[at + 1 :] if overlap(a, b)]


def test_a_label_at_the_edge_is_turned_inwards() -> None:
    (dot,) = place_dots([node("a-node-in-auckland-with-a-long-name", -36.8, 174.8)], {}, SIZE)
    assert box(dot)[2] <= WIDTH
