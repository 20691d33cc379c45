"""How many cores this process may use: the machine's, less what scheduler and container keep from it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")


def usable_cores(root: Path = ROOT) -> int:
    """The cores in this process's affinity, or fewer if its control groups have a smaller quota of CPU time.

    A quota of one and a half cores counts as two. `root` is where /proc and /sys are.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([cores, *(math.ceil(quota) for quota in _quotas(root))]))


def _quotas(root: Path) -> Iterator[float]:
    """The quotas of this process's group and of all above it, in cores (cgroups(7), versions 2 and 1)."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            top = root / "sys/fs/cgroup"
            for group in _upwards(top, path):
                quota, _, period = _read(group / "cpu.max").partition(" ")
                yield from _in_cores(quota, period)
        elif "cpu" in controllers.split(","):
            top = root / "sys/fs/cgroup" / ("cpu" if (root / "sys/fs/cgroup/cpu").is_dir() else controllers)
            for group in _upwards(top, path):
                yield from _in_cores(_read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us"))


def _upwards(top: Path, path: str) -> Iterator[Path]:
    """The group at `path`, and those above. In a container the path may be one that only the host has."""
    steps = [step for step in path.split("/") if step not in ("", "..")]
    for count in range(len(steps), -1, -1):
        yield top.joinpath(*steps[:count])


def _in_cores(quota: str, period: str) -> Iterator[float]:
    """A quota in microseconds a period; none where it says that there is none."""
    try:
        cores = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return
    if cores > 0:
        yield cores


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
