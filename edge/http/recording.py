"""A request that remembers what was asked of it: the conditions under which the same answer holds again."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol, TypeVar

from edge.http.message import Client, Fields, Line, Made

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
class Surveyed:
    """All of the fields as `view` sees them."""

    view: Callable[[Fields], Hashable]

    def of(self, fields: Fields) -> Hashable:
        return fields.surveyed(self.view)


@dataclass(frozen=True, slots=True)
class Whole:
    """All of the fields."""

    def of(self, fields: Fields) -> Hashable:
        return fields.lines


Condition = tuple[Question, Hashable]


class Conditions:
    """What must hold of a request's fields. Compared by identity: there is one for all with the same ones."""

    __slots__ = ("items",)

    def __init__(self, items: tuple[Condition, ...]) -> None:
        self.items = items

    def hold(self, fields: Fields) -> bool:
        """Whether the answers are the same for `fields`."""
        return all(question.of(fields) == answer for question, answer in self.items)


class Recording(Fields):
    """Fields as they came, writing down each question that they answer.

    What is derived from them writes into the same book. A field that was taken away or replaced does not
    depend on the visitor any more, so what is asked of it is not written; of one that was added, all is.
    """

    __slots__ = ("_heard", "_keeps", "_own")

    def __init__(
        self,
        lines: Iterable[Line],
        heard: dict[Question, Hashable] | None = None,
        own: frozenset[str] = frozenset(),
        keeps: tuple[Callable[[str], bool], ...] = (),
    ) -> None:
        super().__init__(lines)
        self._heard: dict[Question, Hashable] = {} if heard is None else heard
        self._own = own
        self._keeps = keeps

    def conditions(self) -> tuple[Condition, ...]:
        """Every question so far with its answer."""
        return tuple(self._heard.items())

    def _is_theirs(self, name: str) -> bool:
        """Whether what `name` says here is what the visitor said."""
        return name not in self._own and all(keeps(name) for keeps in self._keeps)

    @property
    def lines(self) -> tuple[Line, ...]:
        self._hear_all()
        return self._lines

    def get(self, name: str) -> str | None:
        value = super().get(name)
        if self._is_theirs(name):
            self._heard[Said(name)] = value
        return value

    def all(self, name: str) -> tuple[str, ...]:
        values = super().all(name)
        if self._is_theirs(name):
            self._heard[Lines(name)] = values
        return values

    def seen(self, name: str, view: Callable[[tuple[str, ...]], T]) -> T:
        sight = view(super().all(name))
        if self._is_theirs(name):
            self._heard[Seen(name, view)] = sight
        return sight

    def surveyed(self, view: Callable[[Fields], T]) -> T:
        sight = view(Fields(self._lines))
        if self._own or self._keeps:
            self._hear_all()
        else:
            self._heard[Surveyed(view)] = sight
        return sight

    def derived(self, view: Callable[[Fields], Made]) -> Made:
        return view(self)

    def names(self) -> AbstractSet[str]:
        self._hear_all()
        return super().names()

    def _hear_all(self) -> None:
        """Everything was looked at. Of what is derived nobody else can have the same."""
        self._heard[Whole()] = self._lines

    def __contains__(self, name: object) -> bool:
        there = super().__contains__(name)
        if isinstance(name, str) and self._is_theirs(name):
            self._heard[Bears(name)] = there
        return there

    def __iter__(self) -> Iterator[Line]:
        self._hear_all()
        return super().__iter__()

    def without(self, *names: str) -> Fields:
        left = super().without(*names)
        return Recording(left._lines, self._heard, self._own.union(names), self._keeps)

    def kept(self, keeps: Callable[[str], bool]) -> Fields:
        left = super().kept(keeps)
        return Recording(left._lines, self._heard, self._own, (*self._keeps, keeps))

    def plus(self, *lines: Line) -> Fields:
        return Recording((*self._lines, *lines), self._heard, self._own, self._keeps)

    def grown(self, *lines: Line) -> Fields:
        return self.plus(*lines)


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
