"""A stored body: as the origin sent it, and beside it each encoding that was asked for."""

from __future__ import annotations

from edge.http.message import Line


class Stored:
    """A whole body. Encodings are made once and kept; so is, for each, what visitors see of the fields."""

    __slots__ = ("encoded", "identity", "lines")

    def __init__(self, identity: bytes) -> None:
        self.identity = identity
        self.encoded: dict[str, bytes] = {}
        self.lines: dict[str | None, tuple[Line, ...]] = {}

    @property
    def size(self) -> int:
        return len(self.identity)

    @property
    def weight(self) -> int:
        """Bytes of all bodies together."""
        return len(self.identity) + sum(map(len, self.encoded.values()))
