"""The index of names."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.store.eviction import Heat, Slot
from edge.store.index import NameIndex
from tests.edge.store.test_memory import entry

SLOTS = [Slot(entry(f"/{number}"), 1, Heat()) for number in range(4)]


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("ab"), st.integers(0, 3)), max_size=40))
def test_the_index_agrees_with_a_plain_dictionary(script: list[tuple[bool, str, int]]) -> None:
    index, model = NameIndex(), dict[str, set[int]]()
    for adding, name, number in script:
        if adding:
            index.add(name, SLOTS[number])
            model.setdefault(name, set()).add(number)
        else:
            index.discard(name, SLOTS[number])
            model.get(name, set()).discard(number)
        for known in "ab":
            wanted = {SLOTS[number] for number in model.get(known, set())}
            assert set(index.find(known)) == wanted
            assert len(index.find(known)) == len(wanted)
    assert len(index) == sum(bool(numbers) for numbers in model.values())
