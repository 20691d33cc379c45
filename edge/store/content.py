"""An entry's body: as the origin sent it, beside it each encoding that was asked for."""

from __future__ import annotations

import asyncio

from edge.http.message import Line
from edge.policy.rules import Compression
from edge.store.fill import Fill


class Stored:
    """A body, whole (`identity`) or still arriving (`fill`).

    `encoded` holds each encoding made of it, empty bytes for one that is not worth having; `making` those
    being made. `lines` is what visitors see of the fields, per encoding, made once; `compressible` the
    verdict under the rules named with it.
    """

    __slots__ = ("compressible", "encoded", "fill", "identity", "lines", "making")

    def __init__(self, identity: bytes | None, fill: Fill | None = None) -> None:
        self.identity = identity
        self.fill = fill
        self.encoded: dict[str, bytes] = {}
        self.making: dict[str, asyncio.Future[bytes]] = {}
        self.lines: dict[str | None, tuple[Line, ...]] = {}
        self.compressible: tuple[Compression, bool] | None = None

    @property
    def size(self) -> int | None:
        return None if self.identity is None else len(self.identity)

    @property
    def weight(self) -> int:
        """Bytes of all bodies together."""
        return len(self.identity or b"") + sum(map(len, self.encoded.values()))

    def complete(self) -> None:
        """The fill is done and was kept: the body is whole."""
        assert self.fill is not None
        self.identity = self.fill.whole()
        self.fill = None

    def renewed(self) -> Stored:
        """The same bodies under fields that have changed."""
        other = Stored(self.identity, self.fill)
        other.encoded = self.encoded
        other.making = self.making
        return other
