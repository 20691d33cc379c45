"""The audit log, on both databases: it grows, it can't be changed, and what was changed is found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from control.audit import AGAIN_AFTER, BEGINNING, Actor, Audit, Broken, Denials, acting, digest
from control.db.database import Database
from control.db.tables import audit


@dataclass(slots=True)
class Log:
    database: Database
    audit: Audit
    key: Ed25519PrivateKey

    async def forbid_nothing(self) -> None:
        """What somebody does who owns the database: takes the triggers away."""
        words = ["DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete"]
        if self.database.shared:
            words = ["DROP TRIGGER audit_only_grows ON audit"]
        async with self.database.write() as connection:
            for word in words:
                await connection.execute(text(word))


@pytest.fixture
async def log(database_url: str) -> AsyncIterator[Log]:
    database, key = Database(database_url), Ed25519PrivateKey.generate()
    await database.migrate()
    log = Log(database, Audit(database, key, lambda: 1234.5678), key)
    acting.set(Actor("siti", "user", "192.0.2.1"))
    for number in range(5):
        async with database.write() as connection:
            after = {"b": [number, 0.1, "kopi ☕"], "a": None}
            await log.audit.note(connection, "site.change", f"shop-{number}", before={"x": 1}, after=after)
    yield log
    await database.close()


async def test_an_entry_says_who_what_from_where_before_and_after(log: Log) -> None:
    entry = (await log.audit.entries(limit=1))[0]
    said = {name: entry[name] for name in ("number", "at", "who", "kind", "address", "action", "subject")}
    assert said == {
        "number": 5, "at": 1234.5678, "who": "siti", "kind": "user", "address": "192.0.2.1",
        "action": "site.change", "subject": "shop-4",
    }  # fmt: skip
    assert (entry["before"], entry["after"]["b"]) == ({"x": 1}, [4, 0.1, "kopi ☕"])
    assert [one["number"] for one in await log.audit.entries(before=4, limit=2)] == [3, 2]
    assert await log.audit.entries(who="budi") == []


async def test_an_untouched_log_is_whole_and_its_head_can_be_noted(log: Log) -> None:
    count, head = await log.audit.verify()
    assert (count, head) == (5, (await log.audit.entries(limit=1))[0]["hash"])
    await log.audit.note_alone("login", "budi", "refused")
    assert (await log.audit.verify(head))[0] == 6


async def test_many_at_once_make_one_chain(log: Log) -> None:
    await asyncio.gather(*(log.audit.note_alone("login", str(each), "done") for each in range(20)))
    assert (await log.audit.verify())[0] == 25


async def test_what_is_rolled_back_leaves_no_entry(log: Log) -> None:
    with pytest.raises(RuntimeError):
        async with log.database.write() as connection:
            await log.audit.note(connection, "site.add", "lost")
            raise RuntimeError
    assert (await log.audit.verify())[0] == 5


async def test_the_database_itself_refuses_changes(log: Log) -> None:
    for statement in (update(audit).values(who="budi"), delete(audit)):
        with pytest.raises(DBAPIError, match="the audit log only grows"):
            async with log.database.write() as connection:
                await connection.execute(statement)


@pytest.mark.parametrize(
    ("column", "value"), [("who", "budi"), ("at", 1.0), ("after", {}), ("outcome", "denied")]
)
async def test_a_changed_entry_is_found(log: Log, column: str, value: object) -> None:
    await log.forbid_nothing()
    async with log.database.write() as connection:
        await connection.execute(update(audit).where(audit.c.number == 3).values({column: value}))
    with pytest.raises(Broken, match="entry 3 is not what was written"):
        await log.audit.verify()


async def test_a_missing_entry_is_found(log: Log) -> None:
    await log.forbid_nothing()
    async with log.database.write() as connection:
        await connection.execute(delete(audit).where(audit.c.number == 2))
    with pytest.raises(Broken, match="entry 2 is missing"):
        await log.audit.verify()


async def test_a_log_that_was_cut_off_is_found_by_a_head_that_was_noted(log: Log) -> None:
    _, head = await log.audit.verify()
    await log.forbid_nothing()
    async with log.database.write() as connection:
        await connection.execute(delete(audit).where(audit.c.number > 3))
    assert (await log.audit.verify())[0] == 3
    with pytest.raises(Broken, match="cut off"):
        await log.audit.verify(head)


async def test_an_entry_that_another_key_signed_is_found(log: Log) -> None:
    async with log.database.read() as connection:
        last = (await connection.execute(select(audit).where(audit.c.number == 5))).one()._mapping
    forged = {**last, "number": 6, "who": "budi", "previous": last["hash"]}
    forged["hash"] = digest(forged)
    async with log.database.write() as connection:
        await connection.execute(insert(audit).values(**forged))
    with pytest.raises(Broken, match="entry 6 was not written by this control"):
        await log.audit.verify()


async def test_an_empty_log_is_whole(postgres_url: str) -> None:
    database = Database(postgres_url)
    await database.migrate()
    assert await Audit(database, Ed25519PrivateKey.generate(), lambda: 0.0).verify() == (0, BEGINNING)
    await database.close()


async def test_the_same_denial_is_written_once_a_minute(log: Log) -> None:
    now = [0.0]
    denials = Denials(log.audit, lambda: now[0])
    for what in ("POST /x", "POST /x", "POST /y"):
        await denials.note(what)
    assert (await log.audit.verify())[0] == 7
    now[0] += AGAIN_AFTER
    await denials.note("POST /x")
    assert [one["outcome"] for one in await log.audit.entries(limit=3)] == ["denied"] * 3
