"""The outbox: what a plugin wrote in its own transaction leaves afterwards, in order, until it is taken."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import aiohttp
from sqlalchemy import insert, select, update

from origin.contract import Event, Hearer, Statements
from origin.db.database import Database
from origin.db.tables import outbox

log = logging.getLogger("tepi.origin.outbox")

Kind = Literal["purge", "event"]
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
BATCH = 50
NEVER = (400, 413, 422)  # control understood, and won't take it; a wrong token may be mended
IDLE = 30.0  # seconds after which the outbox is looked into without being told


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that must leave."""

    number: int
    id: str
    name: str
    body: Mapping[str, Any]
    created_at: float
    attempts: int


class Undeliverable(Exception):
    """It was not taken this time."""


class Refused(Exception):
    """It will never be taken; trying again would only hold back those behind it."""


class Carrier(Protocol):
    """Takes one row where it must go; what it returns is kept as the receipt.

    Raises Undeliverable, Refused.
    """

    async def __call__(self, row: Row) -> Mapping[str, Any]: ...


class Outbox:
    """Implements the `Events` contract. `clock` gives seconds since 1970, `jitter` 0 to 1."""

    def __init__(self, database: Database, clock: Callable[[], float], jitter: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._jitter = jitter
        self._told = asyncio.Event()

    async def emit(self, connection: Statements, name: str, body: Mapping[str, Any]) -> str:
        """Adds an event to the caller's transaction; its id."""
        return await self._add(connection, "event", name, body)

    async def purge(self, connection: Statements, *tags: str) -> None:
        """Adds a purge for each of `tags` to the caller's transaction."""
        for tag in dict.fromkeys(tags):
            await self._add(connection, "purge", tag, {})

    def tell(self) -> None:
        """Something was committed: look now."""
        self._told.set()
        self._told = asyncio.Event()

    async def _add(self, connection: Statements, kind: Kind, name: str, body: Mapping[str, Any]) -> str:
        id, now = secrets.token_hex(16), self._clock()
        await connection.execute(
            insert(outbox).values(
                id=id, kind=kind, name=name, body=dict(body), created_at=now, attempts=0, next_at=now
            )
        )
        return id

    async def deliver(self, kind: Kind, carry: Carrier) -> None:
        """Takes rows of `kind` out, oldest first, for ever. A row that fails holds back those behind it."""
        while True:
            told = self._told
            try:
                pause = await self._round(kind, carry)
            except Exception:
                log.exception("the outbox's %ss can't be delivered now", kind)
                pause = FIRST_PAUSE
            try:
                async with asyncio.timeout(pause):
                    await told.wait()
            except TimeoutError:
                pass

    async def _round(self, kind: Kind, carry: Carrier) -> float:
        """Delivers what is due; seconds until the next try."""
        while rows := await self._waiting(kind):
            for row, next_at in rows:
                if next_at > self._clock():
                    return next_at - self._clock()
                try:
                    receipt = await carry(row)
                except Undeliverable as error:
                    return await self._postpone(row, str(error))
                except Refused as error:
                    log.error("%s %s is refused for good: %s", row.id, row.name, error)
                    await self._done(row, None, str(error))
                else:
                    await self._done(row, receipt)
        return IDLE

    async def _waiting(self, kind: Kind) -> Sequence[tuple[Row, float]]:
        async with self._database.read() as connection:
            found = await connection.execute(
                select(outbox)
                .where(outbox.c.kind == kind, outbox.c.done_at.is_(None))
                .order_by(outbox.c.number)
                .limit(BATCH)
            )
            return [
                (Row(one.number, one.id, one.name, one.body, one.created_at, one.attempts), one.next_at)
                for one in found
            ]

    async def _postpone(self, row: Row, error: str) -> float:
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(row.attempts, 20)) * (0.5 + self._jitter())
        log.warning("%s %s is not taken yet (try %d): %s", row.id, row.name, row.attempts + 1, error)
        async with self._database.write() as connection:
            await connection.execute(
                update(outbox)
                .where(outbox.c.number == row.number)
                .values(attempts=row.attempts + 1, next_at=self._clock() + pause, error=error)
            )
        return pause

    async def _done(self, row: Row, receipt: Mapping[str, Any] | None, error: str | None = None) -> None:
        async with self._database.write() as connection:
            await connection.execute(
                update(outbox)
                .where(outbox.c.number == row.number)
                .values(
                    done_at=self._clock(), receipt=None if receipt is None else dict(receipt), error=error
                )
            )


class ToControl:
    """Carries purges to control's API. The row's id is the idempotency key: a retry purges once."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str) -> None:
        self._session = session
        self._url = f"{url.rstrip('/')}/api/v1/purges"
        self._token = token

    async def __call__(self, row: Row) -> Mapping[str, Any]:
        headers = {"Authorization": f"Bearer {self._token}", "Idempotency-Key": row.id}
        body = {"kind": "tag", "value": row.name}
        try:
            async with self._session.post(self._url, json=body, headers=headers) as response:
                if response.status in NEVER:
                    raise Refused(f"control answered {response.status}: {(await response.text())[:500]}")
                if response.status >= 300:
                    raise Undeliverable(f"control answered {response.status}")
                receipt: dict[str, Any] = await response.json(content_type=None)
                return receipt
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Undeliverable(f"control can't be reached: {error or type(error).__name__}") from error


class ToHearers:
    """Carries events to every plugin that hears them. All must have taken it, or it comes again to all."""

    def __init__(self, hearers: Mapping[str, Sequence[Hearer]]) -> None:
        self._hearers = hearers

    async def __call__(self, row: Row) -> Mapping[str, Any]:
        event = Event(row.id, row.name, row.body, row.created_at)
        hearers = self._hearers.get(row.name, ())
        for hearer in hearers:
            try:
                await hearer(event)
            except Exception as error:
                log.exception("a hearer of %s failed", row.name)
                raise Undeliverable(f"a hearer failed: {type(error).__name__}") from error
        return {"hearers": len(hearers)}
