"""A page as pieces: what everybody gets, and the places that are filled anew for each visitor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

PIECE_OVERHEAD = 160  # bytes that a piece takes beside its text


@dataclass(frozen=True, slots=True)
class Text:
    """The same for everybody."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Variable:
    """What the request says under `name`, or of it under `key`; `default` where it says nothing."""

    name: str
    key: str | None = None
    default: bytes = b""


Reference = tuple[bytes | Variable, ...]  # a URI reference, its variables to be filled in


def written(reference: Reference) -> str:
    """`reference` as its author wrote it, near enough for people."""
    return "".join(
        part.decode("latin-1") if isinstance(part, bytes) else f"$({part.name})" for part in reference
    )


@dataclass(frozen=True, slots=True)
class Include:
    """A fragment, asked for as a request of its own; `alt` where that fails.

    `tolerant`: its author says that the page may do without it.
    """

    src: Reference
    alt: Reference | None = None
    tolerant: bool = False


@dataclass(frozen=True, slots=True)
class Hole:
    """Where a token stood that is each visitor's own: the `ordinal`-th of the rule that found it.

    `cookie` is the tail of the shop's own Set-Cookie line for the cookie that goes with it, from the first
    semicolon on; None: it sets none. A hole that is not `shown` stands for that cookie alone.
    """

    rule: str
    ordinal: int = 0
    cookie: str | None = None
    shown: bool = True


Piece = Text | Variable | Include | Hole


@dataclass(frozen=True, slots=True)
class Template:
    """All pieces of a body that had `size` bytes. `why` says who wanted it taken apart."""

    pieces: tuple[Piece, ...]
    size: int
    why: str = ""

    @property
    def weight(self) -> int:
        """Bytes that it takes."""
        return sum(map(weigh, self.pieces))

    @property
    def holes(self) -> frozenset[Hole]:
        """What is to be filled for each visitor."""
        return frozenset(piece for piece in self.pieces if isinstance(piece, Hole))

    @property
    def waits(self) -> bool:
        """Whether a fragment must be asked for."""
        return any(isinstance(piece, Include) for piece in self.pieces)

    @property
    def everybodys(self) -> bytes:
        """What of the body is the same for everybody."""
        return b"".join(piece.data for piece in self.pieces if isinstance(piece, Text))

    @property
    def text(self) -> bytes | None:
        """The whole body, if there is nothing to fill in."""
        if not all(isinstance(piece, Text) for piece in self.pieces):
            return None
        return self.everybodys


class Parser(Protocol):
    """Takes a body apart as it arrives."""

    def feed(self, data: bytes) -> Sequence[Piece]:
        """The pieces that `data` completes."""
        ...

    def end(self) -> Sequence[Piece]:
        """The pieces that are left when the body has ended."""
        ...


@dataclass(frozen=True, slots=True)
class Unread:
    """The template of a body that is still arriving: how it is taken apart, and which holes it may have."""

    parser: Callable[[], Parser]
    why: str = ""
    holes: frozenset[Hole] = field(default=frozenset())

    def read(self, body: bytes) -> Template:
        """The template of the whole `body`."""
        parser = self.parser()
        return Template(merged([*parser.feed(body), *parser.end()]), len(body), self.why)


def merged(pieces: Iterable[Piece]) -> tuple[Piece, ...]:
    """`pieces` with neighbouring texts joined, and empty ones left out."""
    made: list[Piece] = []
    texts: list[bytes] = []
    for piece in pieces:
        if isinstance(piece, Text):
            texts.append(piece.data)
            continue
        _join(texts, made)
        made.append(piece)
    _join(texts, made)
    return tuple(made)


def _join(texts: list[bytes], made: list[Piece]) -> None:
    joined = b"".join(texts)
    texts.clear()
    if joined:
        made.append(Text(joined))


def weigh(piece: Piece) -> int:
    """Bytes that `piece` takes."""
    match piece:
        case Text(data):
            return PIECE_OVERHEAD + len(data)
        case Variable(name, key, default):
            return PIECE_OVERHEAD + len(name) + len(key or "") + len(default)
        case Include(src, alt, _):
            return PIECE_OVERHEAD + sum(_part(part) for part in (*src, *(alt or ())))
        case Hole(rule, _, cookie):
            return PIECE_OVERHEAD + len(rule) + len(cookie or "")


def _part(part: bytes | Variable) -> int:
    return PIECE_OVERHEAD + len(part) if isinstance(part, bytes) else weigh(part)
