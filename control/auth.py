"""Who may do what: passwords, dashboard sessions, API tokens, throttling of guesses."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, insert, select, update

from control.audit import Actor, Audit, acting
from control.db.database import Database
from control.db.tables import sessions, tokens, users
from control.rights import Principal, Scope, of_role, of_scopes

FREE_GUESSES = 5  # wrong passwords before an address or a user has to wait
FORGET_AFTER = 900.0  # seconds
LONGEST_WAIT = 300.0
REMEMBERED = 10_000  # addresses and users
LONGEST_NAME = 63


@dataclass(frozen=True, slots=True)
class Session:
    """A fresh login. `cookie` is shown once and kept only as a hash."""

    cookie: str
    csrf: str
    expires_at: float


class WrongPassword(Exception):
    """User, password and second factor do not belong together."""


class TokenExpired(Exception):
    """The token was good until a moment that is over. `at` is in seconds since 1970."""

    def __init__(self, name: str, at: float) -> None:
        super().__init__(f"the token {name} has expired")
        self.name, self.at = name, at


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
        audit: Audit,
    ) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._session_seconds = session_seconds
        self._hasher = PasswordHasher()
        self._decoy = self._hasher.hash(secrets.token_hex(16))  # an unknown user takes as long as a known one
        self.throttle = Throttle(monotonic)

    async def hashed(self, password: str) -> str:
        """What is kept of a password (Argon2id)."""
        return await asyncio.to_thread(self._hasher.hash, password)

    async def begin(self, name: str, password: str, credentials: Mapping[str, tuple[str, Scope]]) -> bool:
        """The first user, and the first tokens with their scopes by name: all, or none if there is a user."""
        hashed = await self.hashed(password)
        now = self._clock()
        async with self._database.write() as connection:
            await connection.lock("users")
            if (await connection.execute(select(users.c.name).limit(1))).first() is not None:
                return False
            await connection.execute(
                insert(users).values(name=name, password=hashed, role="admin", created_at=now)
            )
            for bearer, (token, scope) in credentials.items():
                await connection.execute(
                    insert(tokens).values(hash=digest(token), name=bearer, scopes=[scope], created_at=now)
                )
            await self._audit.note(connection, "fleet.begin", name, after={"tokens": sorted(credentials)})
        return True

    async def any_user(self) -> bool:
        """Whether there is a user at all."""
        async with self._database.read() as connection:
            return (await connection.execute(select(users.c.name).limit(1))).first() is not None

    async def login(self, name: str, password: str, address: str, code: str = "") -> Session:
        """A session for `name`; `code` is of the second factor. Raises WrongPassword, TooManyGuesses."""
        if not name.isprintable() or len(name) > LONGEST_NAME:
            name = ""  # nobody's
        subjects = (f"address {address}", f"user {name}")
        wait = self.throttle.wait(*subjects)
        if wait > 0:
            raise TooManyGuesses(wait)
        self.throttle.wrong(*subjects)  # until it proves right: guesses made at once count each
        acting.set(Actor(name, "user", address))
        query = select(users.c.password, users.c.totp).where(users.c.name == name)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        hashed = self._decoy if row is None else row.password
        right = await asyncio.to_thread(self._matches, hashed, password) and row is not None
        if not right or (row is not None and row.totp and not await self.takes_code(name, row.totp, code)):
            await self._audit.note_alone("login", name, "refused")
            raise WrongPassword("user, password and code do not belong together")
        self.throttle.right(*subjects)
        return await self._open_session(name)

    async def knows(self, name: str, password: str) -> bool:
        """Whether it is the password of `name`, who is logged in already."""
        async with self._database.read() as connection:
            hashed = (await connection.execute(select(users.c.password).where(users.c.name == name))).scalar()
        return hashed is not None and await asyncio.to_thread(self._matches, hashed, password)

    async def takes_code(self, name: str, secret: str, code: str) -> bool:
        """Whether `code` is the second factor's of now, 30 s more or less, and was not used yet."""
        now = int(self._clock()) // 30
        step = next((one for one in (now, now - 1, now + 1) if _code_fits(secret, one, code)), None)
        if step is None:
            return False
        async with self._database.write() as connection:
            taken = await connection.execute(
                update(users).where(users.c.name == name, users.c.totp_step < step).values(totp_step=step)
            )
        return bool(taken.rowcount)

    async def logout(self, cookie: str) -> None:
        """Ends the session that `cookie` names."""
        async with self._database.write() as connection:
            await connection.execute(delete(sessions).where(sessions.c.hash == digest(cookie)))

    async def by_cookie(self, cookie: str) -> Principal | None:
        """Who is logged in with `cookie`, with the rights that he has now."""
        query = (
            select(sessions.c.user, sessions.c.csrf, users.c.role, users.c.sites)
            .join(users, users.c.name == sessions.c.user)
            .where(sessions.c.hash == digest(cookie), sessions.c.expires_at > self._clock())
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        if row is None:
            return None
        return Principal(row.user, "user", of_role(row.role), _sites(row.sites), row.csrf)

    async def by_token(self, token: str) -> Principal | None:
        """Which program bears `token`. Raises TokenExpired.

        The look-up is by hash, so its time tells nothing of the token.
        """
        query = select(tokens.c.name, tokens.c.scopes, tokens.c.sites, tokens.c.expires_at)
        async with self._database.read() as connection:
            row = (await connection.execute(query.where(tokens.c.hash == digest(token)))).first()
        if row is None:
            return None
        if row.expires_at is not None and row.expires_at <= self._clock():
            raise TokenExpired(row.name, row.expires_at)
        return Principal(row.name, "token", of_scopes(row.scopes), _sites(row.sites))

    async def _open_session(self, name: str) -> Session:
        cookie, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        now = self._clock()
        expires = now + self._session_seconds
        async with self._database.write() as connection:
            await connection.execute(delete(sessions).where(sessions.c.expires_at <= now))
            await connection.execute(
                insert(sessions).values(hash=digest(cookie), user=name, csrf=csrf, expires_at=expires)
            )
            await self._audit.note(connection, "login", name)
        return Session(cookie, csrf, expires)

    def _matches(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False


def _code_fits(secret: str, step: int, code: str) -> bool:
    fitting = pyotp.TOTP(secret).at(max(0, step) * 30)
    return hmac.compare_digest(fitting.encode(), code.encode(errors="replace"))


def _sites(names: list[str] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(names)


def new_token() -> str:
    """An API token that nobody can guess."""
    return f"tepi_{secrets.token_urlsafe(32)}"


def digest(secret: str) -> str:
    """What is kept of a random secret."""
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()


def same(one: str, other: str) -> bool:
    """Whether two secrets are equal, in constant time."""
    return hmac.compare_digest(digest(one), digest(other))
