"""One change of the disk's index: all of it, or nothing. One is under way at a time, in all processes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import lmdb
import msgspec

from edge.purge import Keys, Mark, Prefix
from edge.store.bodyfiles import is_file, taken
from edge.store.catalogue import NUMBER, PAIR, Catalogue, Sweep, Totals, kept_bytes, place_of
from edge.store.marks import Distrust, Last, digest, listed_names, mark_bytes, mark_of, struck_names
from edge.store.pagewise import Pages
from edge.store.record import Bodies, Broken, Record, Ref, checked, expired_at, packed, stamp_of
from edge.store.seats import SEATS, Seats

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

    def __init__(self, catalogue: Catalogue, seats: Seats) -> None:
        self._index = catalogue
        self._tables = catalogue.tables
        self._seats = seats
        self.outcome = Outcome()
        self._evicting = False
        self._vacated: list[int] = []
        self.stamps: dict[int, int] = {}  # of the records that were written

    def __enter__(self) -> Self:
        self._txn: lmdb.Transaction = self._index.env.begin(write=True)
        self._pages = Pages(self._txn, self._tables)
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
            self._abort()
            return
        try:
            self._write("meta", b"totals", msgspec.msgpack.encode(self.totals))
            self._txn.commit()
        except BaseException:
            self._abort()
            raise

    def _abort(self) -> None:
        for seat in self._vacated:
            self._seats.doubt(seat)
        self._txn.abort()

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
        self._pages.write(number, kept)
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
        id = self._next() * SEATS + self._seat()
        self._write("keys", place, b"".join(PAIR.pack(*pair) for pair in (*others, (id, chosen))))
        self._write("seats", NUMBER.pack(id % SEATS), NUMBER.pack(id))
        self._seats.sit(id, self._fill_in(id, record), _name(record))
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
        self._clear_out(id, before)
        gone = {ref.number for ref in before.bodies.refs()} - {ref.number for ref in record.bodies.refs()}
        self.forget_bodies(gone)
        self._seats.reweigh(id, self._fill_in(id, record))
        return True

    def drop(self, id: int) -> None:
        """Forget entry `id`, if it is held."""
        if self._read("weights", NUMBER.pack(id)) is None:
            return
        self._vacate(id % SEATS)
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

    def _fill_in(self, id: int, record: Record) -> int:
        """The bytes that it takes."""
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
        self._write("weights", raw, NUMBER.pack(weight))
        self.totals.bytes += weight
        self.totals.entries += 1
        self.outcome.keys.add(record.key)
        return weight

    def _clear_out(self, id: int, record: Record) -> None:
        """Take `record` out of the lists, but not its bodies."""
        raw = NUMBER.pack(id)
        for name in listed_names(record):
            self._txn.delete(name, raw, db=self._index.names)
        self._weigh_out(id)
        if not self._evicting:
            self.outcome.keys.add(record.key)

    def _weigh_out(self, id: int) -> None:
        data = self._read("weights", NUMBER.pack(id))
        if data is not None:
            self.totals.bytes -= NUMBER.unpack(data)[0]
            self.totals.entries -= 1
            self._delete("weights", NUMBER.pack(id))

    def forget_bodies(self, numbers: Iterable[int]) -> None:
        """Nobody needs these bodies any more."""
        for number in numbers:
            if is_file(number):
                self._delete("files", NUMBER.pack(number))
                self.outcome.files.append(number)
            else:
                self._pages.forget(number)

    def know(self, sites: Mapping[str, str]) -> None:
        """What is held is of these sites."""
        self._write("meta", b"sites", msgspec.msgpack.encode(dict(sites)))

    # Seats --------------------------------------------------------------------------------------

    def make_room(self, room: int, most: int) -> bool:
        """Evict until no more than `room` bytes are held, `most` entries at most; whether that is so."""
        for _ in range(most):
            if self.totals.bytes <= room or not self._evict():
                return True
        return self.totals.bytes <= room

    def _evict(self) -> bool:
        """Who is to go next goes, if he is still there; False if there is nobody."""
        seat = self._seats.next()
        if seat < 0:
            return False
        raw = self._read("seats", NUMBER.pack(seat))
        if raw is None:
            self._vacate(seat)
            return True
        id = NUMBER.unpack(raw)[0]
        record = self.record(id)
        if record is not None:
            self._seats.remember(id, _name(record))
        self._evicting = True  # what somebody has of it in memory is as good as before
        self.drop(id)
        self._evicting = False
        self.outcome.evicted += 1
        return True

    def _vacate(self, seat: int) -> None:
        raw = NUMBER.pack(seat)
        self._delete("seats", raw)
        self._write("vacant", raw, b"")
        self._seats.vacate(seat)
        self._vacated.append(seat)

    def _seat(self) -> int:
        """One that nobody has."""
        while True:
            with self._txn.cursor(db=self._tables["vacant"]) as cursor:
                if cursor.first():
                    seat: int = NUMBER.unpack(cursor.key())[0]
                    cursor.delete()
                    return seat
            if self.totals.seats < SEATS:
                self.totals.seats += 1
                return self.totals.seats - 1
            self._evict()

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

    def _read(self, table: str, key: bytes) -> bytes | None:
        found = self._txn.get(key, db=self._tables[table])
        return None if found is None else bytes(found)

    def _write(self, table: str, key: bytes, value: bytes) -> None:
        self._txn.put(key, value, db=self._tables[table])

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


def _name(record: Record) -> int:
    """32 bits by which it is known when it comes again."""
    return int.from_bytes(digest("name", record.key, str(_chosen(record)))[:4], "big")
