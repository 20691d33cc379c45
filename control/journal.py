"""The journal: numbered, signed, in the same transaction as what it tells. No reader can skip a number."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from control.db.database import Database, Statements
from control.db.tables import certificates, counter, journal, nodes, sites, trials
from edge.journal import Document, Kind, Signed, Signer
from edge.position import Position


class Journal:
    """Appends events and reads them back signed. `clock` gives seconds since 1970."""

    def __init__(
        self, database: Database, signer: Signer, clock: Callable[[], float], keep: int = 10_000
    ) -> None:
        self._database = database
        self._signer = signer
        self._clock = clock
        self._keep = keep
        self._bell = database.bells["journal"]

    async def begin(self) -> None:
        """Makes the counter's row, the first time."""
        async with self._database.write() as connection:
            await connection.lock("journal")
            if (await connection.execute(select(counter.c.id))).first() is None:
                await connection.execute(insert(counter).values(id=1, lineage=secrets.token_hex(8), number=0))

    async def new_lineage(self) -> None:
        """After a restored backup: numbers are given again, so every node must take a snapshot."""
        async with self._database.write() as connection:
            await connection.execute(update(counter).values(lineage=secrets.token_hex(8)))
            await connection.ring("journal")
        self.tell()

    async def append(self, connection: Statements, kind: Kind, body: Document) -> Position:
        """Adds an event to the transaction on `connection`. Call `tell` once it is committed."""
        taken = await connection.execute(
            update(counter)
            .where(counter.c.id == 1)
            .values(number=counter.c.number + 1)
            .returning(counter.c.lineage, counter.c.number)
        )
        lineage, number = taken.one()
        await connection.execute(
            insert(journal).values(number=number, kind=kind, body=dict(body), at=self._clock())
        )
        if number % 100 == 0:
            await connection.execute(delete(journal).where(journal.c.number <= number - self._keep))
        await connection.ring("journal")
        return Position(lineage, number)

    def tell(self) -> None:
        """Wakes those who follow in this process; other ones hear it from the database."""
        self._bell.ring()

    async def head(self) -> Position:
        """The position of the last event."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(counter.c.lineage, counter.c.number))).one()
        return Position(row.lineage, row.number)

    async def reaches_back_to(self, position: Position) -> bool:
        """Whether every event after `position` is still there."""
        head = await self.head()
        if position.lineage != head.lineage or position.number > head.number:
            return False
        if position.number == head.number:
            return True
        async with self._database.read() as connection:
            oldest = (await connection.execute(select(func.min(journal.c.number)))).scalar()
        return oldest is not None and oldest <= position.number + 1

    async def before_the_oldest(self) -> int:
        """The number before that of the oldest event that is kept."""
        head = await self.head()
        async with self._database.read() as connection:
            oldest = (await connection.execute(select(func.min(journal.c.number)))).scalar()
        return head.number if oldest is None else int(oldest) - 1

    async def outlived(self, lineage: str) -> None:
        """Returns once `lineage` has ended."""
        while True:
            grown = self._bell.next
            if (await self.head()).lineage != lineage:
                return
            await grown.wait()

    async def is_behind(self, position: Position) -> bool:
        """Whether somebody has seen more of this lineage than there is: numbers were lost with a database."""
        head = await self.head()
        return head.lineage == position.lineage and head.number < position.number

    async def follow(self, position: Position) -> AsyncIterator[tuple[Position, Signed]]:
        """Every event after `position`, signed, in order; then waits for more, until the lineage ends."""
        lineage, number = position.lineage, position.number
        while True:
            grown = self._bell.next
            for row in await self._after(number):
                if row.lineage != lineage:
                    return
                number = row.number
                payload = {"lineage": lineage, "number": number, "kind": row.kind, "body": row.body}
                yield Position(lineage, number), self._signer.sign(payload)
            if (await self.head()).lineage != lineage:
                return
            await grown.wait()

    async def _after(self, number: int) -> Sequence[Any]:
        """The next rows after `number`, each with the lineage of now: read in one statement."""
        lineage = select(counter.c.lineage).scalar_subquery().label("lineage")
        query = (
            select(lineage, journal.c.number, journal.c.kind, journal.c.body)
            .where(journal.c.number > number)
            .order_by(journal.c.number)
        )
        async with self._database.read() as connection:
            return (await connection.execute(query)).all()

    async def snapshot(self) -> tuple[Position, Signed]:
        """Everything that the journal amounts to now, signed."""
        async with self._database.moment() as connection:
            at = (await connection.execute(select(counter.c.lineage, counter.c.number))).one()
            documents = (await connection.execute(select(sites.c.document).order_by(sites.c.name))).scalars()
            fleet = await fleet_document(connection)
            under_way = select(trials.c.document, trials.c.nodes).where(trials.c.ended_at.is_(None))
            tried = await connection.execute(under_way.order_by(trials.c.site))
            held = await connection.execute(select(certificates.c.name, certificates.c.hosts))
            payload: dict[str, Any] = {
                "lineage": at.lineage,
                "number": at.number,
                "sites": list(documents),
                "fleet": fleet,
                "certificates": [{"name": row.name, "hosts": row.hosts} for row in held],
                "trials": [{"site": row.document, "nodes": row.nodes} for row in tried],
            }
        return Position(at.lineage, at.number), self._signer.sign(payload)


async def fleet_document(connection: Statements) -> list[dict[str, Any]]:
    """The nodes that have joined, as `fleet.put` and snapshots tell of them."""
    rows = await connection.execute(select(nodes).where(nodes.c.serial.is_not(None)).order_by(nodes.c.name))
    return [
        {
            "name": row.name,
            "role": row.role,
            "place": row.place,
            "addresses": row.addresses,
            "capacity": row.capacity,
            "serial": row.serial,
        }
        for row in rows
    ]
