"""What a server costs: the CPU of its whole process tree, from /proc."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
GRACE = 10


def cores() -> tuple[int, int]:
    """A core for the server and one for the load; the same where there is only one."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


def pinned(core: int, command: list[str]) -> list[str]:
    """`command`, kept to one core where taskset is."""
    taskset = shutil.which("taskset")
    return [taskset, "--cpu-list", str(core), *command] if taskset else command


def family(*pids: int) -> set[int]:
    """`pids` and all their descendants."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields:
                parents[int(entry.name)] = int(fields[1])
    found = set(pids)
    while more := {pid for pid, parent in parents.items() if parent in found and pid not in found}:
        found |= more
    return found


def cpu_seconds(*pids: int) -> float:
    """User and system time of `pids`, their living descendants, and children that ended."""
    spent = 0
    for pid in family(*pids):
        fields = _stat(pid)
        if fields:
            spent += sum(int(field) for field in fields[11:15])
    return spent / TICKS


def _stat(pid: int) -> list[str]:
    """The fields after the name in /proc/PID/stat (proc(5)), or nothing once it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


@contextmanager
def running(
    command: list[str], log: Path, place: Path | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[int]:
    """A process in a group of its own, ended with it; its output goes to `log`. It runs in `place`."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=place,
            env={**os.environ, **(environment or {})},
        )
    try:
        yield process.pid
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
                process.wait(GRACE)
                break
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
