"""Who may do what: passwords, dashboard sessions, API tokens, throttling of guesses."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, insert, select

from control.db.database import Database
from control.db.tables import sessions, tokens, users

Scope = Literal["admin", "purge"]
FREE_GUESSES = 5  # wrong passwords before an address or a user has to wait
FORGET_AFTER = 900.0  # seconds
LONGEST_WAIT = 300.0
REMEMBERED = 10_000  # addresses and users


@dataclass(frozen=True, slots=True)
class Principal:
    """Who makes a request: a person with a session, or a program with a token."""

    name: str
    scope: Scope
    csrf: str | None = None  # a session's; a token needs none


@dataclass(frozen=True, slots=True)
class Session:
    """A fresh login. `cookie` is shown once and kept only as a hash."""

    cookie: str
    csrf: str
    expires_at: float


class WrongPassword(Exception):
    """User and password do not belong together."""


class TooManyGuesses(Exception):
    """Wrong passwords came too fast. `wait` is in seconds."""

    def __init__(self, wait: float) -> None:
        super().__init__(f"too many wrong passwords; try again in {wait:.0f} s")
        self.wait = wait


@dataclass(slots=True)
class Throttle:
    """Counts wrong guesses by address and by user; each one beyond the free ones doubles the wait."""

    clock: Callable[[], float]
    _wrong: dict[str, tuple[int, float]] = field(default_factory=dict)

    def wait(self, *subjects: str) -> float:
        """Seconds until the next guess is heard."""
        now = self.clock()
        waits = [0.0]
        for subject in subjects:
            count, last = self._wrong.get(subject, (0, 0.0))
            if count >= FREE_GUESSES:
                waits.append(last + min(LONGEST_WAIT, 2.0 ** (count - FREE_GUESSES)) - now)
        return max(waits)

    def wrong(self, *subjects: str) -> None:
        """A guess was wrong."""
        now = self.clock()
        for subject in subjects:
            count, last = self._wrong.pop(subject, (0, now))
            self._wrong[subject] = (count + 1 if now - last < FORGET_AFTER else 1, now)
        while len(self._wrong) > REMEMBERED:
            self._wrong.pop(next(iter(self._wrong)))

    def right(self, *subjects: str) -> None:
        """A guess was right."""
        for subject in subjects:
            self._wrong.pop(subject, None)


class Auth:
    """Checks and makes credentials. `clock` gives seconds since 1970, `monotonic` seconds that only grow."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        session_seconds: float,
    ) -> None:
        self._database = database
        self._clock = clock
        self._session_seconds = session_seconds
        self._hasher = PasswordHasher()
        self._decoy = self._hasher.hash(secrets.token_hex(16))  # an unknown user takes as long as a known one
        self.throttle = Throttle(monotonic)

    async def add_user(self, name: str, password: str) -> None:
        """A new user."""
        hashed = await asyncio.to_thread(self._hasher.hash, password)
        async with self._database.write() as connection:
            await connection.execute(
                insert(users).values(name=name, password=hashed, created_at=self._clock())
            )

    async def begin(self, name: str, password: str, credentials: Mapping[str, tuple[str, Scope]]) -> bool:
        """The first user, and the first tokens with their scopes by name: all, or none if there is a user."""
        hashed = await asyncio.to_thread(self._hasher.hash, password)
        now = self._clock()
        async with self._database.write() as connection:
            await connection.lock("users")
            if (await connection.execute(select(users.c.name).limit(1))).first() is not None:
                return False
            await connection.execute(insert(users).values(name=name, password=hashed, created_at=now))
            for bearer, (token, scope) in credentials.items():
                await connection.execute(
                    insert(tokens).values(hash=digest(token), name=bearer, scope=scope, created_at=now)
                )
        return True

    async def any_user(self) -> bool:
        """Whether there is a user at all."""
        async with self._database.read() as connection:
            return (await connection.execute(select(users.c.name).limit(1))).first() is not None

    async def add_token(self, name: str, scope: Scope) -> str:
        """A new API token, to be shown once."""
        token = new_token()
        async with self._database.write() as connection:
            await connection.execute(
                insert(tokens).values(hash=digest(token), name=name, scope=scope, created_at=self._clock())
            )
        return token

    async def login(self, name: str, password: str, address: str) -> Session:
        """A session for `name`. Raises WrongPassword, TooManyGuesses."""
        subjects = (f"address {address}", f"user {name}")
        wait = self.throttle.wait(*subjects)
        if wait > 0:
            raise TooManyGuesses(wait)
        self.throttle.wrong(*subjects)  # until it proves right: guesses made at once count each
        async with self._database.read() as connection:
            row = (await connection.execute(select(users.c.password).where(users.c.name == name))).first()
        hashed = self._decoy if row is None else row.password
        if not await asyncio.to_thread(self._matches, hashed, password) or row is None:
            raise WrongPassword("user and password do not belong together")
        self.throttle.right(*subjects)
        return await self._open_session(name)

    async def logout(self, cookie: str) -> None:
        """Ends the session that `cookie` names."""
        async with self._database.write() as connection:
            await connection.execute(delete(sessions).where(sessions.c.hash == digest(cookie)))

    async def by_cookie(self, cookie: str) -> Principal | None:
        """Who is logged in with `cookie`."""
        async with self._database.read() as connection:
            row = (
                await connection.execute(
                    select(sessions.c.user, sessions.c.csrf).where(
                        sessions.c.hash == digest(cookie), sessions.c.expires_at > self._clock()
                    )
                )
            ).first()
        return None if row is None else Principal(row.user, "admin", row.csrf)

    async def by_token(self, token: str) -> Principal | None:
        """Which program bears `token`. The look-up is by hash, so its time tells nothing of the token."""
        async with self._database.read() as connection:
            row = (
                await connection.execute(
                    select(tokens.c.name, tokens.c.scope).where(tokens.c.hash == digest(token))
                )
            ).first()
        return None if row is None else Principal(row.name, row.scope)

    async def _open_session(self, name: str) -> Session:
        cookie, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        now = self._clock()
        expires = now + self._session_seconds
        async with self._database.write() as connection:
            await connection.execute(delete(sessions).where(sessions.c.expires_at <= now))
            await connection.execute(
                insert(sessions).values(hash=digest(cookie), user=name, csrf=csrf, expires_at=expires)
            )
        return Session(cookie, csrf, expires)

    def _matches(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False


def new_token() -> str:
    """An API token that nobody can guess."""
    return f"tepi_{secrets.token_urlsafe(32)}"


def digest(secret: str) -> str:
    """What is kept of a random secret."""
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()


def same(one: str, other: str) -> bool:
    """Whether two secrets are equal, in constant time."""
    return hmac.compare_digest(digest(one), digest(other))
