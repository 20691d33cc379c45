"""The origin's database: one engine, short transactions, migrations."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, CursorResult, Executable, event, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

T = TypeVar("T")

MIGRATIONS = Path(__file__).parent / "migrations"
READING = "tepi_reading"  # marks a connection that must not wait for writers


class Statements:
    """What statements run on. Each runs to its end, even if who waits for it is cancelled meanwhile."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def execute(
        self, statement: Executable, values: Sequence[Mapping[str, Any]] = ()
    ) -> CursorResult[*tuple[Any, ...]]:
        """The statement's rows, all fetched; with `values` it runs for each of them, and gives none."""
        return await to_the_end(self._connection.execute(statement, values or None))

    async def lock(self, name: str) -> None:
        """Waits until no other transaction holds `name`. SQLite has one writer anyway."""
        if self._connection.dialect.name != "sqlite":
            await self.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


async def to_the_end(work: Awaitable[T]) -> T:
    """Awaits `work`; a cancellation is heard only after it.

    A statement that is left half way keeps running in the driver's thread, and its transaction keeps the
    write lock that nobody gives back.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # it is of no interest any more, and must not be reported as forgotten
        raise


class Database:
    """Reads see what is committed; writes are one transaction each and durable when it ends."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine = create_async_engine(url)
        self._reading: dict[str, Any] = {"isolation_level": "AUTOCOMMIT"}
        if self._engine.dialect.name == "sqlite":
            self._reading = {READING: True}
            event.listen(self._engine.sync_engine, "connect", _prepare_sqlite)
            event.listen(self._engine.sync_engine, "begin", _begin_immediate)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Statements]:
        """A transaction that is committed at the end, or rolled back by an exception."""
        async with self._connected() as connection:
            transaction = connection.begin()
            await to_the_end(transaction.start())
            try:
                yield Statements(connection)
            except BaseException:
                await to_the_end(transaction.rollback())
                raise
            else:
                await to_the_end(transaction.commit())

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Statements]:
        """A connection on which every statement sees the latest commit."""
        async with self._connected() as connection:
            await to_the_end(connection.execution_options(**self._reading))
            yield Statements(connection)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection]:
        connection = self._engine.connect()
        try:
            await to_the_end(connection.start())
            yield connection
        finally:
            if connection.sync_connection is not None:  # it came to be
                await to_the_end(connection.close())

    async def migrate(self, plugins: Sequence[Path] = (), revision: str = "heads") -> None:
        """Brings the schema to `revision` ("heads" or "base"), the plugins' branches included."""
        async with self._engine.connect() as connection:
            await connection.run_sync(_migrate, plugins, revision)

    async def close(self) -> None:
        """Gives every connection back."""
        await self._engine.dispose()


def sqlite_url(path: Path) -> str:
    """The URL of a database file."""
    return f"sqlite+aiosqlite:///{path}"


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun by _begin_immediate alone
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    if not connection.get_execution_options().get(READING):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _migrate(connection: Connection, plugins: Sequence[Path], revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "newline")
    config.set_main_option(
        "version_locations", "\n".join(str(path) for path in (MIGRATIONS / "versions", *plugins))
    )
    config.attributes["connection"] = connection
    if revision == "base":
        command.downgrade(config, "base")
    else:
        command.upgrade(config, revision)
