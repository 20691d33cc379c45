"""The origin's database: durable, one writer at a time, migrated up and down with plugins' branches."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, MetaData, create_engine, inspect, text
from sqlalchemy.exc import IntegrityError

from origin.db.database import Database, sqlite_url
from origin.db.tables import inbox, metadata
from origin.ledger.plugin import LedgerPlugin
from origin.ledger.tables import metadata as books
from origin.risk.plugin import RiskPlugin
from origin.risk.tables import metadata as risks
from origin.storefront.plugin import Storefront
from origin.storefront.store import metadata as shop
from tests.origin.standing import database

BRANCHES = [Storefront().migrations(), LedgerPlugin().migrations(), RiskPlugin().migrations()]


async def value(found: Database, sql: str) -> object:
    async with found.read() as connection:
        return (await connection.execute(text(sql))).scalar()


async def add(found: Database, event: str) -> None:
    async with found.write() as connection:
        await connection.execute(inbox.insert().values(provider="p", event=event, received_at=0.0))


def opened(found: Database) -> Engine:
    """The same file, as a judge of its own opens it."""
    return create_engine(found.url.replace("+aiosqlite", ""))


async def tables(found: Database) -> set[str]:
    judge = opened(found)
    try:
        return set(inspect(judge).get_table_names())
    finally:
        judge.dispose()


async def test_what_is_committed_is_on_the_disk(tmp_path: Path) -> None:
    async with database(tmp_path) as found:
        assert await value(found, "PRAGMA journal_mode") == "wal"
        assert await value(found, "PRAGMA synchronous") == 2, "FULL"
        assert await value(found, "PRAGMA foreign_keys") == 1


async def test_an_exception_takes_the_whole_transaction_back(tmp_path: Path) -> None:
    async with database(tmp_path) as found:
        with pytest.raises(LookupError):
            async with found.write() as connection:
                await connection.execute(inbox.insert().values(provider="p", event="e", received_at=0.0))
                raise LookupError
        assert await value(found, "SELECT count(*) FROM inbox") == 0


async def test_what_holds_once_is_refused_the_second_time(tmp_path: Path) -> None:
    async with database(tmp_path) as found:
        await add(found, "e")
        with pytest.raises(IntegrityError):
            await add(found, "e")
        assert await value(found, "SELECT count(*) FROM inbox") == 1


async def test_writers_wait_for_one_another_and_none_is_lost(tmp_path: Path) -> None:
    """A transaction that reads before it writes would fail as busy if it began as a reader's."""
    async with database(tmp_path) as found:

        async def count_and_add(number: int) -> None:
            async with found.write() as connection:
                seen = (await connection.execute(text("SELECT count(*) FROM inbox"))).scalar_one()
                await asyncio.sleep(0)
                await connection.execute(
                    inbox.insert().values(provider="p", event=str(number), received_at=float(seen))
                )

        await asyncio.gather(*(count_and_add(number) for number in range(20)))
        assert await value(found, "SELECT count(DISTINCT received_at) FROM inbox") == 20


async def test_a_reader_is_not_held_up_by_a_writer(tmp_path: Path) -> None:
    async with database(tmp_path) as found:
        async with found.write() as connection:
            await connection.execute(inbox.insert().values(provider="p", event="e", received_at=0.0))
            async with asyncio.timeout(5):
                assert await value(found, "SELECT count(*) FROM inbox") == 0
        assert await value(found, "SELECT count(*) FROM inbox") == 1


async def test_migrations_make_what_the_code_reads(tmp_path: Path) -> None:
    expected = MetaData()
    for source in (metadata, shop, books, risks):
        for table in source.tables.values():
            table.to_metadata(expected)

    def differences(connection: Connection) -> object:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return [one for one in compare_metadata(context, expected) if "alembic_version" not in str(one)]

    async with database(tmp_path) as found:
        await found.migrate(BRANCHES)
        judge = opened(found)
        with judge.connect() as connection:
            assert differences(connection) == []
        judge.dispose()


async def test_migrations_go_up_down_and_up_again(tmp_path: Path) -> None:
    async with database(tmp_path) as found:
        assert await tables(found) == {"alembic_version", "inbox", "outbox"}
        await found.migrate(BRANCHES)
        assert await tables(found) >= {"storefront_products", "storefront_holds"}
        await found.migrate(BRANCHES, "base")
        assert await tables(found) == {"alembic_version"}
        await found.migrate(BRANCHES)
        assert await tables(found) >= {"inbox", "outbox", "storefront_products"}


async def test_migrating_again_changes_nothing(tmp_path: Path) -> None:
    async with database(tmp_path) as found:
        await found.migrate(BRANCHES)
        await add(found, "kept")
        await found.migrate(BRANCHES)
        assert await value(found, "SELECT event FROM inbox") == "kept"


async def test_a_plugins_migrations_are_a_branch_that_bears_its_name(tmp_path: Path) -> None:
    async with database(tmp_path) as found:
        await found.migrate(BRANCHES)
        async with found.read() as connection:
            versions = set(
                (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalars()
            )
    assert any(version.startswith("storefront_") for version in versions)


async def test_another_start_finds_what_was_written(tmp_path: Path) -> None:
    async with database(tmp_path) as found:
        await add(found, "kept")
    async with database(tmp_path) as found:
        assert await value(found, "SELECT event FROM inbox") == "kept"


def test_engines_of_another_kind_are_left_as_they_are() -> None:
    assert sqlite_url(Path("/a b/c.db")) == "sqlite+aiosqlite:////a b/c.db"
    assert isinstance(Database("sqlite+aiosqlite://")._engine.sync_engine, Engine)


async def test_a_cancelled_writer_leaves_no_lock_behind(tmp_path: Path) -> None:
    async def read_and_add(found: Database, event: str) -> None:
        async with found.write() as connection:
            await connection.execute(inbox.select())
            await connection.execute(inbox.insert().values(provider="p", event=event, received_at=0.0))
            await connection.execute(inbox.select())

    chance = random.Random(7)
    async with database(tmp_path) as found:
        for turn in range(60):
            writing = asyncio.create_task(read_and_add(found, f"maybe {turn}"))
            await asyncio.sleep(chance.random() * 0.005)
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            async with asyncio.timeout(2):
                await read_and_add(found, f"kept {turn}")
        assert await value(found, "SELECT count(*) FROM inbox WHERE event LIKE 'kept %'") == 60
