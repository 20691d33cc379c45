"""Which entries bear a tag, which belong to a site: so that a purge costs what it purges."""

from __future__ import annotations

from collections.abc import Iterator

from sortedcontainers import SortedDict

from edge.policy.entry import Entry
from edge.policy.key import origin_of
from edge.purge import Groups, Keys, Mark, Prefix, Site, Tag
from edge.store.eviction import Slot

_END = "\U0010ffff"


class NameIndex:
    """name -> places of entries. A name borne by one entry alone, the usual case, costs no set."""

    __slots__ = ("_names",)

    def __init__(self) -> None:
        self._names: dict[str, Slot | set[Slot]] = {}

    def add(self, name: str, slot: Slot) -> None:
        """The entry at `slot` bears `name`."""
        held = self._names.get(name)
        if held is None:
            self._names[name] = slot
        elif isinstance(held, set):
            held.add(slot)
        else:
            self._names[name] = {held, slot}

    def discard(self, name: str, slot: Slot) -> None:
        """It does not bear `name` any more."""
        held = self._names.get(name)
        if isinstance(held, set):
            held.discard(slot)
            if not held:
                del self._names[name]
        elif held is slot:
            del self._names[name]

    def find(self, name: str) -> tuple[Slot, ...]:
        """The places of those that bear `name`."""
        held = self._names.get(name)
        return tuple(held) if isinstance(held, set) else () if held is None else (held,)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class Index:
    """What is stored by key, in order, by site, by tag and by group."""

    def __init__(self) -> None:
        self._keys: SortedDict[str, Slot | tuple[Slot, ...]] = SortedDict()
        self._sites: dict[str, list[Slot]] = {}
        self._tags: dict[str, NameIndex] = {}  # site -> tag -> entries
        self._groups: dict[str, NameIndex] = {}  # origin -> group -> entries
        self.count = 0

    def under(self, key: str) -> tuple[Slot, ...]:
        """The places of all that is stored under `key`, the oldest first."""
        held = self._keys.get(key)
        return () if held is None else (held,) if isinstance(held, Slot) else held

    def knows(self, key: str) -> bool:
        """Whether anything is stored under `key`."""
        return key in self._keys

    def knows_site(self, site: str) -> bool:
        """Whether anything of `site` is stored."""
        return site in self._sites

    def all(self) -> tuple[Slot, ...]:
        """The places of all that is stored."""
        return tuple(slot for slots in self._sites.values() for slot in slots)

    def add(self, slot: Slot, entry: Entry) -> None:
        """`entry` is stored at `slot`."""
        others = self.under(entry.key)
        self._keys[entry.key] = (*others, slot) if others else slot
        slots = self._sites.setdefault(entry.site, [])
        slot.at = len(slots)
        slots.append(slot)
        _list(self._tags, entry.site, entry.tags, slot)
        if entry.groups:
            _list(self._groups, origin_of(entry.key), entry.groups, slot)
        self.count += 1

    def remove(self, slot: Slot, site: str, tags: tuple[str, ...], groups: tuple[str, ...]) -> None:
        """The entry at `slot`, of `site`, which bears `tags` and belongs to `groups`, is stored no more."""
        left = tuple(each for each in self.under(slot.key) if each is not slot)
        if left:
            self._keys[slot.key] = left[0] if len(left) == 1 else left
        else:
            del self._keys[slot.key]
        slots = self._sites[site]
        last = slots.pop()
        if last is not slot:
            slots[slot.at] = last
            last.at = slot.at
        slot.at = -1
        if not slots:
            del self._sites[site]
        _unlist(self._tags, site, tags, slot)
        if groups:
            _unlist(self._groups, origin_of(slot.key), groups, slot)
        self.count -= 1

    def found(self, mark: Mark) -> Iterator[Slot]:
        """The places of what `mark` strikes; costs what it finds."""
        match mark:
            case Keys():
                for key in mark.keys:
                    yield from self.under(key)
            case Prefix():
                for key in self._keys.irange(mark.begin, mark.begin + _END):
                    yield from self.under(key)
            case Tag():
                sites = self._tags if mark.site is None else (mark.site,)
                for site in sites:
                    if site in self._tags:
                        yield from self._tags[site].find(mark.tag)
            case Groups():
                yield from self._in_groups(mark)
            case Site():
                yield from self._sites.get(mark.site, ())

    def _in_groups(self, mark: Groups) -> dict[Slot, None]:
        """Each once, however many of the groups it belongs to."""
        groups = self._groups.get(mark.origin)
        if groups is None:
            return {}
        return dict.fromkeys(slot for name in mark.groups for slot in groups.find(name))


def _list(indexes: dict[str, NameIndex], of: str, names: tuple[str, ...], slot: Slot) -> None:
    if names:
        index = indexes.setdefault(of, NameIndex())
        for name in names:
            index.add(name, slot)


def _unlist(indexes: dict[str, NameIndex], of: str, names: tuple[str, ...], slot: Slot) -> None:
    if names:
        index = indexes[of]
        for name in names:
            index.discard(name, slot)
        if not index:
            del indexes[of]
