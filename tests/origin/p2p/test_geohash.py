"""Geohashes and distances, as others compute them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from origin.p2p.geohash import box, centre, distance, encode

places = st.tuples(st.floats(-85, 85), st.floats(-179.9, 179.9))


@pytest.mark.parametrize(
    ("place", "geohash"),
    [  # published examples
        pytest.param((57.64911, 10.40744), "u4pruydqqvj", id="jutland"),
        pytest.param((42.605, -5.603), "ezs42", id="leon"),
        pytest.param((-25.382708, -49.265506), "6gkzwgjzn820", id="curitiba"),
    ],
)
def test_known_places(place: tuple[float, float], geohash: str) -> None:
    assert encode(*place, len(geohash)) == geohash
    assert distance(centre(geohash), place) < 3


@given(place=places, length=st.integers(1, 12))
def test_a_cells_middle_is_in_the_cell(place: tuple[float, float], length: int) -> None:
    cell = encode(*place, length)
    assert encode(*centre(cell), length) == cell
    assert encode(*place, 12).startswith(cell)


def test_jakarta_and_surabaya_are_662_km_apart() -> None:
    assert distance((-6.2088, 106.8456), (-7.2575, 112.7521)) == pytest.approx(662, abs=3)


@given(middle=places, place=places, km=st.floats(1, 5000))
def test_whatever_is_near_is_in_the_box(
    middle: tuple[float, float], place: tuple[float, float], km: float
) -> None:
    south, north, west, east = box(middle, km)
    if distance(middle, place) <= km * 0.999:
        assert south <= place[0] <= north
        assert west <= place[1] <= east if west <= east else place[1] >= west or place[1] <= east
