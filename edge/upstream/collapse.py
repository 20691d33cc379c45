"""Collapsing: one fetch, many waiters. What was fetched is shared only once it has proved shareable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from edge.http.message import Answer, Line
from edge.http.ranges import Part
from edge.http.values import dataclass
from edge.policy.entry import Entry
from edge.policy.reasons import NotStored
from edge.policy.vary import Selection
from edge.position import Position
from edge.purge import Mark, Names
from edge.store.content import Stored
from edge.store.fill import Fill, Lagged, Reader
from edge.upstream.contract import UpstreamError


@dataclass(frozen=True, slots=True)
class Origin:
    """What the origin said first: for Cache-Status, Server-Timing, log and metrics."""

    status: int
    seconds: float  # until its head was there
    name: str | None = None  # which of the site's origins it was


@dataclass(frozen=True, slots=True)
class Portion:
    """A part that is arriving. `said` is its Content-Range, where just that part was asked for."""

    fill: Fill
    part: Part
    said: str | None = None


@dataclass(frozen=True, slots=True)
class Shared:
    """An entry that every fitting request may use; its body may still be arriving.

    Of one whose body is here in parts `portion` is the one that was fetched. A soft purge has `struck` it
    meanwhile: those who wait need something newer.
    """

    entry: Entry
    origin: Origin
    stored: bool = True  # whether the store takes it
    revalidated: bool = False
    own_lines: tuple[Line, ...] = ()  # what is not stored, for the one who asked
    portion: Portion | None = None
    struck: bool = False


@dataclass(frozen=True, slots=True)
class Own:
    """An answer for the one who fetched it, and why nobody else may have it; `what` shows it, if known.

    `conditions_told`: his preconditions went to the origin, and are not for the edge to evaluate.
    """

    answer: Answer
    origin: Origin
    reason: NotStored
    what: str = ""
    conditions_told: bool = False

    @property
    def detail(self) -> str:
        """The reason, and what shows it."""
        return f"{self.reason}: {self.what}" if self.what else self.reason


@dataclass(frozen=True, slots=True)
class Excused:
    """The origin answered with an error, for which the stale entry stands in."""

    origin: Origin


@dataclass(frozen=True, slots=True)
class Arrived:
    """Another worker of this node has stored an answer meanwhile, or is about to."""


@dataclass(frozen=True, slots=True)
class Failed:
    """No answer could be had."""

    error: UpstreamError


FlightKey = tuple[str, Selection]  # the entry's key, and the variant as far as it is known
Landing = Shared | Own | Excused | Arrived | Failed


class Flight:
    """One fetch under way for a key. `landing` tells how it ended, as soon as the head shows it.

    `order`, `position` and `number` tell which purges the node had seen when it began.
    A `pinned` one goes on without passengers; any other is `abandoned` when the last one leaves. `leased`:
    no other worker of the node may fetch the key meanwhile.
    """

    __slots__ = (
        "_task",
        "_waiting",
        "abandoned",
        "key",
        "landing",
        "leased",
        "number",
        "order",
        "owner_aboard",
        "passengers",
        "pinned",
        "position",
    )

    def __init__(
        self, key: FlightKey, order: int, position: Position, number: int = 0, *, pinned: bool = False
    ) -> None:
        self.key = key
        self.order = order
        self.position = position
        self.number = number
        self.pinned = pinned
        self.abandoned = False
        self.leased = False
        self.passengers = 0
        self.owner_aboard = not pinned
        self.landing: Landing | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[object] | None = None

    def depart(self) -> None:
        """The running task is the one that fetches."""
        self._task = asyncio.current_task()

    def land(self, landing: Landing) -> None:
        """Tell everybody aboard."""
        if self.landing is None:
            self.landing = landing
            for waiter in self._waiting:
                if not waiter.done():
                    waiter.set_result(None)

    def give_up(self) -> None:
        """There is nothing more to tell, if anything was told."""
        if self.landing is None:
            self.land(Failed(UpstreamError("reset", self.key[0], "the fetch was given up", sent=True)))

    async def wait(self, *, owner: bool) -> Landing:
        """The landing. When the last one aboard gives up before it, so does the fetch."""
        self.passengers += 1
        try:
            while self.landing is None:
                waiter = asyncio.get_running_loop().create_future()
                self._waiting.append(waiter)
                await waiter
            return self.landing
        except asyncio.CancelledError:
            if owner:
                self.owner_aboard = False
            raise
        finally:
            self.passengers -= 1
            if self.passengers == 0 and not self.pinned and self.landing is None:
                self.abandoned = True
                if self._task is not None:
                    self._task.cancel()


class Flights:
    """What is under way: per key one fetch whose head is awaited, and entries whose bodies are arriving."""

    __slots__ = ("_aloft", "_filling", "_shy", "_shy_limit")

    def __init__(self, shy_limit: int = 10_000) -> None:
        self._aloft: dict[FlightKey, Flight] = {}
        self._filling: dict[str, dict[Entry, Names]] = {}
        self._shy: dict[str, tuple[float, NotStored, str]] = {}
        self._shy_limit = shy_limit

    def find(self, key: FlightKey) -> Flight | None:
        """The fetch to wait for, if there is one."""
        flight = self._aloft.get(key)
        return None if flight is None or flight.abandoned else flight

    def open(self, flight: Flight) -> None:
        """Let others wait for `flight`."""
        self._aloft[flight.key] = flight

    def close(self, flight: Flight) -> None:
        """Nobody new may wait for `flight`."""
        if self._aloft.get(flight.key) is flight:
            del self._aloft[flight.key]

    def filling(self, key: str) -> Iterator[Entry]:
        """Entries whose bodies are arriving and can be followed from the first byte."""
        for entry in self._filling.get(key, ()):
            content = entry.content
            if isinstance(content, Stored) and content.fill is not None and content.fill.joinable:
                yield entry

    def join(self, entry: Entry) -> None:
        """Let others follow `entry`'s body."""
        self._filling.setdefault(entry.key, {})[entry] = Names.of(entry)

    def leave(self, entry: Entry) -> None:
        """Nobody new may follow `entry`'s body."""
        entries = self._filling.get(entry.key)
        if entries is not None and entry in entries:
            del entries[entry]
            if not entries:
                del self._filling[entry.key]

    def struck(self, mark: Mark) -> list[Entry]:
        """The entries whose bodies are arriving that `mark` strikes."""
        return [
            entry
            for entries in self._filling.values()
            for entry, names in entries.items()
            if mark.strikes(names)
        ]

    def why_shy(self, group: str, now: float) -> tuple[NotStored, str] | None:
        """Why answers of `group` lately proved unshareable, so that waiting for one would only cost time."""
        noted = self._shy.get(group)
        return noted[1:] if noted is not None and now < noted[0] else None

    def note_shy(self, group: str, until: float, why: NotStored, what: str = "") -> None:
        """Answers of `group` are unshareable, at least until then."""
        self._shy.pop(group, None)
        if len(self._shy) >= self._shy_limit:
            del self._shy[next(iter(self._shy))]
        self._shy[group] = (until, why, what)

    def note_shareable(self, group: str) -> None:
        """An answer of `group` proved shareable."""
        self._shy.pop(group, None)


class Following(AsyncIterator[bytes]):
    """A body followed as it arrives; a reader that is left behind goes on with a fetch of his own."""

    __slots__ = ("_go_on", "_source")

    def __init__(self, reader: Reader, go_on: Callable[[int], Awaitable[AsyncIterator[bytes]]]) -> None:
        self._source: AsyncIterator[bytes] = reader
        self._go_on = go_on

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._source)
        except Lagged as lagged:
            self._source = await self._go_on(lagged.offset)
            return await anext(self._source)

    async def aclose(self) -> None:
        """Want no more."""
        await close(self._source)


async def close(body: bytes | AsyncIterator[bytes]) -> None:
    """Give up a body that nobody will read."""
    aclose = getattr(body, "aclose", None)
    if aclose is not None:
        await aclose()
