"""Memory in front of the disk: what is asked for is in both, what is not asked for on disk alone.

An entry comes from the index with its head; its body is recalled once it is to be served, and stays in memory
as long as it is used there. The disk's writer is behind: what it has not heard of yet is in `_pending`.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

from edge.policy.entry import Entry
from edge.purge import Keys, Mark, Weight
from edge.store.content import Stored
from edge.store.disk import Disk
from edge.store.eviction import Slot
from edge.store.finding import Finding
from edge.store.generations import bucket_of
from edge.store.lent import Held
from edge.store.marks import Distrust
from edge.store.memory import MemoryStore
from edge.store.opened import looked_at
from edge.store.parts import Parts
from edge.store.pending import Pending
from edge.store.pieces import Pieces
from edge.store.record import Ref
from edge.store.shelf import TEMPLATE, WHOLE, Drop, Encode, Put, Shelf, Strike
from edge.store.shelving import SHELF_OVERHEAD, Loaded, bodies_at_hand, fill_in, shelf_at, shelf_of
from edge.store.sweeping import SLICE, WRITTEN, OnMark, Sweep

SHARE = 8  # of the disk, that one body may have at most
READERS = 4  # threads that wait for the disk


class LayeredStore:
    """`front`, a worker's memory, before `disk`, which all workers of the node share.

    `on_mark` is told of purges that other workers heard of first. Use in one event loop.
    """

    def __init__(self, front: MemoryStore, disk: Disk) -> None:
        self.front = front
        self.disk = disk
        self.max_object = front.max_object
        self.largest = disk.place.size // SHARE if disk.place.synced else front.max_object
        self.on_mark: OnMark | None = None
        self._number, self._serial = disk.number, disk.serial
        self._me = secrets.randbits(32) + 1
        self._shared = disk.generations
        self.leases = disk.leases
        self._struck = 0 if self._shared is None else self._shared.struck
        self._pending = Pending(disk.generations, disk.leases)
        self._pieces = Pieces(disk, self._pending, front)
        self._finding = Finding(disk.clocks, self._recall_piece)
        self._incomplete: set[str] = set()  # keys of which some variants only are in memory
        self._sweeping: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="disk-reader")
        front.on_evicted = self._evicted
        front.heat.on_touch = lambda slot: self._note(shelf_at(slot))
        front.overhead += SHELF_OVERHEAD
        if self._shared is not None:
            front.generations, front.hear = self._shared.table, self._hear

    @property
    def lasts(self) -> bool:
        """Whether what is stored outlives the process."""
        return self.disk.place.synced

    def close(self) -> None:
        """Write what waits to be written, and end."""
        self._threads.shutdown()
        self.disk.close()

    @property
    def number(self) -> int:
        """That of the last purge that was heard of, the node's other workers' included."""
        self._pending.listen()
        if self._shared is not None and self._shared.struck != self._struck:
            self._hear()
        if self.disk.serial != self._serial:
            self._begin_anew()
        return self._number

    # Looking up ---------------------------------------------------------------------------------

    def get(self, key: str) -> Sequence[Entry]:
        """All variants stored under `key`, less those that a purge has struck."""
        if self._shared is not None and self._shared.struck != self._struck:
            self._hear()
        entries = self.front.get(key)
        if entries and key not in self._incomplete and self._holds_good(key, entries[0]):
            return entries
        return self._look_up(key, entries)

    def _holds_good(self, key: str, entry: Entry) -> bool:
        """Whether nobody has changed what is stored under `key` since this copy was made."""
        shelf = shelf_of(entry)
        return self._shared is None or (
            shelf is not None and self._shared.table[bucket_of(key)] == shelf.generation
        )

    def _look_up(self, key: str, here: Sequence[Entry]) -> Sequence[Entry]:
        """What the index has under `key`, taken into memory; `here` is what is there of it by now."""
        generation = 0 if self._shared is None else self._shared.table[bucket_of(key)]
        coming, spoken_of = self._pending.under(key)
        if generation & 1 and not spoken_of:
            return ()  # another worker changes it: who has its lease is asked
        found = self.disk.find(key)
        hidden = {shelf.id for shelf in spoken_of}
        chosen = {entry.selection for entry in coming}
        listed = [each for each in found if each.id not in hidden and each.record.selection not in chosen]
        known = {shelf.id: entry for entry in here if (shelf := shelf_of(entry)) is not None}
        entries = list(coming)
        for each in listed:
            entry = self._finding.entry(each, known.get(each.id))
            if entry is not None:
                entries.append(entry)
        self._incomplete.discard(key)
        for entry in tuple(here):
            if entry in entries:
                continue
            if self._shared is None and not any(each.selection == entry.selection for each in entries):
                entries.append(entry)  # nobody else can have dropped it: the disk had no room for it
            else:
                self._succeed(entry, entries)
        for entry in entries:
            shelf = shelf_of(entry)
            if shelf is not None:
                shelf.generation = generation
            if not self.front.holds(entry):
                self.front.put(entry)
        return tuple(entries)

    def _succeed(self, entry: Entry, entries: Sequence[Entry]) -> None:
        """Let `entry` go from memory; its body stays if one of `entries` has the same."""
        shelf = shelf_of(entry)
        for each in entries:
            if shelf is not None and shelf_of(each) is shelf and self.front.swap(entry, each):
                return
        self.front.drop(entry)

    async def recall(self, entry: Entry) -> bool:
        """Bring `entry`'s body to hand; False if it is lost, and the entry with it."""
        content = entry.content
        if not isinstance(content, Stored) or content.at_hand:
            return True
        shelf = content.shelf
        if shelf is None or shelf.bodies is None:
            return self._take_in(entry, content, None)
        if not self.disk.place.synced or not self.disk.files.makes_wait(shelf.bodies):
            return self._take_in(entry, content, self.disk.load(shelf))
        if content.recalling is None:
            content.recalling = asyncio.ensure_future(self._recall(entry, content, shelf))
        return await asyncio.shield(content.recalling)

    async def _recall(self, entry: Entry, content: Stored, shelf: Shelf) -> bool:
        try:
            return self._take_in(entry, content, await self._in_thread(self.disk.load, shelf))
        finally:
            content.recalling = None

    def _take_in(self, entry: Entry, content: Stored, loaded: Loaded | None) -> bool:
        if loaded is None:
            self.drop(entry)
            return False
        fill_in(content, loaded)
        self.front.reweigh(entry)
        return True

    async def _recall_piece(self, ref: Ref) -> bytes | Held | None:
        return self.disk.files.held(ref) or await self._in_thread(self.disk.piece, ref)

    async def _in_thread(self, work: Callable[..., Any], *args: object) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(work, *args))

    # Keeping ------------------------------------------------------------------------------------

    def use(self, entry: Entry) -> None:
        """Note a hit, for eviction."""
        self.front.use(entry)
        self._note(shelf_of(entry))

    def _note(self, shelf: Shelf | None) -> None:
        """Tell the disk that what lies there is used."""
        if shelf is not None and shelf.id is not None:
            self.disk.seats.note(shelf.id)

    def noted(self, entry: Entry) -> tuple[int, int]:
        """The bucket of `entry`'s key, and the generation under which it was read."""
        shelf = shelf_of(entry)
        return bucket_of(entry.key), 0 if shelf is None else shelf.generation

    def slot(self, entry: Entry) -> Slot | None:
        """`entry`'s place in memory, while it is there."""
        return self.front.slot(entry)

    def put(self, entry: Entry) -> bool:
        """Keep `entry` in place of the variant that answers the same requests; False if there is no room."""
        if not self.front.knows(entry.key):
            self._incomplete.add(entry.key)  # there may be others on disk
        kept = self.front.put(entry)
        return self._submit_entry(entry) or kept

    def swap(self, old: Entry, new: Entry) -> bool:
        """Put `new` in `old`'s place; False if `old` is not in memory."""
        if not self.front.swap(old, new):
            return False
        before, after = shelf_of(old), shelf_of(new)
        if before is not None and before is not after:
            self._submit_drop(old, before)
        self._submit_entry(new)
        return True

    def drop(self, entry: Entry) -> None:
        """Forget `entry`, if it is stored."""
        self.front.drop(entry)
        shelf = shelf_of(entry)
        if shelf is not None:
            self._submit_drop(entry, shelf)

    def keep(self, parts: Parts, first: int, data: bytes) -> bool:
        """Keep what of `data`, the bytes of `parts` from `first` on, is not here; False if it may not be."""
        entry = None if parts.slot is None else looked_at(parts.slot)
        missing = parts.missing(first, data)
        kept = self.front.keep(parts, first, data)
        if parts.whole is not None and entry is not None:
            self._whole(entry, parts.whole)
        elif parts.shelf is not None and parts.slot is not None:
            for begin, data_of in missing:
                self._pieces.keep(parts, parts.shelf, begin, data_of)
        self._pending.listen()
        return kept

    def reweigh(self, entry: Entry) -> None:
        """`entry`'s content has grown by an encoding."""
        self.front.reweigh(entry)
        content = entry.content
        if not isinstance(content, Stored) or content.shelf is None:
            return
        for coding, data in content.encoded.items():
            if coding not in content.shelf.sent and self.disk.submit(Encode(content.shelf, coding, data)):
                content.shelf.sent.add(coding)

    def reserve(self, size: int) -> bool:
        """Make room for `size` bytes of a body on its way in; False if too much is on its way already."""
        return self.front.reserve(size)

    def release(self, size: int) -> None:
        """Give back what was reserved."""
        self.front.release(size)

    def _whole(self, entry: Entry, body: bytes) -> None:
        """`entry`, that was here in parts, has become whole: what lies in pieces is not needed any more."""
        shelf = shelf_of(entry)
        for each in self.front.get(entry.key):
            if isinstance(each.content, Stored) and each.content.identity is body:
                self._submit_entry(each)
        if shelf is not None:
            self._submit_drop(entry, shelf)

    def _submit_entry(self, entry: Entry) -> bool:
        content = entry.content
        if isinstance(content, Stored) and not content.at_hand and content.shelf is None:
            return False
        assert isinstance(content, Stored | Parts)
        if content.shelf is None:
            content.shelf = Shelf()
        if isinstance(content, Parts):
            content.recall = self._recall_piece
        shelf = content.shelf
        then = self._pieces.told(entry, self._pending.settled(entry.key, shelf, entry))
        data = bodies_at_hand(content)
        if not self.disk.submit(Put(entry, shelf, data, then)):
            then()
            return False
        shelf.sent.update(data.keys() - {WHOLE, TEMPLATE})
        self._pending.add(entry.key, shelf, entry)
        return True

    def _submit_drop(self, entry: Entry, shelf: Shelf) -> None:
        if self.disk.submit(Drop(shelf, self._pending.settled(entry.key, shelf, None))):
            self._pending.add(entry.key, shelf, None)

    def _evicted(self, key: str) -> None:
        """What was under `key` is not all in memory any more."""
        (self._incomplete.add if self.front.knows(key) else self._incomplete.discard)(key)

    # Purges -------------------------------------------------------------------------------------

    def strike(self, mark: Mark, now: float) -> Sweep:
        """Refuse what `mark` strikes from this moment on; `now` is monotonic."""
        if self._shared is not None and WRITTEN.get():
            sweep = self.front.strike(mark, now)  # first, for what waits to be written is found here alone
            self._hear()
            return sweep
        sweep = self.front.strike(mark, now)
        sweep.written = asyncio.wrap_future(self._struck_on_disk(mark)) if self._concerns(mark) else None
        return sweep

    def _concerns(self, mark: Mark) -> bool:
        """Whether the disk, or another worker, need hear of `mark`: not where nothing is struck."""
        if self._shared is not None or not isinstance(mark, Keys):
            return True
        return any(self._pending.under(key)[1] or self.disk.find(key) for key in mark.keys)

    def _struck_on_disk(self, mark: Mark | Distrust) -> Future[int]:
        """How many entries `mark` strikes on disk, once a crash can't undo it."""
        done: Future[int] = Future()
        self._finding.striking.append(mark)
        if not isinstance(mark, Distrust):
            self._pending.strike(mark)

        def held(count: int, number: int) -> None:
            self._pending.later(partial(self._held, mark, number))
            done.set_result(count)

        self.disk.submit(Strike(mark, self._me, held))
        return done

    def _held(self, mark: Mark | Distrust, number: int) -> None:
        """`mark` holds on disk, as purge `number`."""
        self._finding.striking.remove(mark)
        if self._shared is None:
            self._number = number

    async def distrust(self) -> None:
        """What is stored must be revalidated before its next use."""
        self.front.begin_anew()
        if self._shared is not None and WRITTEN.get():
            self._hear()
        else:
            await asyncio.wrap_future(self._struck_on_disk(Distrust()))

    def _hear(self) -> None:
        """Carry out here what other workers have purged."""
        assert self._shared is not None
        self._struck = self._shared.struck
        if self.disk.follow() != self._serial:
            self._begin_anew()
        for number, came in self.disk.marks_since(self._number):
            self._number, mark = number, came.mark
            if came.by == self._me:
                continue
            if isinstance(mark, Distrust):
                self.front.begin_anew()
            else:
                self._pending.strike(mark)
                self._sweep(self.front.strike(mark, self.disk.clocks.monotonic()))
            if self.on_mark is not None:
                self.on_mark(None if isinstance(mark, Distrust) else mark)

    def _sweep(self, sweep: Sweep) -> None:
        """Carry a purge out to its end, the rest of a large one bit by bit."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            sweep.step(sys.maxsize)
            return
        if not sweep.step(SLICE):
            task = loop.create_task(sweep.finish())
            self._sweeping.add(task)
            task.add_done_callback(self._sweeping.discard)

    def _begin_anew(self) -> None:
        """The index was thrown away: what is in memory may be what was purged with it."""
        self._serial = self.disk.serial
        self.front.begin_anew()
        self._number = self.disk.number

    async def weigh(self, mark: Mark) -> Weight:
        """What `mark` would strike, in memory and on disk."""
        here = await self.front.weigh(mark)
        entries, size = await self._in_thread(self.disk.weigh, mark)
        return replace(here, entries=max(here.entries, entries), bytes=here.bytes + size)

    def knows_site(self, site: str) -> bool:
        """Whether anything of `site` is stored."""
        return self.front.knows_site(site) or self.disk.knows_site(site)

    def unlike(self, sites: Mapping[str, str]) -> frozenset[str]:
        """The sites that the disk knows as others than `sites`, all that there are, says by name."""
        return self.disk.unlike(sites)

    def know(self, sites: Mapping[str, str]) -> None:
        """Know them so from now on."""
        self.disk.know(sites)

    def where(self, entry: Entry) -> str:
        """Where `entry` lies, in a word or two."""
        content, shelf = entry.content, shelf_of(entry)
        here = self.front.holds(entry) and (not isinstance(content, Stored) or content.at_hand)
        there = shelf is not None and shelf.id is not None
        return "memory and disk" if here and there else "disk" if there else self.front.where(entry)
