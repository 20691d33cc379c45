"""Parcels and their scans; each new scan purges the parcel's page in its own transaction."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Column, Float, MetaData, String, Table, insert, select

from origin.contract import Host, Statements
from origin.tracking.parcels.orphans import Orphans
from origin.tracking.parcels.scans import Scan, Unreadable, is_known, read_news, status_of

log = logging.getLogger("tepi.tracking")
metadata = MetaData()

parcels = Table(
    "tracking_parcels",
    metadata,
    Column("number", String(32), primary_key=True),  # ours, which nobody can guess
    Column("carrier", String(32), nullable=False),
    Column("code", String(120), nullable=False),  # the carrier's
    Column("made_at", Float, nullable=False),
)

scans = Table(
    "tracking_scans",
    metadata,
    Column("parcel", String(32), primary_key=True),
    Column("at", Float, primary_key=True),
    Column("raw", String(120), primary_key=True),
    Column("place", String(120), primary_key=True),
    Column("status", String(20), nullable=False),
    Column("text", String(120), nullable=False),
)


class Parcels:
    """What is on its way."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.orphans = Orphans(host)

    async def expect(self, carrier: str, code: str) -> str:
        """A parcel that a carrier has as `code`; its number here, the same when asked again.

        What the carrier has said of it before it was expected counts from now on.
        """
        async with self._host.write() as connection:
            await connection.lock(f"tracking-parcel-{carrier}-{code}")
            known = await self._number(connection, carrier, code)
            if known is not None:
                return known
            number = secrets.token_hex(16)
            await connection.execute(
                insert(parcels).values(number=number, carrier=carrier, code=code, made_at=self._host.now())
            )
            await self._add(connection, carrier, number, await self.orphans.claim(connection, carrier, code))
            return number

    async def parcel(self, number: str) -> tuple[str, Sequence[Scan]] | None:
        """The parcel's carrier and scans."""
        async with self._host.read() as connection:
            carrier = (
                await connection.execute(select(parcels.c.carrier).where(parcels.c.number == number))
            ).scalar()
            return None if carrier is None else (carrier, await self._scans(connection, number))

    async def take(self, carrier: str, connection: Statements, document: Mapping[str, Any]) -> None:
        """A carrier's webhook, in the caller's transaction. Late or twice, it changes nothing wrongly."""
        try:
            news = read_news(carrier, document)
        except Unreadable as error:
            log.error("a webhook of %s can't be read, and is kept: %s", carrier, error)
            await self.orphans.keep(connection, carrier, document, problem=str(error))
            return
        if news is None:
            return
        await connection.lock(f"tracking-parcel-{carrier}-{news.code}")
        number = await self._number(connection, carrier, news.code)
        if number is None:
            log.warning("%s speaks of a parcel that nobody expects: kept until it is", carrier)
            await self.orphans.keep(connection, carrier, document, code=news.code)
            return
        await self._add(connection, carrier, number, news.scans)

    async def _add(self, connection: Statements, carrier: str, number: str, said: Sequence[Scan]) -> None:
        """Those of a carrier's scans that are new; the parcel's page is purged when any is."""
        known = await self._scans(connection, number)
        seen = {(one.at, one.raw, one.place) for one in known}
        new = [one for one in said if (one.at, one.raw, one.place) not in seen]
        new = list({(one.at, one.raw, one.place): one for one in new}.values())
        if not new:
            return
        for one in new:
            if not is_known(carrier, one.raw):
                log.error("%s says %r, which nobody knows: kept as it is", carrier, one.raw)
            await connection.execute(
                insert(scans).values(
                    parcel=number, at=one.at, raw=one.raw, place=one.place, status=one.status, text=one.text
                )
            )
        before, after = status_of(known), status_of([*known, *new])
        if before != after:
            body = {"parcel": number, "from": before, "to": after}
            await self._host.events.emit(connection, "parcel.moved", body)
        await self._host.events.purge(connection, tag_of(number))

    async def _number(self, connection: Statements, carrier: str, code: str) -> str | None:
        asked = select(parcels.c.number).where(parcels.c.carrier == carrier, parcels.c.code == code)
        found: str | None = (await connection.execute(asked)).scalar()
        return found

    async def _scans(self, connection: Statements, number: str) -> list[Scan]:
        found = await connection.execute(select(scans).where(scans.c.parcel == number))
        return [Scan(row.at, row.raw, row.status, row.place, row.text) for row in found]


def tag_of(number: str) -> str:
    """The tag of all pages that show this parcel."""
    return f"parcel-{number}"
