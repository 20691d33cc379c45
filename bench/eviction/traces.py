"""The traces: public ones, fetched by name and held against their hashes, and generated ones.

A trace is the order in which objects are asked for, and how large each object is. Where a public trace does
not say how large, every object counts one; a twin of it with sizes drawn as on the web is a trace of its own,
named so. Every second trace is for tuning, the others are reported."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import os
import re
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.eviction import generated

Numbers = NDArray[np.int64]

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("TEPI_TRACES") or HERE.parent / "traces")
LONGEST = 200_000  # requests that are replayed of a trace
SECONDS = 20  # that a download may take


class Absent(Exception):
    """A trace that cannot be had now, and why."""


@dataclass(frozen=True, slots=True)
class Source:
    """A public trace: whose it is, where it lies, the hash of what lies there, how it is read."""

    name: str
    split: str  # "tune" or "report"
    kind: str  # what was recorded
    url: str
    sha256: str
    form: str
    sizes: bool  # whether it says how large objects are
    licence: str


@dataclass(frozen=True, slots=True)
class Trace:
    """`ids[n]` is asked for at moment n and has `sizes[ids[n]]` bytes; ids count from 0 as they appear."""

    name: str
    split: str
    kind: str
    sized: bool
    ids: Numbers
    sizes: Numbers

    @property
    def footprint(self) -> int:
        """Bytes of all objects together; their number where each counts one."""
        return int(self.sizes.sum())


def sources() -> list[Source]:
    """What bench/eviction/traces.toml lists."""
    rows = tomllib.loads((HERE / "traces.toml").read_text(encoding="utf-8"))["trace"]
    return [Source(**row) for row in rows]


def bring(source: Source) -> bytes:
    """The file, from bench/traces/ or else from where it lies; Absent if it cannot be had or is another."""
    kept = CACHE / f"{source.name}{Path(source.url).suffix}"
    if kept.exists():
        data = kept.read_bytes()
    else:
        try:
            with urllib.request.urlopen(source.url, timeout=SECONDS) as answer:
                data = answer.read()
        except (urllib.error.URLError, OSError) as error:
            raise Absent(f"{source.name}: {error}") from None
    if hashlib.sha256(data).hexdigest() != source.sha256:
        raise Absent(f"{source.name}: what lies at {source.url} has another hash than expected")
    CACHE.mkdir(exist_ok=True)
    kept.write_bytes(data)
    return data


def load(source: Source) -> list[Trace]:
    """The trace; where it has no sizes, its twin with drawn ones beside it."""
    data = bring(source)
    for suffix, opened in (
        (".xz", lzma.decompress),
        (".gz", gzip.decompress),
        (".bz2", bz2.decompress),
        (".zst", _unzstd),
    ):
        if source.url.endswith(suffix):
            data = opened(data)
    ids, sizes = READERS[source.form](data)
    ids, first = dense(ids[:LONGEST])
    if source.sizes:
        return [Trace(source.name, source.split, source.kind, True, ids, sizes[first])]
    ones = np.ones(len(first), dtype=np.int64)
    drawn = generated.drawn_sizes(len(first), seed=len(ids))
    return [
        Trace(source.name, source.split, source.kind, False, ids, ones),
        Trace(f"{source.name}+sizes", source.split, f"{source.kind}; sizes drawn", True, ids, drawn),
    ]


def generated_traces() -> list[Trace]:
    """Those that need nothing from anywhere."""
    made = []
    for number, (name, make) in enumerate(sorted(generated.MAKERS.items())):
        ids, sizes = make(np.random.Generator(np.random.PCG64(number)), LONGEST)
        ids, first = dense(ids)
        split = ("tune", "report")[number % 2]
        made.append(
            Trace(f"gen:{name}", split, (make.__doc__ or "").partition("\n")[0], True, ids, sizes[first])
        )
    return made


def dense(ids: Numbers) -> tuple[Numbers, Numbers]:
    """`ids` renamed from 0 by first appearance, and where each new one first stood, or what it was called."""
    known, first, back = np.unique(ids, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    renamed = np.empty(len(known), dtype=np.int64)
    renamed[order] = np.arange(len(known))
    return renamed[back], first[order]


def _unzstd(data: bytes) -> bytes:
    from backports import zstd

    return zstd.decompress(data)


def _nothing(ids: Numbers) -> tuple[Numbers, Numbers]:
    return ids, np.ones(len(ids), dtype=np.int64)


def _words(kind: str) -> Callable[[bytes], tuple[Numbers, Numbers]]:
    return lambda data: _nothing(np.frombuffer(data, dtype=kind).astype(np.int64))


def _lines(data: bytes) -> tuple[Numbers, Numbers]:
    return _nothing(np.array([int(word) for word in data.split() if word.isdigit()], dtype=np.int64))


def _blocks(data: bytes) -> tuple[Numbers, Numbers]:
    """Lines `first block, how many, …`: each block is asked for in turn."""
    found: list[int] = []
    for line in data.splitlines():
        first, many = map(int, line.split()[:2])
        found.extend(range(first, first + many))
        if len(found) >= LONGEST:
            break
    return _nothing(np.array(found, dtype=np.int64))


def _columns(data: bytes) -> tuple[Numbers, Numbers]:
    """Lines `time id size`; another size is another object."""
    rows = np.array([line.split()[1:3] for line in data.splitlines() if line], dtype=np.int64)
    return rows[:, 0] * (1 << 32) + rows[:, 1] % (1 << 32), np.maximum(rows[:, 1], 1)


def _oracle(data: bytes) -> tuple[Numbers, Numbers]:
    """libCacheSim's oracleGeneral: time, id, size, the next use."""
    rows = np.frombuffer(data, dtype=[("time", "<u4"), ("id", "<u8"), ("size", "<u4"), ("next", "<i8")])
    return rows["id"].astype(np.int64), np.maximum(rows["size"].astype(np.int64), 1)


REQUEST = re.compile(rb'"(?:GET|HEAD) (\S+)[^"]*" (200|304) (\d+|-)')


def _access_log(data: bytes) -> tuple[Numbers, Numbers]:
    """An access log's GETs that could be answered from a cache; a URL is as large as its largest answer."""
    asked = [match.groups() for match in REQUEST.finditer(data)]
    names: dict[bytes, int] = {}
    largest: dict[bytes, int] = {}
    for url, _, size in asked:
        names.setdefault(url, len(names))
        largest[url] = max(largest.get(url, 1), int(size) if size.isdigit() else 1)
    ids = np.array([names[url] for url, _, _ in asked], dtype=np.int64)
    return ids, np.array([largest[url] for url, _, _ in asked], dtype=np.int64)


READERS: dict[str, Callable[[bytes], tuple[Numbers, Numbers]]] = {
    "int32": _words(">i4"),
    "int64": _words(">i8"),
    "lines": _lines,
    "blocks": _blocks,
    "columns": _columns,
    "oracle": _oracle,
    "access-log": _access_log,
}
