"""An entry as bytes, and back: what the disk's index keeps of it, apart from the bodies.

Moments are the wall clock's, for a monotonic one begins anew with the machine. What was written by another
version of these classes is not read: `FORMAT` names their fields.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import Any

import msgspec

from edge.http.cache_control import ResponseDirectives
from edge.http.etags import ETag
from edge.http.message import Fields
from edge.policy.entry import Content, Entry
from edge.policy.freshness import Freshness, LifetimeSource
from edge.position import Position
from edge.transform.template import Hole, Include, Piece, Template, Text, Variable

Names = tuple[str, ...]
CHECK = 4  # bytes of the checksum before a record


class Broken(Exception):
    """These bytes are not what was written."""


class Gone(Broken):
    """The index has let it go since it was looked up."""


class Ref(msgspec.Struct, frozen=True, array_like=True):
    """Where bytes lie: `number` names them, `size` and `crc` (CRC-32) tell whether they are still they.

    `first` is the offset of a piece of a body that is here in parts.
    """

    number: int
    size: int
    crc: int
    first: int = 0


class Bodies(msgspec.Struct, frozen=True, array_like=True):
    """What an entry's bodies are: one whole, the pieces of a template, or parts of one of `size` bytes.

    An encoding that is not worth having has a Ref of no bytes.
    """

    whole: Ref | None = None
    template: Ref | None = None
    parts: tuple[Ref, ...] | None = None
    size: int = 0
    sliced: bool = False
    completable: bool = False
    encoded: dict[str, Ref] = {}

    def refs(self) -> tuple[Ref, ...]:
        """All that lies somewhere."""
        whole = tuple(ref for ref in (self.whole, self.template) if ref is not None)
        return (*whole, *(self.parts or ()), *(ref for ref in self.encoded.values() if ref.size))


class Record(msgspec.Struct, frozen=True, array_like=True):
    """An entry without its bodies. `number`: the last of the node's purges before its fetch began."""

    key: str
    site: str
    status: int
    fields: tuple[tuple[str, str], ...]
    selection: tuple[tuple[str, str | None], ...]
    directives: tuple[Any, ...]
    freshness: tuple[Any, ...]
    etag: tuple[str, bool] | None
    last_modified: int | None
    date: int
    tags: Names
    groups: Names
    for_authorized: bool
    number: int
    position: tuple[str, int]
    bodies: Bodies


_KEPT = (ResponseDirectives, Freshness, ETag, Position, Entry, Text, Variable, Include, Hole, Template)
FORMAT = "2." + format(
    zlib.crc32(repr([(kind.__name__, [one.name for one in fields(kind)]) for kind in _KEPT]).encode()), "08x"
)

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Record)
_EXPIRED = [one.name for one in fields(Freshness)].index("expired")


@dataclass(frozen=True, slots=True)
class Clocks:
    """Both clocks, for moments that outlive the process."""

    wall: Callable[[], float]
    monotonic: Callable[[], float]

    @property
    def ahead(self) -> float:
        """By how much the wall clock is ahead."""
        return self.wall() - self.monotonic()


_DIRECTIVES = attrgetter(*(field.name for field in fields(ResponseDirectives)))
_FRESHNESS = attrgetter(*(field.name for field in fields(Freshness)))


def record_of(entry: Entry, bodies: Bodies, clocks: Clocks) -> Record:
    """`entry`, whose bodies lie as `bodies` says."""
    fresh, ahead = entry.freshness, clocks.ahead
    expired = None if fresh.expired is None else fresh.expired + ahead
    return Record(
        entry.key,
        entry.site,
        entry.status,
        entry.fields.lines,
        entry.selection,
        _DIRECTIVES(entry.directives),
        _FRESHNESS(replace(fresh, heard=fresh.heard + ahead, expired=expired)),
        None if entry.etag is None else (entry.etag.tag, entry.etag.weak),
        entry.last_modified,
        entry.date,
        entry.tags,
        entry.groups,
        entry.for_authorized,
        entry.number,
        (entry.position.lineage, entry.position.number),
        bodies,
    )


def entry_of(record: Record, content: Content, order: int, clocks: Clocks) -> Entry:
    """The entry that `record` was made of, with the `order` that it has in this process. Raises Broken."""
    try:
        return Entry(
            key=record.key,
            site=record.site,
            status=record.status,
            fields=Fields(record.fields),
            selection=record.selection,
            directives=_directives(record.directives),
            freshness=_freshness(record.freshness, clocks.ahead),
            etag=None if record.etag is None else ETag(*record.etag),
            last_modified=record.last_modified,
            date=record.date,
            tags=record.tags,
            groups=record.groups,
            for_authorized=record.for_authorized,
            content=content,
            order=order,
            position=Position(*record.position),
            number=record.number,
        )
    except (TypeError, ValueError) as error:
        raise Broken(str(error)) from error


def expired_at(record: Record, moment: float) -> Record:
    """`record`, stale from `moment` (wall clock) on; the same if it was stale before."""
    values = list(record.freshness)
    if values[_EXPIRED] is not None and values[_EXPIRED] <= moment:
        return record
    values[_EXPIRED] = moment
    return msgspec.structs.replace(record, freshness=tuple(values))


def packed(record: Record) -> bytes:
    """`record` as bytes."""
    return checked(_encoder.encode(record))


def stamp_of(data: bytes | memoryview) -> int:
    """What tells one version of a record, as bytes, from others."""
    return int.from_bytes(data[:CHECK], "big")


def unpacked(data: bytes | memoryview) -> Record:
    """The record that `data` holds. Raises Broken."""
    try:
        return _decoder.decode(verified(data))
    except msgspec.MsgspecError as error:
        raise Broken(str(error)) from error


def checked(data: bytes) -> bytes:
    """`data` behind its checksum."""
    return zlib.crc32(data).to_bytes(CHECK, "big") + data


def verified(data: bytes | memoryview) -> memoryview:
    """What is behind the checksum. Raises Broken if it is something else."""
    rest = memoryview(data)[CHECK:]
    if zlib.crc32(rest) != int.from_bytes(data[:CHECK], "big"):
        raise Broken("the checksum is another")
    return rest


def _values(one: Any) -> tuple[Any, ...]:
    return tuple(getattr(one, field.name) for field in fields(one))


def _directives(values: tuple[Any, ...]) -> ResponseDirectives:
    """Sets come back as lists."""
    given: list[Any] = [frozenset(value) if isinstance(value, list | tuple) else value for value in values]
    return ResponseDirectives(*given)


def _freshness(values: tuple[Any, ...], ahead: float) -> Freshness:
    lifetime, source, *rest = values
    kept = Freshness(lifetime, LifetimeSource(source), *rest)
    expired = None if kept.expired is None else kept.expired - ahead
    return replace(kept, heard=kept.heard - ahead, expired=expired)


# Pages in pieces -------------------------------------------------------------------------------------

_KINDS: tuple[type[Piece], ...] = (Text, Variable, Include, Hole)


class _Part(msgspec.Struct, frozen=True, array_like=True):
    """A part of a reference: text, or a variable by its three values."""

    text: bytes | None
    variable: tuple[str, str | None, bytes] | None = None


class _Written(msgspec.Struct, frozen=True, array_like=True):
    """A template. Each piece is the number of its kind and its values."""

    pieces: tuple[tuple[int, msgspec.Raw], ...]
    size: int
    why: str


_SHAPES: tuple[Any, ...] = (
    tuple[bytes],
    tuple[str, str | None, bytes],
    tuple[tuple[_Part, ...], tuple[_Part, ...] | None, bool],
    tuple[str, int, str | None, bool],
)


def template_bytes(template: Template) -> bytes:
    """`template` as bytes."""
    pieces = tuple(
        (_KINDS.index(type(piece)), msgspec.Raw(_encoder.encode(_shape(piece)))) for piece in template.pieces
    )
    return _encoder.encode(_Written(pieces, template.size, template.why))


def template_of(data: bytes) -> Template:
    """The template that was written as `data`. Raises Broken."""
    try:
        written = msgspec.msgpack.decode(data, type=_Written)
        return Template(
            tuple(
                _piece(kind, msgspec.msgpack.decode(raw, type=_SHAPES[kind])) for kind, raw in written.pieces
            ),
            written.size,
            written.why,
        )
    except (msgspec.MsgspecError, IndexError) as error:
        raise Broken(str(error)) from error


def _shape(piece: Piece) -> tuple[Any, ...]:
    if isinstance(piece, Include):
        alt = None if piece.alt is None else tuple(map(_part, piece.alt))
        return tuple(map(_part, piece.src)), alt, piece.tolerant
    return _values(piece)


def _part(part: bytes | Variable) -> _Part:
    return _Part(part) if isinstance(part, bytes) else _Part(None, (part.name, part.key, part.default))


def _piece(kind: int, values: tuple[Any, ...]) -> Piece:
    if kind == _KINDS.index(Include):
        src, alt, tolerant = values
        return Include(_reference(src), None if alt is None else _reference(alt), tolerant)
    made: Piece = _KINDS[kind](*values)
    return made


def _reference(parts: tuple[_Part, ...]) -> tuple[bytes | Variable, ...]:
    return tuple(Variable(*part.variable) if part.variable else part.text or b"" for part in parts)
