"""What a batch of jobs writes: bodies to files before the index is changed, then the index."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

import msgspec

from edge.store.bodyfiles import BodyFiles, is_file, taken
from edge.store.catalogue import kept_bytes
from edge.store.content import Stored
from edge.store.parts import Parts
from edge.store.record import Bodies, Clocks, Ref, record_of
from edge.store.revision import Revision
from edge.store.shelf import TEMPLATE, WHOLE, Drop, Encode, Job, Keep, Put, Shelf, Strike

RECORD = 2048  # bytes that an entry takes beside its bodies, about


class Writing:
    """One batch on its way to the disk. `holds` tells whether an entry is there already; bodies of up to
    `inline` bytes are kept in the index."""

    def __init__(self, files: BodyFiles, clocks: Clocks, holds: Callable[[int], bool], inline: int) -> None:
        self._files = files
        self._inline = inline
        self._clocks = clocks
        self._holds = holds
        self._refs: dict[Job, dict[str, Ref]] = {}
        self._lost: set[Job] = set()
        self._ids: dict[Shelf, int | None] = {}  # of what this batch adds
        self._told: list[Callable[[], object]] = []
        self.size = 0  # bytes that it takes, about

    def prepare(self, job: Job) -> None:
        """Write the files that `job` needs. Raises OSError, and `job` is given up then."""
        if isinstance(job, Put) and job.shelf.id is not None and self._holds(job.shelf.id):
            data = {name: body for name, body in job.data.items() if name not in (WHOLE, TEMPLATE)}
        else:
            data = _data(job)
        refs = self._refs[job] = {}
        self.size += RECORD * isinstance(job, Put)
        try:
            for name, body in data.items():
                if not body:
                    refs[name] = Ref(0, 0, 0)
                elif len(body) > self._inline:
                    refs[name] = self._files.write(body, job.first if isinstance(job, Keep) else 0)
                    self.size += taken(len(body))
                else:
                    self.size += kept_bytes(len(body))
        except OSError:
            self._lost.add(job)
            self._remove(refs)
            raise

    def carry_out(self, revision: Revision, job: Job) -> None:
        """Change the index. Raises lmdb.Error."""
        if job in self._lost:
            self._told.append(lambda: self.give_up(job))
            return
        match job:
            case Put(then=then):
                self._put(revision, job)
                self._told.append(then)
            case Drop(shelf, then):
                id = self._id(shelf)
                if id is not None:
                    revision.drop(id)
                self._told.append(then)
            case Encode(coding=coding, data=data):
                self._encode(revision, job, coding, data)
            case Keep():
                self._keep(revision, job)
            case Strike(mark, by, told):
                count = revision.strike(mark, self._clocks.wall(), by)
                number = revision.totals.number
                self._told.append(lambda: told(count, number))
            case _:
                assert_never(job)

    def tell(self) -> None:
        """It holds: tell all who asked to be told."""
        for told in self._told:
            told()

    def undo(self) -> None:
        """Nothing of it came into the index: remove its files."""
        for refs in self._refs.values():
            self._remove(refs)

    def give_up(self, job: Job) -> None:
        """`job` is not done: tell who waits for its end."""
        if isinstance(job, Put | Drop):
            job.then()
        elif isinstance(job, Keep):
            job.then(None)

    def _put(self, revision: Revision, job: Put) -> None:
        shelf, content = job.shelf, job.entry.content
        assert isinstance(content, Stored | Parts)
        id, refs = self._id(shelf), self._placed(revision, job)
        before = None if id is None else revision.record(id)
        if id is not None and before is not None:
            bodies = msgspec.structs.replace(before.bodies, encoded={**before.bodies.encoded, **refs})
            kept = revision.replace(id, record_of(job.entry, bodies, self._clocks))
        elif WHOLE in refs or TEMPLATE in refs or isinstance(content, Parts):
            bodies = _bodies(content, refs)
            id = revision.add(record_of(job.entry, bodies, self._clocks))
            kept = id is not None
        else:
            kept = False
        if not kept or id is None:
            revision.forget_bodies(ref.number for ref in refs.values() if ref.size)
            self._ids[shelf] = None
            return
        self._ids[shelf] = id
        self._changed(revision, shelf, id, bodies)

    def _encode(self, revision: Revision, job: Encode, coding: str, data: bytes) -> None:
        id = self._id(job.shelf)
        before = None if id is None else revision.record(id)
        if id is None or before is None or coding in before.bodies.encoded:
            self._forget(revision, job)
            return
        refs = self._placed(revision, job)
        bodies = msgspec.structs.replace(before.bodies, encoded={**before.bodies.encoded, **refs})
        if revision.replace(id, msgspec.structs.replace(before, bodies=bodies)):
            self._changed(revision, job.shelf, id, bodies)

    def _keep(self, revision: Revision, job: Keep) -> None:
        id = self._id(job.shelf)
        before = None if id is None else revision.record(id)
        parts = None if before is None else before.bodies.parts
        end = job.first + len(job.data)
        overlaps = any(ref.first < end and job.first < ref.first + ref.size for ref in parts or ())
        if (
            id is None or before is None or parts is None or overlaps
        ):  # it is gone, or another worker's is there
            self._forget(revision, job)
            self._told.append(lambda: job.then(None))
            return
        ref = self._placed(revision, job)[WHOLE]
        bodies = msgspec.structs.replace(before.bodies, parts=(*parts, ref))
        if revision.replace(id, msgspec.structs.replace(before, bodies=bodies)):
            self._changed(revision, job.shelf, id, bodies)
            self._told.append(lambda: job.then(ref))
        else:
            self._told.append(lambda: job.then(None))

    def _id(self, shelf: Shelf) -> int | None:
        return self._ids.get(shelf, shelf.id)

    def _placed(self, revision: Revision, job: Job) -> dict[str, Ref]:
        """Where the bodies of `job` lie: in files by now, or in the index from now on."""
        refs = self._refs[job]
        for name, body in _data(job).items():
            if name not in refs and 0 < len(body) <= self._inline and self._wants(job, name):
                refs[name] = revision.keep_body(body, job.first if isinstance(job, Keep) else 0)
        return refs

    def _wants(self, job: Job, name: str) -> bool:
        """Whether a body is still to be written: not that of an entry which is there."""
        return not isinstance(job, Put) or self._id(job.shelf) is None or name not in (WHOLE, TEMPLATE)

    def _changed(self, revision: Revision, shelf: Shelf, id: int, bodies: Bodies) -> None:
        stamp = revision.stamps[id]

        def known() -> None:
            shelf.id, shelf.bodies, shelf.stamp = id, bodies, stamp

        self._told.append(known)

    def _forget(self, revision: Revision, job: Job) -> None:
        revision.forget_bodies(ref.number for ref in self._refs[job].values() if ref.size)

    def _remove(self, refs: dict[str, Ref]) -> None:
        for ref in refs.values():
            if is_file(ref.number):
                self._files.remove(ref.number)


def _data(job: Job) -> dict[str, bytes]:
    match job:
        case Put(data=data):
            return data
        case Encode(coding=coding, data=body):
            return {coding: body}
        case Keep(data=body):
            return {WHOLE: body}
        case Drop() | Strike():
            return {}
        case _:
            assert_never(job)


def _bodies(content: Stored | Parts, refs: dict[str, Ref]) -> Bodies:
    if isinstance(content, Parts):
        return Bodies(parts=(), size=content.size, sliced=content.sliced, completable=content.completable)
    encoded = {name: ref for name, ref in refs.items() if name not in (WHOLE, TEMPLATE)}
    return Bodies(refs.get(WHOLE), refs.get(TEMPLATE), size=content.size or 0, encoded=encoded)
