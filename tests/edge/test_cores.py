"""How many workers a node has by default, and where they can share a store."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.config import parse_edge
from edge.document.problems import Refused
from edge.settings.store import StoreTable
from edge.workers import rooms
from edge.workers.cores import usable_cores
from edge.workers.rooms import own_directory, workers_of
from tests.edge.nodes import document

CORES = len(os.sched_getaffinity(0))
V2 = "sys/fs/cgroup"


def machine(root: Path, groups: str, files: dict[str, str]) -> Path:
    """What /proc and /sys say on a machine."""
    for name, text in {"proc/self/cgroup": groups, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


@pytest.mark.parametrize(
    ("groups", "files", "quota"),
    [
        pytest.param("", {}, None, id="no-groups"),
        pytest.param("0::/", {}, None, id="no-limit-at-the-root"),
        pytest.param("0::/", {f"{V2}/cpu.max": "max 100000"}, None, id="said-to-be-none"),
        pytest.param("0::/", {f"{V2}/cpu.max": "100000 100000"}, 1, id="a-container's"),
        pytest.param("0::/", {f"{V2}/cpu.max": "50000 100000"}, 1, id="half-a-core"),
        pytest.param("0::/", {f"{V2}/cpu.max": "150000 100000"}, 2, id="one-and-a-half"),
        pytest.param("0::/a/b", {f"{V2}/a/cpu.max": "100000 100000"}, 1, id="of-a-group-above"),
        pytest.param("0::/../x", {f"{V2}/x/cpu.max": "100000 100000"}, 1, id="outside-its-namespace"),
        pytest.param("0::/", {f"{V2}/cpu.max": "nonsense"}, None, id="nonsense"),
        pytest.param("0::/", {f"{V2}/cpu.max": "100000 0"}, None, id="no-period"),
        pytest.param(
            "4:cpu,cpuacct:/docker/x\n1:name=systemd:/",
            {
                f"{V2}/cpu,cpuacct/cpu.cfs_quota_us": "100000",
                f"{V2}/cpu,cpuacct/cpu.cfs_period_us": "100000",
            },
            1,
            id="version-1",
        ),
        pytest.param(
            "4:cpu:/",
            {f"{V2}/cpu/cpu.cfs_quota_us": "-1", f"{V2}/cpu/cpu.cfs_period_us": "100000"},
            None,
            id="version-1-without",
        ),
    ],
)
def test_cores_are_those_that_may_be_used(
    groups: str, files: dict[str, str], quota: int | None, tmp_path: Path
) -> None:
    assert usable_cores(machine(tmp_path, groups, files)) == min(CORES, quota or CORES)


def test_unset_there_is_a_worker_for_each_core_unless_they_cannot_share(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rooms, "usable_cores", lambda: 6)
    origin = "http://127.0.0.1:9"
    assert workers_of(parse_edge(document(origin))) == 6
    assert workers_of(parse_edge(document(origin, workers=1))) == 1
    small = {"memory": 20 * 2**20, "max_object": 2**20}
    assert workers_of(parse_edge(document(origin, store=small))) == 1
    assert "store.memory is too small to be shared" in caplog.text
    assert workers_of(parse_edge(document(origin, store={**small, "directory": "/var/lib/x"}))) == 6


@pytest.mark.parametrize("workers", [0, -1, 257, 1.5, "many"])
def test_nonsense_for_workers_is_refused_by_name(workers: object) -> None:
    with pytest.raises(Refused) as refused:
        parse_edge(document("http://127.0.0.1:9", workers=workers))
    assert [problem.field for problem in refused.value.problems] == ["workers"]


def test_workers_share_memory_or_files_and_where_neither_has_room_it_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with own_directory(StoreTable()) as made:
        assert made.parent == rooms.MEMORY
    assert not made.exists()
    nowhere = tmp_path / "shm"
    monkeypatch.setattr(rooms, "MEMORY", nowhere)
    with own_directory(StoreTable()) as made:
        assert made.parent != nowhere
    assert "no room for store.memory" in caplog.text
    small, expected = StoreTable(memory=2**20, max_object=2**20), "expected 33554432 bytes or more"
    with pytest.raises(Refused, match=f"got 1048576 bytes, {expected}"), own_directory(small):
        pass
    huge, expected = StoreTable(memory=2**60), "expected bytes that there is room for"
    with pytest.raises(Refused, match=rf"store\.memory: got \d+, {expected}"), own_directory(huge):
        pass
    with own_directory(StoreTable(memory=2**60, directory="/var/lib/x")):
        pass
