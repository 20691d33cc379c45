"""The memory store: entries under one budget of bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from edge.policy.entry import Entry
from edge.purge import Mark, Weight
from edge.store.content import Stored
from edge.store.eviction import Heat, Places, Slot
from edge.store.index import Index
from edge.store.leases import Leases
from edge.store.lent import LENT, Arena
from edge.store.opened import Opened, content_of, looked_at, names_of, selection_of, taken_by
from edge.store.packing import lengths
from edge.store.parts import Parts, Piece
from edge.store.sweeping import SLICE, OnMark, Sweep

# What an entry at rest costs beside bodies and texts; bench/memory.py measures it,
# tests/edge/store/test_memory.py holds it.
ENTRY_OVERHEAD = 420
TAG_OVERHEAD = 150
PIECE_OVERHEAD = 500  # of each piece of a body that is here in parts
VARIANTS = 200  # of one key; the oldest goes when another comes


class MemoryStore:
    """Holds stored answers; never more than `budget` bytes, bodies and bookkeeping together.

    Bodies over `max_object` bytes are never kept whole: the pipeline slices or streams them.
    """

    def __init__(self, budget: int, max_object: int, arena: Arena | None = None) -> None:
        """Large bodies lie in `arena`, if there is one."""
        self._arena = arena
        self.budget = budget
        self.max_object = min(max_object, budget)
        self.largest = self.max_object
        self.overhead = ENTRY_OVERHEAD
        self.evictions = 0
        self.reserved = 0
        self.epoch = 0  # grows when what is stored may not be used as it was before
        self.sweeping = False  # whether a purge has yet to reach all that it strikes
        self.number = 0  # of the last purge, where others have to know it
        self.generations: memoryview[int] | None = None  # of all keys, where other workers share the store
        self.hear: Callable[[], None] = _nothing  # hears of their purges
        self.on_mark: OnMark | None = None
        self.on_evicted: Callable[[str], None] | None = None  # hears of keys
        self._index = Index()
        self.heat = Heat()
        self._places = Places(self.heat, budget)
        self._sweeps: list[Sweep] = []
        self._opened = Opened(budget)
        self._taken = 0  # by all as if they were at rest

    def __len__(self) -> int:
        return self._index.count

    @property
    def size(self) -> int:
        """Bytes that are taken."""
        return self._taken + self._opened.size + self.heat.copied

    @property
    def opened(self) -> int:
        """Those of them that are taken because entries are looked at, or can't be at rest."""
        return self._opened.size

    def get(self, key: str) -> Sequence[Entry]:
        """All variants stored under `key`, less those that a purge has struck."""
        slots = self._index.under(key)
        if not slots:
            return ()
        if self._sweeps:
            for sweep in tuple(self._sweeps):
                for slot in self._index.under(key):
                    sweep.visit(slot)
            slots = self._index.under(key)
        entries = tuple(map(self._opened.entry, slots))
        self.fit()
        return entries

    @property
    def front(self) -> MemoryStore:
        """What of it is in this worker's memory."""
        return self

    def knows(self, key: str) -> bool:
        """Whether anything is stored under `key`."""
        return self._index.knows(key)

    def use(self, entry: Entry) -> None:
        """Note a hit, for eviction."""
        slot = self.slot(entry)
        if slot is not None:
            slot.use()

    def put(self, entry: Entry) -> bool:
        """Keep `entry` in place of the variant that answers the same requests; False if there is no room.

        The pieces of one whose body is here in parts come by `keep`.
        """
        size = self._weigh(entry)
        if size > self.budget:
            return False
        for other in self._index.under(entry.key):
            if selection_of(other) != entry.selection:
                other.let_go()  # the newcomer may fit what that one fitted
            elif content_of(other) is entry.content:
                self._unlist(other)
            else:
                self.forget(other)
        variants = self._index.under(entry.key)
        if len(variants) >= VARIANTS:
            self.forget(variants[0])
        takes = size + taken_by(entry)
        self._make_room(takes)  # before it comes, or the newest and least used would be the first to go
        if self.size + takes > self.budget:
            return False
        slot = Slot(entry, size, self.heat)
        if isinstance(entry.content, Parts):
            entry.content.slot = slot
        self._index.add(slot, entry)
        self._places.add(slot)
        self._taken += size
        if self._arena is not None and isinstance(entry.content, Stored):
            entry.content.lie_in(self._arena)
        self._opened.hold(slot, entry)
        return True

    def swap(self, old: Entry, new: Entry) -> bool:
        """Put `new` in `old`'s place, used as it was; False if `old` is gone."""
        slot = self.slot(old)
        if slot is None:
            return False
        used, content = slot.used, old.content
        self._unlist(slot)
        kept = self.put(new)
        slot = self.slot(new)
        if slot is not None:
            self.heat.mark(slot, used)
        if isinstance(content, Parts) and not (kept and new.content is content):
            self._release(content)
        return kept

    def slot(self, entry: Entry) -> Slot | None:
        """`entry`'s place, while it is stored."""
        for slot in self._index.under(entry.key):
            if looked_at(slot) is entry:
                return slot
        return None

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
            lent = self._arena.keep(piece) if self._arena is not None and len(piece) > LENT else None
            made, entry = Piece(begin, lent or piece), looked_at(slot)
            assert entry is not None
            made.slot = Slot(entry, size, self.heat, made)
            parts.pieces[begin] = made
            self._places.add(made.slot)
            self._taken += size
        if not parts.sliced and parts.size <= self.max_object:
            self._make_whole(parts)
        return True

    def _make_whole(self, parts: Parts) -> None:
        body = parts.joined()
        if body is not None and parts.slot is not None:
            entry = looked_at(parts.slot)
            assert entry is not None
            parts.whole = body
            self._release(parts)  # its bytes make the room
            self.swap(entry, replace(entry, content=Stored(body)))

    def holds(self, entry: Entry) -> bool:
        """Whether `entry` is still stored."""
        return self.slot(entry) is not None

    def reweigh(self, entry: Entry) -> None:
        """`entry`'s content has grown by an encoding."""
        slot = self.slot(entry)
        if slot is not None:
            self._opened.entry(slot)  # what was made of it is kept
            size = self._weigh(entry)
            self._taken += size - slot.size
            self.heat.resize(slot, size)
            self._make_room()

    def fit(self) -> None:
        """Evict what is over the budget."""
        if self.size > self.budget:
            self._make_room()

    def reserve(self, size: int) -> bool:
        """Make room for `size` bytes of a body on its way in; False if too much is on its way already."""
        if self.reserved + size > self.budget // 2:
            return False
        self.reserved += size
        self._taken += size
        self._make_room()
        return True

    def release(self, size: int) -> None:
        """Give back what was reserved."""
        self.reserved -= size
        self._taken -= size

    def drop(self, entry: Entry) -> None:
        """Forget `entry`, if it is stored."""
        slot = self.slot(entry)
        if slot is not None:
            self.forget(slot)

    def forget(self, slot: Slot) -> None:
        """Forget the entry at `slot`, which is stored."""
        content = content_of(slot)
        self._unlist(slot)
        if isinstance(content, Parts):
            self._release(content)

    def clear(self) -> None:
        """Forget everything."""
        for slot in self._index.all():
            self.forget(slot)

    def begin_anew(self) -> None:
        """Forget everything, and what was made of it."""
        self.epoch += 1
        self.clear()

    def _unlist(self, slot: Slot) -> None:
        """Take the entry at `slot` out, but not the pieces of its body."""
        self._index.remove(slot, *names_of(slot))
        slot.die()
        self._places.remove(slot)
        self._taken -= slot.size
        self._opened.release(slot)

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

    def let_lie(self, piece: Piece) -> None:
        """`piece` is on disk, and is lent from there."""
        if piece.slot is not None:
            self._let_go(piece)
        piece.data, piece.slot = None, None

    def _let_go(self, piece: Piece) -> None:
        slot = piece.slot
        assert slot is not None
        slot.alive = False
        self._places.remove(slot)
        self._taken -= slot.size

    def knows_site(self, site: str) -> bool:
        """Whether anything of `site` is stored."""
        return self._index.knows_site(site)

    def struck_by(self, mark: Mark) -> tuple[Entry, ...]:
        """What `mark` would strike; costs what it finds."""
        return tuple(map(self._opened.entry, tuple(self._index.found(mark))))

    def weight(self, entry: Entry) -> tuple[int, int]:
        """The bytes that `entry` takes, and those of them that are hot; nothing if it is not stored."""
        slot = self.slot(entry)
        return (0, 0) if slot is None else self._weight(slot)

    def _weight(self, slot: Slot) -> tuple[int, int]:
        slots, content = [slot], content_of(slot)
        if isinstance(content, Parts):
            slots += [piece.slot for piece in content.pieces.values() if piece.slot is not None]
        return sum(slot.size for slot in slots), sum(map(self.heat.of, slots))

    async def weigh(self, mark: Mark) -> Weight:
        """What `mark` would strike, in entries and bytes."""
        entries = taken = hot = 0
        for number, slot in enumerate(tuple(self._index.found(mark)), 1):
            if slot.alive:
                one, warm = self._weight(slot)
                entries, taken, hot = entries + 1, taken + one, hot + warm
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
        sweep = Sweep(self, mark, now, tuple(self._index.found(mark)))
        self._sweeps.append(sweep)
        self.sweeping = True
        return sweep

    def soften(self, slot: Slot, now: float) -> None:
        """Make the entry at `slot`, which is stored, stale as of `now`."""
        entry = self._opened.entry(slot)
        self.swap(entry, replace(entry, freshness=entry.freshness.expired_at(now)))

    def end(self, sweep: Sweep) -> None:
        """`sweep` has found all that it can."""
        self._sweeps.remove(sweep)
        self.sweeping = bool(self._sweeps)

    def _weigh(self, entry: Entry) -> int:
        return weigh(entry, self.overhead)

    def _make_room(self, size: int = 0) -> None:
        """Evict until `size` more bytes fit, or nothing is left to go."""
        while self.size + size > self.budget:
            victim = self._places.victim()
            if victim is None:
                return
            self.evictions += 1
            if victim.piece is None:
                self.forget(victim)
                if self.on_evicted is not None:
                    self.on_evicted(victim.key)
            else:
                entry = looked_at(victim)
                assert entry is not None
                self._let_go(victim.piece)
                self._forget_piece(entry, victim.piece)


def _nothing() -> None:
    """There are no others."""


def weigh(entry: Entry, overhead: int = ENTRY_OVERHEAD) -> int:
    """The bytes that `entry` takes at rest: bodies, texts and bookkeeping."""
    content = entry.content
    bodies = content.weight if isinstance(content, Stored) else 0
    names = len(entry.tags) + len(entry.groups)
    return overhead + bodies + len(entry.key) + lengths(entry) + TAG_OVERHEAD * names
