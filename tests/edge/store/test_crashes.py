"""Killed at any moment: no acknowledged purge is lost, no torn body is served, the budget is held."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from edge.store.disk import Disk
from edge.store.layered import LayeredStore
from edge.store.memory import MemoryStore
from edge.store.place import Place
from edge.store.record import Clocks
from tests.edge.store.crew import MIB
from tests.edge.store.filling import key_at, version_in

KILLS = int(os.environ.get("TEPI_KILLS", "10"))
SIZE = 16 * MIB
PATHS = 60


class Life:
    """A process that fills and purges as fast as it can, telling what it has been told."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.edge.store.filler",
                str(directory),
                str(SIZE),
                str(PATHS),
                str(seed),
            ],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[3],
        )

    def killed_after(self, lines: int, seconds: float) -> list[dict[str, Any]]:
        """All that it told, of purges that it began and of those that were acknowledged, before it was."""
        assert self.process.stdout is not None
        told = [self.process.stdout.readline() for _ in range(lines)]
        time.sleep(seconds)  # not to wait for anything: to kill it in the middle of something
        self.process.kill()
        told += self.process.stdout.read().splitlines(keepends=True)
        self.process.wait()
        self.process.stdout.close()
        return [json.loads(line) for line in told if line.endswith(b"\n")]


async def test_a_node_that_is_killed_at_any_moment_keeps_its_word(tmp_path: Path) -> None:
    """The judge: what a purge forbade when it was acknowledged is not there, whatever else is."""
    chance = random.Random(9)
    least: dict[str, int] = {}  # the versions below which nothing may be served any more
    version = served = 0
    for _ in range(KILLS):
        told = Life(tmp_path, version).killed_after(1 + chance.randrange(30), chance.random() * 0.1)
        for line in told:
            version = max(version, line["version"])
            if line["done"]:
                for path in line["struck"]:
                    least[path] = max(least.get(path, 0), line["version"])
        place = Place(tmp_path, SIZE)
        judge = LayeredStore(MemoryStore(2**20, 2**19), Disk(place, Clocks(time.time, time.monotonic)))
        try:
            for path in (f"/{number}" for number in range(PATHS)):
                for entry in judge.get(key_at(path)):
                    assert await judge.recall(entry)
                    assert version_in(entry) >= least.get(path, 0)
                    served += 1
            assert judge.disk.totals().bytes <= SIZE
            assert judge.disk.errors == {}
        finally:
            judge.close()
        version += 1
    assert least and served
