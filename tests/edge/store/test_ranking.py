"""The ranking alone: numbers, and what is remembered of what went."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from edge.store.ranking import Ranking, steps
from edge.store.remembered import Remembered


@given(st.integers(1, 1 << 50))
def test_steps_are_two_for_each_doubling(number: int) -> None:
    assert abs(steps(number) - 2 * math.log2(number)) < 1.2
    assert steps(2 * number) == steps(number) + 2
    assert steps(number + 1) >= steps(number)


@given(
    st.lists(
        st.tuples(st.sampled_from(["enter", "leave", "use", "victim", "resize"]), st.integers(0, 1 << 40))
    )
)
def test_every_number_is_of_an_item(script: list[tuple[str, int]]) -> None:
    ranking, uses = Ranking(), list[int]()
    for word, number in script:
        if word == "enter":
            assert ranking.enter(number, number % 400) == len(uses)
            uses.append(min(max(number % 400, 1), 255))
        elif word == "victim":
            assert ranking.victim() in (range(len(uses)) if uses else (-1,))
        elif uses:
            at = number % len(uses)
            if word == "leave":
                assert ranking.leave(at) == len(uses) - 1
                uses[at] = uses[-1]
                uses.pop()
            elif word == "resize":
                ranking.resize(at, number)
            else:
                ranking.now += 1
                ranking.use(at)
                uses[at] = min(uses[at] + 1, 255)
        assert ranking.count == len(uses)
        assert [ranking.uses(at) for at in range(len(uses))] == uses


def test_what_is_used_again_is_worth_more_than_what_is_not() -> None:
    ranking = Ranking()
    for _ in range(100):
        ranking.enter(1_000, 1)
    for _ in range(300):  # the first fifty are used in every tick
        ranking.now += 1
        for number in range(50):
            ranking.use(number)
        for _ in range(10):
            assert ranking.victim() >= 50


@given(st.lists(st.integers(0, (1 << 32) - 1), unique=True, max_size=60))
def test_what_went_is_remembered_once(names: list[int]) -> None:
    remembered = Remembered()
    for number, name in enumerate(names):
        remembered.put(name, number + 1)
        assert remembered.take(name) == number + 1
        assert remembered.take(name) == 0


def test_it_remembers_most_of_what_went_last_and_never_more_than_it_has_room_for() -> None:
    remembered = Remembered()
    for items in range(1, 1_001):
        remembered.fit(items)
    names = [number * 2_654_435_761 % (1 << 32) for number in range(1, 20_001)]
    for name in names:
        remembered.put(name, 7)
    assert 2_000 <= len(remembered) <= 4_096
    latest = [remembered.take(name) for name in names[-1_000:]]
    assert latest.count(7) > 950
    assert not any(map(remembered.take, names[:10_000]))


def test_it_remembers_what_it_did_when_it_grows_and_shrinks_with_what_is_held() -> None:
    remembered = Remembered()
    names = [number * 2_654_435_761 % (1 << 32) for number in range(1, 51)]
    for name in names:
        remembered.put(name, 3)
    for items in range(1, 5_000):
        remembered.fit(items)
    assert [remembered.take(name) for name in names] == [3] * 50
    for _ in range(10):
        remembered.fit(1)
    assert len(remembered) <= 256
