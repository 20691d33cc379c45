"""Bodies that are here in parts: what is missing, what is kept, and what a reader gets across all of it."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edge.http.ranges import Part
from edge.policy.entry import Entry
from edge.purge import Keys, Prefix, Site, Tag
from edge.store.content import Stored
from edge.store.fill import Cut, Fill
from edge.store.memory import MemoryStore, weigh
from edge.store.parts import AHEAD, Parts, Spliced
from tests.edge.films import content
from tests.edge.store.test_memory import entry

SIZE = 1000
BODY = content(SIZE)

spans = st.tuples(st.integers(0, SIZE - 1), st.integers(1, 300)).map(
    lambda pair: Part(pair[0], min(SIZE, pair[0] + pair[1]) - 1)
)


def kept(store: MemoryStore, parts: Parts, *spans: Part) -> None:
    for span in spans:
        store.keep(parts, span.first, BODY[span.first : span.end])


def of_parts(
    path: str = "/film", *, sliced: bool = True, size: int = SIZE, **more: str
) -> tuple[Entry, Parts]:
    parts = Parts(size, sliced=sliced)
    tags = (more["tag"],) if "tag" in more else ()
    return replace(entry(path, tags=tags), content=parts), parts


@given(st.lists(spans, max_size=12), spans)
def test_the_first_gap_is_found_whole(held: list[Part], wanted: Part) -> None:
    store = MemoryStore(10**6, 10**5)
    made, parts = of_parts()
    store.put(made)
    kept(store, parts, *held)
    here = {at for span in held for at in range(span.first, span.end)}
    lacking = [at for at in range(wanted.first, wanted.end) if at not in here]
    gap = parts.gap(wanted)
    if not lacking:
        assert gap is None
        return
    first = last = lacking[0]
    while first and first - 1 not in here:
        first -= 1
    while last + 1 < SIZE and last + 1 not in here:
        last += 1
    assert gap == Part(first, last)


@given(st.lists(spans, max_size=12))
def test_no_byte_is_kept_twice(held: list[Part]) -> None:
    store = MemoryStore(10**6, 10**5)
    made, parts = of_parts()
    store.put(made)
    kept(store, parts, *held)
    here = {at for span in held for at in range(span.first, span.end)}
    assert sum(len(piece.data) for piece in parts.pieces.values()) == len(here)
    assert {at for span in parts.held() for at in range(span.first, span.end)} == here
    assert all(piece.data == BODY[piece.first : piece.end] for piece in parts.pieces.values())


def test_a_fill_covers_what_it_has_and_what_it_brings_soon() -> None:
    parts = Parts(10 * AHEAD, sliced=True)
    fill = Fill(0, first=0, end=10 * AHEAD)
    parts.fills.append(fill)
    assert parts.gap(Part(0, 100)) is None
    assert parts.gap(Part(AHEAD - 1, 10 * AHEAD - 1)) is None
    assert parts.gap(Part(5 * AHEAD, 6 * AHEAD)) == Part(0, 10 * AHEAD - 1)
    fill.error = Cut("gone")
    assert parts.gap(Part(0, 100)) == Part(0, 10 * AHEAD - 1)


def test_what_is_complete_is_made_whole_unless_it_is_sliced() -> None:
    for sliced in (False, True):
        store = MemoryStore(10**6, 10**5)
        made, parts = of_parts(sliced=sliced)
        store.put(made)
        kept(store, parts, Part(500, 999), Part(0, 99), Part(50, 600))
        (stored,) = store.get(made.key)
        assert isinstance(stored.content, Parts if sliced else Stored)
        if isinstance(stored.content, Stored):
            assert stored.content.identity == BODY == parts.whole
            assert store.size - store.opened == weigh(stored)
            assert not parts.pieces


def test_a_body_too_large_for_the_store_stays_in_parts() -> None:
    store = MemoryStore(10**6, SIZE - 1)
    made, parts = of_parts(sliced=False)
    store.put(made)
    kept(store, parts, Part(0, 999))
    assert isinstance(store.get(made.key)[0].content, Parts)


def test_pieces_are_kept_only_while_their_entry_is_stored() -> None:
    store = MemoryStore(10**6, 10**5)
    made, parts = of_parts()
    assert not store.keep(parts, 0, BODY[:10])
    store.put(made)
    assert store.keep(parts, 0, BODY[:10])
    store.drop(made)
    assert not store.keep(parts, 10, BODY[10:20])
    assert (len(parts.pieces), store.size, len(store)) == (0, 0, 0)


@pytest.mark.parametrize("mark", [Keys, Prefix, Tag, Site])
@pytest.mark.parametrize("soft", [False, True])
def test_a_purge_strikes_every_piece(mark: type, soft: bool) -> None:
    store = MemoryStore(10**6, 10**5)
    made, parts = of_parts(tag="film")
    store.put(made)
    kept(store, parts, Part(0, 99), Part(500, 599))
    marks = {Keys: (made.key,), Prefix: "shop.test/fi", Tag: "film", Site: "shop"}
    sweep = store.strike(mark(marks[mark], soft=soft), now=5.0)
    assert sweep.found == 1
    sweep.step(10)
    if soft:
        (left,) = store.get(made.key)
        assert left.freshness.ttl(5.0) <= 0
        assert left.content is parts and len(parts.pieces) == 2
    else:
        assert (len(store), store.size, len(parts.pieces)) == (0, 0, 0)


def test_newer_fields_take_the_pieces_over() -> None:
    store = MemoryStore(10**6, 10**5)
    made, parts = of_parts()
    store.put(made)
    kept(store, parts, Part(0, 99))
    newer = replace(made, date=made.date + 1)
    assert store.swap(made, newer)
    assert store.keep(parts, 100, BODY[100:200])
    again = replace(made, date=made.date + 2)
    assert store.put(again)
    assert list(store.get(made.key)) == [again]
    assert len(parts.pieces) == 2
    store.drop(again)
    assert store.size == 0


def test_another_version_takes_nothing_over() -> None:
    store = MemoryStore(10**6, 10**5)
    made, parts = of_parts()
    other, _ = of_parts()
    store.put(made)
    kept(store, parts, Part(0, 99))
    store.put(other)
    assert (store.size - store.opened, len(parts.pieces), parts.slot) == (weigh(other), 0, None)


def test_pieces_are_evicted_one_by_one_and_never_with_more_than_the_budget() -> None:
    store = MemoryStore(40_000, 10_000)
    film = content(200_000)
    made, parts = of_parts(size=len(film))
    store.put(made)
    for first in range(0, len(film), 5_000):
        assert store.keep(parts, first, film[first : first + 5_000])
        assert store.size <= store.budget
    assert store.holds(made)
    assert 1 < len(parts.pieces) < 10
    assert store.evictions > 20


def test_what_a_piece_costs_beside_its_bytes_is_counted() -> None:
    store = MemoryStore(10**8, 10**5)
    made, parts = of_parts(size=10**6)
    store.put(made)
    data = [bytes([number % 251]) * 64 for number in range(2000)]
    gc.collect()
    tracemalloc.start()
    before, counted = tracemalloc.get_traced_memory()[0], store.size
    for number, piece in enumerate(data):
        store.keep(parts, number * 100, piece)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown <= store.size - counted - 64 * len(data)


class Pieces(RuleBasedStateMachine):
    """Sums hold whatever is kept, dropped, refreshed or evicted."""

    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryStore(16_000, 5_000)
        self.all: list[tuple[Entry, Parts]] = []

    @rule(number=st.integers(0, 4), sliced=st.booleans())
    def put(self, number: int, sliced: bool) -> None:
        made = of_parts(f"/{number}", sliced=sliced)
        self.store.put(made[0])
        self.all.append(made)

    @rule(number=st.integers(0, 50), span=spans)
    def keep(self, number: int, span: Part) -> None:
        if self.all:
            kept(self.store, self.all[number % len(self.all)][1], span)

    @rule(number=st.integers(0, 50))
    def swap(self, number: int) -> None:
        if self.all:
            old, parts = self.all[number % len(self.all)]
            new = replace(old, date=old.date + 1)
            self.store.swap(old, new)
            self.all[number % len(self.all)] = (new, parts)

    @rule(number=st.integers(0, 50))
    def drop(self, number: int) -> None:
        if self.all:
            self.store.drop(self.all[number % len(self.all)][0])

    @rule(number=st.integers(0, 4))
    def put_whole(self, number: int) -> None:
        self.store.put(entry(f"/{number}", size=2_000))

    @invariant()
    def sums_hold(self) -> None:
        stored = [each for number in range(5) for each in self.store.get(f"shop.test/{number}\x00http")]
        stored = [each for each in stored if self.store.holds(each)]  # to look at one may push another out
        size = sum(map(weigh, stored))
        for each in stored:
            if isinstance(each.content, Parts):
                assert each.content.slot is not None and each.content.slot.entry is each
                size += sum(piece.slot.size for piece in each.content.pieces.values() if piece.slot)
        assert self.store.size - self.store.opened == size
        assert self.store.size <= self.store.budget
        held = [each.content for each in stored]
        assert all(parts in held or not parts.pieces for _, parts in self.all)


TestPieces = Pieces.TestCase


# Reading -------------------------------------------------------------------------------------------


async def bytes_of(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        await asyncio.sleep(0)
        yield chunk


async def read(stream: Spliced) -> bytes:
    return b"".join([chunk async for chunk in stream])


def always(size: int) -> bool:
    return True


class Source:
    """Brings what is asked for, up to `most` bytes at a time, and notes it."""

    def __init__(self, most: int = SIZE) -> None:
        self.most = most
        self.asked: list[tuple[int, int]] = []

    async def more(self, at: int, last: int, run: int) -> AsyncIterator[bytes]:
        self.asked.append((at, last))
        end = min(last + 1, at + self.most)
        return bytes_of(*(BODY[start : min(start + 7, end)] for start in range(at, end, 7)))


@given(st.lists(spans, max_size=8), st.lists(spans, max_size=3), spans, st.integers(1, 400))
def test_whatever_is_here_a_reader_gets_the_bytes_of_the_whole(
    held: list[Part], arriving: list[Part], wanted: Part, most: int
) -> None:
    async def story() -> None:
        store = MemoryStore(10**6, 10**5)
        made, parts = of_parts()
        store.put(made)
        kept(store, parts, *held)
        pouring = []
        for span in arriving:
            fill = Fill(SIZE, first=span.first, end=span.end)
            parts.fills.append(fill)
            body = BODY[span.first : span.end]
            pouring.append(asyncio.create_task(fill.pour(bytes_of(body[:5], body[5:]), always)))
        source = Source(most)
        assert await read(Spliced(parts, wanted, source.more)) == BODY[wanted.first : wanted.end]
        await asyncio.gather(*pouring)

    asyncio.run(story())


async def test_what_lacks_is_fetched_when_its_turn_comes() -> None:
    store = MemoryStore(10**6, 10**5)
    made, parts = of_parts()
    store.put(made)
    kept(store, parts, Part(0, 199), Part(300, 999))
    source = Source()
    stream = Spliced(parts, Part(0, 999), source.more)
    assert await anext(stream) == BODY[:200]
    assert source.asked == []
    assert await read(stream) == BODY[200:]
    assert source.asked == [(200, 999)]


async def test_what_is_evicted_under_a_reader_is_fetched() -> None:
    store = MemoryStore(10**6, 10**5)
    made, parts = of_parts()
    store.put(made)
    kept(store, parts, Part(0, 99), Part(100, 999))
    source = Source()
    stream = Spliced(parts, Part(0, 999), source.more)
    assert await anext(stream) == BODY[:100]
    store.drop(made)
    assert await read(stream) == BODY[100:]
    assert source.asked == [(100, 999)]


async def test_what_is_made_whole_under_a_reader_serves_him() -> None:
    store = MemoryStore(10**6, 10**5)
    made, parts = of_parts(sliced=False)
    store.put(made)
    kept(store, parts, Part(0, 99))
    source = Source()
    stream = Spliced(parts, Part(0, 999), source.more)
    assert await anext(stream) == BODY[:100]
    kept(store, parts, Part(100, 999))
    assert parts.slot is None
    assert await read(stream) == BODY[100:]
    assert source.asked == []


async def test_a_fetch_that_brings_nothing_is_not_repeated_for_ever() -> None:
    parts = Parts(SIZE, sliced=True)

    async def nothing(at: int, last: int, run: int) -> AsyncIterator[bytes]:
        return bytes_of()

    with pytest.raises(Cut):
        await read(Spliced(parts, Part(0, 9), nothing))


async def test_a_fill_that_breaks_off_is_followed_as_far_as_it_goes() -> None:
    parts = Parts(SIZE, sliced=True)
    fill = Fill(SIZE, end=SIZE)
    parts.fills.append(fill)
    source = Source()
    stream = Spliced(parts, Part(0, 999), source.more)

    async def broken() -> AsyncIterator[bytes]:
        yield BODY[:100]
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        await fill.pour(broken(), always)
    parts.fills.remove(fill)
    assert await read(stream) == BODY
    assert source.asked == [(100, 999)]


async def test_more_than_was_announced_is_not_taken() -> None:
    fill = Fill(SIZE, first=10, end=20)
    with pytest.raises(Cut):
        await fill.pour(bytes_of(BODY[:5], BODY[5:11]), always)
    assert fill.so_far() == BODY[:5]


@given(st.integers(0, 99), st.lists(st.integers(1, 30), min_size=1, max_size=20), st.integers(0, 20))
def test_a_fill_is_read_from_any_byte_on(first: int, sizes: list[int], late: int) -> None:
    body, chunks, start = content(sum(sizes)), [], 0
    for size in sizes:
        chunks.append(body[start : start + size])
        start += size
    at = min(first, len(body) - 1)

    async def story() -> None:
        fill = Fill(len(body), first=1000, end=1000 + len(body))
        pouring = asyncio.create_task(fill.pour(bytes_of(*chunks), always))
        for _ in range(late):
            await asyncio.sleep(0)
        assert fill.reaches(1000 + at, AHEAD)
        reader = fill.attach(1000 + at)
        assert b"".join([chunk async for chunk in reader]) == body[at:]
        await pouring

    asyncio.run(story())
