"""Bodies as files, 4096 directories of them: written once, under a name that nobody knows yet.

A file counts only once the index names it, so it needs no second name to be renamed from. One that no index
names (its process died before it could tell) is swept up later.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from zlib import crc32

from edge.store.lent import LENT, READ, Held
from edge.store.record import Bodies, Broken, Ref

FILE = 1 << 63  # numbers of files have this bit, those of bodies in the index have not
DIRECTORIES = 4096
BLOCK = 4096
INODE = 512  # bytes that a file takes beside its blocks
YOUNG = 3600.0  # seconds in which a file may still be waiting for its place in the index
OPEN = 256  # files that are kept open
CHECKED = 65_536  # files that are known to be what was written
NEAR = 1.0  # seconds for which what was used stays in the page cache, surely enough
STRIDE = 128 * 1024  # bytes between those of which the kernel is asked whether they are in the page cache
NO_WAIT: int = getattr(os, "RWF_NOWAIT", 0)


def is_file(number: int) -> bool:
    """Whether `number` names a file."""
    return bool(number & FILE)


def is_lent(ref: Ref) -> bool:
    """Whether what lies at `ref` is lent from its file."""
    return is_file(ref.number) and ref.size > LENT


def taken(size: int) -> int:
    """The bytes that a file of `size` takes."""
    return -(-size // BLOCK) * BLOCK + INODE


class _Open:
    """An open file, closed with the last who holds bytes of it."""

    __slots__ = ("_descriptor", "_used")

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._used: dict[int, float] = {}  # when the bytes from there on were last known to be near

    def near(self, first: int, size: int) -> bool:
        """Whether the page cache has these bytes. Where the system can't tell, it is taken to have them."""
        now = monotonic()
        if now - self._used.get(first, -NEAR) >= NEAR:
            try:
                for at in range(first, first + size, STRIDE):
                    if NO_WAIT and not os.preadv(self._descriptor, [bytearray(1)], at, NO_WAIT):
                        break
            except BlockingIOError:
                return False
            except OSError:
                pass
            if len(self._used) > CHECKED // OPEN:
                self._used.clear()
        self._used[first] = now
        return True

    def __del__(self) -> None:
        os.close(self._descriptor)


class Filed:
    """A body in a file of its own."""

    __slots__ = ("_files", "ref")

    def __init__(self, files: BodyFiles, ref: Ref) -> None:
        self._files = files
        self.ref = ref

    def __len__(self) -> int:
        return self.ref.size

    def ready(self) -> Held | None:
        """Its bytes, if they have been checked and the file can be opened (edge.store.lent.Lent)."""
        return self._files.held(self.ref)

    def read(self) -> bytes:
        """All of it. Raises Broken, OSError, Cut."""
        return self._files.bring(self.ref).read()


class BodyFiles:
    """The files below `root`. From any thread."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._open: dict[int, Held] = {}
        self._checked: dict[int, None] = {}
        self._changing = threading.Lock()

    def write(self, data: bytes, first: int = 0) -> Ref:
        """Write `data` to a file of its own. Raises OSError; nothing is left behind then."""
        number = secrets.randbits(63) | FILE
        path = self.path(number)
        try:
            descriptor = self._create(path)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = self._create(path)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except OSError:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        self._known_good(number)
        return Ref(number, len(data), crc32(data), first)

    def read(self, ref: Ref) -> bytes:
        """The body that `ref` names, if it is what was written. Raises Broken, OSError."""
        descriptor = os.open(self.path(ref.number), os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = os.read(descriptor, ref.size + 1)
            while 0 < len(data) < ref.size and (more := os.read(descriptor, ref.size - len(data))):
                data += more
        finally:
            os.close(descriptor)
        if len(data) != ref.size or crc32(data) != ref.crc:
            raise Broken("the body is not what was written")
        return data

    def held(self, ref: Ref) -> Held | None:
        """The body that `ref` names, if it was checked and its file can be opened; at once."""
        held = self._open.get(ref.number)
        if held is None and ref.number in self._checked:
            with contextlib.suppress(OSError, Broken):
                held = self._opened(ref)
                self._keep_open(ref.number, held)
        return held

    def bring(self, ref: Ref) -> Held:
        """The same, checked now if it was not before. Takes its time. Raises Broken, OSError."""
        held = self.held(ref)
        if held is not None:
            return held
        held, crc = self._opened(ref), 0
        for at in range(0, ref.size, READ):
            crc = crc32(held.read(at, min(READ, ref.size - at)), crc)
        if crc != ref.crc:
            raise Broken("the body is not what was written")
        self._known_good(ref.number)
        self._keep_open(ref.number, held)
        return held

    def makes_wait(self, bodies: Bodies) -> bool:
        """Whether one of `bodies` is a file that is not open, so that a disk may have to bring it."""
        return any(is_file(ref.number) and self.held(ref) is None for ref in bodies.refs())

    def _opened(self, ref: Ref) -> Held:
        descriptor = os.open(self.path(ref.number), os.O_RDONLY | os.O_CLOEXEC)
        held = Held(_Open(descriptor), descriptor, 0, ref.size)
        if os.fstat(descriptor).st_size != ref.size:
            raise Broken("the body is not what was written")
        return held

    def _keep_open(self, number: int, held: Held) -> None:
        with self._changing:
            self._open[number] = held
            if len(self._open) > OPEN:
                del self._open[next(iter(self._open))]

    def _known_good(self, number: int) -> None:
        with self._changing:
            self._checked[number] = None
            if len(self._checked) > CHECKED:
                del self._checked[next(iter(self._checked))]

    def remove(self, number: int) -> None:
        """Remove a file, if it is there."""
        with self._changing:
            self._open.pop(number, None)
            self._checked.pop(number, None)
        with contextlib.suppress(OSError):  # it is swept up once that can be done
            self.path(number).unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove all of them."""
        shutil.rmtree(self.root, ignore_errors=True)

    def path(self, number: int) -> Path:
        """Where the file of that number lies."""
        return self.root / f"{number % DIRECTORIES:03x}" / f"{number:016x}"

    def sweep(self, directory: int, now: float, knows: Callable[[int], bool]) -> int:
        """Remove what nobody `knows` from one of the directories; how many that were. Raises OSError.

        `now` is the wall clock's.
        """
        gone = 0
        try:
            found = list(os.scandir(self.root / f"{directory:03x}"))
        except FileNotFoundError:
            return 0
        for each in found:
            try:
                number = int(each.name, 16)
                old = now - each.stat().st_mtime > YOUNG
            except (ValueError, FileNotFoundError):
                continue
            if old and not knows(number):
                self.remove(number)
                gone += 1
        return gone

    @staticmethod
    def _create(path: Path) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
