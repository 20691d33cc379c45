"""Control's database, on both engines: durable, migrated, and never left locked."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, create_engine, insert, inspect, select, text, update

from control.db.database import MIGRATIONS, Database, sqlite_url
from control.db.tables import counter, journal, metadata
from edge.document.problems import Refused


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    made = Database(database_url)
    await made.migrate()
    async with made.write() as connection:
        await connection.execute(insert(counter).values(id=1, lineage="a", number=0))
    yield made
    await made.close()


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[Database]:
    made = Database(sqlite_url(tmp_path / "control.db"))
    await made.migrate()
    async with made.write() as connection:
        await connection.execute(insert(counter).values(id=1, lineage="a", number=0))
    yield made
    await made.close()


async def number(database: Database) -> int:
    async with database.read() as connection:
        return int((await connection.execute(select(counter.c.number))).scalar_one())


async def grow(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(update(counter).values(number=counter.c.number + 1))


async def test_a_file_is_flushed_to_disk_at_each_commit(file: Database) -> None:
    async with file.read() as connection:
        pragmas = [
            (await connection.execute(text(f"PRAGMA {name}"))).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert pragmas == ["wal", 2, 1]


async def test_readers_pass_the_writer(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(update(counter).values(number=7))
        async with asyncio.timeout(1):
            assert await number(database) == 0
    assert await number(database) == 7


async def test_a_writer_does_not_wait_for_readers(database: Database) -> None:
    async with database.read() as reading:
        await reading.execute(select(counter))
        async with asyncio.timeout(1):
            await grow(database)
        assert (await reading.execute(select(counter.c.number))).scalar() == 1


async def test_an_exception_rolls_back(database: Database) -> None:
    with pytest.raises(RuntimeError, match="no"):
        async with database.write() as connection:
            await connection.execute(update(counter).values(number=7))
            raise RuntimeError("no")
    assert await number(database) == 0


async def test_writers_at_once_lose_nothing(database: Database) -> None:
    await asyncio.gather(*(grow(database) for _ in range(40)))
    assert await number(database) == 40


async def test_a_cancelled_writer_leaves_no_lock_behind(database: Database) -> None:
    chance = random.Random(7)
    for _ in range(60):
        task = asyncio.create_task(grow(database))
        await asyncio.sleep(chance.random() * 0.005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with asyncio.timeout(2):
            await grow(database)
    assert 60 <= await number(database) <= 120


async def test_a_writer_that_is_cancelled_twice_still_ends_cleanly(database: Database) -> None:
    for pause in (0, 0.0005, 0.001, 0.002):
        task = asyncio.create_task(grow(database))
        await asyncio.sleep(pause)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        await asyncio.gather(task, return_exceptions=True)
        async with asyncio.timeout(2):
            await grow(database)


def looked_at(database: Database) -> Engine:
    url = database.url.replace("sqlite+aiosqlite", "sqlite").replace("postgresql://", "postgresql+psycopg://")
    return create_engine(url)


async def test_the_migrations_make_the_very_tables_that_the_code_uses(database: Database) -> None:
    engine = looked_at(database)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


async def test_the_schema_goes_down_to_nothing_and_up_again(database: Database) -> None:
    await database.migrate("base")
    engine = looked_at(database)
    assert inspect(engine).get_table_names() == ["alembic_version"]
    engine.dispose()
    await database.migrate()
    async with database.write() as connection:
        await connection.execute(insert(counter).values(id=1, lineage="b", number=0))
    assert await number(database) == 0


async def test_migrating_what_is_up_to_date_changes_nothing(database: Database) -> None:
    await grow(database)
    await database.migrate()
    assert await number(database) == 1


async def test_every_revision_goes_down_and_up_with_what_is_in_it(database: Database) -> None:
    await grow(database)
    steps = len(list((MIGRATIONS / "versions").glob("[0-9]*.py")))
    for _ in range(steps - 1):  # the last one takes the counter's table with it
        await database.migrate("-1")
        assert await number(database) == 1
    await database.migrate()
    assert await number(database) == 1


async def test_a_moment_is_one_moment_whatever_is_written_meanwhile(database: Database) -> None:
    async with database.moment() as still:
        before = (await still.execute(select(counter.c.number))).scalar()
        async with asyncio.timeout(2):
            await grow(database)
        assert (await still.execute(select(counter.c.number))).scalar() == before == 0
    assert await number(database) == 1


async def test_who_looks_and_then_writes_under_a_lock_is_alone(database: Database) -> None:
    async def take(name: str) -> bool:
        async with database.write() as connection:
            await connection.lock("name")
            taken = (await connection.execute(select(journal.c.number))).first() is not None
            if not taken:
                row = {"number": 1, "kind": name, "body": {}, "at": 0.0}
                await connection.execute(insert(journal).values(**row))
            return not taken

    assert sum(await asyncio.gather(*(take(str(each)) for each in range(12)))) == 1


async def test_replicas_that_start_at_once_migrate_one_after_the_other(postgres_url: str) -> None:
    databases = [Database(postgres_url) for _ in range(4)]
    await asyncio.gather(*(each.migrate() for each in databases))
    for each in databases:
        await each.close()


@pytest.mark.parametrize("url", ["mysql://x@y/z", "nonsense", "postgresql+asyncpg://x@y/z", ""])
def test_a_url_of_something_else_is_refused_and_no_password_is_shown(url: str) -> None:
    with pytest.raises(Refused, match="expected postgresql://USER@HOST/NAME, or nothing"):
        Database(url)


async def test_what_was_committed_is_in_the_file(file: Database, tmp_path: Path) -> None:
    await grow(file)
    with sqlite3.connect(tmp_path / "control.db") as other:
        assert other.execute("select number from counter").fetchone() == (1,)
    other.close()
