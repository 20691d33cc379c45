"""Child processes: started, watched, restarted with back-off, ended."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
STEADY_AFTER = 60.0  # a child that ran this long starts again without delay
GRACE = 10.0
CONFIGURATION_EXIT = 2  # the parts' exit code for "I can't run like this": a restart would not mend it
LOG_LIMIT = 16 * 1024 * 1024
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Part:
    """One process of the fleet: what to run, its output appended to `log`."""

    name: str
    command: tuple[str, ...]
    log: Path


@dataclass(slots=True)
class Child:
    """A part that runs, or is about to run again."""

    part: Part
    process: asyncio.subprocess.Process | None = None
    restarts: int = 0
    task: asyncio.Task[None] | None = field(default=None, repr=False)


class PartFailed(Exception):
    """A part ended with a refusal that starting it again can't mend."""


class Children:
    """Keeps parts running until they are ended. `report` gets one clear sentence for each death."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._children: dict[str, Child] = {}
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ending = False

    async def start(self, part: Part) -> None:
        """Starts `part` and watches it from now on."""
        child = Child(part)
        self._children[part.name] = child
        child.process = await _spawn(part)
        child.task = asyncio.create_task(self._watch(child), name=f"watch {part.name}")

    async def failure(self) -> None:
        """Returns never; raises PartFailed once a part can't be run at all."""
        await asyncio.shield(self._failure)

    def pids(self) -> dict[str, int]:
        """The process ids of what runs now."""
        return {
            name: child.process.pid
            for name, child in self._children.items()
            if child.process is not None and child.process.returncode is None
        }

    async def end(self) -> None:
        """Ends every child, the youngest first: SIGTERM, then SIGKILL after the grace period."""
        self._ending = True
        running = [child for child in reversed(self._children.values()) if _runs(child)]
        for child in running:
            _signal(child, signal.SIGTERM)
        async with asyncio.TaskGroup() as group:
            for child in running:
                group.create_task(_ended(child))
        for child in self._children.values():
            if child.task is not None:
                child.task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await child.task

    async def _watch(self, child: Child) -> None:
        pause = FIRST_PAUSE
        loop = asyncio.get_running_loop()
        while True:
            assert child.process is not None
            began = loop.time()
            code = await child.process.wait()
            if self._ending:
                return
            if code == CONFIGURATION_EXIT:
                self._fail(child)
                return
            if loop.time() - began > STEADY_AFTER:
                pause = FIRST_PAUSE
            self._report(
                f"{child.part.name} {_how_it_ended(code)}; it starts again in {pause:g} s. "
                f"Its log: {child.part.log}"
            )
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)
            child.restarts += 1
            child.process = await _spawn(child.part)

    def _fail(self, child: Child) -> None:
        if not self._failure.done():
            said = last_line(child.part.log) or "it said nothing"
            self._failure.set_exception(PartFailed(f"{child.part.name} can't run: {said}"))


def last_line(log: Path) -> str:
    """The last line of `log` that isn't empty, or ''."""
    with contextlib.suppress(OSError):
        lines = log.read_text(errors="replace").splitlines()
        return next((line for line in reversed(lines) if line.strip()), "")
    return ""


async def _spawn(part: Part) -> asyncio.subprocess.Process:
    part.log.parent.mkdir(parents=True, exist_ok=True)
    if part.log.exists() and part.log.stat().st_size > LOG_LIMIT:
        part.log.replace(part.log.with_suffix(".log.1"))
    with part.log.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            *part.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C reaches the supervisor alone, which then ends them in order
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )


_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    """Runs in the child: a supervisor that was killed outright leaves no process behind (prctl(2))."""
    assert _libc is not None
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _runs(child: Child) -> bool:
    return child.process is not None and child.process.returncode is None


def _signal(child: Child, number: signal.Signals) -> None:
    assert child.process is not None
    with contextlib.suppress(ProcessLookupError):
        child.process.send_signal(signal.SIGCONT)  # a frozen process hears nothing else
        child.process.send_signal(number)


async def _ended(child: Child) -> None:
    assert child.process is not None
    try:
        async with asyncio.timeout(GRACE):
            await child.process.wait()
    except TimeoutError:
        _signal(child, signal.SIGKILL)
        await child.process.wait()


def _how_it_ended(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
