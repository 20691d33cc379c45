"""The control plane's parts, built and connected: what API, dashboard and tasks are given."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select, update

from control.audit import Audit, Denials
from control.auth import Auth
from control.authority import Authority, utc
from control.backup import KEYS
from control.db.database import Database, answering, sqlite_url
from control.db.tables import counter, nodes
from control.fanout import Fanout
from control.journal import Journal
from control.membership import Membership
from control.people import People
from control.plugins import Plugins
from control.purges import Purges
from control.replicas import Replicas
from control.samples import Samples
from control.settings import ControlSettings
from control.sites import Sites
from control.stream import Stream
from control.versions import Versions
from edge.document.problems import Problem, Refused
from edge.identity import write_private
from edge.journal import Signer
from geo.fleet import Fleet, Node, Place
from geo.lookup import Lookup


@dataclass(frozen=True, slots=True)
class Clocks:
    """Seconds since 1970, and seconds that only grow."""

    wall: Callable[[], float]
    monotonic: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Plane:
    """Everything that control is made of."""

    settings: ControlSettings
    clocks: Clocks
    database: Database
    authority: Authority
    auth: Auth
    audit: Audit
    denials: Denials
    people: People
    journal: Journal
    sites: Sites
    versions: Versions
    membership: Membership
    purges: Purges
    samples: Samples
    fanout: Fanout
    stream: Stream
    replicas: Replicas
    plugins: Plugins
    lookup: Lookup

    async def command(self, name: str, verb: str, body: dict[str, Any]) -> Any:
        """Has the node called `name` carry out `verb`. Raises NoSuchNode, CommandFailed."""
        return await self.replicas.command(name, verb, body)

    async def fleet(self) -> Fleet:
        """The edge nodes that have joined, with their health: what routing sees."""
        members = [
            one
            for one in await self.membership.all()
            if one["role"] == "edge" and one["serial"] and one["place"]
        ]
        return Fleet(tuple(self._routed(one) for one in members))

    def _routed(self, member: dict[str, object]) -> Node:
        seen = self.fanout.know(str(member["name"]), "edge")
        place, addresses = member["place"], member["addresses"]
        assert isinstance(place, dict)
        assert isinstance(addresses, list)
        capacity = member["capacity"]
        assert isinstance(capacity, float)
        return Node(seen.name, Place(**place), tuple(addresses), seen.health, capacity)

    async def close(self) -> None:
        """Gives everything back."""
        await self.plugins.close()
        await self.samples.close()
        await self.database.close()


def database_of(settings: ControlSettings) -> Database:
    """The database that `settings` name. Raises Refused."""
    return Database(settings.database or sqlite_url(settings.directory / "control.db"))


async def build(settings: ControlSettings, clocks: Clocks, lookup: Lookup) -> Plane:
    """Control's parts on the state directory that `settings` name; the schema is brought up to date."""
    directory = settings.directory
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = database_of(settings)
    try:
        with answering():
            return await _build_on(database, settings, clocks, lookup)
    except BaseException:
        await database.close()
        raise


async def _build_on(database: Database, settings: ControlSettings, clocks: Clocks, lookup: Lookup) -> Plane:
    directory = settings.directory
    await database.migrate()
    await refuse_without_keys(database, directory)
    key = journal_key(directory)
    authority = Authority.open(directory, utc(clocks.wall()))
    journal = Journal(database, Signer(key), clocks.wall, settings.journal_keep)
    await journal.begin()
    await begin_fleet(database, authority.fingerprint, public_of(key))
    fanout = Fanout(clocks.monotonic())
    audit = Audit(database, key, clocks.wall)
    sites = Sites(database, journal, authority, clocks.wall, audit)
    membership = Membership(database, journal, authority, clocks.wall, settings.token_hours * 3600, audit)
    purges = Purges(database, journal, fanout, clocks.wall, audit)
    async with database.read() as connection:
        for row in await connection.execute(
            select(nodes.c.name, nodes.c.role, nodes.c.draining).where(nodes.c.serial.is_not(None))
        ):
            fanout.know(row.name, row.role).draining = row.draining
    stream = Stream(
        journal=journal,
        membership=membership,
        sites=sites,
        purges=purges,
        fanout=fanout,
        authority=authority,
        journal_key=public_of(key),
        monotonic=clocks.monotonic,
        nats=settings.journal_nats,
    )
    auth = Auth(
        database,
        clock=clocks.wall,
        monotonic=clocks.monotonic,
        session_seconds=settings.session_hours * 3600,
        audit=audit,
    )
    return Plane(
        settings=settings,
        clocks=clocks,
        database=database,
        authority=authority,
        auth=auth,
        audit=audit,
        denials=Denials(audit, clocks.monotonic),
        people=People(database, auth, audit, clocks.wall),
        journal=journal,
        sites=sites,
        versions=Versions(database),
        membership=membership,
        purges=purges,
        samples=Samples(database),
        fanout=fanout,
        stream=stream,
        replicas=Replicas(database, fanout, stream, clocks.wall, clocks.monotonic),
        plugins=Plugins(settings.origin, clocks.wall),
        lookup=lookup,
    )


async def refuse_without_keys(database: Database, directory: Path) -> None:
    """A fleet's database without its keys would give it new ones, which no node trusts. Raises Refused."""
    async with database.read() as connection:
        known = (await connection.execute(select(counter.c.authority))).scalar()
    missing = [name for name in KEYS if not (directory / name).exists()]
    if known is not None and missing:
        wanted = f"{', '.join(KEYS)} of its fleet: copy them there from another control, or restore"
        raise Refused([Problem("state", f"{directory} without {', '.join(missing)}", wanted)])


async def begin_fleet(database: Database, authority: str, journal: str) -> None:
    """The first control of a fleet writes which keys it has; others must have the same. Raises Refused."""
    async with database.write() as connection:
        await connection.lock("journal")
        row = (await connection.execute(select(counter.c.authority, counter.c.journal_key))).one()
        if row.authority is None:
            await connection.execute(update(counter).values(authority=authority, journal_key=journal))
        elif (row.authority, row.journal_key) != (authority, journal):
            wanted = "the keys of the fleet that this database belongs to"
            raise Refused([Problem("state", "keys of another fleet", f"{wanted}: {', '.join(KEYS)}")])


def public_of(key: Ed25519PrivateKey) -> str:
    """The public half of the journal's key, as nodes are given it."""
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return base64.b64encode(raw).decode()


def existing_journal_key(directory: Path) -> Ed25519PrivateKey:
    """The key that signs the journal. Raises Refused where there is none."""
    if not (directory / "journal.key").exists():
        raise Refused([Problem("state", f"{directory} without journal.key", "a control's state")])
    return journal_key(directory)


def journal_key(directory: Path) -> Ed25519PrivateKey:
    """The key that signs the journal, made the first time."""
    path = directory / "journal.key"
    if not path.exists():
        fresh = Ed25519PrivateKey.generate()
        write_private(
            path,
            fresh.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path}: expected an Ed25519 key")
    return key
