"""Several controls on one PostgreSQL: each tells the others of its nodes and runs errands for them.

A control on SQLite is alone and needs none of this.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from control.db.database import Database
from control.db.tables import errands, nodes, presence
from control.fanout import Fanout, Seen
from control.health import Heard
from control.stream import CommandFailed, NoSuchNode, Stream
from edge.position import Position

log = logging.getLogger("tepi.control.replicas")

EVERY = 0.5  # seconds between two exchanges
ERRAND_SECONDS = 6.0  # longer than a node may take for a command
FORGOTTEN_AFTER = 60.0


@dataclass(slots=True)
class Replicas:
    """This control among its equals. `wall` and `monotonic` are its clocks."""

    database: Database
    fanout: Fanout
    stream: Stream
    wall: Callable[[], float]
    monotonic: Callable[[], float]
    name: str = field(default_factory=lambda: secrets.token_hex(8))
    _told: float | None = None

    async def exchange(self) -> None:
        """Writes what this control hears, reads what the others hear, and ends lines of who is no member."""
        now = self.monotonic()
        try:
            await self._write()
            await self._read()
        except BaseException:
            self.fanout.not_told(now - (now if self._told is None else self._told))
            self._told = now
            raise
        self._told = now

    async def _write(self) -> None:
        mine = self.fanout.mine()
        if not mine:
            return
        async with self.database.write() as connection:
            known = select(nodes.c.name).where(nodes.c.name.in_([seen.name for seen in mine]))
            names = set((await connection.execute(known)).scalars())
            rows = [self._row(seen) for seen in mine if seen.name in names]
            if not rows:
                return
            statement = upsert(presence).values(rows)
            new = {
                column.name: statement.excluded[column.name]
                for column in presence.c
                if not column.primary_key
            }
            await connection.execute(statement.on_conflict_do_update(index_elements=["node"], set_=new))

    def _row(self, seen: Seen) -> dict[str, Any]:
        position = seen.position
        return {
            "node": seen.name,
            "replica": self.name,
            "beats": seen.beats,
            "good_beats": seen.heard.good_beats,
            "version": seen.version[:64],
            "lineage": None if position is None else position.lineage[:32],
            "number": None if position is None else position.number,
            "counters": seen.counters,
            "problems": seen.problems,
        }

    async def _read(self) -> None:
        async with self.database.read() as connection:
            members = (
                await connection.execute(
                    select(nodes.c.name, nodes.c.serial, nodes.c.draining).where(nodes.c.serial.is_not(None))
                )
            ).all()
            rows = (
                await connection.execute(
                    select(presence, nodes.c.role)
                    .join(nodes, nodes.c.name == presence.c.node)
                    .where(presence.c.replica != self.name)
                )
            ).all()
        now = self.monotonic()
        for row in rows:
            position = None if row.lineage is None else Position(row.lineage, row.number)
            self.fanout.elsewhere(
                Seen(
                    name=row.node,
                    role=row.role,
                    heard=Heard(now, now, row.good_beats),
                    replica=row.replica,
                    beats=row.beats,
                    position=position,
                    version=row.version,
                    counters=row.counters,
                    problems=row.problems,
                ),
                now,
            )
        for row in members:
            self.fanout.drain(row.name, row.draining)
        self.fanout.keep_only({row.name for row in members})
        await self.stream.only({row.name: row.serial for row in members})

    # Errands ------------------------------------------------------------------------------------

    async def command(self, name: str, verb: str, body: dict[str, Any], seconds: float = 5.0) -> Any:
        """Has `name` carry out `verb`, wherever its line ends. Raises NoSuchNode, CommandFailed."""
        seen = self.fanout.get(name)
        if seen is None or not seen.replica or not seen.connected:
            return await self.stream.command(name, verb, body, seconds)
        id, bell = secrets.token_hex(8), self.database.bells["errands"]
        async with self.database.write() as connection:
            await connection.execute(
                insert(errands).values(id=id, node=name, verb=verb, body=body, at=self.wall())
            )
            await connection.ring("errands")
        try:
            async with asyncio.timeout(seconds + 1.0):
                while True:
                    rung = bell.next
                    async with self.database.read() as connection:
                        reply = (
                            await connection.execute(select(errands.c.reply).where(errands.c.id == id))
                        ).scalar()
                    if reply is not None:
                        break
                    await rung.wait()
        except TimeoutError as error:
            raise CommandFailed(f"{name} did not answer within {seconds:g} s") from error
        finally:
            async with self.database.write() as connection:
                await connection.execute(delete(errands).where(errands.c.id == id))
        if "error" in reply:
            raise CommandFailed(str(reply["error"]))
        return reply["body"]

    async def run_errands(self) -> None:
        """Carries out what other controls ask of the nodes whose lines end here, until cancelled."""
        under_way: set[asyncio.Task[None]] = set()
        bell = self.database.bells["errands"]
        while True:
            rung = bell.next
            try:
                taken = await self._take()
            except Exception:
                log.exception("errands could not be read")
                taken = []
            for row in taken:
                task = asyncio.create_task(self._run(row))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            await rung.wait()

    async def _take(self) -> list[Any]:
        mine = [seen.name for seen in self.fanout.mine()]
        if not mine:
            return []
        open_ = (errands.c.node.in_(mine), errands.c.taken_by.is_(None))
        async with self.database.write() as connection:
            taken = await connection.execute(
                update(errands)
                .where(*open_, errands.c.at > self.wall() - FORGOTTEN_AFTER)
                .values(taken_by=self.name)
                .returning(errands.c.id, errands.c.node, errands.c.verb, errands.c.body)
            )
            return list(taken.all())

    async def _run(self, row: Any) -> None:
        reply: dict[str, Any]
        try:
            reply = {"body": await self.stream.command(row.node, row.verb, row.body)}
        except NoSuchNode:
            reply = {"error": f"{row.node} is not connected any more"}
        except CommandFailed as error:
            reply = {"error": str(error)}
        async with self.database.write() as connection:
            await connection.execute(update(errands).where(errands.c.id == row.id).values(reply=reply))
            await connection.ring("errands")

    async def sweep(self) -> None:
        """Forgets errands whose askers are gone."""
        async with self.database.write() as connection:
            await connection.execute(delete(errands).where(errands.c.at < self.wall() - FORGOTTEN_AFTER))


async def keep_exchanging(replicas: Replicas) -> None:
    """Exchanges twice a second, until cancelled; while the database is away the last word holds."""
    failing = False
    while True:
        try:
            async with asyncio.timeout(ERRAND_SECONDS):
                await replicas.exchange()
            failing = False
        except Exception as error:
            if not failing:
                log.warning("what other controls hear is not known: %s", str(error).splitlines()[0])
            failing = True
        await asyncio.sleep(EVERY)
