"""Requests and answers as values (RFC 9110). Every wire ends in these; nothing here does I/O."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import field, replace
from typing import Any, TypeVar

from edge.http.asker import Asker
from edge.http.values import dataclass

Line = tuple[str, str]
T = TypeVar("T", bound=Hashable)
Made = TypeVar("Made")


class Fields:
    """Field lines in the order they came, looked up by lower-case name (RFC 9110 §5).

    Values are latin-1 text without surrounding white space. Immutable: every change returns a new one.
    The index is made on the first look-up, so that lines which are only written cost nothing; what was made
    of them all is kept, for the same ones come again with the next request of a connection.

    This is Python that Cython compiles as it stands, with the types of message.pxd.
    """

    __slots__ = ("_combined", "_lines", "_sights", "_split")

    def __init__(self, lines: Iterable[Line] = ()) -> None:
        self._lines: tuple[Line, ...] = tuple(lines)
        self._combined: dict[str, str] | None = None
        self._split: dict[str, tuple[str, ...]] | None = None  # of names that several lines have
        self._sights: dict[Callable[[Fields], Any], Any] | None = None

    @property
    def lines(self) -> tuple[Line, ...]:
        """Name and value of each line."""
        return self._lines

    def _index(self) -> dict[str, str]:
        made: dict[str, str] = {}
        for name, value in self._lines:
            lower = name.lower()
            if lower in made:
                self._split = {} if self._split is None else self._split
                self._split[lower] = (*self._split.get(lower, (made[lower],)), value)
                made[lower] = f"{made[lower]}, {value}"
            else:
                made[lower] = value
        self._combined = made
        return made

    def get(self, name: str) -> str | None:
        """The combined value of all lines called `name` (lower case), or None (RFC 9110 §5.3)."""
        made = self._combined
        return (self._index() if made is None else made).get(name)

    def all(self, name: str) -> tuple[str, ...]:
        """Each line's value of `name` (lower case), in order."""
        made = self._combined
        value = (self._index() if made is None else made).get(name)
        if value is None:
            return ()
        return (value,) if self._split is None else self._split.get(name, (value,))

    def seen(self, name: str, view: Callable[[tuple[str, ...]], T]) -> T:
        """The lines of `name` (lower case) as `view` sees them: all that matters of a field to who asks so.

        `view` is hashable and pure, and what it returns can be compared.
        """
        return view(self.all(name))

    def surveyed(self, view: Callable[[Fields], T]) -> T:
        """All of them as `view` sees them, which is hashable and pure."""
        return self.derived(view)

    def derived(self, view: Callable[[Fields], Made]) -> Made:
        """What `view` makes of them, which is hashable and pure: made once."""
        sights = self._sights
        if sights is None:
            sights = self._sights = {}
        made: Made | None = sights.get(view)
        if made is None:
            made = sights[view] = view(self)
        return made

    def kept(self, keeps: Callable[[str], bool]) -> Fields:
        """These fields less every line whose name (lower case) `keeps` refuses. It is hashable and pure."""
        return Fields([line for line in self._lines if keeps(line[0].lower())])

    def names(self) -> AbstractSet[str]:
        """The lower-case names, each once."""
        made = self._combined
        return (self._index() if made is None else made).keys()

    def __contains__(self, name: object) -> bool:
        made = self._combined
        return name in (self._index() if made is None else made)

    def __iter__(self) -> Iterator[Line]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fields) and self._lines == other._lines

    def __hash__(self) -> int:
        return hash(self._lines)

    def __repr__(self) -> str:
        return f"Fields({list(self._lines)!r})"

    def without(self, *names: str) -> Fields:
        """These fields less every line called one of `names` (lower case)."""
        made = self._combined
        if (self._index() if made is None else made).keys().isdisjoint(names):
            return self
        return Fields([line for line in self._lines if line[0].lower() not in names])

    def plus(self, *lines: Line) -> Fields:
        """These fields with `lines` appended."""
        return Fields((*self._lines, *lines))

    def grown(self, *lines: Line) -> Fields:
        """The same, where what was made of these fields is to be used still (`Grown`)."""
        return Grown(self, lines)

    def replaced(self, name: str, value: str) -> Fields:
        """These fields with exactly one line `name`, at the end."""
        return self.without(name.lower()).plus((name, value))


class Grown(Fields):
    """Fields, of which the first are `stem`'s, and `added` what one exchange has beside them."""

    __slots__ = ("added", "stem")

    def __init__(self, stem: Fields, added: tuple[Line, ...]) -> None:
        super().__init__((*stem._lines, *added))
        self.stem = stem
        self.added = added

    def grown(self, *lines: Line) -> Fields:
        return Grown(self.stem, (*self.added, *lines))


NO_FIELDS = Fields()


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks: the address after trusted proxies were peeled off, and where it is, if known."""

    address: str
    port: int = 0
    country: str | None = None
    asn: int | None = None


LOCAL = Client("127.0.0.1")

Body = bytes | AsyncIterator[bytes]
OnInterim = Callable[[int, Fields], None]


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the pipeline sees it.

    `host` is lower case, without a default port; `path` and `query` are the raw target's two halves
    (no fragment, `query` without `?`, None where the target had no `?`).
    `id` follows the request from edge to origin. `body` is None where there is none.
    `on_interim` is told of each interim (1xx) answer while the final one is awaited (RFC 9110 §15.2),
    `on_hit` of the stored entry where the answer is that and nothing else. `asker` is who passes it on, if it
    came from within the fleet.
    """

    method: str
    scheme: str
    host: str
    path: str
    query: str | None = None
    fields: Fields = NO_FIELDS
    client: Client = LOCAL
    body: Body | None = None
    id: str = ""
    version: str = "1.1"
    on_interim: OnInterim | None = field(default=None, compare=False, repr=False)
    on_hit: Callable[[Any], None] | None = field(default=None, compare=False, repr=False)
    asker: Asker | None = None

    def bearing(self, fields: Fields) -> Request:
        """This request with `fields`."""
        if fields is self.fields:
            return self
        return Request(
            self.method, self.scheme, self.host, self.path, self.query, fields, self.client, self.body,
            self.id, self.version, self.on_interim, self.on_hit, self.asker,
        )  # fmt: skip

    @property
    def target(self) -> str:
        """Path and query as sent (RFC 9112 §3.2.1)."""
        return self.path if self.query is None else f"{self.path}?{self.query}"

    @property
    def url(self) -> str:
        """The target URI (RFC 9110 §7.1)."""
        return f"{self.scheme}://{self.host}{self.target}"


@dataclass(frozen=True, slots=True)
class Answer:
    """A response on its way to the client.

    `body` is bytes, or a stream that the server must iterate or `aclose()`. `outcome` says how the cache
    came to it: for Cache-Status (RFC 9211), log, metrics and explain alike.
    """

    status: int
    fields: Fields = NO_FIELDS
    body: Body = b""
    outcome: Outcome = field(default_factory=lambda: Outcome("none"))

    def bearing(self, fields: Fields) -> Answer:
        """This answer with `fields`."""
        return self if fields is self.fields else Answer(self.status, fields, self.body, self.outcome)

    def but(self, **changes: object) -> Answer:
        """This answer with `changes`."""
        return replace(self, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an answer came about. `verdict` is the metric's label, `reason` the named reason of a non-hit.

    `fwd` says in RFC 9211's words why the request went forward, or would have; `collapsed` whether another's
    fetch, for which it waited, served it (None: it did not wait); `detail` why the answer was not stored.
    """

    verdict: str  # "hit" | "stale" | "revalidated" | "miss" | "pass" | "rule" | "refused" | "error" | "none"
    reason: str | None = None
    site: str | None = None
    key: str | None = None
    stored: bool = False
    collapsed: bool | None = None
    ttl: int | None = None
    age: int | None = None
    origin: str | None = None
    origin_status: int | None = None
    origin_seconds: float | None = None
    fwd: str | None = None
    detail: str | None = None
    rules: tuple[str, ...] = ()  # what the site's rules did on the way, beyond caching

    def of(self, site: str, key: str, ttl: int, age: int | None) -> Outcome:
        """This outcome for an entry of `site` under `key`, `age` seconds old and fresh for `ttl` more."""
        return Outcome(
            self.verdict, self.reason, site, key, self.stored, self.collapsed, ttl, age,
            self.origin, self.origin_status, self.origin_seconds, self.fwd, self.detail, self.rules,
        )  # fmt: skip
