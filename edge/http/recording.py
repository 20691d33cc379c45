"""A request that remembers what was asked of it: the conditions under which the same answer holds again."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from edge.http.message import Client, Fields, Line

T = TypeVar("T", bound=Hashable)


class Question(Protocol):
    """Something that can be asked of any request's fields. Hashable, so that each is kept once."""

    def of(self, fields: Fields) -> Hashable:
        """The answer."""
        ...


@dataclass(frozen=True, slots=True)
class Said:
    """What the field `name` says."""

    name: str

    def of(self, fields: Fields) -> Hashable:
        return fields.get(self.name)


@dataclass(frozen=True, slots=True)
class Lines:
    """What each line of `name` says."""

    name: str

    def of(self, fields: Fields) -> Hashable:
        return fields.all(self.name)


@dataclass(frozen=True, slots=True)
class Bears:
    """Whether there is a field `name`."""

    name: str

    def of(self, fields: Fields) -> Hashable:
        return self.name in fields


@dataclass(frozen=True, slots=True)
class Seen:
    """The field `name` as `view` sees it."""

    name: str
    view: Callable[[tuple[str, ...]], Hashable]

    def of(self, fields: Fields) -> Hashable:
        return fields.seen(self.name, self.view)


@dataclass(frozen=True, slots=True)
class Whole:
    """All of the fields."""

    def of(self, fields: Fields) -> Hashable:
        return fields.lines


Condition = tuple[Question, Hashable]


class Recording(Fields):
    """Fields as they came, writing down each question that they answer.

    What is derived from them writes into the same book; a field that was taken away or replaced does not
    depend on the visitor any more, so what is asked of it is not written.
    """

    __slots__ = ("_heard", "_own")

    def __init__(
        self,
        lines: Iterable[Line],
        heard: dict[Question, Hashable] | None = None,
        own: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(lines)
        self._heard: dict[Question, Hashable] = {} if heard is None else heard
        self._own = own

    def conditions(self) -> tuple[Condition, ...]:
        """Every question so far with its answer."""
        return tuple(self._heard.items())

    @property
    def lines(self) -> tuple[Line, ...]:
        self._heard[Whole()] = self._lines
        return self._lines

    def get(self, name: str) -> str | None:
        value = super().get(name)
        if name not in self._own:
            self._heard[Said(name)] = value
        return value

    def all(self, name: str) -> tuple[str, ...]:
        values = super().all(name)
        if name not in self._own:
            self._heard[Lines(name)] = values
        return values

    def seen(self, name: str, view: Callable[[tuple[str, ...]], T]) -> T:
        sight = view(super().all(name))
        if name not in self._own:
            self._heard[Seen(name, view)] = sight
        return sight

    def names(self) -> Iterable[str]:
        self._heard[Whole()] = self._lines
        return super().names()

    def __contains__(self, name: object) -> bool:
        there = super().__contains__(name)
        if isinstance(name, str) and name not in self._own:
            self._heard[Bears(name)] = there
        return there

    def __iter__(self) -> Iterator[Line]:
        self._heard[Whole()] = self._lines
        return super().__iter__()

    def without(self, *names: str) -> Fields:
        left = super().without(*names)
        return Recording(left._lines, self._heard, self._own.union(names))

    def plus(self, *lines: Line) -> Fields:
        return Recording((*self._lines, *lines), self._heard, self._own)


class Watched(Client):
    """A client that writes down which of its attributes were looked at."""

    __slots__ = ("_looked_at",)

    def __init__(self, client: Client) -> None:
        super().__init__(client.address, client.port, client.country, client.asn)
        object.__setattr__(self, "_looked_at", set())

    def seen(self) -> frozenset[str]:
        """What was looked at."""
        return frozenset(object.__getattribute__(self, "_looked_at"))

    def __getattribute__(self, name: str) -> object:
        if name in Client.__slots__:
            object.__getattribute__(self, "_looked_at").add(name)
        return object.__getattribute__(self, name)
