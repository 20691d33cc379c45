"""Freshness (RFC 9111 §4.2) and its prolongation (RFC 5861)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.message import Fields
from edge.policy.freshness import (
    Freshness,
    LifetimeSource,
    Timing,
    dated,
    forbids_transforming,
    freshness,
    governing,
    usable_on_error,
    usable_while_revalidating,
)
from edge.policy.reasons import StaleReason
from edge.policy.rules import SiteRules
from tests.edge.policy.made import AT_ONCE, RULES, fields
from tests.edge.stage import T0

SECONDS = st.integers(0, 10**6)


def of(answer: Fields, *, status: int = 200, timing: Timing = AT_ONCE, rules: SiteRules = RULES) -> Freshness:
    return freshness(status, answer, timing, rules, governing(answer))


@pytest.mark.parametrize(
    ("answer", "lifetime", "source"),
    [
        pytest.param(
            fields(cache_control="s-maxage=9, max-age=5", expires=7),
            9,
            "s-maxage",
            id="s-maxage-wins-5.2.2.10",
        ),
        pytest.param(
            fields(cache_control="max-age=5", expires=7), 5, "max-age", id="max-age-beats-expires-5.3"
        ),
        pytest.param(
            fields(cache_control="max-age=x", expires=7), 0, "max-age", id="malformed-is-stale-4.2.1"
        ),
        pytest.param(fields(date=0, expires=7), 7, "expires", id="expires-less-date-4.2.1"),
        pytest.param(fields(date=-10, expires=7), 17, "expires", id="slow-date-counts-4.2.1"),
        pytest.param(fields(date=400, expires=300), 0, "expires", id="expired-on-arrival-5.3"),
        pytest.param(fields(expires="0"), 0, "expires", id="malformed-expires-is-past-5.3"),
        pytest.param(fields(date="foo", expires=10), 10, "expires", id="malformed-date-is-now"),
        pytest.param(fields(last_modified=-1000), 100, "heuristic", id="a-tenth-4.2.2"),
        pytest.param(fields(last_modified=-(10**8)), 86_400, "heuristic", id="a-day-at-most-4.2.2"),
        pytest.param(fields(last_modified=1000), 0, "heuristic", id="changed-in-the-future"),
        pytest.param(fields(), 0, "none", id="nothing-said"),
        pytest.param(
            fields(cdn_cache_control="max-age=3", cache_control="s-maxage=9"),
            3,
            "max-age",
            id="targeted-rfc9213",
        ),
        pytest.param(
            fields(cdn_cache_control="public", expires=9, last_modified=-100),
            10,
            "heuristic",
            id="targeted-silences-expires-rfc9213",
        ),
        pytest.param(
            fields(tepi_cache_control="max-age=2", cdn_cache_control="max-age=3"),
            2,
            "max-age",
            id="the-most-specific-target-rfc9213",
        ),
        pytest.param(
            fields(tepi_cache_control="max-age=?", cdn_cache_control="max-age=3"),
            3,
            "max-age",
            id="malformed-target-is-ignored-rfc9213",
        ),
    ],
)
def test_the_first_rule_that_applies_gives_the_lifetime(answer: Fields, lifetime: int, source: str) -> None:
    found = of(answer)
    assert (found.lifetime, found.source) == (lifetime, source)


@pytest.mark.parametrize(
    ("status", "guess"), [(200, True), (404, True), (201, False), (503, False), (599, False)]
)
def test_only_some_codes_may_be_guessed_about(status: int, guess: bool) -> None:
    assert (of(fields(last_modified=-1000), status=status).lifetime > 0) is guess
    assert of(fields(last_modified=-1000, cache_control="public"), status=status).lifetime == 100


@pytest.mark.parametrize(
    ("answer", "timing", "age"),
    [
        (fields(date=0), AT_ONCE, 0),
        (fields(date=-7), AT_ONCE, 7),
        (fields(date=7), AT_ONCE, 0),
        (fields(date=0, age="30"), AT_ONCE, 30),
        (fields(date=-40, age="30"), AT_ONCE, 40),
        (fields(date=0, age="30"), Timing(10.0, 12.5, T0), 32.5),
        (fields(date=0, age="30, 5"), AT_ONCE, 30),
        (fields(date=0, age="-30"), AT_ONCE, 0),
        (fields(date=0, age="30.0"), AT_ONCE, 0),
        (fields(date=0, age="old"), AT_ONCE, 0),
        (fields(date=0, age="99999999999999"), AT_ONCE, 2**31),
    ],
)
def test_the_age_on_arrival_is_the_greater_of_the_two_ways_to_tell(
    answer: Fields, timing: Timing, age: float
) -> None:
    assert of(answer, timing=timing).initial_age == age


@given(max_age=SECONDS, expires=st.none() | st.integers(-(10**6), 10**6))
def test_max_age_always_beats_expires(max_age: int, expires: int | None) -> None:
    said = (
        fields(cache_control=f"max-age={max_age}")
        if expires is None
        else fields(cache_control=f"max-age={max_age}", expires=expires)
    )
    assert of(said).lifetime == max_age


@given(lifetime=SECONDS, age=SECONDS, steps=st.lists(st.floats(0, 10**6), min_size=2))
def test_nothing_grows_fresher_with_time(lifetime: int, age: int, steps: list[float]) -> None:
    found = of(fields(cache_control=f"max-age={lifetime}, stale-while-revalidate=5", age=str(age)))
    moments = sorted(steps)
    ttls = [found.ttl(at) for at in moments]
    ages = [found.age(at) for at in moments]
    assert ttls == sorted(ttls, reverse=True)
    assert ages == sorted(ages)
    usable = [usable_while_revalidating(found, at) for at in moments]
    assert usable == sorted(usable, reverse=True)


@given(SECONDS, SECONDS)
def test_fresh_means_that_the_age_is_below_the_lifetime(lifetime: int, now: int) -> None:
    found = of(fields(cache_control=f"max-age={lifetime}"))
    assert (found.ttl(float(now)) > 0) == (found.age(float(now)) < lifetime)


SITE = SiteRules("shop", stale_while_revalidate=10, stale_if_error=20, stale_if_unreachable=30)


@pytest.mark.parametrize(
    ("words", "windows"),
    [
        ("max-age=1", (10, 20, 30)),
        ("max-age=1, stale-while-revalidate=3", (3, 20, 30)),
        ("max-age=1, stale-if-error=4", (10, 4, 4)),
        ("max-age=1, stale-while-revalidate=0, stale-if-error=0", (0, 0, 0)),
        ("max-age=1, stale-while-revalidate=x", (10, 20, 30)),
        ("max-age=1, must-revalidate, stale-while-revalidate=3, stale-if-error=4", (0, 0, 0)),
        ("max-age=1, proxy-revalidate", (0, 0, 0)),
        ("max-age=1, no-cache, stale-if-error=4", (0, 0, 0)),
        ("s-maxage=1", (0, 0, 0)),
        ("s-maxage=1, stale-while-revalidate=3", (3, 0, 0)),
        ("s-maxage=1, stale-if-error=4", (0, 4, 4)),
    ],
)
def test_staleness_is_allowed_by_the_answer_then_by_the_site_never_against_a_prohibition(
    words: str, windows: tuple[int, int, int]
) -> None:
    found = of(fields(cache_control=words), rules=SITE)
    assert (found.while_revalidate, found.if_error, found.if_unreachable) == windows


@pytest.mark.parametrize(
    ("at", "reachable", "reason"),
    [
        (10.0, True, StaleReason.IF_ERROR),
        (14.9, True, StaleReason.IF_ERROR),
        (15.0, True, None),
        (14.9, False, StaleReason.IF_ERROR),
        (15.0, False, None),
    ],
)
def test_stale_if_error_ends_on_the_second(at: float, reachable: bool, reason: StaleReason | None) -> None:
    found = of(fields(cache_control="max-age=10, stale-if-error=5"))
    assert usable_on_error(found, at, reachable=reachable) is reason


@pytest.mark.parametrize(
    ("words", "wished", "at", "usable"),
    [
        ("max-age=10", 5, 14.9, True),
        ("max-age=10", 5, 15.0, False),
        ("max-age=10, stale-if-error=5", 20, 29.9, True),
        ("max-age=10, stale-if-error=20", 5, 29.9, True),
        ("max-age=10, must-revalidate", 20, 11.0, False),
        ("s-maxage=10", 20, 11.0, False),
        ("max-age=10, no-cache", 20, 1.0, False),
    ],
)
def test_a_request_may_wish_for_a_stale_answer_in_place_of_an_error(
    words: str, wished: int, at: float, usable: bool
) -> None:
    found = of(fields(cache_control=words))
    assert (usable_on_error(found, at, reachable=True, wished=wished) is StaleReason.IF_ERROR) is usable


@pytest.mark.parametrize(
    ("answer", "forbidden"),
    [
        (fields(), False),
        (fields(cache_control="max-age=5"), False),
        (fields(cache_control="no-transform"), True),
        (fields(cdn_cache_control="no-transform", cache_control="max-age=5"), True),
        (fields(cdn_cache_control="max-age=5", cache_control="no-transform"), True),
        (fields(cdn_cache_control="malformed,,=", cache_control="max-age=5"), False),
    ],
)
def test_either_field_may_forbid_transforming(answer: Fields, forbidden: bool) -> None:
    assert forbids_transforming(answer) is forbidden


def test_a_cut_off_cache_may_serve_longer_than_one_that_heard_an_error() -> None:
    found = of(fields(cache_control="max-age=10"), rules=SITE)
    assert usable_on_error(found, 35.0, reachable=True) is None
    assert usable_on_error(found, 35.0, reachable=False) is StaleReason.UNREACHABLE
    assert usable_on_error(found, 40.0, reachable=False) is None


def test_a_soft_purge_makes_stale_from_its_moment_on_and_never_fresher() -> None:
    found = of(fields(cache_control="max-age=60, stale-while-revalidate=10"))
    purged = found.expired_at(20.0)
    assert purged.ttl(20.0) == 0
    assert purged.expired_at(30.0).ttl(30.0) == -10
    assert usable_while_revalidating(purged, 29.9) and not usable_while_revalidating(purged, 30.0)
    assert found.expired_at(100.0).ttl(70.0) == found.ttl(70.0)


def test_a_date_is_supplied_where_there_is_none_to_trust() -> None:
    at = Timing(0.0, 0.0, T0 + 5.7)
    assert dated(fields(date=0), at) == fields(date=0)
    assert dated(fields(), at).get("date") == fields(date=5).get("date")
    assert dated(fields(date="yesterday"), at).all("date") == fields(date=5).all("date")


def test_sources_have_the_names_that_people_see() -> None:
    assert [source.value for source in LifetimeSource] == [
        "s-maxage",
        "max-age",
        "expires",
        "heuristic",
        "none",
    ]
    assert replace(of(fields()), lifetime=1.0).ttl(0.0) == 1.0


@given(
    st.dictionaries(
        st.sampled_from(["Age", "Date", "Expires", "Cache-Control", "Last-Modified"]),
        st.text() | st.integers(-(10**30), 10**30).map(str),
    ),
    st.floats(0, 1e9),
    st.floats(0, 1e6),
    st.floats(0, 4e9),
    st.floats(0, 1e9),
)
def test_no_age_is_negative_and_no_lifetime_either(
    said: dict[str, str], asked: float, delay: float, wall: float, later: float
) -> None:
    answer = Fields(said.items())
    found = freshness(200, answer, Timing(asked, asked + delay, wall), RULES, governing(answer))
    assert found.lifetime >= 0
    assert found.age(asked + delay + later) >= found.age(asked + delay) >= 0
    assert found.age(asked) >= 0  # a clock that went back
