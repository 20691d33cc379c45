"""The disk's index, in LMDB: what lies there, in which seat, under which names, and which purges came.

Several processes open it at once; readers never wait, one writes at a time (edge.store.revision).
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import Struct

import lmdb
import msgspec

from edge.purge import Groups, Keys, Mark, Prefix, Site, Tag
from edge.store import pagewise
from edge.store.marks import Came, Distrust, Last, digest, mark_of, own_names, struck_names
from edge.store.record import CHECK, FORMAT, Broken, Record, stamp_of, unpacked, verified

logger = logging.getLogger("tepi.edge")

LONGEST = 400  # bytes of a key in the index, whose keys end at 511
READERS = 1024
_READER = 64  # bytes that LMDB's lock file has for each of them
NUMBER = Struct(">Q")
PAIR = Struct(">QQ")
_TABLES = (
    "meta", "keys", "entries", "weights", "seats", "vacant", "purged", "marks", "prefixes", "sweeps", "files",
    "sites", *pagewise.TABLES,
)  # fmt: skip


class Totals(msgspec.Struct, array_like=True):
    """What all that is held comes to, and the next numbers."""

    entries: int = 0
    bytes: int = 0
    seats: int = 0  # that were ever given to somebody
    next: int = 1  # the next entry or body
    number: int = 0  # of the last purge
    floor: int = 0  # the purges up to this one are not remembered one by one
    trusted: int = 0  # what was filled before this purge must be revalidated


@dataclass(frozen=True, slots=True)
class Found:
    """An entry in the index: since when (wall clock) a soft purge has it stale, and whether it is trusted."""

    id: int
    record: Record
    stale_since: float | None
    trusted: bool
    stamp: int


@dataclass(frozen=True, slots=True)
class Sweep:
    """A purge that holds and has yet to be carried out on all that it struck. `moment`: of the wall clock."""

    number: int
    mark: Mark
    moment: float


class Catalogue:
    """The newest index below `directory`, or one newer than the one numbered `after`.

    `room`: the bytes that it may take at most. `synced`: what is written is on the disk before it counts as
    written. Raises lmdb.Error and OSError.
    """

    def __init__(self, directory: Path, room: int, *, synced: bool, after: int = 0) -> None:
        self._directory = directory
        self.serial = max(_newest(directory), after + 1)
        while (env := _open(_path(directory, self.serial), room, synced)) is None:
            self.serial += 1
        self.env: lmdb.Environment = env
        self._inode = (self.path / "data.mdb").stat().st_ino
        self.env.reader_check()
        self.tables = {name: self.env.open_db(name.encode()) for name in _TABLES}
        self.names = self.env.open_db(b"names", dupsort=True, dupfixed=True)
        _clear(directory, self.serial)

    @property
    def path(self) -> Path:
        """Where it lies."""
        return _path(self._directory, self.serial)

    def begin(self) -> lmdb.Transaction:
        """A reading transaction, to be ended soon."""
        return self.env.begin()

    def totals(self, txn: lmdb.Transaction | None = None) -> Totals:
        """What all comes to. Raises lmdb.Error, Broken."""
        if txn is None:
            with self.begin() as txn:
                return self.totals(txn)
        data = txn.get(b"totals", db=self.tables["meta"])
        return Totals() if data is None else msgspec.msgpack.decode(data, type=Totals)

    def find(self, key: str, on_broken: Callable[[int], None]) -> list[Found]:
        """All variants under `key`, less those that a purge has struck. Raises lmdb.Error.

        `on_broken` is told the ids of those whose record is not what was written.
        """
        with self.begin() as txn:
            ids = txn.get(place_of(key), db=self.tables["keys"])
            if ids is None:
                return []
            totals = self.totals(txn)
            found = []
            for id, _ in PAIR.iter_unpack(ids):
                data = txn.get(NUMBER.pack(id), db=self.tables["entries"])
                if data is None:
                    continue
                try:
                    record = unpacked(data)
                except Broken:
                    on_broken(id)
                    continue
                if record.key != key:
                    continue
                last = self.last(txn, record) if record.number < totals.number else Last()
                if last.hard <= record.number:
                    since = last.moment if last.soft > record.number else None
                    trusted = record.number >= totals.trusted
                    found.append(Found(id, record, since, trusted, stamp_of(data)))
            return found

    def record(self, txn: lmdb.Transaction, id: int) -> Record | None:
        """The record of entry `id`. Raises Broken."""
        data = txn.get(NUMBER.pack(id), db=self.tables["entries"])
        return None if data is None else unpacked(data)

    def last(self, txn: lmdb.Transaction, record: Record) -> Last:
        """The last purges that struck `record`: as many look-ups as it has names."""
        hard, soft, moment = 0, 0, 0.0
        for name in own_names(record):
            data = txn.get(name, db=self.tables["purged"])
            if data is not None:
                last = Last.unpacked(data)
                hard = max(hard, last.hard)
                if last.soft > record.number:
                    moment = last.moment if soft <= record.number else min(moment, last.moment)
                soft = max(soft, last.soft)
        for number, prefix, at in self.prefixes(txn):
            if number > record.number and prefix.strikes(record):
                if not prefix.soft:
                    hard = max(hard, number)
                else:
                    moment = at if soft <= record.number else min(moment, at)
                    soft = max(soft, number)
        return Last(hard, soft, moment)

    def prefixes(self, txn: lmdb.Transaction) -> Iterator[tuple[int, Prefix, float]]:
        """The purges of prefixes that have yet to reach all that they strike."""
        for number, data in txn.cursor(db=self.tables["prefixes"]):
            came = mark_of(data)
            if isinstance(came.mark, Prefix):
                yield NUMBER.unpack(number)[0], came.mark, came.moment

    def marks_since(self, txn: lmdb.Transaction, number: int) -> Iterator[tuple[int, Came]]:
        """The purges after `number`, in order, as far as they are remembered."""
        cursor = txn.cursor(db=self.tables["marks"])
        if cursor.set_range(NUMBER.pack(number + 1)):
            for found, data in cursor:
                yield NUMBER.unpack(found)[0], mark_of(data)

    def sweep(self) -> tuple[Sweep, list[int]] | None:
        """The oldest purge that has yet to be carried out, and what lies where it strikes."""
        with self.begin() as txn, txn.cursor(db=self.tables["sweeps"]) as cursor:
            if not cursor.first():
                return None
            raw, data = cursor.item()
            came = mark_of(data)
            assert not isinstance(came.mark, Distrust)
            sweep = Sweep(NUMBER.unpack(raw)[0], came.mark, came.moment)
            return sweep, list(self.struck_by(txn, sweep.mark))

    def body(self, number: int) -> bytes:
        """A body that is kept in the index. Raises Broken, Gone, lmdb.Error."""
        with self.begin() as txn:
            return bytes(verified(pagewise.Pages(txn, self.tables).read(number)))

    def knows_file(self, number: int) -> bool:
        """Whether an entry has its body in the file of that number."""
        with self.begin() as txn:
            return txn.get(NUMBER.pack(number), db=self.tables["files"]) is not None

    def known(self) -> dict[str, str]:
        """What was said of the sites whose answers are held, by name."""
        with self.begin() as txn:
            data = txn.get(b"sites", db=self.tables["meta"])
            return {} if data is None else msgspec.msgpack.decode(data, type=dict[str, str])

    def knows_site(self, site: str) -> bool:
        """Whether anything of `site` is held."""
        with self.begin() as txn, txn.cursor(db=self.names) as cursor:
            return bool(cursor.set_key(digest("site", site)))

    def struck_by(self, txn: lmdb.Transaction, mark: Mark) -> Iterator[int]:
        """The ids of what lies where `mark` strikes; costs what it finds. Some may be struck already."""
        match mark:
            case Keys(keys):
                for key in keys:
                    ids = txn.get(place_of(key), db=self.tables["keys"]) or b""
                    yield from (id for id, _ in PAIR.iter_unpack(ids))
            case Prefix(begin):
                yield from self._within(txn, begin)
            case Tag(tag, None):
                for raw, _ in txn.cursor(db=self.tables["sites"]):
                    site = bytes(raw).decode("utf-8", "surrogatepass")
                    yield from self._named(txn, digest("tag", site, tag))
            case Tag() | Groups() | Site():
                for name in struck_names(mark):
                    yield from self._named(txn, name)

    def _named(self, txn: lmdb.Transaction, name: bytes) -> Iterator[int]:
        cursor = txn.cursor(db=self.names)
        if cursor.set_key(name):
            for data in cursor.iternext_dup():
                yield NUMBER.unpack(data)[0]

    def _within(self, txn: lmdb.Transaction, begin: str) -> Iterator[int]:
        raw = begin.encode("utf-8", "surrogatepass")
        cursor = txn.cursor(db=self.tables["keys"])
        if not cursor.set_range(raw[:LONGEST]):
            return
        for place, ids in cursor:
            if not bytes(place).startswith(raw[:LONGEST]):
                return
            for id, _ in PAIR.iter_unpack(ids):
                if len(raw) <= LONGEST:
                    yield id
                else:
                    record = self.record(txn, id)
                    if record is not None and record.key.startswith(begin):
                        yield id

    def count(self, txn: lmdb.Transaction, mark: Mark) -> int:
        """How many entries lie where `mark` strikes; of a name without walking them."""
        if isinstance(mark, Site) or (isinstance(mark, Tag) and mark.site is not None):
            with txn.cursor(db=self.names) as cursor:
                return int(cursor.count()) if cursor.set_key(struck_names(mark)[0]) else 0
        return len(dict.fromkeys(self.struck_by(txn, mark)))

    def holds(self, id: int) -> bool:
        """Whether there is an entry `id`."""
        with self.begin() as txn:
            return txn.get(NUMBER.pack(id), db=self.tables["weights"]) is not None

    def weight(self, txn: lmdb.Transaction, id: int) -> int:
        """The bytes that entry `id` takes; 0 if it is gone."""
        data = txn.get(NUMBER.pack(id), db=self.tables["weights"])
        return 0 if data is None else int(NUMBER.unpack(data)[0])

    def is_in_place(self) -> bool:
        """Whether the directory still holds the index that was opened."""
        try:
            there = (self.path / "data.mdb").stat().st_ino == self._inode
        except OSError:
            return False
        return there and _newest(self._directory) == self.serial


def place_of(key: str) -> bytes:
    """`key` in the index: its beginning, by which it is ordered, and a digest of all of it."""
    raw = key.encode("utf-8", "surrogatepass")
    return raw[:LONGEST] + b"\xff" + digest("key", key)


def kept_bytes(size: int) -> int:
    """The bytes that a body of `size` takes in the index."""
    return pagewise.taken(size + CHECK)


def _path(directory: Path, serial: int) -> Path:
    return directory / f"index-{serial:06d}"


def _newest(directory: Path) -> int:
    return max((int(each.name[6:]) for each in directory.glob("index-??????")), default=1)


def _clear(directory: Path, newest: int) -> None:
    """Remove the indexes before the newest one; who still reads there has it open."""
    for each in directory.glob("index-??????"):
        if int(each.name[6:]) < newest:
            shutil.rmtree(each, ignore_errors=True)


def _reserve(path: Path, size: int) -> None:
    """Have the disk set `size` bytes aside for the file at `path`, which is written to through memory."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, size)
    finally:
        os.close(descriptor)


def _open(path: Path, room: int, synced: bool) -> lmdb.Environment | None:
    """The index at `path`; None, logged, if it can't be read or is another version's."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        if _is_torn(path / "data.mdb"):
            raise lmdb.InvalidError("it is cut short")
        _reserve(path / "lock.mdb", READERS * _READER)
        env = lmdb.open(
            str(path),
            map_size=room,
            max_dbs=len(_TABLES) + 1,
            max_readers=READERS,
            metasync=False,
            sync=synced,
            readahead=False,
        )
        if not _lies_within(env, path / "data.mdb"):
            raise lmdb.CorruptedError("it is cut short")
        with env.begin(write=True) as txn:
            found = txn.get(b"format", db=env.open_db(b"meta", txn=txn))
            if found is None:
                txn.put(b"format", FORMAT.encode(), db=env.open_db(b"meta", txn=txn))
        if found in (None, FORMAT.encode()):
            return env
        why = f"it is of format {bytes(found)!r}, not {FORMAT}"
    except (
        lmdb.InvalidError,
        lmdb.CorruptedError,
        lmdb.VersionMismatchError,
        lmdb.PageNotFoundError,
    ) as error:
        why = str(error)
    logger.error("the disk store's index in %s is given up for an empty one: %s", path, why)
    return None


def _is_torn(file: Path) -> bool:
    """Whether there is an index that has not even its two heads."""
    try:
        return 0 < file.stat().st_size < 2 * pagewise.PAGE
    except FileNotFoundError:
        return False


def _lies_within(env: lmdb.Environment, file: Path) -> bool:
    """Whether all pages that the index uses are in its file; the last few may never have been written.

    The file is made as long as it ought to be, for reading a mapped page beyond its end kills the process.
    """
    used = (int(env.info()["last_pgno"]) + 1) * int(env.stat()["psize"])
    size = file.stat().st_size
    if size < used:
        os.truncate(file, used)
    return size >= used * 0.9 or used - size <= 64 * pagewise.PAGE
