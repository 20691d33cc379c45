"""What the pipeline asks of a store: entries by key, and purges that hold from the moment they are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from edge.policy.entry import Entry
from edge.purge import Mark, Weight
from edge.store.eviction import Slot
from edge.store.leases import Leases
from edge.store.memory import MemoryStore
from edge.store.parts import Parts
from edge.store.sweeping import OnMark, Sweep


class Store(Protocol):
    """The node's store, as one of its workers sees it.

    Looking up is done at once. What an entry's head is known of may lie on disk: `recall` brings its body.
    """

    max_object: int  # bytes of a body that may be kept whole in memory

    largest: int  # bytes of a body that may be kept at all, in parts if it is not kept whole
    on_mark: OnMark | None  # is told of purges that other workers heard of first

    @property
    def front(self) -> MemoryStore:
        """What of it is in this worker's memory."""
        ...

    @property
    def leases(self) -> Leases | None:
        """Who of the node's workers fetches what, if there are several."""
        ...

    @property
    def number(self) -> int:
        """That of the last purge that was heard of, the node's other workers' included."""
        ...

    def get(self, key: str) -> Sequence[Entry]:
        """All variants stored under `key`, less those that a purge has struck."""
        ...

    async def recall(self, entry: Entry) -> bool:
        """Bring `entry`'s body to hand; False if it is lost, and the entry with it."""
        ...

    def use(self, entry: Entry) -> None:
        """Note a hit, for eviction."""
        ...

    def noted(self, entry: Entry) -> tuple[int, int]:
        """The bucket of `entry`'s key, and the generation under which it was read."""
        ...

    def slot(self, entry: Entry) -> Slot | None:
        """`entry`'s place in memory, while it is there."""
        ...

    def put(self, entry: Entry) -> bool:
        """Keep `entry` in place of the variant that answers the same requests; False if there is no room."""
        ...

    def swap(self, old: Entry, new: Entry) -> bool:
        """Put `new` in `old`'s place; False if `old` is gone."""
        ...

    def drop(self, entry: Entry) -> None:
        """Forget `entry`, if it is stored."""
        ...

    def keep(self, parts: Parts, first: int, data: bytes) -> bool:
        """Keep `data`, the bytes of `parts` from `first` on; False if it may not be."""
        ...

    def reweigh(self, entry: Entry) -> None:
        """`entry`'s content has grown by an encoding."""
        ...

    def reserve(self, size: int) -> bool:
        """Make room for `size` bytes of a body on its way in; False if too much is on its way already."""
        ...

    def release(self, size: int) -> None:
        """Give back what was reserved."""
        ...

    def strike(self, mark: Mark, now: float) -> Sweep:
        """Refuse what `mark` strikes from this moment on; `now` is monotonic.

        The sweep, step by step, gives its space back, and `hold` waits until a crash can't undo it.
        """
        ...

    async def distrust(self) -> None:
        """What is stored must be revalidated before its next use."""
        ...

    async def weigh(self, mark: Mark) -> Weight:
        """What `mark` would strike."""
        ...

    def knows_site(self, site: str) -> bool:
        """Whether anything of `site` is stored."""
        ...

    def unlike(self, sites: Mapping[str, str]) -> frozenset[str]:
        """The sites that the store knows as others than `sites`, all that there are, says by name."""
        ...

    def know(self, sites: Mapping[str, str]) -> None:
        """Know them so from now on."""
        ...

    @property
    def lasts(self) -> bool:
        """Whether what is stored outlives the process."""
        ...

    def close(self) -> None:
        """Write what waits to be written, and end."""
        ...

    def where(self, entry: Entry) -> str:
        """Where `entry` lies, in a word or two."""
        ...
