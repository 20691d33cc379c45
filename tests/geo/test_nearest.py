from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.fleet import Fleet, Health, Node, Place
from geo.lookup import Location
from geo.nearest import HEALTH_ORDER, Reason, distance_km, nearest
from tests.geo.worlds import FLEET, JAKARTA, fleet_with

INDONESIA = Location(11, "ID", None, -4.8, 109.6)
GERMANY = Location(15, "DE", None, 51.0, 9.8)

latitudes = st.floats(-90, 90)
longitudes = st.floats(-180, 180)
places = st.builds(Place, st.just("x"), st.just("ID"), latitudes, longitudes)
locations = (
    st.none()
    | st.just(Location(0))
    | st.builds(
        lambda latitude, longitude: Location(24, "ID", None, latitude, longitude), latitudes, longitudes
    )
)
keys = st.binary(min_size=0, max_size=6)


@st.composite
def fleets(draw: st.DrawFn, smallest: int = 1) -> Fleet:
    shared = draw(st.lists(places, min_size=1, max_size=3))
    size = draw(st.integers(smallest, 8))
    return Fleet(
        tuple(
            Node(
                f"n{number}",
                draw(st.sampled_from(shared) | places),
                ("192.0.2.1",),
                draw(st.sampled_from(Health)),
                draw(st.floats(0, 10)),
            )
            for number in range(size)
        )
    )


def names(location: Location | None, fleet: Fleet, key: bytes = b"k") -> list[str]:
    return [choice.node.name for choice in nearest(location, fleet, key)]


def test_the_nearest_healthy_node_comes_first() -> None:
    assert names(INDONESIA, fleet_with()) == ["jakarta", "frankfurt", "virginia"]
    assert names(GERMANY, fleet_with()) == ["frankfurt", "virginia", "jakarta"]


@pytest.mark.parametrize(
    ("health", "order"),
    [
        pytest.param(Health.UNKNOWN, ["frankfurt", "virginia", "jakarta"], id="unknown-after-healthy"),
        pytest.param(Health.DRAINING, ["frankfurt", "virginia", "jakarta"], id="draining-after-healthy"),
        pytest.param(Health.UNHEALTHY, ["frankfurt", "virginia", "jakarta"], id="unhealthy-after-healthy"),
    ],
)
def test_health_goes_before_distance(health: Health, order: list[str]) -> None:
    assert names(INDONESIA, fleet_with(jakarta=health)) == order


def test_unknown_goes_before_draining_and_that_before_unhealthy() -> None:
    fleet = fleet_with(jakarta=Health.UNHEALTHY, frankfurt=Health.DRAINING, virginia=Health.UNKNOWN)
    assert names(INDONESIA, fleet) == ["virginia", "frankfurt", "jakarta"]


def test_when_nothing_lives_the_nearest_is_still_named_and_the_reason_says_so() -> None:
    fleet = fleet_with(jakarta=Health.UNHEALTHY, frankfurt=Health.UNHEALTHY, virginia=Health.UNHEALTHY)
    first = nearest(INDONESIA, fleet, b"k")[0]
    assert first.node.name == "jakarta"
    assert first.reasons == (Reason.NEAREST, Reason.UNHEALTHY, Reason.LAST_RESORT)


def test_reasons_tell_a_further_node_from_a_sick_one() -> None:
    choices = nearest(INDONESIA, fleet_with(jakarta=Health.UNHEALTHY), b"k")
    assert [(choice.node.name, choice.reasons) for choice in choices] == [
        ("frankfurt", (Reason.NEAREST,)),
        ("virginia", (Reason.FURTHER,)),
        ("jakarta", (Reason.UNHEALTHY,)),
    ]


def test_a_client_without_a_place_is_spread_over_all_nodes() -> None:
    firsts = {names(None, fleet_with(), bytes([number, 0, 0]))[0] for number in range(64)}
    assert firsts == {"jakarta", "frankfurt", "virginia"}
    choice = nearest(None, fleet_with(), b"k")[0]
    assert choice.distance_km is None
    assert choice.reasons == (Reason.CLIENT_NOT_LOCATED, Reason.AMONG_EQUALS)


def test_nodes_of_one_place_share_clients_by_capacity() -> None:
    pair = Fleet((replace(JAKARTA, name="a", capacity=3.0), replace(JAKARTA, name="b", capacity=1.0)))
    firsts = [names(INDONESIA, pair, number.to_bytes(3))[0] for number in range(4000)]
    assert 0.70 < firsts.count("a") / len(firsts) < 0.80


def test_a_node_without_capacity_is_the_last_of_its_equals() -> None:
    pair = Fleet((replace(JAKARTA, name="a", capacity=0.0), replace(JAKARTA, name="b", capacity=0.001)))
    assert {names(INDONESIA, pair, number.to_bytes(3))[0] for number in range(200)} == {"b"}


QUARTER = 10_007.557  # km, of a meridian on a sphere of the Earth's mean radius


@pytest.mark.parametrize(
    ("here", "there", "kilometres"),
    [
        pytest.param((0, 0), (0, 0), 0, id="nowhere"),
        pytest.param((0, 0), (90, 0), QUARTER, id="equator-to-pole"),
        pytest.param((0, 0), (0, -90), QUARTER, id="along-the-equator"),
        pytest.param((30, 40), (-30, -140), 2 * QUARTER, id="antipodes"),
        pytest.param((51.4706, -0.4619), (40.6398, -73.7789), 5_540, id="Heathrow-Kennedy"),
    ],
)
def test_distance_is_that_of_the_great_circle(
    here: tuple[float, float], there: tuple[float, float], kilometres: float
) -> None:
    assert distance_km(here, Place("x", "XX", *there)) == pytest.approx(kilometres, rel=0.001, abs=0.01)


def test_distance_reaches_across_the_date_line() -> None:
    assert distance_km((0, 179.5), Place("x", "FJ", 0, -179.5)) == pytest.approx(111.2, abs=0.1)


def test_an_empty_fleet_has_no_order() -> None:
    assert nearest(INDONESIA, Fleet(), b"k") == ()


@given(locations, fleets(), keys)
def test_every_node_is_in_the_order_once(location: Location | None, fleet: Fleet, key: bytes) -> None:
    assert sorted(names(location, fleet, key)) == sorted(node.name for node in fleet.nodes)


@given(locations, fleets(), keys)
def test_no_node_stands_before_a_healthier_one(location: Location | None, fleet: Fleet, key: bytes) -> None:
    ranks = [HEALTH_ORDER[choice.node.health] for choice in nearest(location, fleet, key)]
    assert ranks == sorted(ranks)


@given(locations, fleets(), keys)
def test_of_equal_health_no_node_stands_before_a_nearer_one(
    location: Location | None, fleet: Fleet, key: bytes
) -> None:
    order = [
        (HEALTH_ORDER[choice.node.health], choice.distance_km or 0.0)
        for choice in nearest(location, fleet, key)
    ]
    assert order == sorted(order)


@given(locations, fleets(), keys, st.randoms())
def test_the_order_depends_on_nothing_but_what_it_is_given(
    location: Location | None, fleet: Fleet, key: bytes, random: object
) -> None:
    shuffled = list(fleet.nodes)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert nearest(location, fleet, key) == nearest(location, Fleet(tuple(shuffled)), key)


@given(locations, fleets(smallest=2), keys, st.data())
def test_a_node_that_leaves_moves_only_its_own_clients(
    location: Location | None, fleet: Fleet, key: bytes, data: st.DataObject
) -> None:
    gone = data.draw(st.sampled_from(fleet.nodes))
    left = Fleet(tuple(node for node in fleet.nodes if node != gone))
    assert names(location, left, key) == [name for name in names(location, fleet, key) if name != gone.name]


def test_before_any_word_of_health_the_nearest_node_is_named() -> None:
    assert nearest(INDONESIA, FLEET, b"k")[0].reasons == (Reason.NEAREST, Reason.HEALTH_UNKNOWN)
