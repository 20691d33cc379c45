"""Bodies from where they lie on disk: in the index, or in files of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from edge.store.bodyfiles import BodyFiles, Filed, is_file, is_lent
from edge.store.catalogue import Catalogue
from edge.store.lent import Held, Lent
from edge.store.record import Bodies, Broken, Gone, Ref, template_of
from edge.store.shelving import Loaded

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reading:
    """Reads, and checks, what the index of the moment names. Takes its time.

    Raises Broken, OSError and lmdb.Error where it can't be read, and Gone where another worker has let it go
    since it was looked up.
    """

    files: BodyFiles
    catalogue: Callable[[], Catalogue]

    def all_of(self, bodies: Bodies) -> Loaded:
        """All that belongs to one entry."""
        whole = None if bodies.whole is None else self._whole(bodies.whole)
        template = None if bodies.template is None else template_of(self.read(bodies.template))
        return Loaded(whole, template, {coding: self.read(ref) for coding, ref in bodies.encoded.items()})

    def piece(self, ref: Ref) -> bytes | Held:
        """One piece of a body."""
        return self._file(ref, self.files.bring) if is_lent(ref) else self.read(ref)

    def read(self, ref: Ref) -> bytes:
        """The bytes at `ref`."""
        if is_file(ref.number):
            return self._file(ref, self.files.read)
        data = self.catalogue().body(ref.number) if ref.size else b""
        if len(data) != ref.size:
            raise Broken("the body is not what was written")
        return data

    def _whole(self, ref: Ref) -> bytes | Lent:
        if not is_lent(ref):
            return self.read(ref)
        self._file(ref, self.files.bring)
        return Filed(self.files, ref)

    def _file(self, ref: Ref, read: Callable[[Ref], T]) -> T:
        try:
            return read(ref)
        except FileNotFoundError as error:
            if self.catalogue().knows_file(ref.number):
                raise
            raise Gone("the index does not name it any more") from error
