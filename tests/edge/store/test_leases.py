"""Leases between processes: one has a key at a time, and who dies has none."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path

from edge.store.leases import Leases


def other(file: Path, line: Connection) -> None:
    """Takes and gives back what it is told to, until there is nobody to tell it."""
    leases = Leases(file)
    while True:
        what, key = line.recv()
        line.send(leases.take(key) if what == "take" else leases.give_back(key))


def test_a_key_is_one_processs_at_a_time_until_it_has_given_back_all_or_dies(tmp_path: Path) -> None:
    file, spawn = tmp_path / "leases", multiprocessing.get_context("spawn")
    mine = Leases(file)
    line, theirs = spawn.Pipe()
    process = spawn.Process(target=other, args=(file, theirs), daemon=True)
    process.start()

    def say(what: str, key: str) -> object:
        line.send((what, key))
        return line.recv()

    assert say("take", "a") is None
    assert mine.take("a") == process.pid
    assert mine.take("b") is None
    assert isinstance(say("take", "b"), int)
    assert say("take", "a") is None  # once more
    say("give back", "a")
    assert mine.take("a") == process.pid
    say("give back", "a")
    assert mine.take("a") is None
    mine.give_back("a")
    assert say("take", "a") is None
    process.kill()
    process.join(10)
    assert mine.take("a") is None
    mine.close()
