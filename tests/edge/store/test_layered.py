"""Memory before disk: what one process has stored, the next one serves, and purges hold in all of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edge.purge import Groups, Keys, Mark, Prefix, Site, Tag
from edge.store.content import Stored
from edge.store.layered import LayeredStore
from edge.store.lent import Held
from edge.store.parts import Parts
from tests.edge.stage import HandClock
from tests.edge.store.disks import MIB, body, layered
from tests.edge.store.test_memory import entry


async def test_what_was_stored_is_there_after_a_restart(tmp_path: Path) -> None:
    one, two = entry("/a", size=300, tags=("t",), foo="1"), entry("/a", size=400, foo="2")
    large = entry("/large", size=100_000)
    with layered(tmp_path) as store:
        for each in (one, two, large):
            assert store.put(each)
        assert list(store.get(one.key)) == [one, two]
    with layered(tmp_path) as store:
        found = {each.selection: each for each in store.get(one.key)}
        assert found.keys() == {one.selection, two.selection}
        again = found[one.selection]
        assert (again.fields, again.tags, again.etag, again.directives) == (
            one.fields,
            one.tags,
            one.etag,
            one.directives,
        )
        assert again.freshness == one.freshness
        assert store.where(again) == "disk"
        assert await body(store, again) == bytes(300)
        assert store.where(again) == "memory and disk"
        [whole] = store.get(large.key)
        assert await body(store, whole) == bytes(100_000)
        assert store.get("elsewhere") == ()


async def struck(store: LayeredStore, mark: Mark, now: float = 0.0) -> int:
    """As the pipeline does it: how many entries were found."""
    sweep = store.strike(mark, now)
    assert sweep.step(1000)
    return await sweep.hold()


MARKS: list[Mark] = [
    Keys((entry("/a/b").key,)),
    Prefix("shop.test/a/"),
    Tag("t"),
    Tag("t", "shop"),
    Groups("http://shop.test", frozenset({"g"})),
    Site("shop"),
]


@pytest.mark.parametrize("mark", MARKS, ids=str)
async def test_a_purge_that_was_acknowledged_holds_after_a_restart(tmp_path: Path, mark: Mark) -> None:
    with layered(tmp_path) as store:
        store.put(entry("/a/b", tags=("t",), groups=("g",)))
        store.put(entry("/b", site="other"))
        store.disk.settle()
        assert await struck(store, mark) == 1
        assert store.get(entry("/a/b").key) == ()
    with layered(tmp_path) as store:
        assert store.get(entry("/a/b").key) == ()
        assert len(store.get(entry("/b").key)) == 1


@pytest.mark.parametrize("mark", MARKS, ids=str)
async def test_a_soft_purge_makes_stale_what_lies_on_disk(tmp_path: Path, mark: Mark) -> None:
    clock = HandClock()
    with layered(tmp_path, clock=clock) as store:
        store.put(entry("/a/b", tags=("t",), groups=("g",)))
        store.disk.settle()
    clock.at = 10.0
    with layered(tmp_path, clock=clock) as store:
        assert await struck(store, replace(mark, soft=True), clock.at) == 1
        [found] = store.get(entry("/a/b").key)
        assert found.freshness.ttl(10.0) == 0
    for _ in range(2):  # carried out at once or later, it is all the same
        with layered(tmp_path, clock=clock) as store:
            store.disk.settle()
            [found] = store.get(entry("/a/b").key)
            assert found.freshness.ttl(10.0) == 0


async def test_a_fill_that_began_before_a_purge_is_not_kept(tmp_path: Path) -> None:
    with layered(tmp_path) as store:
        began = store.number
        await store.strike(Tag("t"), 0.0).hold()
        late = entry("/a", tags=("t",))
        assert late.number == began
        store.disk.settle()
        store.put(late)
        store.disk.settle()
        assert store.disk.find(late.key) == []


async def test_a_fill_that_began_after_a_purge_is_kept(tmp_path: Path) -> None:
    with layered(tmp_path) as store:
        await store.strike(Tag("t"), 0.0).hold()
        store.put(replace(entry("/a", tags=("t",)), number=store.number))
        store.disk.settle()
        assert len(store.disk.find(entry("/a").key)) == 1


async def test_a_body_that_was_changed_is_not_served(tmp_path: Path) -> None:
    large = entry("/large", size=100_000)
    with layered(tmp_path) as store:
        store.put(large)
        store.disk.settle()
        [file] = (each for each in (tmp_path / "bodies").rglob("*") if each.is_file())
    file.write_bytes(bytes(99_999) + b"x")
    with layered(tmp_path) as store:
        [found] = store.get(large.key)
        assert await body(store, found) is None
        assert store.get(large.key) == ()
        assert store.disk.errors["body"] == 1
        store.disk.settle()
        assert not file.exists()


async def test_what_memory_evicts_is_still_on_disk(tmp_path: Path) -> None:
    with layered(tmp_path, memory=50_000, max_object=20_000) as store:
        for number in range(100):
            store.put(entry(f"/{number}", size=5000))
        store.disk.settle()
        assert len(store.front) < 10
        for number in range(100):
            [found] = store.get(entry(f"/{number}").key)
            assert await body(store, found) == bytes(5000)
        assert store.front.size <= store.front.budget


async def test_variants_that_are_not_in_memory_are_found_all_the_same(tmp_path: Path) -> None:
    with layered(tmp_path, memory=30_000, max_object=20_000) as store:
        variants = [entry("/v", size=3000, foo=str(number)) for number in range(20)]
        for one in variants:
            store.put(one)
        for _ in range(3):
            found = store.get(variants[0].key)
            assert {each.selection for each in found} == {each.selection for each in variants}


async def test_encodings_are_kept_beside_the_body(tmp_path: Path) -> None:
    one = entry("/a", size=3000)
    assert isinstance(one.content, Stored)
    with layered(tmp_path) as store:
        store.put(one)
        one.content.encoded.update(br=b"brotli", gzip=b"")
        store.reweigh(one)
    with layered(tmp_path) as store:
        [found] = store.get(one.key)
        assert isinstance(found.content, Stored)
        assert await body(store, found) == bytes(3000)
        assert found.content.encoded == {"br": b"brotli", "gzip": b""}


async def test_what_is_dropped_is_gone_at_once_and_for_good(tmp_path: Path) -> None:
    one = entry("/a")
    with layered(tmp_path) as store:
        store.put(one)
        store.drop(one)
        assert store.get(one.key) == ()
        store.put(one)
        store.disk.settle()
        store.drop(one)
        assert store.get(one.key) == ()
    with layered(tmp_path) as store:
        assert store.get(one.key) == ()


async def test_the_budget_on_disk_is_held(tmp_path: Path) -> None:
    size = 24 * MIB
    with layered(tmp_path, memory=50_000, size=size) as store:
        for number in range(1000):
            store.put(entry(f"/{number}", size=3000 if number % 2 else 60_000))
            if number % 50 == 0:
                store.disk.settle()
        store.disk.settle()
        totals = store.disk.totals()
        assert size * 0.7 < totals.bytes <= size
        assert store.disk.evictions > 100
        on_disk = sum(
            each.stat().st_blocks * 512 for each in (tmp_path / "bodies").rglob("*") if each.is_file()
        )
        index = sum(each.stat().st_blocks * 512 for each in tmp_path.glob("index-*/data.mdb"))
        assert on_disk + index <= size + 4 * MIB  # what is being written needs room too


async def test_what_is_used_stays_on_disk(tmp_path: Path) -> None:
    with layered(tmp_path, memory=50_000, size=2**20) as store:
        loved = entry("/loved", size=3000)
        store.put(loved)
        store.disk.settle()
        for number in range(600):
            store.put(entry(f"/{number}", size=3000))
            [found] = store.get(loved.key)
            store.use(found)
            if number % 20 == 0:
                store.disk.settle()
        assert store.disk.evictions > 200
        store.disk.settle()
        assert len(store.disk.find(loved.key)) == 1


async def test_parts_are_kept_as_they_come_and_read_from_disk(tmp_path: Path) -> None:
    parts = Parts(300_000, sliced=True)
    one = replace(entry("/film"), content=parts)
    with layered(tmp_path) as store:
        assert store.put(one)
        assert store.keep(parts, 0, b"a" * 100_000)
        assert store.keep(parts, 200_000, b"c" * 100_000)
    with layered(tmp_path) as store:
        [found] = store.get(one.key)
        assert isinstance(found.content, Parts)
        assert [(part.first, part.end) for part in found.content.held()] == [(0, 100_000), (200_000, 300_000)]
        piece = found.content.piece(250_000)
        assert piece is not None and piece.data is None
        lent = await found.content.read(piece)
        assert isinstance(lent, Held)
        assert lent.read() == b"c" * 100_000
        assert store.keep(found.content, 100_000, b"b" * 100_000)
        store.disk.settle()
    with layered(tmp_path) as store:
        [found] = store.get(one.key)
        assert isinstance(found.content, Parts)
        assert [(part.first, part.end) for part in found.content.held()] == [(0, 300_000)]


async def test_after_distrust_nothing_is_fresh(tmp_path: Path) -> None:
    with layered(tmp_path) as store:
        store.put(entry("/a"))
        await store.distrust()
        assert [each.order for each in store.get(entry("/a").key)] == [-1]
    with layered(tmp_path) as store:
        assert [each.order for each in store.get(entry("/a").key)] == [-1]


def put_all(store: LayeredStore, *paths: str) -> None:
    for path in paths:
        store.put(entry(path))


async def test_a_dry_run_counts_what_lies_on_disk(tmp_path: Path) -> None:
    with layered(tmp_path) as store:
        put_all(store, "/a", "/b", "/c")
    with layered(tmp_path) as store:
        weight = await store.weigh(Prefix("shop.test/"))
        assert weight.entries == 3 and weight.bytes > 300
        assert store.knows_site("shop") and not store.knows_site("other")


async def test_what_the_disk_evicts_stays_in_memory(tmp_path: Path) -> None:
    with layered(tmp_path, memory=16 * MIB, size=MIB) as store:
        for number in range(400):
            store.put(entry(f"/{number}", size=6000))
        store.disk.settle()
        assert store.disk.evictions > 100
        assert all(len(store.get(entry(f"/{number}").key)) == 1 for number in range(400))
