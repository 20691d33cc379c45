"""Purges and their receipts: journalled durably, then counted node by node."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import and_, delete, insert, or_, select, update

from control.audit import Audit
from control.db.database import Database, Statements
from control.db.tables import counter, nodes, purges, receipts
from control.fanout import Fanout
from control.journal import Journal
from edge.position import Position
from edge.purge import Purge
from geo.fleet import Health

KEPT = 30 * 86_400  # seconds


@dataclass(frozen=True, slots=True)
class Receipt:
    """Whether one node has applied a purge. `seconds` counts from the call."""

    node: str
    healthy: bool  # when the purge was asked for
    seconds: float | None

    @property
    def applied(self) -> bool:
        """Whether the node has acknowledged."""
        return self.seconds is not None


@dataclass(frozen=True, slots=True)
class Order:
    """A purge that was accepted, with its receipts so far."""

    id: str
    position: Position
    purge: Purge
    by: str
    at: float
    receipts: tuple[Receipt, ...]

    @property
    def done(self) -> bool:
        """Whether every node that was healthy at the call has applied it."""
        return all(receipt.applied for receipt in self.receipts if receipt.healthy)


class KeyReused(Exception):
    """The idempotency key was used for another purge."""


class Purges:
    """Takes purges and keeps their receipts. `clock` gives seconds since 1970."""

    def __init__(
        self,
        database: Database,
        journal: Journal,
        fanout: Fanout,
        clock: Callable[[], float],
        audit: Audit,
    ) -> None:
        self._database = database
        self._journal = journal
        self._fanout = fanout
        self._clock = clock
        self._audit = audit
        self._bell = database.bells["receipts"]

    async def order(self, purge: Purge, by: str, key: str | None = None) -> Order:
        """Journals `purge`; it is durable when this returns. The same `key` gives the same order.

        Raises KeyReused.
        """
        async with self._database.write() as connection:
            if key is not None:
                await connection.lock(f"purge {key}")
            if key is not None and (known := await self._by_key(connection, key)) is not None:
                if known.purge != purge:
                    raise KeyReused(f"Idempotency-Key: {key!r} was used for another purge")
                return known
            id = secrets.token_hex(8)
            position = await self._journal.append(
                connection,
                "purge",
                {
                    "id": id,
                    "kind": purge.kind,
                    "value": purge.value,
                    "soft": purge.soft,
                    "site": purge.site,
                },
            )
            await connection.execute(
                insert(purges).values(
                    id=id,
                    lineage=position.lineage,
                    number=position.number,
                    kind=purge.kind,
                    value=purge.value,
                    soft=purge.soft,
                    site=purge.site,
                    by=by,
                    at=self._clock(),
                    idempotency_key=key,
                )
            )
            await self._await_edges(connection, id)
            told = {"id": id, "soft": purge.soft, "site": purge.site, "number": position.number}
            await self._audit.note(connection, "purge", f"{purge.kind} {purge.value}", after=told)
        self._journal.tell()
        found = await self.find(id)
        assert found is not None
        return found

    async def _await_edges(self, connection: Statements, id: str) -> None:
        edges = (
            await connection.execute(
                select(nodes.c.name).where(nodes.c.role == "edge", nodes.c.serial.is_not(None))
            )
        ).scalars()
        for name in edges.all():
            seen = self._fanout.get(name)
            healthy = seen is not None and seen.health in (Health.HEALTHY, Health.DRAINING)
            await connection.execute(insert(receipts).values(purge=id, node=name, healthy=healthy))

    async def acknowledged(self, node: str, position: Position) -> None:
        """`node` has applied everything up to `position`: every receipt that waited for that is written."""
        of_now = select(counter.c.id).where(counter.c.lineage == position.lineage).exists()
        waiting = select(purges.c.id).where(
            or_(
                and_(purges.c.lineage == position.lineage, purges.c.number <= position.number),
                # a node of this lineage took its snapshot, and since then trusts nothing that is older
                and_(purges.c.lineage != position.lineage, of_now),
            )
        )
        pending = (
            receipts.c.node == node,
            receipts.c.applied_at.is_(None),
            receipts.c.purge.in_(waiting),
        )
        async with self._database.read() as connection:
            if (await connection.execute(select(receipts.c.purge).where(*pending).limit(1))).first() is None:
                return
        async with self._database.write() as connection:
            written = await connection.execute(
                update(receipts).where(*pending).values(applied_at=self._clock())
            )
            if written.rowcount:
                await connection.ring("receipts")
        self._bell.ring()

    async def forget(self, node: str) -> None:
        """`node` is no member any more: no purge waits for it."""
        async with self._database.write() as connection:
            await connection.execute(
                delete(receipts).where(receipts.c.node == node, receipts.c.applied_at.is_(None))
            )
            await connection.ring("receipts")
        self._bell.ring()

    async def sweep(self) -> None:
        """Forgets purges and their receipts after a month: no outbox repeats a key for longer."""
        async with self._database.write() as connection:
            await connection.execute(delete(purges).where(purges.c.at < self._clock() - KEPT))

    async def find(self, id: str) -> Order | None:
        """The order called `id`."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(purges).where(purges.c.id == id))).first()
            return None if row is None else await self._order(connection, row)

    async def recent(self, limit: int = 20, by: str | None = None) -> list[Order]:
        """The latest orders, of one who gave them or of all, the newest first."""
        query = select(purges).order_by(purges.c.at.desc()).limit(limit)
        if by is not None:
            query = query.where(purges.c.by == by)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
            return [await self._order(connection, row) for row in rows]

    async def wait(self, id: str, seconds: float) -> Order | None:
        """The order called `id` once it is done, or as it stands after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    changed = self._bell.next
                    order = await self.find(id)
                    if order is None or order.done:
                        return order
                    await changed.wait()
        except TimeoutError:
            return await self.find(id)

    async def _by_key(self, connection: Statements, key: str) -> Order | None:
        row = (await connection.execute(select(purges).where(purges.c.idempotency_key == key))).first()
        return None if row is None else await self._order(connection, row)

    async def _order(self, connection: Statements, row: object) -> Order:
        found = dict(row._mapping)  # type: ignore[attr-defined]
        rows = await connection.execute(
            select(receipts).where(receipts.c.purge == found["id"]).order_by(receipts.c.node)
        )
        return Order(
            id=found["id"],
            position=Position(found["lineage"], found["number"]),
            purge=Purge(found["kind"], found["value"], found["soft"], found["site"]),
            by=found["by"],
            at=found["at"],
            receipts=tuple(
                Receipt(
                    one.node,
                    one.healthy,
                    None if one.applied_at is None else max(0.0, one.applied_at - found["at"]),
                )
                for one in rows
            ),
        )
