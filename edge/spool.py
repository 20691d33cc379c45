"""The spool: what must reach the origin, kept durably from before it is acknowledged until it is finished.

One writer a directory. Appends that come together are written and synced together; the directory is synced
when a file is new. After a crash a torn tail is cut off, and all that was acknowledged is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from edge.hooks.segments import (
    FRAME,
    HEAD,
    SALT,
    Disk,
    Found,
    RealDisk,
    framed,
    head,
    mark,
    marked,
    scan,
    unframed,
)

log = logging.getLogger("tepi.edge.spool")

SEGMENT = 16 * 2**20
LARGEST_BATCH = 4 * 2**20
FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Full(Exception):
    """There is no room now, or the disk does not take it: nothing was promised."""


class Damaged(Exception):
    """A record that was whole is not any more."""


class Taken(Exception):
    """Another process writes to this directory."""


@dataclass(slots=True, eq=False)
class Segment:
    """One file and what of it is not finished yet, by place."""

    path: Path
    salt: bytes
    size: int
    pending: dict[int, Entry] = field(default_factory=dict)

    @property
    def marks(self) -> Path:
        """The file of what is finished."""
        return self.path.with_suffix(".done")


@dataclass(slots=True, eq=False)
class Entry:
    """A record that is not finished: where it stands, and `key`, the beginning of its content up to a 0."""

    segment: Segment
    place: int
    length: int
    key: bytes


@dataclass(slots=True)
class _Open:
    segment: Segment
    file: int
    marks: dict[Path, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Wanted:
    content: bytes
    done: asyncio.Future[Entry]


class Spool:
    """A directory of segments. `limit` bounds their bytes; `random` gives salts."""

    def __init__(
        self,
        directory: Path,
        limit: int,
        random: Callable[[int], bytes] = os.urandom,
        disk: Disk | None = None,
        segment: int = SEGMENT,
    ) -> None:
        self.directory = directory
        self.limit = limit
        self.commits = 0
        self.failures = 0
        self._random = random
        self._disk: Disk = disk or RealDisk()
        self._segment = segment
        self._segments: dict[Path, Segment] = {}
        self._open: _Open | None = None
        self._number = 0
        self._queue: list[_Wanted] = []
        self._queued = 0
        self._finished: list[Entry] = []
        self._working: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "tepi-spool")

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return sum(segment.size for segment in list(self._segments.values()))

    @property
    def pending(self) -> int:
        """Records that are not finished."""
        return sum(len(segment.pending) for segment in list(self._segments.values()))

    def __iter__(self) -> Iterator[Entry]:
        """What is not finished, in the order in which it came."""
        for segment in list(self._segments.values()):
            yield from list(segment.pending.values())

    # Before and after ---------------------------------------------------------------------------

    def recover(self) -> None:
        """Reads what an earlier process left. Torn tails are cut off."""
        names = sorted(self._disk.names(self.directory))
        for name in names:
            path = self.directory / name
            if path.suffix == ".done" and path.with_suffix(".seg").name not in names:
                self._disk.remove(path)
            if path.suffix != ".seg":
                continue
            self._number = max(self._number, int(path.stem))
            self._recover(path, names)

    def _recover(self, path: Path, names: list[str]) -> None:
        data = self._disk.read(path)
        found = scan(data)
        if found is None:
            if len(data) > HEAD:
                log.error("%s: its head is damaged, it is left aside", path)
                return
            self._disk.remove(path)
            return
        if found.damaged:
            log.error("%s: %d bytes in its middle are damaged and skipped", path, found.damaged)
        if found.end < len(data):
            log.warning("%s: a torn tail of %d bytes is cut off", path, len(data) - found.end)
            self._disk.shorten(path, found.end)
        segment = Segment(path, data[HEAD - SALT : HEAD], found.end)
        finished = set(marked(segment.salt, self._marks(segment, names)))
        for record in found.records:
            if record.place not in finished:
                segment.pending[record.place] = _entry(segment, record)
        if segment.pending:
            self._segments[path] = segment
        else:
            self._forget(segment)

    def _marks(self, segment: Segment, names: list[str]) -> bytes:
        return self._disk.read(segment.marks) if segment.marks.name in names else b""

    async def close(self) -> None:
        """Ends once what was asked for before is written."""
        while self._working is not None:
            await asyncio.wait({self._working})
        await asyncio.get_running_loop().run_in_executor(self._thread, self._leave)
        self._thread.shutdown()

    # What it is asked ---------------------------------------------------------------------------

    async def append(self, content: bytes) -> Entry:
        """Returns once `content` would survive a power cut. Raises Full."""
        length = FRAME.size + len(content)
        if self.size + self._queued + length > self.limit:
            raise Full(f"the spool holds {self.size} bytes of {self.limit}")
        wanted = _Wanted(content, asyncio.get_running_loop().create_future())
        self._queue.append(wanted)
        self._queued += length
        self._work()
        return await asyncio.shield(wanted.done)

    def finish(self, entry: Entry) -> None:
        """`entry` needs nothing more. A crash soon after may bring it back."""
        if entry.segment.pending.pop(entry.place, None) is not None:
            self._finished.append(entry)
            self._work()

    async def read(self, entry: Entry) -> bytes:
        """The content of `entry`. Raises Damaged, OSError."""
        segment = entry.segment
        frame = await asyncio.to_thread(self._disk.read_at, segment.path, entry.place, entry.length)
        content = unframed(segment.salt, entry.place, frame)
        if content is None:
            raise Damaged(f"{segment.path}: the record at {entry.place} is damaged")
        return content

    # One thread does all the work ---------------------------------------------------------------

    def _work(self) -> None:
        if self._working is None:
            self._working = asyncio.get_running_loop().create_task(self._until_idle())

    async def _until_idle(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._queue or self._finished:
                batch, finished = list(self._batch()), self._finished
                self._finished = []
                await loop.run_in_executor(self._thread, self._tidy, finished)
                if not batch:
                    continue
                try:
                    entries = await loop.run_in_executor(
                        self._thread, self._commit, [wanted.content for wanted in batch]
                    )
                except Exception as error:
                    self._refuse(batch, error)
                    continue
                self.commits += 1
                for wanted, entry in zip(batch, entries, strict=True):
                    entry.segment.pending[entry.place] = entry
                    wanted.done.set_result(entry)
        finally:
            self._working = None

    def _batch(self) -> Iterator[_Wanted]:
        size = count = 0
        for wanted in self._queue:
            size += FRAME.size + len(wanted.content)
            count += 1
            if size > LARGEST_BATCH:
                break
        batch, self._queue = self._queue[:count], self._queue[count:]
        self._queued -= sum(FRAME.size + len(wanted.content) for wanted in batch)
        yield from batch

    def _refuse(self, batch: Iterable[_Wanted], error: Exception) -> None:
        self.failures += 1
        kind = "is full" if isinstance(error, OSError) and error.errno in FULL_ERRORS else "fails"
        log.error("the spool's disk %s: %s", kind, error)
        for wanted in batch:
            wanted.done.set_exception(Full(f"the spool's disk {kind}"))
            wanted.done.exception()  # who asked may be gone

    def _commit(self, contents: list[bytes]) -> list[Entry]:
        """Writes and syncs them all; where it can't, nothing of it counts and the file is left for good.

        A file whose sync failed may have lost anything since the one before: it is not written to again.
        """
        opened = self._open
        new = opened is None or opened.segment.size >= self._segment
        if new:
            self._leave()
            opened = self._open = self._create()
        assert opened is not None
        segment = opened.segment
        entries, written, place = [], [] if not new else [head(segment.salt)], segment.size
        for content in contents:
            frame = framed(segment.salt, place, content)
            entries.append(_entry(segment, Found(place, content)))
            written.append(frame)
            place += len(frame)
        try:
            self._disk.append(opened.file, b"".join(written))
            self._disk.sync(opened.file)
            if new:
                self._disk.sync_directory(self.directory)
        except OSError:
            self._abandon(opened, new)
            raise
        segment.size = place
        if new:
            self._segments[segment.path] = segment
        return entries

    def _create(self) -> _Open:
        self._number += 1
        segment = Segment(self.directory / f"{self._number:012d}.seg", self._random(SALT), HEAD)
        return _Open(segment, self._disk.create(segment.path))

    def _abandon(self, opened: _Open, new: bool) -> None:
        self._open = None
        with contextlib.suppress(OSError):
            if new:
                self._disk.remove(opened.segment.path)
            else:
                self._disk.cut(opened.file, opened.segment.size)
        with contextlib.suppress(OSError):
            self._disk.close(opened.file)
        if not new and not opened.segment.pending:
            self._drop(opened.segment)

    def _leave(self) -> None:
        """The open file is written to no more."""
        opened, self._open = self._open, None
        if opened is not None:
            with contextlib.suppress(OSError):
                self._disk.close(opened.file)
            if not opened.segment.pending:
                self._drop(opened.segment)

    def _tidy(self, finished: list[Entry]) -> None:
        """Marks what is finished; a segment of which everything is goes."""
        by_segment: dict[Segment, list[int]] = {}
        for entry in finished:
            by_segment.setdefault(entry.segment, []).append(entry.place)
        for segment, places in by_segment.items():
            still_open = self._open is not None and self._open.segment is segment
            if not segment.pending and not still_open:
                self._drop(segment)
                continue
            with contextlib.suppress(OSError):
                self._note(segment, b"".join(mark(segment.salt, place) for place in places))

    def _note(self, segment: Segment, marks: bytes) -> None:
        file = self._disk.extend(segment.marks)
        try:
            self._disk.append(file, marks)
        finally:
            self._disk.close(file)

    def _drop(self, segment: Segment) -> None:
        self._segments.pop(segment.path, None)
        self._forget(segment)

    def _forget(self, segment: Segment) -> None:
        with contextlib.suppress(OSError):
            self._disk.remove(segment.path)
            self._disk.remove(segment.marks)


def _entry(segment: Segment, record: Found) -> Entry:
    return Entry(segment, record.place, record.end - record.place, record.content.partition(b"\0")[0])


@contextlib.contextmanager
def claimed(directory: Path) -> Iterator[None]:
    """Holds `directory`, durably made where it is missing, for this process alone. Raises Taken."""
    new = [each for each in (directory, *directory.parents) if not each.exists()]
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for each in new:
        RealDisk().sync_directory(each.parent)
    file = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Taken(str(directory)) from None
        yield
    finally:
        os.close(file)
