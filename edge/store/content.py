"""An entry's body: as the origin sent it, beside it each encoding that was asked for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from edge.http.message import Line
from edge.http.ranges import Part
from edge.policy.rules import Compression
from edge.store.fill import AHEAD, Fill
from edge.store.lent import LENT, Arena, Held, Lent
from edge.transform.template import Template, Unread

if TYPE_CHECKING:
    from edge.store.shelf import Shelf


class Stored:
    """A body, whole (`identity`), still arriving (`fill`), or in pieces (`template`, without identity).

    One that is none of these lies on disk alone, at its `shelf`, from where it is to be recalled first; so is
    one that is lent and not ready. Large ones are lent.

    A body with an `Unread` template is taken apart once it is whole; who follows it before does so himself.

    `encoded` holds each encoding made of it, empty bytes for one that is not worth having; `quick` those that
    were made in haste for the first who asked, `making` those being made. `lines` is what visitors see of the
    fields, per encoding, made once; `compressible` the verdict under the rules named with it.
    """

    __slots__ = (
        "compressible",
        "encoded",
        "fill",
        "identity",
        "lines",
        "making",
        "quick",
        "recalling",
        "shelf",
        "template",
    )

    def __init__(
        self,
        identity: bytes | Lent | None,
        fill: Fill | None = None,
        template: Template | Unread | None = None,
    ) -> None:
        self.identity = identity
        self.fill = fill
        self.template = template
        self.shelf: Shelf | None = None
        self.recalling: asyncio.Future[bool] | None = None
        self.encoded: dict[str, bytes] = {}
        self.quick: dict[str, bytes] | None = None
        self.making: dict[str, asyncio.Future[bytes]] = {}
        self.lines: dict[str | None, tuple[Line, ...]] = {}
        self.compressible: tuple[Compression, bool] | None = None
        if identity is not None:
            self._take_apart()

    sliced = False
    completable = False  # the parts of one that is not kept whole are entries of their own

    @property
    def partial(self) -> bool:
        """Whether the body is passing by, so that only what comes next can be had."""
        return self.fill is not None and not self.fill.keeping

    @property
    def whole(self) -> bool:
        """Whether the body is all there."""
        return self.fill is None

    @property
    def settled(self) -> bool:
        """Whether nothing is under way with it."""
        return self.fill is None and not self.making and self.recalling is None

    @property
    def at_hand(self) -> bool:
        """Whether it can be read at once, as far as it has come."""
        body = self.identity
        if body is not None:
            return isinstance(body, bytes) or body.ready() is not None
        return self.template is not None or self.fill is not None

    @property
    def plain(self) -> bytes | None:
        """The body as the origin sent it, read if it is lent. Raises what reading raises."""
        body = self.identity
        return body if body is None or isinstance(body, bytes) else body.read()

    @property
    def size(self) -> int | None:
        """Bytes of the body as the origin sent it; None while it is still arriving."""
        if isinstance(self.template, Template):
            return self.template.size
        if self.identity is not None:
            return len(self.identity)
        kept = self.shelf is not None and self.fill is None and self.shelf.bodies
        return kept.size if kept else None

    @property
    def weight(self) -> int:
        """Bytes of all bodies that are in memory."""
        pieces = self.template.weight if isinstance(self.template, Template) else 0
        quick = sum(map(len, self.quick.values())) if self.quick else 0
        whole = len(self.identity) if isinstance(self.identity, bytes | Held) else 0
        return whole + pieces + quick + sum(map(len, self.encoded.values()))

    def coded(self, coding: str) -> bytes | None:
        """The body in `coding`, if that was made; empty if it is not worth having."""
        made = self.encoded.get(coding)
        return self.quick.get(coding) if made is None and self.quick else made

    def gap(self, part: Part) -> Part | None:
        """`part`, where it is not about to pass by; None if it is, or all of the body is kept."""
        if self.fill is None or self.fill.keeping or self.fill.reaches(part.first, AHEAD):
            return None
        return part

    def complete(self) -> None:
        """The fill is done and was kept: the body is whole."""
        assert self.fill is not None
        self.identity = self.fill.whole()
        self.fill = None
        self._take_apart()

    def lie_in(self, arena: Arena) -> None:
        """Move a large body into `arena`, if there is room."""
        if isinstance(self.identity, bytes) and len(self.identity) > LENT:
            self.identity = arena.keep(self.identity) or self.identity

    def renewed(self) -> Stored:
        """The same bodies under fields that have changed."""
        other = Stored(self.identity, self.fill, self.template)
        other.encoded, other.quick = self.encoded, self.quick
        other.making = self.making
        other.shelf = self.shelf
        return other

    def _take_apart(self) -> None:
        """Make pieces of a whole body that is to be taken apart; one that is left as it was stays a body."""
        if isinstance(self.template, Unread):
            assert isinstance(self.identity, bytes)
            made = self.template.read(self.identity)
            if made.text == self.identity:
                self.template = None
            else:
                self.template, self.identity = made, None
