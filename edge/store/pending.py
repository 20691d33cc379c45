"""What waits to be written to disk, as if it were there."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

from edge.policy.entry import Entry
from edge.purge import Mark
from edge.store.generations import Generations, bucket_of
from edge.store.leases import Leases
from edge.store.shelf import Shelf


class Pending:
    """Entries put and dropped by key, in order, until the disk's writer has dealt with them.

    The writer tells so from another thread; it is heard when somebody looks. Other workers that share the
    store know by `generations` that something waits, and by `leases` where.
    """

    __slots__ = ("_by_key", "_generations", "_heard", "_leases")

    def __init__(self, generations: Generations | None, leases: Leases | None) -> None:
        self._generations = generations
        self._leases = leases
        self._by_key: dict[str, list[tuple[Shelf, Entry | None]]] = {}
        self._heard: deque[Callable[[], object]] = deque()

    def add(self, key: str, shelf: Shelf, entry: Entry | None) -> None:
        """`entry` is on its way to `shelf`, or, without one, what lies there is on its way out."""
        self._by_key.setdefault(key, []).append((shelf, entry))

    def settled(self, key: str, shelf: Shelf, entry: Entry | None) -> Callable[[], None]:
        """What is to be called when that has been dealt with, or can't be. From any thread."""
        tell = partial(self._heard.append, partial(self._settle, key, shelf, entry))
        generations, leases = self._generations, self._leases
        if generations is None or leases is None:
            return tell
        bucket = bucket_of(key)
        generations.announce(bucket)
        leased = leases.take(key) is None

        def settle() -> None:
            tell()
            if generations.is_announced(bucket):
                generations.bump(bucket)
            if leased:
                leases.give_back(key)

        return settle

    def later(self, work: Callable[[], object]) -> None:
        """Have `work` done by who looks next. From any thread."""
        self._heard.append(work)

    def under(self, key: str) -> tuple[list[Entry], set[Shelf]]:
        """What will be there under `key`, and all shelves that are spoken of."""
        self.listen()
        events = self._by_key.get(key)
        if events is None:
            return [], set()
        coming: dict[object, Entry] = {}
        for shelf, entry in events:
            for chosen, before in tuple(coming.items()):
                if getattr(before.content, "shelf", None) is shelf:
                    del coming[chosen]
            if entry is not None:
                coming.pop(entry.selection, None)
                coming[entry.selection] = entry
        return list(coming.values()), {shelf for shelf, _ in events}

    def strike(self, mark: Mark) -> None:
        """What `mark` strikes will not be there."""
        for key, events in self._by_key.items():
            self._by_key[key] = [
                (shelf, None if entry is not None and mark.strikes(entry) else entry)
                for shelf, entry in events
            ]

    def listen(self) -> None:
        """Hear what the writer has told."""
        while self._heard:
            self._heard.popleft()()

    def _settle(self, key: str, shelf: Shelf, entry: Entry | None) -> None:
        events = self._by_key.get(key, [])
        for at, (where, what) in enumerate(events):
            if where is shelf and (what is entry or what is None):
                del events[at]
                break
        if not events:
            self._by_key.pop(key, None)
