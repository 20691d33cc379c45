"""What a site's document was: every version with who made it and when, and how two of them differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select

from control.audit import ITSELF, acting
from control.db.database import Database, Statements
from control.db.tables import site_versions

KEPT = 200  # versions of one site; older ones go, the audit log still tells of them


class NoVersion(Exception):
    """There is no such version of that site."""


@dataclass(frozen=True, slots=True)
class Change:
    """A place in the document, and what stands there in either version; None where nothing does."""

    place: str
    before: Any
    after: Any

    def as_json(self) -> dict[str, Any]:
        """As the API shows it."""
        return asdict(self)


class Versions:
    """Reads versions. They are written by whoever changes a site, in his transaction (`keep`)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, site: str) -> list[dict[str, Any]]:
        """Every version that is kept, the newest first: number, at (seconds since 1970), by."""
        query = (
            select(site_versions.c.number, site_versions.c.at, site_versions.c.by)
            .where(site_versions.c.site == site)
            .order_by(site_versions.c.number.desc())
        )
        async with self._database.read() as connection:
            return [dict(row._mapping) for row in await connection.execute(query)]

    async def document(self, site: str, number: int) -> dict[str, Any]:
        """The site's document in that version. Raises NoVersion."""
        query = select(site_versions.c.document).where(
            site_versions.c.site == site, site_versions.c.number == number
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        if row is None:
            raise NoVersion(f"there is no version {number} of {site}")
        return dict(row.document)


async def keep(connection: Statements, site: str, document: dict[str, Any], at: float) -> int:
    """`document` as the newest version, made by who acts now; its number."""
    of_this = site_versions.c.site == site
    last = (await connection.execute(select(func.max(site_versions.c.number)).where(of_this))).scalar()
    number = (last or 0) + 1
    by = (acting.get() or ITSELF).name[:63]
    await connection.execute(
        insert(site_versions).values(site=site, number=number, document=document, at=at, by=by)
    )
    await connection.execute(delete(site_versions).where(of_this, site_versions.c.number <= number - KEPT))
    return number


def differences(before: Any, after: Any, place: str = "") -> Iterator[Change]:
    """Where two documents differ, leaf by leaf, in the order of their keys; lists place by place."""
    match before, after:
        case dict(), dict():
            for key in dict.fromkeys((*before, *after)):
                yield from differences(before.get(key), after.get(key), f"{place}.{key}" if place else key)
        case list(), list():
            for at in range(max(len(before), len(after))):
                one, other = (each[at] if at < len(each) else None for each in (before, after))
                yield from differences(one, other, f"{place}.{at}")
        case _ if before != after or type(before) is not type(after):
            yield Change(place, before, after)
