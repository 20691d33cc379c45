"""What a client asks for (NIP-01, search by NIP-50): read strictly, matched against one event. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

import msgspec

from origin.p2p.event import LATEST, Event, Hex32, Unacceptable

T = TypeVar("T")
MOST_VALUES = 500  # of one field
LONGEST_VALUE = 256
LONGEST_SEARCH = 200
TAG = re.compile(r"#[a-zA-Z]\Z")
FIELDS = ("ids", "authors", "kinds", "since", "until", "limit", "search")

Moment = Annotated[int, msgspec.Meta(ge=0, le=LATEST)]
Texts = Annotated[
    list[Annotated[str, msgspec.Meta(max_length=LONGEST_VALUE)]], msgspec.Meta(max_length=MOST_VALUES)
]


class _Plain(msgspec.Struct, frozen=True):
    ids: Annotated[list[Hex32], msgspec.Meta(max_length=MOST_VALUES)] | None = None
    authors: Annotated[list[Hex32], msgspec.Meta(max_length=MOST_VALUES)] | None = None
    kinds: (
        Annotated[list[Annotated[int, msgspec.Meta(ge=0, le=65535)]], msgspec.Meta(max_length=MOST_VALUES)]
        | None
    ) = None
    since: Moment | None = None
    until: Moment | None = None
    limit: Annotated[int, msgspec.Meta(ge=0, le=LATEST)] | None = None
    search: Annotated[str, msgspec.Meta(max_length=LONGEST_SEARCH)] | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """All that is named must hold; of a set, one suffices."""

    ids: frozenset[str] | None = None
    authors: frozenset[str] | None = None
    kinds: frozenset[int] | None = None
    tags: Mapping[str, frozenset[str]] = field(default_factory=dict)
    since: int | None = None
    until: int | None = None
    limit: int | None = None
    words: tuple[str, ...] = ()

    def matches(self, event: Event) -> bool:
        """Whether `event` is asked for. A search is for what is stored: it matches nothing that is new."""
        return (
            not self.words
            and (self.ids is None or event.id in self.ids)
            and (self.authors is None or event.pubkey in self.authors)
            and (self.kinds is None or event.kind in self.kinds)
            and (self.since is None or event.created_at >= self.since)
            and (self.until is None or event.created_at <= self.until)
            and all(not wanted.isdisjoint(event.values(name)) for name, wanted in self.tags.items())
        )

    def doors(self) -> Iterator[tuple[str, str | int]]:
        """Under which keys a live subscription waits: those of its narrowest field. See `doors_of`."""
        if self.ids is not None:
            yield from (("id", id) for id in self.ids)
        elif self.tags:
            name, values = min(self.tags.items(), key=lambda one: len(one[1]))
            yield from ((f"#{name}", value) for value in values)
        elif self.authors is not None:
            yield from (("author", author) for author in self.authors)
        elif self.kinds is not None:
            yield from (("kind", kind) for kind in self.kinds)


def doors_of(event: Event) -> Iterator[tuple[str, str | int]]:
    """Every key at which somebody who may want `event` waits."""
    yield ("id", event.id)
    yield ("author", event.pubkey)
    yield ("kind", event.kind)
    for tag in event.tags:
        if len(tag) > 1 and len(tag[0]) == 1:
            yield (f"#{tag[0]}", tag[1])


def read_filter(text: msgspec.Raw) -> Filter:
    """A filter from JSON. Raises Unacceptable, which names the field and what would be accepted."""
    try:
        document = msgspec.json.decode(text, type=dict[str, Any])
        tags = {name[1]: _values(name, document.pop(name)) for name in [*document] if TAG.match(name)}
        plain = msgspec.convert(document, _Plain)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as error:
        raise Unacceptable(f"invalid: filter: {error}") from None
    unknown = sorted(set(document) - set(FIELDS))
    if unknown:
        raise Unacceptable(
            f"unsupported: filter: got {unknown[0][:40]!r}, expected one of {', '.join(FIELDS)} or #x"
        )
    words = _words(plain.search or "")
    if plain.search is not None and not words:
        raise Unacceptable("invalid: search: got no word, expected one or more")
    found = Filter(
        _set(plain.ids), _set(plain.authors), _set(plain.kinds), tags,
        plain.since, plain.until, plain.limit, words,
    )  # fmt: skip
    if not (plain.ids or plain.authors or plain.kinds or tags or words):
        raise Unacceptable(
            "invalid: filter: matches everything, expected ids, authors, kinds, a tag or search"
        )
    return found


def _values(name: str, given: object) -> frozenset[str]:
    try:
        values = frozenset(msgspec.convert(given, Texts))
    except msgspec.ValidationError as error:
        raise Unacceptable(f"invalid: {name}: {error}") from None
    if any("\0" in value for value in values):
        raise Unacceptable(f"invalid: {name}: got a NUL, expected text")
    return values


def _set(values: Sequence[T] | None) -> frozenset[T] | None:
    return None if values is None else frozenset(values)


def _words(search: str) -> tuple[str, ...]:
    """What is searched for: `key:value` are extensions, which a relay may ignore (NIP-50)."""
    plain = " ".join(part for part in search.split() if ":" not in part)
    return tuple(re.findall(r"\w+", plain.lower()))
