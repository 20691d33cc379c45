"""The store on disk: an index (edge.store.catalogue) and bodies, that several processes use at once.

Looking up is done at once; what is written waits for a thread that writes many things in one go. A fill that
a crash swallows costs another fetch; a purge is on the disk before anybody is told that it holds. Whatever
fails here is counted, and is as if nothing were stored.
"""

from __future__ import annotations

import logging
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping

import lmdb
import msgspec

from edge.purge import Mark
from edge.store.bodyfiles import DIRECTORIES, BodyFiles
from edge.store.catalogue import Catalogue, Found, Sweep, Totals
from edge.store.fill import Cut
from edge.store.generations import STRUCK, Generations, bucket_of
from edge.store.leases import Leases
from edge.store.lent import Held
from edge.store.marks import Came
from edge.store.place import Place
from edge.store.reading import Reading
from edge.store.record import Broken, Clocks, Gone, Ref
from edge.store.revision import Revision
from edge.store.seats import Seats
from edge.store.shelf import Drop, Job, Shelf, Strike, size_of
from edge.store.shelving import Loaded
from edge.store.writing import Writing

logger = logging.getLogger("tepi.edge")

WAITING = 64 * 2**20  # bytes that wait to be written; fills beyond that are not kept
BATCH = 256  # jobs that are written in one go
LINGER = 0.02  # seconds that fills wait for each other
STEP = 500  # entries that are swept, or evicted, in one go
IDLE = 1.0  # seconds between looks after what is left to do
AGAIN = 3600.0  # seconds after which an error of the same kind is logged once more
PAUSE = 5.0  # seconds without fills after the disk was full

FAILURES = (OSError, lmdb.Error, Broken, Cut, msgspec.MsgspecError, struct.error)


class Disk:
    """The store in `place`. Raises OSError and lmdb.Error where it can't be used at all."""

    def __init__(self, place: Place, clocks: Clocks) -> None:
        self.place = place
        self.clocks = clocks
        self.errors: Counter[str] = Counter()
        self.evictions = 0
        self._logged: dict[str, float] = {}
        place.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.seats = Seats(place.directory / "seats", place.size, place.pull)
        self.generations = Generations(place.directory / "generations") if place.shared else None
        self.leases = Leases(place.directory / "leases") if place.shared else None
        self.files = BodyFiles(place.directory / "bodies")
        self._catalogue = self._opened()
        self._reading = Reading(self.files, lambda: self._catalogue)
        self._number = self._catalogue.totals().number  # that of the last purge, as far as is known here
        self._jobs: deque[Job] = deque()
        self._waiting = 0
        self._busy = self._urgent = self._ending = False
        self._quiet_until = 0.0
        self._swept = 0  # the directory of bodies that was swept last
        self._sweep: tuple[Sweep, list[int]] | None = None
        self._woken = threading.Condition()
        self._moving = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="disk-store", daemon=True)
        self._thread.start()

    # Looking up ---------------------------------------------------------------------------------

    def find(self, key: str) -> list[Found]:
        """All variants under `key` that no purge has struck."""
        try:
            return self._catalogue.find(key, self._broken)
        except FAILURES as error:
            self._failed("index", error)
            return []

    def load(self, shelf: Shelf) -> Loaded | None:
        """The bodies of what lies at `shelf`, read and checked; None if they can't be had. Takes its time."""
        assert shelf.bodies is not None
        try:
            loaded = self._reading.all_of(shelf.bodies)
        except FAILURES as error:
            self._unread(error)
            return None
        if shelf.id is not None:
            self.seats.note(shelf.id)
        return loaded

    def piece(self, ref: Ref) -> bytes | Held | None:
        """One piece of a body, checked; None if it can't be had. Takes its time."""
        try:
            return self._reading.piece(ref)
        except FAILURES as error:
            self._unread(error)
            return None

    def _unread(self, error: BaseException) -> None:
        if not isinstance(error, Gone):
            self._failed("body" if isinstance(error, Broken) else "read", error)

    @property
    def number(self) -> int:
        """That of the last purge."""
        return self.totals().number

    def totals(self) -> Totals:
        """What all that is held comes to."""
        try:
            return self._catalogue.totals()
        except FAILURES as error:
            self._failed("index", error)
            return Totals()

    def knows_site(self, site: str) -> bool:
        """Whether anything of `site` is held."""
        try:
            return self._catalogue.knows_site(site)
        except FAILURES as error:
            self._failed("index", error)
            return False

    def unlike(self, sites: Mapping[str, str]) -> frozenset[str]:
        """The sites that were others, or none, when what is held was stored, than `sites` says by name."""
        try:
            known = self._catalogue.known()
        except FAILURES as error:
            self._failed("index", error)
            return frozenset(sites)
        return frozenset(name for name, text in known.items() if sites.get(name) != text)

    def know(self, sites: Mapping[str, str]) -> None:
        """What is held is of these sites."""
        try:
            if self._catalogue.known() != sites:
                with Revision(self._catalogue, self.seats) as revision:
                    revision.know(sites)
        except FAILURES as error:
            self._full(error)

    def weigh(self, mark: Mark) -> tuple[int, int]:
        """How many entries `mark` would strike, and their bytes. Takes its time."""
        catalogue, entries, size = self._catalogue, 0, 0
        try:
            with catalogue.begin() as txn:
                for id in catalogue.struck_by(txn, mark):
                    weight = catalogue.weight(txn, id)
                    entries, size = entries + (weight > 0), size + weight
        except FAILURES as error:
            self._failed("index", error)
        return entries, size

    def marks_since(self, number: int) -> list[tuple[int, Came]]:
        """The purges after `number`, in order."""
        catalogue = self._catalogue
        try:
            with catalogue.begin() as txn:
                return list(catalogue.marks_since(txn, number))
        except FAILURES as error:
            self._failed("index", error)
            return []

    # Writing ------------------------------------------------------------------------------------

    def submit(self, job: Job) -> bool:
        """Have `job` done soon; False if too much is waiting, or the disk has just been full."""
        size = size_of(job)
        with self._woken:
            if size and (self._waiting + size > WAITING or time.monotonic() < self._quiet_until):
                return False
            self._waiting += size
            self._jobs.append(job)
            self._urgent = self._urgent or isinstance(job, Strike)
            self._woken.notify_all()
        return True

    def settle(self) -> None:
        """Wait until all that was submitted has been dealt with."""
        with self._woken:
            self._woken.wait_for(lambda: not self._jobs and not self._busy)

    def close(self) -> None:
        """Write what is waiting, and end."""
        with self._woken:
            self._ending = True
            self._woken.notify_all()
        self._thread.join()
        self._catalogue.env.close()
        if self.leases is not None:
            self.leases.close()
        self.seats.close()

    def _work(self) -> None:
        pause = LINGER
        while True:
            batch = self._next_batch(pause)
            if batch is None:
                return
            began = time.monotonic()
            try:
                if batch:
                    self._write(batch)
                self._look_after()
            except Exception:
                logger.exception("the disk store failed unexpectedly")
            pause = max(LINGER, min(1.0, time.monotonic() - began))
            with self._woken:
                self._busy = False
                self._woken.notify_all()

    def _next_batch(self, pause: float) -> list[Job] | None:
        """The jobs to do next, none of them if it is time to look after things; None at the end."""
        with self._woken:
            if not self._woken.wait_for(lambda: self._jobs or self._ending, IDLE):
                return []
            if not self._ending and not self._urgent:
                self._woken.wait_for(lambda: self._urgent or self._ending or len(self._jobs) >= BATCH, pause)
            if not self._jobs:
                return None
            batch = [self._jobs.popleft() for _ in range(min(BATCH, len(self._jobs)))]
            self._waiting -= sum(map(size_of, batch))
            self._urgent = any(isinstance(job, Strike) for job in self._jobs)
            self._busy = True
            return batch

    def _write(self, batch: list[Job]) -> None:
        """Do `batch` in one go. What fails is given up, but for purges: they hold, whatever it takes."""
        writing = self._writing()
        for job in batch:
            try:
                writing.prepare(job)
            except FAILURES as error:
                self._full(error)
        coming = writing.size
        try:
            with Revision(self._catalogue, self.seats) as revision:
                self._make_room(revision, coming)
                for job in batch:
                    writing.carry_out(revision, job)
        except FAILURES as error:
            self._full(error)
            writing.undo()
            self._insist([job for job in batch if isinstance(job, Strike)])
            for job in batch:
                writing.give_up(job)
            return
        self._done(revision, writing, struck=any(isinstance(job, Strike) for job in batch))

    def _writing(self) -> Writing:
        return Writing(self.files, self.clocks, self._catalogue.holds, self.place.inline)

    def _make_room(self, revision: Revision, coming: int) -> None:
        place = self.place
        if revision.totals.bytes + coming > place.size:
            goal = max(0, int(place.size * place.low) - coming)
            revision.make_room(goal, STEP * 8)

    def _done(self, revision: Revision, writing: Writing, *, struck: bool) -> None:
        if struck and self.place.synced:
            self._catalogue.env.sync(True)
        outcome = revision.outcome
        self._number = revision.totals.number
        self.evictions += outcome.evicted
        for number in outcome.files:
            self.files.remove(number)
        if self.generations is not None:
            for key in outcome.keys:
                self.generations.bump(bucket_of(key))
            if struck:
                self.generations.bump(STRUCK)
        writing.tell()

    def _insist(self, strikes: list[Strike]) -> None:
        """Carry out purges though the index could not be written: at last by throwing it away."""
        if not strikes:
            return
        writing = self._writing()
        try:
            with Revision(self._catalogue, self.seats) as revision:
                for job in strikes:
                    writing.carry_out(revision, job)
            self._done(revision, writing, struck=True)
        except FAILURES:
            self.void("a purge could not be written")
            for job in strikes:
                job.then(0, self.number)

    @property
    def serial(self) -> int:
        """Changes when the index is thrown away."""
        return self._catalogue.serial

    def follow(self) -> int:
        """Open the newest index, if another process has thrown away the one that is open; its serial."""
        with self._moving:
            try:
                if not self._catalogue.is_in_place():
                    self._replace(self._opened(after=self._catalogue.serial))
            except FAILURES as error:
                self._failed("index", error)
        return self._catalogue.serial

    def _replace(self, catalogue: Catalogue) -> None:
        """Use `catalogue`, which is new: whatever began before it is refused."""
        with Revision(catalogue, self.seats) as revision:
            revision.begin_at(self._number + 1)
        self._catalogue, self._sweep = catalogue, None

    # Errors -------------------------------------------------------------------------------------

    def void(self, why: str) -> None:
        """Begin anew, with nothing."""
        logger.error("the disk store in %s begins anew: %s", self.place.directory, why)
        with self._moving:
            try:
                self._replace(self._opened(after=self._catalogue.serial))
            except FAILURES as error:
                self._failed("write", error)
                self.files.clear()  # none of them counts any more, and a full disk has room for an index then
                self._replace(self._opened(after=self._catalogue.serial))
        if self.generations is not None:
            self.generations.bump(STRUCK)

    def _opened(self, after: int = 0) -> Catalogue:
        place = self.place
        room = place.size + place.size // 4 + 64 * 2**20
        return Catalogue(place.directory, room, synced=place.synced, after=after)

    def _broken(self, id: int) -> None:
        self._failed("index", Broken(f"the record of entry {id} is not what was written"))
        self.submit(Drop(Shelf(id), lambda: None))

    def _full(self, error: BaseException) -> None:
        self._failed("write", error)
        self._quiet_until = time.monotonic() + PAUSE

    def _failed(self, kind: str, error: BaseException) -> None:
        """Count an error, and log the first of its kind."""
        self.errors[kind] += 1
        now = time.monotonic()
        if now - self._logged.get(kind, -AGAIN) >= AGAIN:
            self._logged[kind] = now
            logger.error("the disk store in %s (%s): %s", self.place.directory, kind, error or repr(error))

    # Looking after ------------------------------------------------------------------------------

    def _look_after(self) -> None:
        """A step of what can wait: purges to carry out, room to make, files that nobody knows."""
        try:
            if not self._catalogue.is_in_place():
                self._failed("gone", OSError("the directory was taken away"))
                self.follow()
            self._sweep = self._sweep or self._catalogue.sweep()
            if self._sweep is not None:
                self._sweep_some(*self._sweep)
            elif not self._jobs:
                self._swept = (self._swept + 1) % DIRECTORIES
                self.files.sweep(self._swept, self.clocks.wall(), self._catalogue.knows_file)
        except FAILURES as error:
            self._failed("index", error)

    def _sweep_some(self, sweep: Sweep, ids: list[int]) -> None:
        some, rest = ids[:STEP], ids[STEP:]
        with Revision(self._catalogue, self.seats) as revision:
            revision.carry_out(sweep, some)
            if not rest:
                revision.carried_out(sweep)
        self._sweep = (sweep, rest) if rest else None
        self._done(revision, self._writing(), struck=False)
