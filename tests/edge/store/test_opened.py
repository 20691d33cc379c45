"""Entries at rest: what comes back is what was put, the same for all who have it, and counted."""

from __future__ import annotations

import gc
from dataclasses import fields, replace
from weakref import ref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.etags import ETag
from edge.http.message import Fields
from edge.policy.entry import Entry
from edge.position import Position
from edge.purge import Site, Tag
from edge.store.content import Stored
from edge.store.memory import MemoryStore
from edge.store.packing import at_rest, awake, names, pack, unpack
from edge.transform.template import Template, Text
from tests.edge.store.test_memory import entry

texts = st.text(st.characters(min_codepoint=1, max_codepoint=0x2FF), max_size=9)
MIB = 2**20


def same(one: Entry, other: Entry) -> bool:
    """Whether they are equal in all but their content."""
    return all(
        getattr(one, each.name) == getattr(other, each.name)
        for each in fields(Entry)
        if each.name != "content"
    )


@given(
    lines=st.lists(st.tuples(st.sampled_from(["ETag", "X-A", "x-a", "Cache-Tag"]), texts), max_size=5),
    tags=st.lists(texts, max_size=3).map(tuple),
    groups=st.lists(texts, max_size=3).map(tuple),
    etag=st.none() | st.builds(ETag, st.sampled_from(["", "one", "a-b"]), st.booleans()),
    modified=st.none() | st.integers(-(2**40), 2**40),
    lifetime=st.integers(0, 2**31) | st.floats(0, 1e9),
    expired=st.none() | st.floats(0, 1e9),
    order=st.integers(-1, 2**62),
    foo=st.sampled_from([None, "1"]),
)
def test_what_was_packed_comes_back(
    lines: list[tuple[str, str]],
    tags: tuple[str, ...],
    groups: tuple[str, ...],
    etag: ETag | None,
    modified: int | None,
    lifetime: float,
    expired: float | None,
    order: int,
    foo: str | None,
) -> None:
    plain = entry(foo=foo)
    one = replace(
        plain,
        fields=Fields(lines),
        tags=tags,
        groups=groups,
        etag=etag,
        last_modified=modified,
        freshness=replace(plain.freshness, lifetime=lifetime, expired=expired),
        order=order,
        position=Position("lineage", 7),
    )
    packed = pack(one)
    assert packed is not None
    again = unpack(one.key, *packed, one.content)
    assert same(again, one)
    assert type(again.freshness.lifetime) is type(lifetime)
    assert names(*packed) == (tags, groups)


@pytest.mark.parametrize("value", ["a\0b", "\ud800"], ids=ascii)
def test_what_cannot_be_written_is_not_packed_and_is_served_all_the_same(value: str) -> None:
    one = replace(entry("/odd"), fields=Fields([("X-Odd", value)]))
    assert pack(one) is None
    store = MemoryStore(MIB, MIB)
    store.put(one)
    many(store)
    assert store.get(one.key)[0] is one


def test_bodies_come_back_with_their_encodings() -> None:
    content = Stored(b"body")
    content.encoded.update(br=b"b", gzip=b"")
    body = at_rest(content)
    assert body is not None
    again = awake(body)
    assert (again.identity, again.encoded) == (b"body", {"br": b"b", "gzip": b""})
    assert at_rest(Stored(None, None, Template((Text(b"a"),), 1, ""))) is None


def many(store: MemoryStore, count: int = 50) -> None:
    """So many others, that what is there by now is not open any more."""
    for number in range(count):
        store.put(entry(f"/other/{number}", site="others"))


def test_who_still_has_an_entry_gets_the_same_as_everybody() -> None:
    store = MemoryStore(MIB, MIB)
    one = entry("/one", tags=("t",))
    store.put(one)
    many(store)
    assert store.holds(one) and store.get(one.key)[0] is one
    gone, key, before = ref(one), one.key, replace(one)
    many(store)
    del one
    gc.collect()
    assert gone() is None
    (again,) = store.get(key)
    assert same(again, before) and store.holds(again)


def test_what_was_made_of_an_entry_that_somebody_has_is_kept() -> None:
    store = MemoryStore(MIB, MIB)
    one = entry("/one")
    store.put(one)
    many(store)
    assert isinstance(one.content, Stored)
    one.content.encoded["br"] = b"encoded"
    store.reweigh(one)
    key = one.key
    del one
    many(store)
    gc.collect()
    (again,) = store.get(key)
    assert isinstance(again.content, Stored) and again.content.encoded == {"br": b"encoded"}


def test_an_entry_at_rest_is_purged_by_its_names_and_softened() -> None:
    store = MemoryStore(MIB, MIB)
    one, two = entry("/one", tags=("t",), groups=("g",)), entry("/two", tags=("t", "u"))
    keys = one.key, two.key
    for each in (one, two):
        store.put(each)
    del one, two, each
    many(store)
    assert store.strike(Tag("t", soft=True), 1.0).step(9)
    many(store)
    stale = [store.get(key)[0] for key in keys]
    assert [each.freshness.ttl(1.0) <= 0 for each in stale] == [True, True]
    del stale
    many(store)
    assert store.strike(Tag("u"), 1.0).found == 1
    assert store.strike(Site("shop"), 1.0).step(9)
    assert not any(map(store.knows, keys)) and not store.knows_site("shop")


def test_nothing_is_counted_of_what_has_gone() -> None:
    store = MemoryStore(MIB, MIB)
    for number in range(300):
        store.put(entry(f"/{number}", tags=(f"t-{number}",), foo=str(number % 7)))
    assert store.opened > 0
    store.clear()
    assert (store.size, store.opened, len(store)) == (0, 0, 0)
