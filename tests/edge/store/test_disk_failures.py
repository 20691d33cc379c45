"""What fails on disk is counted, logged once, and is as if nothing were stored; purges hold all the same."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest

from edge.purge import Tag
from edge.store import catalogue as catalogue_module
from edge.store.record import Broken, Record, unpacked
from tests.edge.store.crew import crew
from tests.edge.store.disks import body, layered
from tests.edge.store.filling import key_at
from tests.edge.store.test_memory import entry


def index(directory: Path) -> Path:
    [found] = directory.glob("index-*/data.mdb")
    return found


def files(directory: Path) -> list[Path]:
    return [each for each in (directory / "bodies").rglob("*") if each.is_file()]


def test_files_that_may_not_grow_cost_no_answer_and_no_purge(tmp_path: Path) -> None:
    """As a quota, or a full disk, but by a limit of the process."""
    with crew(1, tmp_path) as (worker,):
        worker.do("put", path="/before", version=1, size=3000, tags=["t"])
        worker.do("put", path="/stays", version=1, size=3000)
        worker.do("limit", size=index(tmp_path).stat().st_size)
        for number in range(40):
            worker.do("put", path=f"/{number}", version=2, size=5000, tags=["t"])
            worker.do("put", path=f"/large/{number}", version=2, size=300_000, settle=False)
        for number in range(40):
            found = worker.do("get", path=f"/{number}")
            assert found is None or found[0] == 2
        assert worker.do("figures")["errors"]["write"] > 0
        worker.do("strike", kind="tag", value="t")
        assert worker.do("get", path="/before") is None
    with crew(1, tmp_path) as (worker,):
        assert worker.do("get", path="/before") is None
        assert all(worker.do("get", path=f"/{number}") is None for number in range(40))
        worker.do("put", path="/before", version=3, size=3000)
        assert worker.do("get", path="/before")[0] == 3


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB, half of them for what the store reserves, where one may be mounted."""
    where = tmp_path / "small"
    where.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", where], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("this user may not mount a file system")
    yield where
    subprocess.run(["umount", "-l", where], check=True)


def test_a_disk_that_is_full_costs_no_answer_and_no_purge(small_disk: Path) -> None:
    with crew(1, small_disk) as (worker,):  # it believes that it has 64 MiB
        for number in range(100):
            worker.do("put", path=f"/{number}", version=2, size=200_000, tags=["t"], settle=number % 4 == 0)
            found = worker.do("get", path=f"/{number // 2}")
            assert found is None or found[0] == 2
        assert worker.do("figures")["errors"]["write"] > 0
        worker.do("strike", kind="tag", value="t")
        assert all(worker.do("get", path=f"/{number}") is None for number in range(100))
    with crew(1, small_disk) as (worker,):
        assert all(worker.do("get", path=f"/{number}") is None for number in range(100))


@pytest.mark.parametrize("harm", ["cut", "emptied", "removed", "flipped"])
async def test_a_body_that_was_harmed_is_fetched_again(
    tmp_path: Path, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    large = [entry(f"/{number}", size=100_000) for number in range(3)]
    with layered(tmp_path) as store:
        for one in large:
            store.put(one)
    for file in files(tmp_path):
        match harm:
            case "cut":
                os.truncate(file, 50_000)
            case "emptied":
                os.truncate(file, 0)
            case "removed":
                file.unlink()
            case "flipped":
                data = bytearray(file.read_bytes())
                data[77_777] ^= 1
                file.write_bytes(data)
    with layered(tmp_path) as store:
        for one in large:
            [found] = store.get(one.key)
            assert await body(store, found) is None
            assert store.get(one.key) == ()
        assert store.disk.errors["read" if harm == "removed" else "body"] == 3
        assert sum("disk store" in record.message for record in caplog.records) == 1
        store.put(large[0])
        assert await body(store, large[0]) == bytes(100_000)


@pytest.mark.parametrize("size", [1000, 30_000, 300_000], ids=["in the index", "a file", "a lent file"])
async def test_what_another_worker_let_go_after_the_look_up_is_a_miss_and_no_error(
    tmp_path: Path, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    with crew(1, tmp_path) as (other,), layered(tmp_path) as store:
        other.do("put", path="/a", version=1, size=size)
        [found] = store.get(key_at("/a"))
        other.do("drop", path="/a")
        assert await body(store, found) is None
        assert store.get(found.key) == ()
        store.disk.settle()
        assert store.disk.errors == {}
    assert "disk store" not in caplog.text


@pytest.mark.parametrize("left", [100, 0.5])
def test_an_index_that_is_cut_short_is_begun_anew_or_read_as_far_as_it_goes(
    tmp_path: Path, left: float
) -> None:
    with crew(1, tmp_path) as (worker,):
        for number in range(200):
            worker.do("put", path=f"/{number}", version=1, size=3000, settle=number == 199)
    file = index(tmp_path)
    os.truncate(file, int(left if left > 1 or left == 0 else file.stat().st_size * left))
    with crew(1, tmp_path) as (worker,):
        for number in range(0, 200, 10):
            found = worker.do("get", path=f"/{number}")
            assert found is None or found[0] == 1
        worker.do("put", path="/new", version=2, size=3000)
        assert worker.do("get", path="/new")[0] == 2


def test_records_that_were_changed_are_dropped(tmp_path: Path) -> None:
    with layered(tmp_path) as store:
        for number in range(50):
            store.put(entry(f"/{number}", size=10))
    data = bytearray(index(tmp_path).read_bytes())
    chance, at = random.Random(3), 0
    for _ in range(30):
        at = data.find(b"max-age", at + 1)
        if at > 0:
            data[at] = chance.randrange(256)
    index(tmp_path).write_bytes(data)
    with layered(tmp_path) as store:
        found = [store.get(entry(f"/{number}").key) for number in range(50)]
        assert 0 < sum(map(bool, found)) < 50
        assert store.disk.errors["index"] == sum(not each for each in found)


def test_another_formats_index_is_given_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with layered(tmp_path) as store:
        store.put(entry("/a"))
    env = lmdb.open(str(index(tmp_path).parent), max_dbs=32)
    with env.begin(write=True) as txn:
        txn.put(b"format", b"0.ancient", db=env.open_db(b"meta", txn=txn))
    env.close()
    with layered(tmp_path) as store:
        assert store.get(entry("/a").key) == ()
        assert "0.ancient" in caplog.text
        store.put(entry("/a"))
    with layered(tmp_path) as store:
        assert len(store.get(entry("/a").key)) == 1


async def test_a_directory_that_is_taken_away_is_missed_and_made_anew(tmp_path: Path) -> None:
    place = tmp_path / "store"
    with layered(place) as store:
        store.put(entry("/a", size=100_000))
        store.disk.settle()
        shutil.rmtree(place)
        store.front.clear()
        for found in store.get(entry("/a").key):
            assert await body(store, found) is None
        store.disk.follow()
        store.put(entry("/b", size=100_000))
        await store.strike(Tag("t"), 0.0).hold()
        store.disk.settle()
        store.front.clear()
        store.get(entry("/b").key)
    with layered(place) as store:
        assert store.get(entry("/a").key) == ()


def test_what_a_restart_reads_does_not_grow_with_what_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def counted(data: bytes | memoryview) -> Record:
        record = unpacked(data)
        read.append(record.key)
        return record

    with layered(tmp_path) as store:
        for number in range(3000):
            store.put(entry(f"/{number}", size=10))
            if number % 500 == 0:
                store.disk.settle()
    monkeypatch.setattr(catalogue_module, "unpacked", counted)
    with layered(tmp_path) as store:
        assert store.disk.totals().entries == 3000
        assert len(store.get(entry("/7").key)) == 1
    assert read == [entry("/7").key]


def test_nonsense_is_no_record() -> None:
    for data in (b"", b"x", b"\0" * 20, os.urandom(300)):
        with pytest.raises(Broken):
            unpacked(data)
