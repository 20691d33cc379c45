"""Control's database, SQLite or PostgreSQL: short transactions, one moment for readers, locks, migrations."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal, TypeVar

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, CursorResult, Executable, event, func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from control.db.bells import Bell
from edge.document.problems import Problem, Refused

T = TypeVar("T")
Topic = Literal["journal", "receipts", "errands"]

MIGRATIONS = Path(__file__).parent / "migrations"
BEGIN = "tepi_begin"  # the word that begins a transaction of SQLite; "" where there is none
CHANNEL = "tepi"


class Statements:
    """What statements run on. Each runs to its end, even if who waits for it is cancelled meanwhile."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._one_writer = connection.dialect.name == "sqlite"

    async def execute(self, statement: Executable) -> CursorResult[*tuple[Any, ...]]:
        """The statement's rows, all fetched."""
        return await to_the_end(self._connection.execute(statement))

    async def look(self, at: Callable[[Connection], T]) -> T:
        """What `at` finds, on the synchronous connection that it is given."""
        return await to_the_end(self._connection.run_sync(at))

    async def lock(self, name: str) -> None:
        """Until this transaction ends nobody else holds `name`: what was looked up stays true.

        SQLite has one writer anyway.
        """
        if not self._one_writer:
            await self.execute(select(func.pg_advisory_xact_lock(lock_number(name))))

    async def ring(self, topic: Topic) -> None:
        """Once this transaction is committed, other processes on this database hear of `topic`."""
        if not self._one_writer:
            await self.execute(select(func.pg_notify(CHANNEL, topic)))


def lock_number(name: str) -> int:
    """The number of the advisory lock called `name` (64 bits, signed)."""
    return int.from_bytes(blake2b(f"tepi {name}".encode(), digest_size=8).digest(), signed=True)


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
        """Raises Refused for a URL of another kind of database."""
        self.url = url
        self.bells: dict[str, Bell] = {topic: Bell() for topic in ("journal", "receipts", "errands")}
        self.shared = not url.startswith("sqlite")  # several processes may work on it at once
        if self.shared:
            self._engine = create_async_engine(_driven(url), pool_pre_ping=True)
            self._reading: dict[str, Any] = {"isolation_level": "AUTOCOMMIT"}
            self._moment: dict[str, Any] = {
                "isolation_level": "REPEATABLE READ",
                "postgresql_readonly": True,
            }
        else:
            self._engine = create_async_engine(url)
            self._reading, self._moment = {BEGIN: ""}, {BEGIN: "BEGIN"}
            event.listen(self._engine.sync_engine, "connect", _prepare_sqlite)
            event.listen(self._engine.sync_engine, "begin", _begin_sqlite)

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
    async def moment(self) -> AsyncIterator[Statements]:
        """A connection on which every statement sees one and the same moment; it waits for no writer."""
        async with self._connected() as connection:
            await to_the_end(connection.execution_options(**self._moment))
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

    async def migrate(self, revision: str = "head") -> None:
        """Brings the schema to `revision`, up or down."""
        async with self._engine.connect() as connection:
            await connection.run_sync(_migrate, revision)

    async def close(self) -> None:
        """Gives every connection back."""
        await self._engine.dispose()


def sqlite_url(path: Path) -> str:
    """The URL of a database file."""
    return f"sqlite+aiosqlite:///{path}"


@contextlib.contextmanager
def answering() -> Iterator[None]:
    """Whoever can't go on without the database says so in a sentence. Raises Refused."""
    try:
        yield
    except OperationalError as error:
        reason = (str(error.orig).strip().splitlines() or ["no answer"])[0]
        raise Refused([Problem("database", reason, "a database that answers")]) from error


def _driven(url: str) -> str:
    """`url`, as libpq reads it, with the driver that is used here. Raises Refused."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    if parsed is None or parsed.drivername not in ("postgresql", "postgres"):
        kind = url.partition(":")[0][:40]
        raise Refused([Problem("database", repr(f"{kind}:…"), "postgresql://USER@HOST/NAME, or nothing")])
    return parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun by _begin_sqlite alone
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    word = connection.get_execution_options().get(BEGIN, "BEGIN IMMEDIATE")
    if word:
        connection.exec_driver_sql(word)


def _migrate(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    if connection.dialect.name == "postgresql":  # replicas that start at once migrate one after the other
        connection.execute(select(func.pg_advisory_lock(lock_number("migrate"))))
        connection.commit()
    try:
        if revision.startswith("-") or revision == "base":
            command.downgrade(config, revision)
        else:
            command.upgrade(config, revision)
    finally:
        if connection.dialect.name == "postgresql":
            connection.rollback()
            connection.execute(select(func.pg_advisory_unlock(lock_number("migrate"))))
            connection.commit()
