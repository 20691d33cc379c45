"""Purges as the disk remembers them: by the names that they strike, and in the order they came."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from struct import Struct

import msgspec

from edge.policy.key import origin_of
from edge.purge import Bearer, Groups, Keys, Mark, Prefix, Site, Tag

DIGEST = 12  # bytes of a name in the index
_LAST = Struct(">QQd")
_KINDS: tuple[type[Mark], ...] = (Keys, Prefix, Tag, Groups, Site)


@dataclass(frozen=True, slots=True)
class Distrust:
    """From now on all that was filled before must be revalidated before its next use."""


@dataclass(frozen=True, slots=True)
class Last:
    """The numbers of the last purges of a name; `moment` (wall clock) is that of the soft one."""

    hard: int = 0
    soft: int = 0
    moment: float = 0.0

    @property
    def number(self) -> int:
        """Of the last one of either kind."""
        return max(self.hard, self.soft)

    def and_then(self, number: int, moment: float, *, soft: bool) -> Last:
        """After one more purge."""
        return Last(self.hard, number, moment) if soft else Last(number, self.soft, self.moment)

    def packed(self) -> bytes:
        return _LAST.pack(self.hard, self.soft, self.moment)

    @classmethod
    def unpacked(cls, data: bytes | memoryview) -> Last:
        return cls(*_LAST.unpack(data))


class _Written(msgspec.Struct, frozen=True, array_like=True):
    """A mark: its kind by number (None: distrust), what it names, when it came (wall clock), and to whom."""

    kind: int | None
    names: tuple[str, ...]
    of: str | None
    soft: bool
    moment: float
    by: int = 0


@dataclass(frozen=True, slots=True)
class Came:
    """A mark that came at `moment` (wall clock), to the process that goes by the number `by`."""

    mark: Mark | Distrust
    moment: float
    by: int


def mark_bytes(mark: Mark | Distrust, moment: float, by: int) -> bytes:
    """`mark`, which came at `moment` (wall clock) to the process `by`."""
    return msgspec.msgpack.encode(msgspec.structs.replace(_written(mark, moment), by=by))


def mark_of(data: bytes | memoryview) -> Came:
    """The mark that was written as `data`. Raises msgspec.MsgspecError."""
    written = msgspec.msgpack.decode(data, type=_Written)
    names, of, soft = written.names, written.of, written.soft
    mark: Mark | Distrust
    match written.kind:
        case 0:
            mark = Keys(names, soft)
        case 1:
            mark = Prefix(names[0], soft)
        case 2:
            mark = Tag(names[0], of, soft)
        case 3:
            mark = Groups(of or "", frozenset(names), soft)
        case 4:
            mark = Site(names[0], soft)
        case _:
            mark = Distrust()
    return Came(mark, written.moment, written.by)


def _written(mark: Mark | Distrust, moment: float) -> _Written:
    if isinstance(mark, Distrust):
        return _Written(None, (), None, False, moment)
    kind = _KINDS.index(type(mark))
    match mark:
        case Keys(keys, soft):
            return _Written(kind, keys, None, soft, moment)
        case Prefix(begin, soft):
            return _Written(kind, (begin,), None, soft, moment)
        case Tag(tag, site, soft):
            return _Written(kind, (tag,), site, soft, moment)
        case Groups(origin, groups, soft):
            return _Written(kind, tuple(sorted(groups)), origin, soft, moment)
        case Site(site, soft):
            return _Written(kind, (site,), None, soft, moment)


def digest(*words: str) -> bytes:
    """A name in the index."""
    text = "\x00".join(words).encode("utf-8", "surrogatepass")
    return blake2b(text, digest_size=DIGEST).digest()


def struck_names(mark: Mark) -> tuple[bytes, ...]:
    """The names that `mark` strikes; none for a prefix, which is a range of keys."""
    match mark:
        case Keys(keys):
            return tuple(digest("key", key) for key in keys)
        case Prefix():
            return ()
        case Tag(tag, None):
            return (digest("any", tag),)
        case Tag(tag, site):
            return (digest("tag", site or "", tag),)
        case Groups(origin, groups):
            return tuple(digest("group", origin, group) for group in groups)
        case Site(site):
            return (digest("site", site),)


def own_names(one: Bearer) -> Iterator[bytes]:
    """Every name under which `one` can be struck."""
    yield digest("key", one.key)
    yield digest("site", one.site)
    for tag in one.tags:
        yield digest("tag", one.site, tag)
        yield digest("any", tag)
    for group in one.groups:
        yield digest("group", origin_of(one.key), group)


def listed_names(one: Bearer) -> tuple[bytes, ...]:
    """The names under which `one` can be found: those of purges that may strike many entries."""
    tags = (digest("tag", one.site, tag) for tag in one.tags)
    groups = (digest("group", origin_of(one.key), group) for group in one.groups)
    return tuple(dict.fromkeys((digest("site", one.site), *tags, *groups)))
