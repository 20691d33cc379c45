"""Who goes when there is no room: what nobody asks for again, not what everybody does."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.policy.entry import Entry
from edge.store.eviction import Heat, Places, Slot
from tests.edge.store.test_memory import entry

ENTRY = entry()


def named(name: int) -> Entry:
    return replace(ENTRY, key=f"https://shop.example/{name}")


class Shelf:
    """As much of a store as decides what stays, and counts hits."""

    def __init__(self, room: int) -> None:
        self.room, self.taken, self.hits = room, 0, 0
        self.heat = Heat()
        self.places = Places(self.heat, room)
        self.held: dict[int, Slot] = {}

    def ask(self, name: int, size: int = 1) -> bool:
        slot = self.held.get(name)
        if slot is not None:
            slot.use()
            self.hits += 1
            return True
        while self.taken + size > self.room:
            self.drop(self.next())
        self.held[name] = Slot(named(name), size, self.heat)
        self.places.add(self.held[name])
        self.taken += size
        return False

    def next(self) -> int:
        victim = self.places.victim()
        assert victim is not None
        return next(name for name, slot in self.held.items() if slot is victim)

    def drop(self, name: int) -> None:
        slot = self.held.pop(name)
        self.places.remove(slot)
        self.taken -= slot.size


def test_nothing_goes_where_nothing_is() -> None:
    assert Places(Heat(), 10).victim() is None


@pytest.mark.parametrize("rooms", [10, 100])
def test_a_scan_leaves_what_is_used_where_it_is(rooms: int) -> None:
    shelf = Shelf(100)
    for _ in range(6):
        for name in range(50):
            shelf.ask(name)
        for other in range(60):
            shelf.ask(1_000_000 + shelf.hits * 1_000 + other)
    for name in range(10_000, 10_000 + rooms * 100):  # so many times the room, in one go
        shelf.ask(name)
    assert sum(name in shelf.held for name in range(50)) >= 45


def test_what_is_asked_for_once_does_not_push_out_what_is_asked_for_often() -> None:
    shelf, chance = Shelf(100), random.Random(4)
    lost = hot = 0
    for turn in range(20_000):
        if turn % 2:
            shelf.ask(1_000 + turn)
        else:
            found = shelf.ask(chance.randrange(60))
            if turn > 10_000:
                hot += 1
                lost += not found
    assert lost / hot < 0.02  # LRU loses 15 of 100 here


def test_it_keeps_more_than_lru_where_half_is_asked_for_once() -> None:
    shelf, chance, order = Shelf(200), random.Random(5), list[int]()
    hits = 0
    for turn in range(30_000):
        name = 100_000 + turn if chance.random() < 0.5 else int(2_000 * chance.random() ** 3)
        shelf.ask(name)
        if name in order:
            order.remove(name)
            hits += 1
        order.append(name)
        del order[:-200]
    assert shelf.hits > 1.2 * hits


def test_of_two_used_alike_the_larger_goes() -> None:
    heat = Heat()
    places = Places(heat, 1_000_000)
    large, *small = (Slot(named(number), 100_000 if number == 0 else 100, heat) for number in range(10))
    for slot in (large, *small):
        places.add(slot)
    assert places.victim() is large


def test_what_comes_again_soon_after_it_went_counts_as_used() -> None:
    heat = Heat()
    places = Places(heat, 100)
    slots = [Slot(named(number), 1, heat) for number in range(8)]
    for slot in slots:
        places.add(slot)
    for _ in range(3):
        heat.tick()
        slots[0].use()
    places.remove(slots[0])
    places.add(Slot(named(0), 1, heat))
    gone = set()
    for _ in range(7):
        victim = places.victim()
        assert victim is not None
        gone.add(victim.key)
        places.remove(victim)
    assert named(0).key not in gone


def test_a_second_use_in_one_tick_costs_a_comparison_only() -> None:
    heat = Heat()
    places, slot = Places(heat, 1_000), Slot(ENTRY, 1, heat)
    places.add(slot)
    heat.tick()
    slot.use()
    assert slot.used is heat.period
    for _ in range(1_000):
        heat.tick()
    slot.use()
    assert slot.used is heat.period  # the same object, also where numbers are large


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ask", "ask", "ask", "drop", "tick", "turn"]),
            st.integers(0, 30),
            st.integers(1, 40),
        )
    )
)
def test_places_hold_what_a_naive_model_holds(script: list[tuple[str, int, int]]) -> None:
    shelf, model = Shelf(100), dict[int, int]()
    for word, name, size in script:
        if word == "ask":
            before = set(shelf.held)
            assert shelf.ask(name, size) == (name in model)
            model.setdefault(name, size)
            for gone in before - set(shelf.held):
                del model[gone]
        elif word == "drop" and name in model:
            shelf.drop(name)
            del model[name]
        elif word == "tick":
            shelf.heat.tick()
        elif word == "turn":
            shelf.heat.turn()
        assert {name: slot.size for name, slot in shelf.held.items()} == model
        assert shelf.taken == sum(model.values()) <= 100
        assert len(shelf.places) == len(model)
        assert 0 <= shelf.heat.hot <= shelf.taken
        assert shelf.heat.hot == sum(map(shelf.heat.of, shelf.held.values()))
    while shelf.held:
        shelf.drop(shelf.next())
    assert shelf.places.victim() is None
    assert shelf.heat.hot == 0


def test_hot_is_what_was_used_since_the_turn_before_the_last_one() -> None:
    heat = Heat()
    one, other = Slot(ENTRY, 5, heat), Slot(ENTRY, 7, heat)
    seen = [heat.hot]
    one.use()
    heat.tick()
    one.use()
    seen.append(heat.hot)
    heat.turn()
    other.use()
    seen.append(heat.hot)
    heat.tick()
    heat.turn()
    seen.append(heat.hot)
    one.use()
    heat.resize(one, 50)
    seen.append(heat.hot)
    heat.turn()
    heat.turn()
    seen.append(heat.hot)
    assert seen == [0, 5, 12, 7, 57, 0]
    assert [heat.of(one), heat.of(other)] == [0, 0]


@pytest.mark.parametrize("room", [1, 31, 1_000_000])
def test_ticks_pass_as_things_come(room: int) -> None:
    heat = Heat()
    places = Places(heat, room)
    before = heat.period
    for number in range(10):
        places.add(Slot(named(number), room, heat))
    assert heat.period - before >= 10
