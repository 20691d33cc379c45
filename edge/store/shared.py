"""What the nodes of a PoP keep for each other in Redis or Valkey. Down means slower, never wrong.

What is there is asked for before a neighbour or an origin is, and put there after it was fetched. It is no
longer asked while it fails. Whether what it has was purged meanwhile, each node tells by itself (`Moments`),
so that no purge waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Protocol

from edge.clock import Clock
from edge.http.message import Fields
from edge.policy.entry import Entry
from edge.policy.groups import groups_of
from edge.policy.tags import tags_of
from edge.policy.vary import Selection, select
from edge.position import Position
from edge.purge import Keys, Mark, Names
from edge.store.content import Stored
from edge.store.moments import Moments
from edge.store.parcel import VERSION, NoParcel, Parcel, packed, unpacked
from edge.telemetry import Gauge

log = logging.getLogger("tepi.edge.shared")

FAILURES = 3  # in a row, until it is left alone
PAUSE, LONGEST_PAUSE = 1.0, 30.0  # for how long
WAITING = 256  # parcels on their way there
WAITING_BYTES = 32 * 2**20


class Shelf(Protocol):
    """Where bytes are kept by name, or not. Any method may raise anything, and take for ever."""

    async def get(self, name: str) -> bytes | None: ...
    async def set(self, name: str, data: bytes, seconds: float) -> None: ...
    async def delete(self, name: str) -> None: ...
    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Found:
    """An answer that the PoP has, of that age in seconds, fresh for so many more."""

    status: int
    fields: Fields
    body: bytes
    age: float
    ttl: float


class SharedStore:
    """The PoP's answers on a `shelf`, as one node sees them; bodies of up to `max_object` bytes.

    `patience` is how many seconds it may take to answer.
    """

    def __init__(self, shelf: Shelf, clock: Clock, *, patience: float, max_object: int) -> None:
        self._shelf = shelf
        self._clock = clock
        self._patience = patience
        self.max_object = max_object
        self.moments = Moments()
        self.done: Counter[str] = Counter()  # what came of asking and telling, by result
        self._failures = 0
        self._pause = PAUSE
        self._until = 0.0
        self._waiting: asyncio.Queue[tuple[str, Parcel | None]] = asyncio.Queue()
        self._bytes = 0

    @property
    def open(self) -> bool:
        """Whether it is asked at all: it did not fail lately."""
        return self._clock.monotonic() >= self._until

    async def find(self, key: str, site: str, request: Fields) -> Found | None:
        """What the PoP has for a request for `key` with these fields, if this node may use it."""
        if not self.open:
            self.done["skipped"] += 1
            return None
        parcel = await self._parcel(name_of(key), key)
        if parcel is not None and parcel.names:
            parcel = await self._parcel(name_of(key, select(parcel.names, request)), key)
        if parcel is None or not parcel.status:
            return None
        now = self._clock.wall()
        if now >= parcel.expires:
            self.done["stale"] += 1
            return None
        names = Names(key, site, frozenset(tags_of(parcel.fields)), frozenset(groups_of(parcel.fields)))
        if self.moments.strikes(names, parcel.position, parcel.began):
            self.done["purged"] += 1
            return None
        self.done["hit"] += 1
        age = max(0.0, now - parcel.born)
        return Found(parcel.status, parcel.fields, parcel.body, age, parcel.expires - now)

    def offer(self, entry: Entry, began: float) -> None:
        """Keep `entry`, whose fetch `began` then (wall clock), for the PoP, when there is time."""
        content, now = entry.content, self._clock.monotonic()
        body = content.identity if isinstance(content, Stored) and content.template is None else None
        if body is None:
            return
        left = entry.freshness.ttl(now)
        if len(body) > self.max_object or left <= 0 or entry.freshness.no_cache:
            return
        if self._waiting.qsize() >= WAITING or self._bytes + len(body) > WAITING_BYTES:
            self.done["dropped"] += 1
            return
        wall = self._clock.wall()
        parcel = Parcel(
            entry.key,
            (),
            entry.status,
            entry.fields,
            entry.position,
            began,
            wall - entry.freshness.age(now),
            wall + left,
            body if isinstance(body, bytes) else body.read(),
        )
        if entry.selection:
            names = tuple(name for name, _ in entry.selection)
            self._queue(name_of(entry.key), Parcel(entry.key, names, expires=parcel.expires))
        self._queue(name_of(entry.key, entry.selection), parcel)

    def struck(self, mark: Mark, at: Position) -> None:
        """What `mark` strikes is not used any more from now on; `at` is where this node then stands."""
        self.moments.record(mark, at, self._clock.wall())
        if isinstance(mark, Keys) and self._waiting.qsize() < WAITING:
            for key in mark.keys:
                self._queue(name_of(key), None)

    def begin(self, at: Position) -> None:
        """This node stands at `at`, and knows of no purge of before."""
        self.moments.begin(at, self._clock.wall())

    async def write_forever(self) -> None:
        """Takes what waits there, until cancelled."""
        while True:
            name, parcel = await self._waiting.get()
            size = 0 if parcel is None else len(parcel.body)
            self._bytes -= size
            if not self.open:
                self.done["dropped"] += 1
                continue
            if parcel is None:
                await self._tried(self._shelf.delete(name))
                continue
            left = parcel.expires - self._clock.wall()
            if left > 0 and await self._tried(self._shelf.set(name, packed(parcel), left)) is not _FAILED:
                self.done["kept"] += 1

    async def close(self) -> None:
        """Ends its connections."""
        try:
            await self._shelf.close()
        except Exception as error:
            log.info("the shared store could not be closed: %s", error)

    def counts(self) -> Iterator[Gauge]:
        """For metrics."""
        for result, count in self.done.items():
            yield Gauge("shared_store", "What came of the PoP's shared store.", count, {"result": result})

    def _queue(self, name: str, parcel: Parcel | None) -> None:
        self._bytes += 0 if parcel is None else len(parcel.body)
        self._waiting.put_nowait((name, parcel))

    async def _parcel(self, name: str, key: str) -> Parcel | None:
        """What is kept under `name`, if it is a parcel for `key`."""
        data = await self._tried(self._shelf.get(name))
        if data is _FAILED:
            return None
        if data is None:
            self.done["miss"] += 1
            return None
        try:
            parcel = unpacked(data) if isinstance(data, bytes) else None
        except NoParcel:
            parcel = None
        if parcel is None or parcel.key != key:
            self.done["garbage"] += 1
            return None
        return parcel

    async def _tried(self, asking: Any) -> Any:
        """What comes of `asking`; _FAILED where nothing does in time."""
        try:
            async with asyncio.timeout(self._patience):
                got = await asking
        except Exception as error:
            self.done["timeout" if isinstance(error, TimeoutError) else "error"] += 1
            self._fail(error)
            return _FAILED
        self._failures, self._pause = 0, PAUSE
        return got

    def _fail(self, error: Exception) -> None:
        self._failures += 1
        if self._failures >= FAILURES and self.open:
            log.warning(
                "the shared store is left alone for %g s: %s", self._pause, error or type(error).__name__
            )
            self._until = self._clock.monotonic() + self._pause
            self._pause = min(LONGEST_PAUSE, self._pause * 2)


_FAILED: Any = object()


def name_of(key: str, selection: Selection = ()) -> str:
    """Where the answer for `key`, in that variant, is kept."""
    text = "\x00".join((key, *(f"{name}={value!r}" for name, value in selection)))
    return f"tepi:{VERSION}:{blake2b(text.encode('utf-8', 'surrogatepass'), digest_size=20).hexdigest()}"


@dataclass(frozen=True, slots=True)
class RedisShelf:
    """Redis or Valkey, by aiocache."""

    cache: Any

    @classmethod
    def dial(
        cls,
        host: str,
        port: int,
        *,
        db: int = 0,
        user: str | None = None,
        password: str | None = None,
        tls: bool = False,
        authority: str | None = None,
        patience: float,
        connections: int = 16,
    ) -> RedisShelf:
        """A shelf at `host`; nothing is sent before it is used."""
        from aiocache import RedisCache  # here: a node without one starts sooner
        from aiocache.serializers import NullSerializer

        more: dict[str, Any] = {} if user is None else {"username": user}
        if authority is not None:
            more["ssl_ca_certs"] = authority
        cache = RedisCache(
            endpoint=host,
            port=port,
            db=db,
            password=password,
            ssl=tls,
            timeout=patience,
            create_connection_timeout=patience,
            pool_max_size=connections,
            serializer=NullSerializer(encoding=None),
            connection_pool_kwargs=more,
        )
        return cls(cache)

    async def get(self, name: str) -> bytes | None:
        found = await self.cache.get(name)
        return found if isinstance(found, bytes) or found is None else b""

    async def set(self, name: str, data: bytes, seconds: float) -> None:
        await self.cache.set(name, data, ttl=max(0.001, float(seconds)))

    async def delete(self, name: str) -> None:
        await self.cache.delete(name)

    async def close(self) -> None:
        await self.cache.client.aclose()
