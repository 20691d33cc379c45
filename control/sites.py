"""Site documents: validated by the node's own parser, kept, journalled, and given a certificate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError
from sqlalchemy import delete, insert, select, update

from control.audit import ITSELF, Audit, acting
from control.authority import Authority, utc
from control.db.database import Database, Statements
from control.db.tables import certificates, nodes, sites, trials
from control.journal import Journal
from control.versions import keep
from edge.config import Site
from edge.document.packs import embedded
from edge.document.problems import Problem, Refused, problems_of
from edge.tiers.settings import pop_of


class Exists(Exception):
    """A site of that name is there already."""


class Missing(Exception):
    """There is no site of that name."""


class OnTrial(Exception):
    """Some nodes try another document of the site: that is settled first."""


class NoTrial(Exception):
    """No node tries another document of the site."""


class Sites:
    """The fleet's sites. `clock` gives seconds since 1970."""

    def __init__(
        self,
        database: Database,
        journal: Journal,
        authority: Authority,
        clock: Callable[[], float],
        audit: Audit,
    ) -> None:
        self._database = database
        self._journal = journal
        self._authority = authority
        self._clock = clock
        self._audit = audit

    async def add(self, document: dict[str, Any]) -> dict[str, Any]:
        """A new site; its document as it is kept. Raises Refused, Exists.

        A platform named in it is written out, so that it means the same on every node, whatever packs come
        along there, until the document is replaced.
        """
        site = parse_site(document)
        document = embedded(document)
        async with self._database.write() as connection:
            await connection.lock("sites")
            if await _document(connection, site.name) is not None:
                raise Exists(f"name: a site called {site.name} is there already")
            await _check_shield(connection, site)
            await self._put(connection, site, document, new=True)
            await self._audit.note(connection, "site.add", site.name, after=document)
        self._journal.tell()
        return document

    async def replace(self, name: str, document: dict[str, Any]) -> dict[str, Any]:
        """Another document for the site called `name`, as it is kept. Raises Refused, Missing, OnTrial."""
        site = parse_site(document)
        document = embedded(document)
        if site.name != name:
            raise Refused([Problem("name", repr(site.name), f"{name}, since a site keeps its name")])
        async with self._database.write() as connection:
            await connection.lock("sites")
            before = await _document(connection, name)
            if before is None:
                raise Missing(name)
            if await _trial(connection, name) is not None:
                raise OnTrial(f"{name} is on trial at some nodes: promote or abandon that first")
            if before.get("shield") != site.shield:  # one whose nodes have left stays until another is named
                await _check_shield(connection, site)
            await self._put(connection, site, document, new=False)
            await self._audit.note(connection, "site.change", name, before=before, after=document)
        self._journal.tell()
        return document

    async def restore(self, name: str, document: dict[str, Any]) -> dict[str, Any]:
        """`document` of an earlier version, whether the site is still there. Raises Refused, OnTrial."""
        try:
            return await self.replace(name, document)
        except Missing:
            return await self.add(document)

    async def remove(self, name: str) -> None:
        """Forgets the site called `name`. Raises Missing."""
        async with self._database.write() as connection:
            await connection.lock("sites")
            before = await _document(connection, name)
            if before is None:
                raise Missing(name)
            await connection.execute(delete(sites).where(sites.c.name == name))
            await connection.execute(delete(certificates).where(certificates.c.name == name))
            await connection.execute(delete(trials).where(trials.c.site == name))
            await self._journal.append(connection, "site.delete", {"name": name})
            await self._audit.note(connection, "site.remove", name, before=before)
        self._journal.tell()

    async def begin_trial(
        self, name: str, document: dict[str, Any], at: Sequence[str], minutes: int | None
    ) -> dict[str, Any]:
        """`document` at the nodes `at` alone; the trial. Raises Refused, Missing, OnTrial."""
        try:
            site = parse_site(document)
        except Refused as error:
            raise Refused(replace(each, field=f"site.{each.field}") for each in error.problems) from None
        document = embedded(document)
        async with self._database.write() as connection:
            await connection.lock("sites")
            before = await _document(connection, name)
            if before is None:
                raise Missing(name)
            if await _trial(connection, name) is not None:
                raise OnTrial(f"{name} is on trial already: promote or abandon that first")
            await _check_trial(connection, site, before, at)
            await connection.execute(delete(trials).where(trials.c.site == name))
            row = {
                "site": name,
                "document": document,
                "nodes": list(at),
                "minutes": minutes,
                "by": (acting.get() or ITSELF).name[:63],
                "started_at": self._clock(),
            }
            await connection.execute(insert(trials).values(**row))
            await self._journal.append(connection, "site.try", {"site": document, "nodes": list(at)})
            await self._audit.note(connection, "trial.begin", name, before=before, after=row)
        self._journal.tell()
        return row

    async def promote(self, name: str) -> dict[str, Any]:
        """What some nodes tried is the site's document, everywhere. Raises NoTrial."""
        async with self._database.write() as connection:
            await connection.lock("sites")
            trial, before = await _trial(connection, name), await _document(connection, name)
            if trial is None or before is None:
                raise NoTrial(f"no node tries another document of {name}")
            await self._put(connection, parse_site(trial["document"]), trial["document"], new=False)
            await self._end_trial(connection, name, "promoted", "")
            await self._audit.note(connection, "trial.promote", name, before=before, after=trial["document"])
        self._journal.tell()
        document: dict[str, Any] = trial["document"]
        return document

    async def abandon(self, name: str, reason: str = "") -> None:
        """Every node goes by the site's document again; `reason` if nobody asked for it. Raises NoTrial."""
        async with self._database.write() as connection:
            await connection.lock("sites")
            trial, document = await _trial(connection, name), await _document(connection, name)
            if trial is None or document is None:
                raise NoTrial(f"no node tries another document of {name}")
            await self._journal.append(connection, "site.put", document)
            await self._end_trial(connection, name, "turned" if reason else "abandoned", reason)
            told = {"reason": reason} if reason else None
            await self._audit.note(connection, "trial.abandon", name, before=trial["document"], after=told)
        self._journal.tell()

    async def trial(self, name: str) -> dict[str, Any] | None:
        """The site's trial, or how its last one ended."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(trials).where(trials.c.site == name))).first()
        return None if row is None else dict(row._mapping)

    async def trials(self) -> list[dict[str, Any]]:
        """The trials that are under way."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(trials).where(trials.c.ended_at.is_(None)))
            return [dict(row._mapping) for row in rows]

    async def get(self, name: str) -> dict[str, Any]:
        """The document of the site called `name`. Raises Missing."""
        async with self._database.read() as connection:
            document = await _document(connection, name)
        if document is None:
            raise Missing(name)
        return document

    async def all(self) -> list[dict[str, Any]]:
        """Every site's document, by name."""
        async with self._database.read() as connection:
            found = await connection.execute(select(sites.c.document).order_by(sites.c.name))
            return list(found.scalars())

    async def certificate(self, name: str) -> dict[str, str] | None:
        """The certificate called `name` and its key, for a node."""
        async with self._database.read() as connection:
            row = (
                await connection.execute(
                    select(certificates.c.certificate, certificates.c.key).where(certificates.c.name == name)
                )
            ).first()
        return None if row is None else {"certificate": row.certificate, "key": row.key}

    async def _put(self, connection: Statements, site: Site, document: dict[str, Any], *, new: bool) -> None:
        await _check_hosts(connection, site)
        values = {"document": document, "changed_at": self._clock()}
        if new:
            await connection.execute(insert(sites).values(name=site.name, **values))
        else:
            await connection.execute(update(sites).where(sites.c.name == site.name).values(**values))
        await keep(connection, site.name, document, self._clock())
        await self._journal.append(connection, "site.put", document)
        await self._certify(connection, site)

    async def _end_trial(self, connection: Statements, name: str, outcome: str, reason: str) -> None:
        await connection.execute(
            update(trials)
            .where(trials.c.site == name)
            .values(ended_at=self._clock(), outcome=outcome, reason=reason)
        )

    async def _certify(self, connection: Statements, site: Site) -> None:
        """A certificate of control's own authority for the site's hosts, unless it has one for just these."""
        hosts = [host for host in site.hosts if host != "*"]
        row = (
            await connection.execute(
                select(certificates.c.hosts, certificates.c.expires_at).where(
                    certificates.c.name == site.name
                )
            )
        ).first()
        if not hosts or (row is not None and row.hosts == hosts and row.expires_at > self._clock()):
            return
        pair = await asyncio.to_thread(self._authority.issue, hosts, utc(self._clock()))
        await connection.execute(delete(certificates).where(certificates.c.name == site.name))
        await connection.execute(
            insert(certificates).values(
                name=site.name,
                hosts=hosts,
                certificate=pair.certificate,
                key=pair.key,
                expires_at=pair.expires_at,
            )
        )
        await self._journal.append(connection, "certificate.put", {"name": site.name, "hosts": hosts})


def parse_site(document: dict[str, Any]) -> Site:
    """`document` as the nodes will read it. Raises Refused."""
    try:
        return Site.model_validate(document)
    except ValidationError as error:
        raise Refused(problems_of(error, Site)) from None


async def _document(connection: Statements, name: str) -> dict[str, Any] | None:
    row = (await connection.execute(select(sites.c.document).where(sites.c.name == name))).first()
    return None if row is None else row.document


async def _trial(connection: Statements, name: str) -> dict[str, Any] | None:
    """The site's trial that is under way."""
    running = select(trials).where(trials.c.site == name, trials.c.ended_at.is_(None))
    row = (await connection.execute(running)).first()
    return None if row is None else dict(row._mapping)


async def _check_trial(connection: Statements, site: Site, before: dict[str, Any], at: Sequence[str]) -> None:
    """A trial changes what some nodes do, not which site they are for. Raises Refused."""
    joined = select(nodes.c.name).where(nodes.c.role == "edge", nodes.c.serial.is_not(None))
    edges = set((await connection.execute(joined)).scalars())
    known = f"an edge of the fleet: {', '.join(sorted(edges)) or 'none yet'}"
    problems = [
        Problem(f"nodes.{place}", repr(name), known) for place, name in enumerate(at) if name not in edges
    ]
    if not problems and edges <= set(at):
        problems.append(Problem("nodes", ", ".join(at), "fewer than all edges, so that there is a rest"))
    if site.name != before["name"]:
        kept = f"{before['name']}, since a site keeps its name"
        problems.append(Problem("site.name", repr(site.name), kept))
    if set(site.hosts) != set(parse_site(before).hosts):
        problems.append(Problem("site.hosts", repr(list(site.hosts)), "the same hosts as now"))
    if problems:
        raise Refused(problems)


async def _check_shield(connection: Statements, site: Site) -> None:
    """Raises Refused where the site's shield is a PoP to which no node belongs."""
    if site.shield is None:
        return
    places = (await connection.execute(select(nodes.c.place).where(nodes.c.role == "edge"))).scalars()
    pops = sorted({pop_of(place) for place in places})
    if site.shield not in pops:
        known = f"a PoP of the fleet: {', '.join(pops)}" if pops else "none, since the fleet has no edge yet"
        raise Refused([Problem("shield", repr(site.shield), known)])


async def _check_hosts(connection: Statements, site: Site) -> None:
    """Each host belongs to one site. Raises Refused."""
    rows = await connection.execute(select(sites.c.name, sites.c.document).where(sites.c.name != site.name))
    owners = {host: row.name for row in rows for host in parse_site(row.document).hosts}
    taken = [
        Problem(f"hosts.{at}", repr(host), f"a host of no other site; {owners[host]} has it")
        for at, host in enumerate(site.hosts)
        if host in owners
    ]
    if taken:
        raise Refused(taken)
