"""A body that many follow: pace, memory, and who is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from edge.store.fill import Cut, Fill, Lagged, Reader

CHUNK = b"x" * 100


async def chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield CHUNK


def always(size: int) -> bool:
    return True


async def drain(reader: Reader) -> bytes:
    return b"".join([chunk async for chunk in reader])


async def test_a_kept_body_waits_for_nobody() -> None:
    fill = Fill(10_000)
    idle = fill.attach()
    await fill.pour(chunks(50), always)
    assert fill.done and fill.keeping and fill.whole() == CHUNK * 50
    assert await drain(idle) == CHUNK * 50


async def test_a_single_reader_may_be_as_slow_as_he_likes_and_holds_no_more_than_the_window() -> None:
    fill = Fill(0, window=500, patience=0.01)
    reader = fill.attach()
    pouring = asyncio.create_task(fill.pour(chunks(50), always))
    taken = 0
    while taken < 50:
        await asyncio.sleep(0.015)
        assert fill.held <= 600
        await anext(reader)
        taken += 1
    await pouring
    with pytest.raises(StopAsyncIteration):
        await anext(reader)


async def test_a_slow_reader_is_left_behind_when_others_wait_for_him() -> None:
    fill = Fill(0, window=500, patience=0.01)
    slow, quick = fill.attach(), fill.attach()
    await_slow = anext(slow)
    pouring = asyncio.create_task(fill.pour(chunks(50), always))
    assert await await_slow == CHUNK
    assert await drain(quick) == CHUNK * 50
    await pouring
    with pytest.raises(Lagged) as lagged:
        await anext(slow)
    assert lagged.value.offset == 100


async def test_a_body_that_nobody_reads_is_given_up() -> None:
    fill = Fill(0, window=500, patience=0.01)
    await fill.attach().aclose()
    with pytest.raises(Cut):
        await fill.pour(chunks(50), always)
    assert fill.held <= 600


async def test_a_body_that_outgrows_its_limit_can_still_be_followed_but_not_joined() -> None:
    fill = Fill(450, window=500, patience=0.01)
    reader = fill.attach()
    pouring = asyncio.create_task(fill.pour(chunks(20), always))
    assert await drain(reader) == CHUNK * 20
    await pouring
    assert not fill.keeping
    assert not fill.joinable


async def test_a_body_that_gets_no_room_is_not_kept() -> None:
    fill = Fill(10_000, window=500, patience=0.01)
    reader = fill.attach()
    pouring = asyncio.create_task(fill.pour(chunks(20), lambda size: False))
    assert await drain(reader) == CHUNK * 20
    await pouring
    assert not fill.keeping


async def test_waiting_for_the_end_ends_with_it() -> None:
    fill = Fill(10_000)
    assert not await fill.finished(0.01)
    waiting = asyncio.create_task(fill.finished())
    await asyncio.sleep(0)
    await fill.pour(chunks(2), always)
    assert await waiting


async def test_what_ends_the_source_ends_its_readers() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield CHUNK
        raise ConnectionResetError("gone")

    fill = Fill(10_000)
    reader = fill.attach()
    with pytest.raises(ConnectionResetError):
        await fill.pour(broken(), always)
    assert await anext(reader) == CHUNK
    with pytest.raises(Cut):
        await anext(reader)
    assert not fill.joinable


async def test_many_readers_at_different_paces_all_get_everything() -> None:
    fill = Fill(0, window=500, patience=5)
    readers = [fill.attach() for _ in range(20)]

    async def read(number: int, reader: Reader) -> bytes:
        got = b""
        async for chunk in reader:
            got += chunk
            for _ in range(number % 4):
                await asyncio.sleep(0)
        return got

    pouring = asyncio.create_task(fill.pour(chunks(60), always))
    bodies = await asyncio.gather(*[read(number, reader) for number, reader in enumerate(readers)])
    await pouring
    assert bodies == [CHUNK * 60] * 20
    assert fill.held <= 600
