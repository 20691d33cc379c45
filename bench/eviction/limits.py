"""The independent judge: libCacheSim (PyPI libcachesim) on the same traces, and the offline limits.

Limit of objects: Belady where each counts one; where sizes are known, BeladySize, which lets go of the
largest product of size and time until the next use. Limit of bytes: Belady, which lets go of what is used
latest."""

from __future__ import annotations

import tempfile
from heapq import heappop, heappush
from pathlib import Path

import libcachesim
import numpy as np

from bench.eviction.replay import Ratio
from bench.eviction.traces import Trace

JUDGES = {
    "LRU": libcachesim.LRU,
    "S3-FIFO": libcachesim.S3FIFO,
    "SIEVE": libcachesim.Sieve,
    "GDSF": libcachesim.GDSF,
    "W-TinyLFU": libcachesim.WTinyLFU,
    "Belady": libcachesim.Belady,
    "BeladySize": libcachesim.BeladySize,
}

SLOW_WITH_SIZES = ("W-TinyLFU",)  # a second or more a run


def judge(trace: Trace, rooms: list[int]) -> list[dict[str, Ratio]]:
    """For each of `rooms`, what each of JUDGES keeps of `trace`."""
    following = np.full(len(trace.ids), -1, dtype=np.int64)
    order = np.argsort(trace.ids, kind="stable")
    same = trace.ids[order][1:] == trace.ids[order][:-1]
    following[order[:-1][same]] = order[1:][same] + 1
    rows = np.zeros(len(trace.ids), dtype=[("time", "<u4"), ("id", "<u8"), ("size", "<u4"), ("next", "<i8")])
    rows["time"] = np.arange(len(trace.ids)) // 1000
    rows["id"] = trace.ids + 1
    rows["size"] = trace.sizes[trace.ids]
    rows["next"] = following
    found = []
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "trace.oracleGeneral.bin"
        rows.tofile(file)
        for room in rooms:
            ratios = {}
            for name, policy in JUDGES.items():
                if trace.sized and name in SLOW_WITH_SIZES:
                    continue
                reader = libcachesim.TraceReader(
                    trace=str(file),
                    trace_type=libcachesim.TraceType.ORACLE_GENERAL_TRACE,
                    reader_init_params=libcachesim.ReaderInitParam(ignore_obj_size=False),
                )
                objects, size = policy(cache_size=room, hashpower=16).process_trace(reader)
                ratios[name] = Ratio(1 - objects, 1 - size)
            found.append(ratios)
    return found


class Lfuda:
    """LFU with dynamic ageing; here because libCacheSim's own takes minutes a trace."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._taken = self._age = 0
        self._held: dict[int, tuple[int, int, int]] = {}  # name -> rank, uses, size
        self._heap: list[tuple[int, int]] = []

    def access(self, name: int, size: int) -> bool:
        held = self._held.get(name)
        if held is not None:
            self._note(name, held[1] + 1, size)
            return True
        if size <= self._room:
            while self._taken + size > self._room:
                rank, least = heappop(self._heap)
                if least in self._held and self._held[least][0] == rank:
                    self._age = rank
                    self._taken -= self._held.pop(least)[2]
            self._taken += size
            self._note(name, 1, size)
        return False

    def _note(self, name: int, uses: int, size: int) -> None:
        self._held[name] = (self._age + uses, uses, size)
        heappush(self._heap, (self._age + uses, name))
