"""An entry at rest: what it shares with others as a shape, the rest as one run of bytes. Pure.

Most of an entry's memory goes to the objects that it is made of. Nobody looks at one that nobody asks for, so
it is bytes until somebody does; what the answers of a site have in common is there once.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from edge.http.cache_control import ResponseDirectives
from edge.http.etags import parse_etag
from edge.http.message import Fields
from edge.policy.entry import Content, Entry
from edge.policy.freshness import Freshness, LifetimeSource
from edge.policy.vary import Selection
from edge.position import Position
from edge.store.content import Stored
from edge.store.lent import Lent

# lifetime, initial_age, heard, expired; date, last_modified, order, number, position; tags, groups
_NUMBERS = struct.Struct("<4d5q2I")
_COUNTS = struct.Struct("<2I")
_COUNTS_AT = _NUMBERS.size - _COUNTS.size
NUMBERS = _NUMBERS.size
_NEVER = float("inf")
_UNKNOWN = -(2**63)
_END = "\0"  # of each text: none has it inside

Names = tuple[str, ...]
Encodings = tuple[tuple[str, bytes], ...]
Body = bytes | Lent | tuple[bytes | Lent, Encodings] | Stored


@dataclass(slots=True, unsafe_hash=True)
class Shape:
    """What entries have in common; `users` are how many of them are at rest.

    The numbers in `terms` are those of Freshness that an origin gives to many answers alike. `round`: the
    lifetime is a whole number. `etag`: whether there is one, and `told` whether it is what the fields say.
    """

    site: str
    status: int
    names: Names  # of the field lines
    selection: Selection
    directives: ResponseDirectives
    terms: tuple[LifetimeSource, bool, bool, int, int, int]
    for_authorized: bool
    lineage: str
    round: bool
    etag: bool
    told: bool
    users: int = field(default=0, compare=False)

    @property
    def weight(self) -> int:
        """Bytes of its texts."""
        selecting = sum(len(name) + len(value or "") for name, value in self.selection)
        return len(self.site) + selecting + sum(map(len, self.names))


class Shapes:
    """Each shape once, as long as an entry has it."""

    def __init__(self) -> None:
        self._known: dict[Shape, Shape] = {}

    def __len__(self) -> int:
        return len(self._known)

    def take(self, shape: Shape) -> Shape:
        """The one that is like `shape`; it has one user more now."""
        known = self._known.setdefault(shape, shape)
        known.users += 1
        return known

    def leave(self, shape: Shape) -> bool:
        """`shape` has one user less; whether it is gone."""
        shape.users -= 1
        if shape.users:
            return False
        del self._known[shape]
        return True


def pack(entry: Entry) -> tuple[Shape, bytes] | None:
    """`entry` without its body; None if it can't be written so."""
    fresh, told, tag = entry.freshness, entry.fields.get("etag"), entry.etag
    says = tag == parse_etag(told)
    texts = [value for _, value in entry.fields.lines]
    texts += entry.tags
    texts += entry.groups
    if tag is not None and not says:
        texts.append(str(tag))
    text = _END.join(texts)
    if text.count(_END) != max(0, len(texts) - 1):
        return None
    try:
        numbers = _NUMBERS.pack(
            fresh.lifetime,
            fresh.initial_age,
            fresh.heard,
            _NEVER if fresh.expired is None else fresh.expired,
            entry.date,
            _UNKNOWN if entry.last_modified is None else entry.last_modified,
            entry.order,
            entry.number,
            entry.position.number,
            len(entry.tags),
            len(entry.groups),
        )
        record = numbers + text.encode()
    except (struct.error, UnicodeEncodeError):
        return None
    shape = Shape(
        entry.site,
        entry.status,
        tuple([name for name, _ in entry.fields.lines]),
        entry.selection,
        entry.directives,
        (
            fresh.source,
            fresh.no_cache,
            fresh.must_revalidate,
            fresh.while_revalidate,
            fresh.if_error,
            fresh.if_unreachable,
        ),
        entry.for_authorized,
        entry.position.lineage,
        isinstance(fresh.lifetime, int),
        tag is not None,
        says,
    )
    return shape, record


def unpack(key: str, shape: Shape, record: bytes, content: Content) -> Entry:
    """The entry that was packed, around `content`."""
    (
        lifetime,
        initial_age,
        heard,
        expired,
        date,
        last_modified,
        order,
        number,
        position,
        tags,
        groups,
    ) = _NUMBERS.unpack_from(record)
    texts = record[NUMBERS:].decode().split(_END)
    lines = len(shape.names)
    values = Fields(zip(shape.names, texts, strict=False))
    etag = None
    if shape.etag:
        etag = parse_etag(values.get("etag") if shape.told else texts[-1])
    return Entry(
        key,
        shape.site,
        shape.status,
        values,
        shape.selection,
        shape.directives,
        Freshness(
            int(lifetime) if shape.round else lifetime,
            shape.terms[0],
            initial_age,
            heard,
            *shape.terms[1:],
            expired=None if expired == _NEVER else expired,
        ),
        etag,
        None if last_modified == _UNKNOWN else last_modified,
        date,
        tuple(texts[lines : lines + tags]) if tags else (),
        tuple(texts[lines + tags : lines + tags + groups]) if groups else (),
        shape.for_authorized,
        content,
        order,
        Position(shape.lineage, position),
        number,
    )


def names(shape: Shape, record: bytes) -> tuple[Names, Names]:
    """The tags and groups of what was packed."""
    tags, groups = _COUNTS.unpack_from(record, _COUNTS_AT)
    if not tags and not groups:
        return (), ()
    begin = len(shape.names)
    texts = record[NUMBERS:].decode().split(_END)
    return tuple(texts[begin : begin + tags]), tuple(texts[begin + tags : begin + tags + groups])


def at_rest(content: Stored) -> Body | None:
    """What is kept of `content`; None if it must stay as it is: it is still arriving, or in pieces."""
    if not content.settled or content.template is not None:
        return None
    if content.shelf is not None or content.identity is None:
        content.lines.clear()
        content.compressible = None
        return content
    if not content.encoded:
        return content.identity
    return content.identity, tuple(content.encoded.items())


def awake(body: Body) -> Stored:
    """The content that `at_rest` was given."""
    if isinstance(body, Stored):
        return body
    if not isinstance(body, tuple):
        return Stored(body)
    content = Stored(body[0])
    content.encoded.update(body[1])
    return content


def lengths(entry: Entry) -> int:
    """Bytes of what is packed of `entry`: close to them where it has characters beyond ASCII."""
    texts = sum([len(value) + 1 for _, value in entry.fields.lines])
    return NUMBERS + texts + sum([len(name) + 1 for name in (*entry.tags, *entry.groups)])
