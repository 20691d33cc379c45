"""Where an entry lies on disk, and what is to be done there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge.policy.entry import Entry
from edge.purge import Mark
from edge.store.marks import Distrust
from edge.store.record import Bodies, Ref

WHOLE = ""  # the name of the body as the origin sent it, beside those of encodings
TEMPLATE = "template"


class Shelf:
    """An entry's place on disk. `id` and `bodies` are not known before it has been written.

    `stamp` tells one version of its record from others, `generation` what its key's bucket was when it was
    read. `sent` names the encodings that are there or on their way.
    """

    __slots__ = ("bodies", "generation", "id", "sent", "stamp")

    def __init__(self, id: int | None = None, bodies: Bodies | None = None, stamp: int = 0) -> None:
        self.id = id
        self.bodies = bodies
        self.stamp = stamp
        self.generation = 0
        self.sent: set[str] = set() if bodies is None else set(bodies.encoded)


@dataclass(frozen=True, slots=True, eq=False)
class Put:
    """Keep `entry`; `data` holds what of its bodies is not there yet, by name. `then` is told when it is."""

    entry: Entry
    shelf: Shelf
    data: dict[str, bytes]
    then: Callable[[], None]


@dataclass(frozen=True, slots=True, eq=False)
class Drop:
    """Forget what lies there."""

    shelf: Shelf
    then: Callable[[], None]


@dataclass(frozen=True, slots=True, eq=False)
class Encode:
    """Keep an encoding beside the body."""

    shelf: Shelf
    coding: str
    data: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Keep:
    """Keep a piece of a body that is there in parts; `then` is told where it lies, None if it does not."""

    shelf: Shelf
    first: int
    data: bytes
    then: Callable[[Ref | None], None]


@dataclass(frozen=True, slots=True, eq=False)
class Strike:
    """Refuse what `mark` strikes, which came to the process `by`.

    `then` is told how many entries that were, and the purge's number, once it cannot be lost.
    """

    mark: Mark | Distrust
    by: int
    then: Callable[[int, int], None]


Job = Put | Drop | Encode | Keep | Strike


def size_of(job: Job) -> int:
    """Bytes that wait to be written."""
    match job:
        case Put(data=data):
            return sum(map(len, data.values()))
        case Encode(data=data) | Keep(data=data):
            return len(data)
        case _:
            return 0
