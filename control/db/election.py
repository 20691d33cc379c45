"""One of several controls on a PostgreSQL runs what must run once: it holds an advisory lock meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

import psycopg

from control.db.database import Database, lock_number

log = logging.getLogger("tepi.control.db")

EVERY = 1.0  # seconds between two tries, and between two looks whether the lock is still held
PATIENCE = 3.0  # seconds without an answer after which the lock counts as lost

Work = Callable[[], Awaitable[None]]


async def while_elected(database: Database, work: Work) -> None:
    """Runs `work` whenever this process is the one that is elected, until cancelled.

    SQLite has one process: it always is. `work` is cancelled when the lock may be somebody else's.
    """
    if not database.shared:
        await work()
        return
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(database.url, autocommit=True) as connection:
                while True:
                    if await _asked(connection, "SELECT pg_try_advisory_lock(%s)"):
                        log.info("elected: this control runs the tasks")
                        await _run(connection, work)
                    await asyncio.sleep(EVERY)
        except (psycopg.Error, TimeoutError) as error:
            log.warning("not elected: %s", str(error).strip() or type(error).__name__)
        await asyncio.sleep(EVERY)


async def _run(connection: psycopg.AsyncConnection, work: Work) -> None:
    """Runs `work` as long as the lock is held. Raises psycopg.Error, TimeoutError when it is lost."""
    running = asyncio.ensure_future(work())
    try:
        while not running.done():
            await asyncio.wait({running}, timeout=EVERY)
            await _asked(connection, "SELECT %s IS NOT NULL")
        running.result()
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def _asked(connection: psycopg.AsyncConnection, question: str) -> bool:
    async with asyncio.timeout(PATIENCE):
        cursor = await connection.execute(question.encode(), (lock_number("tasks"),))
        row = await cursor.fetchone()
    return row is not None and bool(row[0])
