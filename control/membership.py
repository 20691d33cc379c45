"""Which nodes belong to the fleet: announced, joined with a one-time token, revoked."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import delete, insert, select, update

from control.audit import Audit
from control.auth import digest
from control.authority import Authority, utc
from control.db.database import Database
from control.db.tables import join_tokens, nodes
from control.journal import Journal, fleet_document

Role = Literal["edge", "dns", "origin"]


class Known(Exception):
    """A node of that name is there already."""


class TokenRefused(Exception):
    """The join token is wrong, used or expired."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """A node to come. `place` is city, country, latitude, longitude; edges need one."""

    name: str
    role: Role
    place: dict[str, Any] | None
    addresses: tuple[str, ...]
    capacity: float = 1.0


@dataclass(frozen=True, slots=True)
class Admission:
    """What a node gets for its token."""

    name: str
    role: str
    certificate: str


class Membership:
    """The fleet's members. `clock` gives seconds since 1970."""

    def __init__(
        self,
        database: Database,
        journal: Journal,
        authority: Authority,
        clock: Callable[[], float],
        token_seconds: float,
        audit: Audit,
    ) -> None:
        self._database = database
        self._journal = journal
        self._authority = authority
        self._clock = clock
        self._token_seconds = token_seconds
        self._audit = audit

    async def announce(self, node: Announcement) -> str:
        """Makes room for `node`; its join token, to be shown once. Raises Known."""
        secret = secrets.token_urlsafe(24)
        now = self._clock()
        async with self._database.write() as connection:
            await connection.lock(f"node {node.name}")
            if (await connection.execute(select(nodes.c.name).where(nodes.c.name == node.name))).first():
                raise Known(f"name: a node called {node.name} is there already; revoke it first")
            await connection.execute(
                insert(nodes).values(
                    name=node.name,
                    role=node.role,
                    place=node.place,
                    addresses=list(node.addresses),
                    capacity=node.capacity,
                    created_at=now,
                )
            )
            await connection.execute(
                insert(join_tokens).values(
                    hash=digest(secret), node=node.name, expires_at=now + self._token_seconds
                )
            )
            told = {"role": node.role, "place": node.place, "addresses": list(node.addresses)}
            await self._audit.note(connection, "node.announce", node.name, after=told)
        return f"{secret}.{self._authority.fingerprint}"

    async def admit(self, secret: str, request: str) -> Admission:
        """Takes in the node that bears `secret`. Raises TokenRefused, BadRequest; then nothing changes."""
        now = self._clock()
        async with self._database.write() as connection:
            used = await connection.execute(
                update(join_tokens)
                .where(
                    join_tokens.c.hash == digest(secret),
                    join_tokens.c.used_at.is_(None),
                    join_tokens.c.expires_at > now,
                )
                .values(used_at=now)
                .returning(join_tokens.c.node)
            )
            name = used.scalar()
            if name is None:
                raise TokenRefused("the join token is wrong, expired or used already; make a new one")
            node = (await connection.execute(select(nodes).where(nodes.c.name == name))).one()
            certificate, serial = self._authority.sign_node(
                request, node.name, node.role, node.addresses, utc(now)
            )
            await connection.execute(
                update(nodes).where(nodes.c.name == name).values(serial=serial, joined_at=now)
            )
            await self._journal.append(connection, "fleet.put", {"nodes": await fleet_document(connection)})
            await self._audit.note(connection, "node.join", name, after={"serial": serial})
        self._journal.tell()
        return Admission(node.name, node.role, certificate)

    async def revoke(self, name: str) -> bool:
        """Strikes the node from the fleet; whether it was there."""
        async with self._database.write() as connection:
            gone = await connection.execute(delete(nodes).where(nodes.c.name == name))
            if not gone.rowcount:
                return False
            await self._journal.append(connection, "fleet.put", {"nodes": await fleet_document(connection)})
            await self._audit.note(connection, "node.revoke", name)
        self._journal.tell()
        return True

    async def drain(self, name: str, draining: bool) -> bool:
        """Nobody is sent to the node from now on, or again; whether there is one that has joined."""
        async with self._database.write() as connection:
            changed = await connection.execute(
                update(nodes)
                .where(nodes.c.name == name, nodes.c.serial.is_not(None))
                .values(draining=draining)
            )
            if not changed.rowcount:
                return False
            await self._audit.note(connection, "node.drain" if draining else "node.undrain", name)
        return True

    async def by_certificate(self, name: str, serial: str) -> Role | None:
        """The role of the member `name` whose valid certificate has `serial`; None for anybody else."""
        async with self._database.read() as connection:
            row = (
                await connection.execute(
                    select(nodes.c.role).where(nodes.c.name == name, nodes.c.serial == serial)
                )
            ).first()
        return None if row is None else row.role

    async def all(self) -> list[dict[str, Any]]:
        """Every node, announced or joined, by name."""
        async with self._database.read() as connection:
            rows = (await connection.execute(select(nodes).order_by(nodes.c.name))).all()
        return [dict(row._mapping) for row in rows]
