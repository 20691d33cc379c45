"""Children are real processes here: they die, come back, refuse to run, and end when told."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from control.up.children import Children, Part, PartFailed

SLEEPER = "import time; print('here', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"


def python(name: str, code: str, tmp_path: Path) -> Part:
    return Part(name, (sys.executable, "-c", code), tmp_path / "logs" / f"{name}.log")


async def until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_child_that_dies_is_reported_and_started_again(tmp_path: Path) -> None:
    said: list[str] = []
    children = Children(said.append)
    await children.start(python("jakarta", SLEEPER, tmp_path))
    first = children.pids()["jakarta"]
    os.kill(first, signal.SIGKILL)
    await until(lambda: children.pids().get("jakarta", first) != first)
    assert len(said) == 1
    assert "jakarta was ended by SIGKILL; it starts again in 0.5 s" in said[0]
    assert str(tmp_path / "logs" / "jakarta.log") in said[0]
    await children.end()


async def test_a_child_that_cannot_run_is_not_tried_again(tmp_path: Path) -> None:
    said: list[str] = []
    children = Children(said.append)
    await children.start(python("dns", "import sys; print('zone: got 7'); sys.exit(2)", tmp_path))
    with pytest.raises(PartFailed, match="dns can't run: zone: got 7"):
        await asyncio.wait_for(children.failure(), 10)
    assert said == []
    await children.end()


async def test_the_end_reaches_every_child_even_a_frozen_one(tmp_path: Path) -> None:
    children = Children(print)
    for name in ("one", "two"):
        await children.start(python(name, SLEEPER, tmp_path))
        await until(lambda name=name: (tmp_path / "logs" / f"{name}.log").read_text() == "here\n")
    pids = children.pids()
    os.kill(pids["two"], signal.SIGSTOP)
    await asyncio.wait_for(children.end(), 5)
    assert not any(alive(pid) for pid in pids.values())
    assert children.pids() == {}


async def test_a_child_that_ignores_the_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("control.up.children.GRACE", 0.3)
    children = Children(print)
    await children.start(python("stubborn", STUBBORN, tmp_path))
    await asyncio.sleep(0.3)
    pid = children.pids()["stubborn"]
    await asyncio.wait_for(children.end(), 5)
    assert not alive(pid)
