"""A body that passes by, cut into slices that are kept as soon as they are whole."""

from __future__ import annotations

from collections.abc import AsyncIterator

from edge.store.contract import Store
from edge.store.parts import Parts


class Cutting(AsyncIterator[bytes]):
    """`source`, the bytes of `parts` from `first` on. To be read to its end or closed.

    What has come of the last slice is kept when it ends, however it does. One slice at most is held here,
    within the room that the store has for bodies on their way in; a slice that finds none is not kept.
    """

    __slots__ = ("_at", "_held", "_lost", "_parts", "_size", "_source", "_store")

    def __init__(
        self, source: AsyncIterator[bytes], first: int, parts: Parts, store: Store, size: int
    ) -> None:
        self._source = source
        self._at = first
        self._parts = parts
        self._store = store
        self._size = size
        self._held: list[bytes] = []
        self._lost = False  # whether the slice under way has found no room

    async def __anext__(self) -> bytes:
        try:
            chunk = await anext(self._source)
        except BaseException:
            self._keep()
            raise
        rest = chunk
        while rest:
            room = self._size - self._at % self._size
            self._hold(rest[:room])
            rest = rest[room:]
            if self._at % self._size == 0:
                self._keep()
        return chunk

    async def aclose(self) -> None:
        """Want no more."""
        self._keep()
        aclose = getattr(self._source, "aclose", None)
        if aclose is not None:
            await aclose()

    def _hold(self, piece: bytes) -> None:
        self._at += len(piece)
        if not self._lost and self._store.reserve(len(piece)):
            self._held.append(piece)
        else:
            self._lost = True
            self._let_go()

    def _keep(self) -> None:
        self._lost = False
        data = self._let_go()
        if data:
            self._store.keep(self._parts, self._at - len(data), data)

    def _let_go(self) -> bytes:
        data = b"".join(self._held)
        self._held.clear()
        self._store.release(len(data))
        return data
