"""The memory store: entries under one budget of bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from sortedcontainers import SortedDict

from edge.policy.entry import Entry
from edge.policy.key import origin_of
from edge.purge import Groups, Keys, Mark, Prefix, Site, Tag, Weight
from edge.store.content import Stored
from edge.store.eviction import Heat, Places, Slot
from edge.store.index import NameIndex, list_names, unlist_names
from edge.store.leases import Leases
from edge.store.parts import Parts, Piece
from edge.store.sweeping import SLICE, OnMark, Sweep

# What an entry costs beside bodies and texts; tests/edge/store/test_memory.py holds it against tracemalloc.
ENTRY_OVERHEAD = 2_600
LINE_OVERHEAD = 190
TAG_OVERHEAD = 150
PIECE_OVERHEAD = 500  # of each piece of a body that is here in parts
VARIANTS = 200  # of one key; the oldest goes when another comes
_END = "\U0010ffff"


class MemoryStore:
    """Holds stored answers; never more than `budget` bytes, bodies and bookkeeping together.

    Bodies over `max_object` bytes are never kept whole: the pipeline slices or streams them.
    """

    def __init__(self, budget: int, max_object: int) -> None:
        self.budget = budget
        self.max_object = min(max_object, budget)
        self.largest = self.max_object
        self.size = 0
        self.evictions = 0
        self.reserved = 0
        self.epoch = 0  # grows when what is stored may not be used as it was before
        self.sweeping = False  # whether a purge has yet to reach all that it strikes
        self.number = 0  # of the last purge, where others have to know it
        self.generations: memoryview[int] | None = None  # of all keys, where other workers share the store
        self.hear: Callable[[], None] = _nothing  # hears of their purges
        self.on_mark: OnMark | None = None
        self.on_evicted: Callable[[Entry], None] | None = None
        self._keys: SortedDict[str, list[Entry]] = SortedDict()
        self._slots: dict[Entry, Slot] = {}
        self._sites: dict[str, dict[Entry, None]] = {}
        self._tags: dict[str, NameIndex] = {}  # site -> tag -> entries
        self._groups: dict[str, NameIndex] = {}  # origin -> group -> entries
        self.heat = Heat()
        self._places = Places(self.heat, budget)
        self._sweeps: list[Sweep] = []

    def __len__(self) -> int:
        return len(self._slots)

    def get(self, key: str) -> Sequence[Entry]:
        """All variants stored under `key`, less those that a purge has struck."""
        entries: list[Entry] | None = self._keys.get(key)
        if entries is None:
            return ()
        if self._sweeps:
            for sweep in tuple(self._sweeps):
                for entry in tuple(entries):
                    sweep.visit(entry)
            entries = self._keys.get(key)
        return entries or ()

    @property
    def front(self) -> MemoryStore:
        """What of it is in this worker's memory."""
        return self

    def knows(self, key: str) -> bool:
        """Whether anything is stored under `key`."""
        return key in self._keys

    def use(self, entry: Entry) -> None:
        """Note a hit, for eviction."""
        slot = self._slots.get(entry)
        if slot is not None:
            slot.use()

    def put(self, entry: Entry) -> bool:
        """Keep `entry` in place of the variant that answers the same requests; False if there is no room.

        The pieces of one whose body is here in parts come by `keep`.
        """
        size = weigh(entry)
        if size > self.budget:
            return False
        variants = self._keys.get(entry.key)
        if variants is not None:
            for other in tuple(variants):
                if other.selection != entry.selection:
                    self._slots[other].let_go()  # the newcomer may fit what that one fitted
                elif other.content is entry.content:
                    self._unlist(other, self._slots[other])
                else:
                    self.drop(other)
            if len(variants) >= VARIANTS:
                self.drop(variants[0])
        self._make_room(size)  # before it comes, or the newest and least used would be the first to go
        if self.size + size > self.budget:
            return False
        slot = Slot(entry, size, self.heat)
        if isinstance(entry.content, Parts):
            entry.content.slot = slot
        self._slots[entry] = slot
        self._keys.setdefault(entry.key, []).append(entry)
        self._sites.setdefault(entry.site, {})[entry] = None
        list_names(self._tags, entry.site, entry.tags, entry)
        if entry.groups:
            list_names(self._groups, origin_of(entry.key), entry.groups, entry)
        self._places.add(slot)
        self.size += size
        return True

    def swap(self, old: Entry, new: Entry) -> bool:
        """Put `new` in `old`'s place, used as it was; False if `old` is gone."""
        slot = self._slots.get(old)
        if slot is None:
            return False
        used, content = slot.used, old.content
        self._unlist(old, slot)
        kept = self.put(new)
        if kept:
            self.heat.mark(self._slots[new], used)
        if isinstance(content, Parts) and not (kept and new.content is content):
            self._release(content)
        return kept

    def slot(self, entry: Entry) -> Slot | None:
        """`entry`'s place, while it is stored."""
        return self._slots.get(entry)

    def keep(self, parts: Parts, first: int, data: bytes) -> bool:
        """Keep what of `data`, the bytes of `parts` from `first` on, is not here yet; False if it may not be.

        It may while the entry is stored, and as long as there is room. A body that is here in full then is
        made whole, unless it is too large for that or `sliced`.
        """
        for begin, piece in parts.missing(first, data):
            slot = parts.slot
            if slot is None:
                return False
            slot.use()  # its own pieces must not push it out
            size = PIECE_OVERHEAD + len(piece)
            if size > self.budget:
                return False
            self._make_room(size)
            if parts.slot is None or self.size + size > self.budget:
                return False
            made = Piece(begin, piece)
            made.slot = Slot(slot.entry, size, self.heat, made)
            parts.pieces[begin] = made
            self._places.add(made.slot)
            self.size += size
        if not parts.sliced and parts.size <= self.max_object:
            self._make_whole(parts)
        return True

    def _make_whole(self, parts: Parts) -> None:
        body = parts.joined()
        if body is not None and parts.slot is not None:
            entry = parts.slot.entry
            parts.whole = body
            self._release(parts)  # its bytes make the room
            self.swap(entry, replace(entry, content=Stored(body)))

    def holds(self, entry: Entry) -> bool:
        """Whether `entry` is still stored."""
        return entry in self._slots

    def reweigh(self, entry: Entry) -> None:
        """`entry`'s content has grown by an encoding."""
        slot = self._slots.get(entry)
        if slot is not None:
            size = weigh(entry)
            self.size += size - slot.size
            self.heat.resize(slot, size)
            self._make_room()

    def reserve(self, size: int) -> bool:
        """Make room for `size` bytes of a body on its way in; False if too much is on its way already."""
        if self.reserved + size > self.budget // 2:
            return False
        self.reserved += size
        self.size += size
        self._make_room()
        return True

    def release(self, size: int) -> None:
        """Give back what was reserved."""
        self.reserved -= size
        self.size -= size

    def drop(self, entry: Entry) -> None:
        """Forget `entry`, if it is stored."""
        slot = self._slots.get(entry)
        if slot is None:
            return
        self._unlist(entry, slot)
        if isinstance(entry.content, Parts):
            self._release(entry.content)

    def clear(self) -> None:
        """Forget everything."""
        for entry in tuple(self._slots):
            self.drop(entry)

    def _unlist(self, entry: Entry, slot: Slot) -> None:
        """Take `entry` out, but not the pieces of its body."""
        del self._slots[entry]
        slot.die()
        self._places.remove(slot)
        self.size -= slot.size
        variants = self._keys[entry.key]
        variants.remove(entry)
        if not variants:
            del self._keys[entry.key]
        of_site = self._sites[entry.site]
        del of_site[entry]
        if not of_site:
            del self._sites[entry.site]
        unlist_names(self._tags, entry.site, entry.tags, entry)
        if entry.groups:
            unlist_names(self._groups, origin_of(entry.key), entry.groups, entry)

    def _release(self, parts: Parts) -> None:
        """Forget the pieces of a body whose entry has gone."""
        parts.slot = None
        for piece in parts.pieces.values():
            if piece.slot is not None:
                self._let_go(piece)
        parts.pieces.clear()

    @staticmethod
    def _forget_piece(entry: Entry, piece: Piece) -> None:
        """`piece` of `entry` is not in memory any more; if it is on disk, it is read from there."""
        if piece.ref is not None or piece.coming is not None:
            piece.data, piece.slot = None, None
            return
        parts = entry.content
        assert isinstance(parts, Parts)
        del parts.pieces[piece.first]

    def _let_go(self, piece: Piece) -> None:
        slot = piece.slot
        assert slot is not None
        slot.alive = False
        self._places.remove(slot)
        self.size -= slot.size

    def knows_site(self, site: str) -> bool:
        """Whether anything of `site` is stored."""
        return site in self._sites

    def struck_by(self, mark: Mark) -> tuple[Entry, ...]:
        """What `mark` would strike; costs what it finds."""
        return tuple(self._found(mark))

    def weight(self, entry: Entry) -> tuple[int, int]:
        """The bytes that `entry` takes, and those of them that are hot; nothing if it is not stored."""
        slot, content = self._slots.get(entry), entry.content
        if slot is None:
            return 0, 0
        slots = [slot]
        if isinstance(content, Parts):
            slots += [piece.slot for piece in content.pieces.values() if piece.slot is not None]
        return sum(slot.size for slot in slots), sum(map(self.heat.of, slots))

    async def weigh(self, mark: Mark) -> Weight:
        """What `mark` would strike, in entries and bytes."""
        entries = taken = hot = 0
        for number, entry in enumerate(self.struck_by(mark), 1):
            one, warm = self.weight(entry)
            entries, taken, hot = entries + (one > 0), taken + one, hot + warm
            if number % SLICE == 0:
                await asyncio.sleep(0)
        return Weight(entries, taken, hot, self.heat.hot)

    async def recall(self, entry: Entry) -> bool:
        """Whether `entry`'s body is at hand, as far as it has come."""
        return True

    async def distrust(self) -> None:
        """What is stored may not be used as it was before."""
        self.epoch += 1

    lasts = False
    leases: Leases | None = None

    def noted(self, entry: Entry) -> tuple[int, int]:
        """Nobody else changes what is stored."""
        return 0, 0

    def unlike(self, sites: Mapping[str, str]) -> frozenset[str]:
        """None: nothing was stored before this process began."""
        return frozenset()

    def know(self, sites: Mapping[str, str]) -> None:
        """That need not be known: what is stored does not last."""

    def close(self) -> None:
        """There is nothing to end."""

    def where(self, entry: Entry) -> str:
        """Where `entry` lies, in a word or two."""
        return "memory" if self.holds(entry) else "arriving"

    def strike(self, mark: Mark, now: float) -> Sweep:
        """Refuse what `mark` strikes from this moment on. The sweep, step by step, gives its space back."""
        sweep = Sweep(self, mark, now, tuple(self._found(mark)))
        self._sweeps.append(sweep)
        self.sweeping = True
        return sweep

    def _found(self, mark: Mark) -> Iterator[Entry]:
        match mark:
            case Keys():
                for key in mark.keys:
                    yield from self._keys.get(key, ())
            case Prefix():
                for key in self._within(mark):
                    yield from self._keys[key]
            case Tag():
                sites = self._tags if mark.site is None else (mark.site,)
                for site in sites:
                    if site in self._tags:
                        yield from self._tags[site].find(mark.tag)
            case Groups():
                yield from self._in_groups(mark)
            case Site():
                yield from self._sites.get(mark.site, ())

    def _in_groups(self, mark: Groups) -> dict[Entry, None]:
        """Each entry once, however many of the groups it belongs to."""
        groups = self._groups.get(mark.origin)
        if groups is None:
            return {}
        return dict.fromkeys(entry for name in mark.groups for entry in groups.find(name))

    def _within(self, mark: Prefix) -> Iterator[str]:
        return iter(self._keys.irange(mark.begin, mark.begin + _END))

    def soften(self, entry: Entry, now: float) -> None:
        """Make `entry` stale as of `now`."""
        self.swap(entry, replace(entry, freshness=entry.freshness.expired_at(now)))

    def end(self, sweep: Sweep) -> None:
        """`sweep` has found all that it can."""
        self._sweeps.remove(sweep)
        self.sweeping = bool(self._sweeps)

    def _make_room(self, size: int = 0) -> None:
        """Evict until `size` more bytes fit, or nothing is left to go."""
        while self.size + size > self.budget:
            victim = self._places.victim()
            if victim is None:
                return
            self.evictions += 1
            if victim.piece is None:
                self.drop(victim.entry)
                if self.on_evicted is not None:
                    self.on_evicted(victim.entry)
            else:
                self._let_go(victim.piece)
                self._forget_piece(victim.entry, victim.piece)


def _nothing() -> None:
    """There are no others."""


def weigh(entry: Entry) -> int:
    """The bytes that `entry` takes: bodies, texts and bookkeeping."""
    content = entry.content
    bodies = content.weight if isinstance(content, Stored) else 0
    texts = len(entry.key) + sum(len(name) + len(value) + LINE_OVERHEAD for name, value in entry.fields.lines)
    selecting = sum(len(name) + len(value or "") + LINE_OVERHEAD for name, value in entry.selection)
    names = sum(len(name) + TAG_OVERHEAD for name in (*entry.tags, *entry.groups))
    return ENTRY_OVERHEAD + bodies + texts + selecting + names
