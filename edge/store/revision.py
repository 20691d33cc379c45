"""One change of the disk's index: all of it, or nothing. One is under way at a time, in all processes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import lmdb
import msgspec

from edge.purge import Keys, Mark, Prefix
from edge.store import turnover
from edge.store.bodyfiles import is_file, taken
from edge.store.catalogue import NUMBER, PAIR, PLACE, Catalogue, Sweep, Totals, kept_bytes, place_of
from edge.store.marks import Distrust, Last, digest, listed_names, mark_bytes, mark_of, struck_names
from edge.store.record import Bodies, Broken, Record, Ref, checked, expired_at, packed, stamp_of
from edge.store.turnover import Held, Queue, Turn
from edge.store.uses import Uses

VARIANTS = 200  # of one key; the oldest goes when another comes
HEAD = 400  # bytes that an entry takes in the index beside its record, about
NAME = 80  # and for each of its names
LOG = 65_536  # purges that are remembered one by one


@dataclass(slots=True)
class Outcome:
    """What is to be done once the change holds: `files` are to be removed, `keys` have changed."""

    files: list[int] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    evicted: int = 0


class Revision:
    """A writing transaction. Use as a context: it holds once that ends well."""

    def __init__(self, catalogue: Catalogue, uses: Uses) -> None:
        self._index = catalogue
        self._tables = catalogue.tables
        self._uses = uses
        self.outcome = Outcome()
        self._evicting = False
        self._in_memory = False
        self.stamps: dict[int, int] = {}  # of the records that were written

    def __enter__(self) -> Self:
        self._txn: lmdb.Transaction = self._index.env.begin(write=True)
        try:
            self.totals: Totals = self._index.totals(self._txn)
        except BaseException:
            self._txn.abort()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._txn.abort()
            return
        try:
            self._write("meta", b"totals", msgspec.msgpack.encode(self.totals))
        except BaseException:
            self._txn.abort()
            raise
        self._txn.commit()

    # Entries ------------------------------------------------------------------------------------

    def record(self, id: int) -> Record | None:
        """The record of entry `id`; one that is broken is dropped."""
        try:
            return self._index.record(self._txn, id)
        except Broken:
            self.drop(id)
            return None

    def keep_body(self, data: bytes, first: int = 0) -> Ref:
        """Keep `data` in the index."""
        kept = checked(data)
        number = self._next()
        self._write("bodies", NUMBER.pack(number), kept, append=True)
        return Ref(number, len(data), int.from_bytes(kept[:4], "big"), first)

    def add(self, record: Record) -> int | None:
        """Hold `record` in place of the variant for the same requests; its id, None if a purge forbids it."""
        purged = self._as_purged(record)
        if purged is None:
            return None
        record = purged
        place, chosen = place_of(record.key), _chosen(record)
        listed = self._read("keys", place)
        variants = [] if listed is None else list(PAIR.iter_unpack(listed))
        for id, choice in variants:
            if choice == chosen:
                self.drop(id)
        others = [pair for pair in variants if pair[1] != chosen]
        if len(others) >= VARIANTS:
            self.drop(others.pop(0)[0])
        id = self._next()
        self._write("keys", place, b"".join(PAIR.pack(*pair) for pair in (*others, (id, chosen))))
        self._fill_in(id, record, self._enter(record, id))
        return id

    def replace(self, id: int, record: Record) -> bool:
        """Hold `record` in place of what entry `id` was; False if that is gone, or a purge forbids it."""
        before = self.record(id)
        if before is None:
            return False
        purged = self._as_purged(record)
        if purged is None or before.key != record.key or _chosen(before) != _chosen(record):
            self.drop(id)
            return False
        record = purged
        queue, at = self._place(id)
        self._clear_out(id, before)
        gone = {ref.number for ref in before.bodies.refs()} - {ref.number for ref in record.bodies.refs()}
        self.forget_bodies(gone)
        self._fill_in(id, record, (queue, at))
        return True

    def drop(self, id: int) -> None:
        """Forget entry `id`, if it is held."""
        data = self._read("places", NUMBER.pack(id))
        if data is None:
            return
        number, at, _ = PLACE.unpack(data)
        self._delete("small" if number == Queue.SMALL.value else "main", NUMBER.pack(at))
        try:
            record = self._index.record(self._txn, id)
        except Broken:
            record = None
        if record is None:
            self._weigh_out(id)
            self._delete("entries", NUMBER.pack(id))
            return
        self._clear_out(id, record)
        self.forget_bodies({ref.number for ref in record.bodies.refs()})
        self._delete("entries", NUMBER.pack(id))
        place = place_of(record.key)
        listed = self._read("keys", place) or b""
        left = b"".join(PAIR.pack(*pair) for pair in PAIR.iter_unpack(listed) if pair[0] != id)
        if left:
            self._write("keys", place, left)
        else:
            self._delete("keys", place)

    def _fill_in(self, id: int, record: Record, where: tuple[Queue, int]) -> None:
        data, raw = packed(record), NUMBER.pack(id)
        self.stamps[id] = stamp_of(data)
        names = listed_names(record)
        for name in names:
            self._txn.put(name, raw, db=self._index.names)
        if record.tags:
            self._txn.put(record.site.encode("utf-8", "surrogatepass"), b"", db=self._tables["sites"])
        for ref in record.bodies.refs():
            if is_file(ref.number):
                self._write("files", NUMBER.pack(ref.number), raw)
        self._write("entries", raw, data)
        weight = HEAD + len(data) + NAME * len(names) + weigh(record.bodies)
        queue, at = where
        self._write("small" if queue is Queue.SMALL else "main", NUMBER.pack(at), raw)
        self._write("places", raw, PLACE.pack(queue.value, at, weight))
        self._count(queue, weight, 1)
        self.outcome.keys.add(record.key)

    def _clear_out(self, id: int, record: Record) -> None:
        """Take `record` out of the lists, but not its bodies."""
        raw = NUMBER.pack(id)
        for name in listed_names(record):
            self._txn.delete(name, raw, db=self._index.names)
        self._weigh_out(id)
        if not self._evicting:
            self.outcome.keys.add(record.key)

    def _weigh_out(self, id: int) -> None:
        data = self._read("places", NUMBER.pack(id))
        if data is not None:
            number, _, weight = PLACE.unpack(data)
            self._count(Queue(number), -weight, -1)
            self._delete("places", NUMBER.pack(id))

    def forget_bodies(self, numbers: Iterable[int]) -> None:
        """Nobody needs these bodies any more."""
        for number in numbers:
            if is_file(number):
                self._delete("files", NUMBER.pack(number))
                self.outcome.files.append(number)
            else:
                self._delete("bodies", NUMBER.pack(number))

    def _place(self, id: int) -> tuple[Queue, int]:
        data = self._read("places", NUMBER.pack(id))
        assert data is not None
        number, at, _ = PLACE.unpack(data)
        return Queue(number), at

    def know(self, sites: Mapping[str, str]) -> None:
        """What is held is of these sites."""
        self._write("meta", b"sites", msgspec.msgpack.encode(dict(sites)))

    # Queues -------------------------------------------------------------------------------------

    def _enter(self, record: Record, id: int) -> tuple[Queue, int]:
        ghost = _ghost(record)
        age = self._read("ghosts", ghost)
        if age is not None:
            self._delete("ghosts", ghost)
            self._delete("ghosts_by_age", age)
            self.totals.ghosts -= 1
        self._uses.set(id, 0)
        return turnover.enters(remembered=age is not None), id

    def make_room(self, room: int, most: int, *, in_memory: bool) -> bool:
        """Evict until no more than `room` bytes are held, `most` entries at most; whether that is so."""
        self._in_memory = in_memory
        for _ in range(most):
            held = Held(self.totals.small, self.totals.main, room)
            if held.all <= room:
                return True
            queue = turnover.turns(held)
            if not self._turn(queue) and not self._turn(Queue.SMALL if queue is Queue.MAIN else Queue.MAIN):
                return True
        return self.totals.bytes <= room

    def _turn(self, queue: Queue) -> bool:
        """The oldest in `queue` has its turn; False if there is none."""
        table = "small" if queue is Queue.SMALL else "main"
        with self._txn.cursor(db=self._tables[table]) as cursor:
            if not cursor.first():
                return False
            raw = bytes(cursor.value())
            id = NUMBER.unpack(raw)[0]
            uses = self._uses.of(id)
            cursor.delete()
        data = self._read("places", raw)
        if data is None:
            return True
        _, _, weight = PLACE.unpack(data)
        usual = self.totals.bytes / max(1, self.totals.entries)
        if turnover.turn(uses, weight / usual if self._in_memory else 1.0) is Turn.STAY:
            self._uses.set(id, turnover.left(queue, uses, in_memory=self._in_memory))
            again = self._next()
            self._write("main", NUMBER.pack(again), raw, append=True)
            self._write("places", raw, PLACE.pack(Queue.MAIN.value, again, weight))
            self._count(queue, -weight, -1)
            self._count(Queue.MAIN, weight, 1)
            return True
        record = self.record(id)
        self._evicting = True  # what somebody has of it in memory is as good as before
        self.drop(id)
        self._evicting = False
        self.outcome.evicted += 1
        if record is not None and queue is Queue.SMALL:
            self._remember(_ghost(record))
        return True

    def _remember(self, ghost: bytes) -> None:
        age = NUMBER.pack(self._next())
        before = self._read("ghosts", ghost)
        if before is not None:
            self._delete("ghosts_by_age", before)
            self.totals.ghosts -= 1
        self._write("ghosts", ghost, age)
        self._write("ghosts_by_age", age, ghost)
        self.totals.ghosts += 1
        while self.totals.ghosts > turnover.memory(self.totals.entries):
            with self._txn.cursor(db=self._tables["ghosts_by_age"]) as cursor:
                if not cursor.first():
                    self.totals.ghosts = 0
                    return
                oldest = bytes(cursor.value())
                cursor.delete()
            self._delete("ghosts", oldest)
            self.totals.ghosts -= 1

    # Purges -------------------------------------------------------------------------------------

    def strike(self, mark: Mark | Distrust, moment: float, by: int = 0) -> int:
        """Refuse from now on what `mark` strikes; how many entries that are. `moment` is the wall clock's."""
        found = 0 if isinstance(mark, Distrust) else self._index.count(self._txn, mark)
        self.totals.number += 1
        number = self.totals.number
        raw, data = NUMBER.pack(number), mark_bytes(mark, moment, by)
        self._write("marks", raw, data)
        self._trim_log()
        if isinstance(mark, Distrust):
            self.totals.trusted = number
            return found
        for name in struck_names(mark):
            before = self._read("purged", name)
            last = Last() if before is None else Last.unpacked(before)
            self._write("purged", name, last.and_then(number, moment, soft=mark.soft).packed())
        if isinstance(mark, Prefix):
            self._write("prefixes", raw, data)
        if isinstance(mark, Keys):
            self.outcome.keys.update(mark.keys)
            for id in tuple(self._index.struck_by(self._txn, mark)):
                self._strike(id, number, mark, moment)
        else:
            self._write("sweeps", raw, data)
        return found

    def carry_out(self, sweep: Sweep, ids: Iterable[int]) -> None:
        """Do to `ids` what a purge is to do."""
        for id in ids:
            self._strike(id, sweep.number, sweep.mark, sweep.moment)

    def carried_out(self, sweep: Sweep) -> None:
        """Nothing is left to do of it."""
        self._delete("sweeps", NUMBER.pack(sweep.number))
        self._delete("prefixes", NUMBER.pack(sweep.number))

    def _strike(self, id: int, number: int, mark: Mark, moment: float) -> None:
        record = self.record(id)
        if record is None or record.number >= number:
            return
        if not mark.soft:
            self.drop(id)
            return
        softened = expired_at(record, moment)
        if softened is not record:
            self.replace(id, softened)

    def begin_at(self, number: int) -> None:
        """Of the purges up to `number` nothing is known but that they came: what began before is refused."""
        self.totals.number = self.totals.floor = max(self.totals.number, number)

    def _as_purged(self, record: Record) -> Record | None:
        """`record` after the purges that came since its fetch began; None if one strikes it for good."""
        if record.number >= self.totals.number:
            return record
        if record.number < self.totals.floor:
            return None
        for _, came in self._index.marks_since(self._txn, record.number):
            if not isinstance(came.mark, Distrust) and came.mark.strikes(record):
                if not came.mark.soft:
                    return None
                record = expired_at(record, came.moment)
        return record

    def _trim_log(self) -> None:
        """Forget the oldest purges, once they have been carried out in full."""
        while self.totals.number - self.totals.floor > LOG:
            raw = NUMBER.pack(self.totals.floor + 1)
            if self._read("sweeps", raw) is not None:
                return
            data = self._read("marks", raw)
            mark = None if data is None else mark_of(data).mark
            self.totals.floor += 1
            self._delete("marks", raw)
            if mark is None or isinstance(mark, Distrust):
                continue
            for name in struck_names(mark):
                last = self._read("purged", name)
                if last is not None and Last.unpacked(last).number <= self.totals.floor:
                    self._delete("purged", name)

    # The tables ---------------------------------------------------------------------------------

    def _next(self) -> int:
        self.totals.next += 1
        return self.totals.next - 1

    def _count(self, queue: Queue, weight: int, entries: int) -> None:
        self.totals.entries += entries
        if queue is Queue.SMALL:
            self.totals.small += weight
        else:
            self.totals.main += weight

    def _read(self, table: str, key: bytes) -> bytes | None:
        found = self._txn.get(key, db=self._tables[table])
        return None if found is None else bytes(found)

    def _write(self, table: str, key: bytes, value: bytes, *, append: bool = False) -> None:
        self._txn.put(key, value, db=self._tables[table], append=append)

    def _delete(self, table: str, key: bytes) -> None:
        self._txn.delete(key, db=self._tables[table])


def weigh(bodies: Bodies) -> int:
    """The bytes that `bodies` take."""
    return sum(taken(ref.size) if is_file(ref.number) else kept_bytes(ref.size) for ref in bodies.refs())


def _chosen(record: Record) -> int:
    """A number for what Vary had the request say: variants of a key differ in it."""
    words = (
        word for name, value in record.selection for word in (name, "-" if value is None else f"={value}")
    )
    return int.from_bytes(digest("chosen", *words)[:8], "big")


def _ghost(record: Record) -> bytes:
    return digest("ghost", record.key, str(_chosen(record)))
