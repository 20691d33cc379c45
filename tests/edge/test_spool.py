"""Nothing that was acknowledged is lost: over power cuts, torn and full disks, failing syncs, restarts."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.spool import Full, Spool, Taken, claimed
from tests.edge.disks import MemoryDisk

HERE = Path("/spool")


def spool(disk: MemoryDisk, *, limit: int = 1 << 30, segment: int = 400) -> Spool:
    made = Spool(HERE, limit, disk.chance.randbytes, disk, segment)
    made.recover()
    return made


async def contents(made: Spool) -> list[bytes]:
    return [await made.read(entry) for entry in made]


async def test_what_is_appended_is_there_after_a_restart_in_order() -> None:
    disk = MemoryDisk(random.Random(1))
    first = spool(disk)
    wanted = [b"site stripe %d\0{}" % n for n in range(40)]
    await asyncio.gather(*(first.append(each) for each in wanted))
    await first.close()
    second = spool(disk)
    assert await contents(second) == wanted
    assert {entry.key for entry in second} == {each[:-3] for each in wanted}
    await second.close()


async def test_appends_that_come_together_are_synced_together_and_before_they_return() -> None:
    disk = MemoryDisk(random.Random(1))
    made = spool(disk, segment=1 << 20)
    await asyncio.gather(*(made.append(b"%d" % n) for n in range(100)))
    assert made.commits <= 2
    assert disk.calls[:4] == ["create", "append", "sync", "sync_directory"], "a new name is synced too"
    disk.calls.clear()
    await made.append(b"one more")
    assert disk.calls == ["append", "sync"]
    await made.close()


async def test_what_is_finished_does_not_come_back_and_gives_its_room_back() -> None:
    disk = MemoryDisk(random.Random(1))
    made = spool(disk)
    entries = [await made.append(b"x" * 100 + b"%d" % n) for n in range(20)]
    for entry in entries[:-1]:
        made.finish(entry)
    await made.append(b"last")
    await made.close()
    assert made.size < 1000
    assert await contents(spool(disk)) == [b"x" * 100 + b"19", b"last"]


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.sampled_from("aaaaffcsnd"), max_size=25))
def test_whatever_happens_what_was_acknowledged_and_not_finished_is_there(
    seed: int, story: list[str]
) -> None:
    """append, finish, cut the power, fail to sync, fill the disk, fail at directories."""
    chance = random.Random(seed)

    async def tell() -> None:
        disk = MemoryDisk(chance)
        made = spool(disk)
        owed: dict[bytes, None] = {}
        finished: set[bytes] = set()
        for number, word in enumerate(story):
            disk.failing.clear()
            disk.room = 1 << 30
            match word:
                case "a":
                    some = [
                        b"%d.%d " % (number, n) + chance.randbytes(90) for n in range(chance.randint(1, 4))
                    ]
                    for each in some:
                        await made.append(each)
                        owed[each] = None
                case "f":
                    for entry in list(made)[: chance.randint(0, 3)]:
                        content = await made.read(entry)
                        owed.pop(content, None)
                        finished.add(content)
                        made.finish(entry)
                case "c":
                    disk = disk.cut_power()
                    made = spool(disk)
                case "s" | "n" | "d":
                    disk.failing = {{"s": "sync", "n": "append", "d": "sync_directory"}[word]}
                    if word == "n":
                        disk.failing, disk.room = set(), 0
                    try:
                        await made.append(content := b"doubtful %d" % number)
                        owed[content] = None
                    except Full:
                        pass
                    disk.failing.clear()
                    disk.room = 1 << 30
        after = spool(disk.cut_power())
        found = await contents(after)
        assert set(owed) <= set(found)
        kept = [each for each in found if each in owed]
        assert kept == list(owed), "in the order in which they were acknowledged"
        assert all(each in owed or each in finished or each.startswith(b"doubtful") for each in found)

    asyncio.run(tell())


async def test_a_full_disk_is_said_and_mends_by_itself() -> None:
    disk = MemoryDisk(random.Random(1), room=300)
    made = spool(disk, segment=1 << 20)
    taken = 0
    with pytest.raises(Full, match="is full"):
        for _ in range(100):
            await made.append(b"x" * 50)
            taken += 1
    assert 0 < taken < 6
    disk.room = 1 << 20
    await made.append(b"again")
    assert len(await contents(made)) == taken + 1
    assert len(await contents(spool(disk.cut_power()))) == taken + 1
    await made.close()


async def test_the_limit_holds_for_what_waits_to_be_written_too() -> None:
    disk = MemoryDisk(random.Random(1))
    made = spool(disk, limit=500)
    results = await asyncio.gather(*(made.append(b"x" * 80) for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(each, Full) for each in results) >= 14
    assert made.size <= 500
    await made.close()


async def test_after_a_sync_that_failed_the_file_is_written_to_no_more() -> None:
    """What a failed fsync has lost, the next one does not bring back."""
    disk = MemoryDisk(random.Random(1))
    made = spool(disk, segment=1 << 20)
    first = await made.append(b"before")
    disk.failing = {"sync"}
    with pytest.raises(Full, match="fails"):
        await made.append(b"lost")
    disk.failing = set()
    second = await made.append(b"after")
    assert first.segment is not second.segment
    assert await contents(made) == [b"before", b"after"]
    await made.close()


async def test_an_append_that_nobody_waits_for_any_more_is_still_one(tmp_path: Path) -> None:
    made = Spool(tmp_path, 1 << 20)
    task = asyncio.create_task(made.append(b"x"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await made.close()
    again = Spool(tmp_path, 1 << 20)
    again.recover()
    assert [await again.read(entry) for entry in again] == [b"x"]
    await again.close()


def test_a_directory_has_one_writer(tmp_path: Path) -> None:
    with claimed(tmp_path / "a" / "b"), pytest.raises(Taken), claimed(tmp_path / "a" / "b"):
        pass
    with claimed(tmp_path / "a" / "b"):
        pass
