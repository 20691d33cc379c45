"""What can be purged, and how no fill under way outlives its purge: URL | prefix | tag | site."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self

from edge.policy.key import keys_of, located, origin_of

PurgeKind = Literal["url", "prefix", "tag", "site"]


@dataclass(frozen=True, slots=True)
class Purge:
    """One wish to forget.

    `value` is an absolute URL (`url`: that resource in every variant, under http and https alike; `prefix`:
    every URL that begins so), a tag, or a site's name or one of its hosts. `soft` marks entries stale instead
    of dropping them. `site` (a name) narrows a tag purge to one site.
    """

    kind: PurgeKind
    value: str
    soft: bool = False
    site: str | None = None


class Bearer(Protocol):
    """What a mark looks at: an entry, or its names."""

    @property
    def key(self) -> str: ...

    @property
    def site(self) -> str: ...

    @property
    def tags(self) -> Collection[str]: ...

    @property
    def groups(self) -> Collection[str]: ...


@dataclass(frozen=True, slots=True)
class Names:
    """By what an entry can be struck; in sets, for one that is asked about often and may have thousands."""

    key: str
    site: str
    tags: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()

    @classmethod
    def of(cls, bearer: Bearer) -> Self:
        return cls(bearer.key, bearer.site, frozenset(bearer.tags), frozenset(bearer.groups))


@dataclass(frozen=True, slots=True)
class Keys:
    """The entries stored under these keys."""

    keys: tuple[str, ...]
    soft: bool = False

    def strikes(self, one: Bearer) -> bool:
        return one.key in self.keys


@dataclass(frozen=True, slots=True)
class Prefix:
    """The entries whose host and target begin with `begin`."""

    begin: str
    soft: bool = False

    def strikes(self, one: Bearer) -> bool:
        return one.key.startswith(self.begin)


@dataclass(frozen=True, slots=True)
class Tag:
    """The entries that bear `tag`, of one site or of all."""

    tag: str
    site: str | None = None
    soft: bool = False

    def strikes(self, one: Bearer) -> bool:
        return (self.site is None or self.site == one.site) and self.tag in one.tags


@dataclass(frozen=True, slots=True)
class Groups:
    """The entries of one origin that belong to any of `groups` (RFC 9875 §3)."""

    origin: str
    groups: frozenset[str]
    soft: bool = False

    def strikes(self, one: Bearer) -> bool:
        return not self.groups.isdisjoint(one.groups) and origin_of(one.key) == self.origin


@dataclass(frozen=True, slots=True)
class Site:
    """All entries of one site."""

    site: str
    soft: bool = False

    def strikes(self, one: Bearer) -> bool:
        return one.site == self.site


@dataclass(frozen=True, slots=True)
class Weight:
    """What a purge would drop. Bytes are hot that were asked for again in the last minutes."""

    entries: int
    bytes: int
    hot_bytes: int
    hot_bytes_stored: int  # of all that is stored

    @property
    def hot_share(self) -> float:
        """The share of the hot bytes that would go; 0 where nothing is hot."""
        return self.hot_bytes / self.hot_bytes_stored if self.hot_bytes_stored else 0.0

    @classmethod
    def together(cls, weights: Iterable[Weight]) -> Weight:
        """What all of them would drop."""
        each = tuple(weights)
        return cls(
            sum(one.entries for one in each),
            sum(one.bytes for one in each),
            sum(one.hot_bytes for one in each),
            sum(one.hot_bytes_stored for one in each),
        )

    def as_json(self) -> dict[str, Any]:
        """For control, and for who asks the node itself."""
        return {
            "entries": self.entries,
            "bytes": self.bytes,
            "hot_bytes": self.hot_bytes,
            "hot_bytes_stored": self.hot_bytes_stored,
            "hot_share": round(self.hot_share, 4),
        }


def _as_is(key: str) -> str:
    return key


Mark = Keys | Prefix | Tag | Groups | Site


def mark_of(purge: Purge, site_named: str, spell: Callable[[str], str] = _as_is) -> Mark:
    """`purge` in terms of the store. `site_named` is the site that the value of a site purge means.

    `spell` gives a key the spelling of its site.

    Raises ValueError, with what would be accepted, if the value is no absolute URL where one is needed.
    """
    match purge.kind:
        case "url":
            keys = tuple(map(spell, keys_of(purge.value)))
            if not keys:
                raise ValueError(
                    f"url: got {purge.value!r}, expected an absolute URL like https://shop.example/p/1"
                )
            return Keys(keys, purge.soft)
        case "prefix":
            begin = located(purge.value)
            if begin is None:
                raise ValueError(
                    f"prefix: got {purge.value!r}, expected an absolute URL like https://shop.example/p/"
                )
            return Prefix(begin, purge.soft)
        case "tag":
            return Tag(_as_in_fields(purge.value), purge.site, purge.soft)
        case "site":
            return Site(site_named, purge.soft)


def _as_in_fields(tag: str) -> str:
    """`tag` as it stands in a field that was read as latin-1 (edge.http.message.Fields)."""
    return tag if tag.isascii() else tag.encode("utf-8", "surrogatepass").decode("latin-1")


class PurgeLog:
    """The order of purges on this node, and the recent ones that fills under way have yet to hear of.

    A fill begins with `begin` and must `end` with the same number. A purge is remembered only while a fill
    is under way that began before it; past `limit` purges the oldest fills are struck without asking.
    """

    def __init__(self, limit: int = 65_536) -> None:
        self.order = 0
        self._limit = limit
        self._floor = 0  # fills that began before this are struck
        self._orders: list[int] = []
        self._marks: list[Mark] = []
        self._open: dict[int, int] = {}  # order -> fills that began then; orders only grow

    def begin(self) -> int:
        """The order at which a fill begins now."""
        self._open[self.order] = self._open.get(self.order, 0) + 1
        return self.order

    def end(self, order: int) -> None:
        """The fill that began at `order` has been stored or given up."""
        left = self._open[order] - 1
        if left:
            self._open[order] = left
        else:
            del self._open[order]
        oldest = next(iter(self._open), self.order)
        self._forget(bisect_right(self._orders, oldest))

    def advance(self) -> int:
        """A new order without a purge: what began before can be told from what begins now."""
        self.order += 1
        return self.order

    def record(self, mark: Mark) -> int:
        """Count `mark` as the node's next purge; its order."""
        self.order += 1
        if self._open:
            self._orders.append(self.order)
            self._marks.append(mark)
            if len(self._marks) > self._limit:
                half = self._limit // 2
                self._floor = self._orders[half - 1]
                self._forget(half)
        return self.order

    def struck(self, order: int, one: Bearer) -> Mark | None:
        """The mark that forbids to store `one`, filled since `order`: a hard one if there is any."""
        if order < self._floor:
            return Site(one.site)
        first = bisect_right(self._orders, order)
        if first == len(self._marks):
            return None
        names = Names.of(one)
        soft: Mark | None = None
        for at in range(first, len(self._marks)):
            mark = self._marks[at]
            if mark.strikes(names):
                if not mark.soft:
                    return mark
                soft = mark
        return soft

    def _forget(self, count: int) -> None:
        del self._orders[:count]
        del self._marks[:count]
