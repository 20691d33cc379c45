"""When what was purged, by name: whether something that others have stored is older than a purge of its own.

A name is struck at a position in the journal and at a moment of the wall clock. What this node has forgotten,
or never heard, lies before the `floor`: nothing that was filled then is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from edge.policy.key import origin_of
from edge.position import ALONE, Position
from edge.purge import Groups, Keys, Mark, Names, Prefix, Site, Tag

SKEW = 2.0  # seconds by which the clocks of two nodes may differ
LIMIT = 65_536

_Name = tuple[str, ...]
K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Moment:
    """A number in the journal, and seconds of the wall clock."""

    number: int
    wall: float

    def latest(self, other: Moment) -> Moment:
        return Moment(max(self.number, other.number), max(self.wall, other.wall))

    def strikes(self, number: int, began: float) -> bool:
        """Whether a fill that `began` then, at `number`, is of before."""
        return number < self.number or began <= self.wall + SKEW


class Moments:
    """The last moment of each name. Past `limit` names the oldest raise the floor."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._lineage = ALONE.lineage
        self._floor = Moment(0, float("-inf"))
        self._names: dict[_Name, Moment] = {}
        self._prefixes: dict[str, Moment] = {}

    def begin(self, at: Position, wall: float) -> None:
        """Nothing is known of purges before now. Without a journal only the clock tells what that is."""
        self._lineage = at.lineage
        self._floor = Moment(at.number, wall if at.lineage == ALONE.lineage else float("-inf"))
        self._names.clear()
        self._prefixes.clear()

    def record(self, mark: Mark, at: Position, wall: float) -> None:
        """`mark` struck at the position `at`, at this moment."""
        moment = Moment(at.number if at.lineage == self._lineage else 0, wall)
        if isinstance(mark, Prefix):
            before = self._prefixes.pop(mark.begin, moment)
            self._prefixes[mark.begin] = moment.latest(before)
            _forget_half(self._prefixes, self._limit // 16, self)
            return
        for name in _names_of(mark):
            before = self._names.pop(name, moment)
            self._names[name] = moment.latest(before)
        _forget_half(self._names, self._limit, self)

    def raise_floor(self, moment: Moment) -> None:
        """Nothing is known of purges before `moment`."""
        self._floor = self._floor.latest(moment)

    def strikes(self, one: Names, at: Position, began: float) -> bool:
        """Whether what was filled from `began` (wall clock) on, at position `at`, may have been purged."""
        if at.lineage != self._lineage:
            return True
        number = at.number
        if number < self._floor.number or began <= self._floor.wall:
            return True
        for name in _names_on(one):
            moment = self._names.get(name)
            if moment is not None and moment.strikes(number, began):
                return True
        return any(
            one.key.startswith(begin) and moment.strikes(number, began)
            for begin, moment in self._prefixes.items()
        )


def _forget_half(table: dict[K, Moment], limit: int, moments: Moments) -> None:
    if len(table) > limit:
        for name in list(table)[: limit // 2]:
            moments.raise_floor(table.pop(name))


def _names_of(mark: Keys | Tag | Groups | Site) -> tuple[_Name, ...]:
    match mark:
        case Keys(keys):
            return tuple(("key", key) for key in keys)
        case Tag(tag, None):
            return (("any", tag),)
        case Tag(tag, site):
            return (("tag", site or "", tag),)
        case Groups(origin, groups):
            return tuple(("group", origin, group) for group in groups)
        case Site(site):
            return (("site", site),)


def _names_on(one: Names) -> tuple[_Name, ...]:
    """Every name under which `one` can be struck, but prefixes."""
    tags = [(("any", tag), ("tag", one.site, tag)) for tag in one.tags]
    groups = [("group", origin_of(one.key), group) for group in one.groups]
    return (("key", one.key), ("site", one.site), *(name for pair in tags for name in pair), *groups)
