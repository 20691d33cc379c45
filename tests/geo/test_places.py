from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.places import UnknownPlace, find_place, folded, shipped


@pytest.mark.parametrize(
    ("text", "city", "country"),
    [
        ("Jakarta", "Jakarta", "ID"),
        ("jakarta", "Jakarta", "ID"),
        ("CGK", "Jakarta", "ID"),
        ("Frankfurt", "Frankfurt am Main", "DE"),
        ("fra", "Frankfurt am Main", "DE"),
        ("IAD", "Ashburn", "US"),
        ("virginia", "Ashburn", "US"),
        ("Sao Paulo", "São Paulo", "BR"),
        ("new-york", "New York City", "US"),
        ("Hyderabad", "Hyderabad", "IN"),
        ("Hyderabad, PK", "Hyderabad", "PK"),
    ],
)
def test_a_place_is_found_by_city_or_airport(text: str, city: str, country: str) -> None:
    place = find_place(text)
    assert (place.city, place.country) == (city, country)


@pytest.mark.parametrize(
    "city",
    [
        "Singapore",
        "Sydney",
        "Tokyo",
        "Seoul",
        "Hong Kong",
        "Mumbai",
        "Dubai",
        "Johannesburg",
        "Lagos",
        "Cairo",
        "London",
        "Madrid",
        "Stockholm",
        "Warsaw",
        "Mexico City",
        "Dallas",
        "Seattle",
        "Toronto",
        "Surabaya",
        "Denpasar",
        "Amsterdam",
        "Reykjavík",
    ],
)  # fmt: skip
def test_where_nodes_often_stand_is_in_the_table(city: str) -> None:
    assert folded(find_place(city).city) == folded(city)


def test_a_place_can_be_spelled_out() -> None:
    place = find_place("Bandung/id/-6.92/107.61")
    assert (place.city, place.country, place.latitude, place.longitude) == ("Bandung", "ID", -6.92, 107.61)


@pytest.mark.parametrize(
    "text", ["x/ID/91/0", "x/ID/0/181", "x/IDN/0/0", "/ID/0/0", "x/ID/north/0", "x/ID/nan/0"]
)
def test_an_impossible_place_is_refused(text: str) -> None:
    with pytest.raises(UnknownPlace, match="expected"):
        find_place(text)


def test_an_unknown_place_is_answered_with_near_names() -> None:
    with pytest.raises(UnknownPlace, match="close: Jakarta"):
        find_place("Jakrta")


def test_every_place_has_a_country_and_stands_on_the_globe() -> None:
    places = set(shipped().by_name.values())
    assert len(places) > 500
    for place in places:
        assert len(place.country) == 2
        assert abs(place.latitude) <= 90
        assert abs(place.longitude) <= 180


@given(st.text(max_size=30))
def test_any_text_is_found_or_refused(text: str) -> None:
    try:
        find_place(text)
    except UnknownPlace as error:
        assert "expected" in str(error)
