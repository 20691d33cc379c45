"""SIEVE: what is used is spared once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.store.eviction import Heat, Sieve, Slot
from tests.edge.store.test_memory import entry

ENTRY = entry()


def test_the_oldest_unused_one_goes_and_used_ones_are_spared_once() -> None:
    queue, heat = Sieve(), Heat()
    slots = [Slot(ENTRY, 1, heat) for _ in range(4)]
    for slot in slots:
        queue.add(slot)
    slots[0].use()
    slots[2].use()
    order = []
    while (victim := queue.victim()) is not None:
        order.append(slots.index(victim))
        queue.remove(victim)
    assert order == [1, 3, 0, 2]


def test_an_empty_queue_has_no_victim() -> None:
    assert Sieve().victim() is None


@given(st.lists(st.sampled_from(["add", "use", "evict", "remove"]), max_size=80), st.randoms())
def test_the_queue_never_loses_or_repeats_a_slot(script: list[str], random: object) -> None:
    queue, heat, inside = Sieve(), Heat(), list[Slot]()
    for word in script:
        if word == "add":
            inside.append(Slot(ENTRY, 1, heat))
            queue.add(inside[-1])
        elif word == "evict":
            victim = queue.victim()
            assert (victim is None) == (not inside)
            if victim is not None:
                inside.remove(victim)
                queue.remove(victim)
        elif inside:
            slot = random.choice(inside)  # type: ignore[attr-defined]
            if word == "use":
                slot.use()
            else:
                inside.remove(slot)
                queue.remove(slot)
    emptied = []
    while (victim := queue.victim()) is not None:
        emptied.append(victim)
        queue.remove(victim)
    assert {id(slot) for slot in emptied} == {id(slot) for slot in inside}
    assert len(emptied) == len(inside)


def test_hot_is_what_was_used_in_this_period_or_the_one_before() -> None:
    heat = Heat()
    one, other = Slot(ENTRY, 5, heat), Slot(ENTRY, 7, heat)
    seen = [heat.hot]
    one.use()
    one.use()
    seen.append(heat.hot)
    heat.turn()
    other.use()
    seen.append(heat.hot)
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


@given(st.lists(st.tuples(st.sampled_from(["use", "turn", "cool", "grow"]), st.integers(0, 3)), max_size=60))
def test_the_sum_of_what_is_hot_is_true(script: list[tuple[str, int]]) -> None:
    heat = Heat()
    slots = [Slot(ENTRY, 10**number, heat) for number in range(4)]
    last, period = dict[int, int](), 0
    for word, number in script:
        if word == "use":
            slots[number].use()
            last[number] = period
        elif word == "turn":
            heat.turn()
            period += 1
        elif word == "cool":
            heat.mark(slots[number], 0)
            last.pop(number, None)
        else:
            heat.resize(slots[number], slots[number].size + 1)
        hot = [slots[at].size for at, when in last.items() if when >= period - 1]
        assert heat.hot == sum(hot) == sum(map(heat.of, slots))
