"""Address ranges with a country each, from CSV files (`first,last,country`), merged into one set.

Where two files disagree the narrower range wins: a registry's own home country, given to all of its space,
is the widest and so the last to be believed. Of equally wide ranges the later file's wins.
"""

from __future__ import annotations

import csv
import ipaddress
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Range:
    """The addresses from `first` to `last`, both included, as numbers."""

    first: int
    last: int
    country: str

    @property
    def width(self) -> int:
        """How many addresses it has, less one."""
        return self.last - self.first


class BadRange(ValueError):
    """A line of a file that is no range; the text names file and line."""


def read(path: Path, version: int) -> list[Range]:
    """The ranges of a file, sorted; `version` is 4 or 6. Raises BadRange."""
    ranges = []
    parse = ipaddress.IPv4Address if version == 4 else ipaddress.IPv6Address
    with path.open(newline="") as file:
        for number, line in enumerate(csv.reader(file), start=1):
            try:
                first, last, country = line
                made = Range(int(parse(first)), int(parse(last)), country)
            except ValueError as error:
                raise BadRange(f"{path}, line {number}: got {line}, expected first,last,country") from error
            if made.width < 0 or len(country) != 2:
                raise BadRange(f"{path}, line {number}: got {line}, expected first <= last and a country")
            ranges.append(made)
    ranges.sort(key=lambda one: one.first)
    return ranges


def merge(sources: Sequence[Sequence[Range]]) -> list[Range]:
    """One set of disjoint ranges out of several, neighbours of the same country joined."""
    starts = [[one.first for one in source] for source in sources]
    edges = sorted({edge for source in sources for one in source for edge in (one.first, one.last + 1)})
    merged: list[Range] = []
    for first, behind in pairwise(edges):
        country = _narrowest(first, sources, starts)
        if country is None:
            continue
        if merged and merged[-1].country == country and merged[-1].last + 1 == first:
            merged[-1] = Range(merged[-1].first, behind - 1, country)
        else:
            merged.append(Range(first, behind - 1, country))
    return merged


def _narrowest(
    address: int, sources: Sequence[Sequence[Range]], starts: Sequence[Sequence[int]]
) -> str | None:
    best: Range | None = None
    for source, firsts in zip(sources, starts, strict=True):
        index = bisect_right(firsts, address) - 1
        if index < 0 or source[index].last < address:
            continue
        if best is None or source[index].width <= best.width:
            best = source[index]
    return None if best is None else best.country


def countries(ranges: Iterable[Range]) -> list[str]:
    """The countries that occur, in order."""
    return sorted({one.country for one in ranges})
