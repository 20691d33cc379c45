"""SIEVE: what is used is spared once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.store.eviction import Sieve, Slot
from tests.edge.store.test_memory import entry

ENTRY = entry()


def test_the_oldest_unused_one_goes_and_used_ones_are_spared_once() -> None:
    queue, slots = Sieve(), [Slot(ENTRY, 1) for _ in range(4)]
    for slot in slots:
        queue.add(slot)
    slots[0].used = slots[2].used = True
    order = []
    while (victim := queue.victim()) is not None:
        order.append(slots.index(victim))
        queue.remove(victim)
    assert order == [1, 3, 0, 2]


def test_an_empty_queue_has_no_victim() -> None:
    assert Sieve().victim() is None


@given(st.lists(st.sampled_from(["add", "use", "evict", "remove"]), max_size=80), st.randoms())
def test_the_queue_never_loses_or_repeats_a_slot(script: list[str], random: object) -> None:
    queue, inside = Sieve(), list[Slot]()
    for word in script:
        if word == "add":
            inside.append(Slot(ENTRY, 1))
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
                slot.used = True
            else:
                inside.remove(slot)
                queue.remove(slot)
    emptied = []
    while (victim := queue.victim()) is not None:
        emptied.append(victim)
        queue.remove(victim)
    assert {id(slot) for slot in emptied} == {id(slot) for slot in inside}
    assert len(emptied) == len(inside)
