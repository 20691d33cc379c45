"""Users and API tokens: made, changed, struck; each change with its line in the audit log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyotp
from sqlalchemy import delete, insert, null, select, update

from control.audit import Audit
from control.auth import Auth, digest, new_token
from control.db.database import Database, Statements
from control.db.tables import sessions, tokens, users
from control.rights import Role, Scope

SHORTEST_PASSWORD = 10  # characters
ISSUER = "Tepi"


class NameTaken(Exception):
    """There is a user, or a token, of that name."""


class Nobody(Exception):
    """There is no user, or no token, of that name."""


class LastAdmin(Exception):
    """Somebody has to be left who may do everything."""


class WrongCode(Exception):
    """The second factor's code does not fit, or was used."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is to become of a user; None leaves it. `sites` is set whenever `role` is."""

    role: Role | None = None
    sites: tuple[str, ...] | None = None
    password: str | None = None
    forget_second_factor: bool = False


class People:
    """`clock` gives seconds since 1970."""

    def __init__(self, database: Database, auth: Auth, audit: Audit, clock: Callable[[], float]) -> None:
        self._database = database
        self._auth = auth
        self._audit = audit
        self._clock = clock

    # Users --------------------------------------------------------------------------------------

    async def users(self) -> list[dict[str, Any]]:
        """Every user by name: role, sites, whether there is a second factor."""
        async with self._database.read() as connection:
            return [shown_user(row) for row in await connection.execute(select(users).order_by(users.c.name))]

    async def user(self, name: str) -> dict[str, Any]:
        """One user. Raises Nobody."""
        async with self._database.read() as connection:
            return shown_user(await _row(connection, name))

    async def add_user(self, name: str, password: str, role: Role, sites: Sequence[str] | None) -> None:
        """A new user. Raises NameTaken."""
        hashed = await self._auth.hashed(password)
        async with self._database.write() as connection:
            await connection.lock("users")
            if (await connection.execute(select(users.c.name).where(users.c.name == name))).first():
                raise NameTaken(f"name: a user called {name} is there already")
            values = {"name": name, "role": role, "sites": None if sites is None else list(sites)}
            await connection.execute(
                insert(users).values(**values, password=hashed, created_at=self._clock())
            )
            await self._audit.note(connection, "user.add", name, after=values)

    async def change_user(self, name: str, change: Change) -> dict[str, Any]:
        """The user as he is then. A new password ends his sessions. Raises Nobody, LastAdmin."""
        hashed = None if change.password is None else await self._auth.hashed(change.password)
        async with self._database.write() as connection:
            await connection.lock("users")
            before = shown_user(await _row(connection, name))
            values: dict[str, Any] = {}
            if change.role is not None:
                values |= {
                    "role": change.role,
                    "sites": None if change.sites is None else list(change.sites),
                }
            if hashed is not None:
                values["password"] = hashed
            if change.forget_second_factor:
                values["totp"] = None
            if values:
                await connection.execute(update(users).where(users.c.name == name).values(**values))
            if hashed is not None:
                await connection.execute(delete(sessions).where(sessions.c.user == name))
            await _refuse_without_admin(connection)
            after = shown_user(await _row(connection, name))
            told = {**after, "password": "changed"} if hashed is not None else after
            await self._audit.note(connection, "user.change", name, before=before, after=told)
        return after

    async def remove_user(self, name: str) -> None:
        """Strikes a user and ends his sessions. Raises Nobody, LastAdmin."""
        async with self._database.write() as connection:
            await connection.lock("users")
            before = shown_user(await _row(connection, name))
            await connection.execute(delete(sessions).where(sessions.c.user == name))
            await connection.execute(delete(users).where(users.c.name == name))
            await _refuse_without_admin(connection)
            await self._audit.note(connection, "user.remove", name, before=before)

    async def set_second_factor(self, name: str, secret: str, code: str) -> None:
        """From now on `name` needs codes of `secret`; `code` shows that he has it. Raises WrongCode."""
        if not await self._auth.takes_code(name, secret, code):
            raise WrongCode("the code does not fit, or was used already")
        async with self._database.write() as connection:
            await connection.execute(update(users).where(users.c.name == name).values(totp=secret))
            await self._audit.note(connection, "user.second-factor", name, after={"second_factor": True})

    # Tokens -------------------------------------------------------------------------------------

    async def tokens(self) -> list[dict[str, Any]]:
        """Every token by name: scopes, sites, who made it, until when it is good."""
        async with self._database.read() as connection:
            return [
                shown_token(row) for row in await connection.execute(select(tokens).order_by(tokens.c.name))
            ]

    async def add_token(
        self,
        name: str,
        scopes: Sequence[Scope],
        *,
        by: str = "control",
        sites: Sequence[str] | None = None,
        seconds: float | None = None,
    ) -> str:
        """A new token, to be shown once; good for `seconds`, or until it is struck. Raises NameTaken."""
        token, now = new_token(), self._clock()
        values = {
            "name": name,
            "scopes": sorted(set(scopes)),
            "sites": None if sites is None else list(sites),
            "expires_at": None if seconds is None else now + seconds,
        }
        async with self._database.write() as connection:
            await connection.lock("tokens")
            if (await connection.execute(select(tokens.c.name).where(tokens.c.name == name))).first():
                raise NameTaken(f"name: a token called {name} is there already")
            await connection.execute(
                insert(tokens).values(hash=digest(token), by=by, created_at=now, **values)
            )
            await self._audit.note(connection, "token.add", name, after=values)
        return token

    async def remove_token(self, name: str) -> None:
        """Strikes a token: it is worth nothing from now on. Raises Nobody."""
        async with self._database.write() as connection:
            row = (await connection.execute(select(tokens).where(tokens.c.name == name))).first()
            if row is None:
                raise Nobody(f"there is no token called {name}")
            await connection.execute(delete(tokens).where(tokens.c.name == name))
            await self._audit.note(connection, "token.remove", name, before=shown_token(row))


async def _row(connection: Statements, name: str) -> Any:
    row = (await connection.execute(select(users).where(users.c.name == name))).first()
    if row is None:
        raise Nobody(f"there is no user called {name}")
    return row


async def _refuse_without_admin(connection: Statements) -> None:
    everything = (users.c.role == "admin", users.c.sites.is_(null()))
    if (await connection.execute(select(users.c.name).where(*everything).limit(1))).first() is None:
        raise LastAdmin("one admin of the whole fleet has to be left; make another one first")


def shown_user(row: Any) -> dict[str, Any]:
    """A user without his secrets."""
    return {
        "name": row.name,
        "role": row.role,
        "sites": row.sites,
        "second_factor": row.totp is not None,
        "created_at": row.created_at,
    }


def shown_token(row: Any) -> dict[str, Any]:
    """A token without its hash."""
    names = ("name", "scopes", "sites", "expires_at", "by", "created_at")
    return {name: getattr(row, name) for name in names}


def new_secret() -> str:
    """A second factor's secret, in base 32."""
    return pyotp.random_base32()


def secret_url(name: str, secret: str) -> str:
    """What an authenticator reads: otpauth://…"""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=ISSUER)
