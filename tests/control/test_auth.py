"""Passwords, sessions, tokens, and what guessing costs."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from control.audit import Audit
from control.auth import (
    FREE_GUESSES,
    LONGEST_WAIT,
    REMEMBERED,
    Auth,
    Throttle,
    TooManyGuesses,
    WrongPassword,
)
from control.db.database import Database, sqlite_url
from control.people import People
from control.rights import EVERY_RIGHT

ADDRESS = "192.0.2.1"


@dataclass(slots=True)
class Time:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass(slots=True)
class Door:
    auth: Auth
    people: People
    time: Time
    path: Path


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    database = Database(sqlite_url(tmp_path / "control.db"))
    await database.migrate()
    now = Time()
    audit = Audit(database, Ed25519PrivateKey.generate(), now)
    auth = Auth(database, clock=now, monotonic=now, session_seconds=3600, audit=audit)
    people = People(database, auth, audit, now)
    await people.add_user("admin", "kopi-gayo", "admin", None)
    yield Door(auth, people, now, tmp_path / "control.db")
    await database.close()


async def test_the_right_password_opens_a_session(door: Door) -> None:
    session = await door.auth.login("admin", "kopi-gayo", ADDRESS)
    principal = await door.auth.by_cookie(session.cookie)
    assert principal is not None
    assert (principal.name, principal.kind, principal.csrf) == ("admin", "user", session.csrf)
    assert principal.rights == EVERY_RIGHT


async def test_every_login_has_a_cookie_and_a_csrf_token_of_its_own(door: Door) -> None:
    one, other = [await door.auth.login("admin", "kopi-gayo", ADDRESS) for _ in range(2)]
    assert len({one.cookie, one.csrf, other.cookie, other.csrf}) == 4


@pytest.mark.parametrize(("user", "password"), [("admin", "susu"), ("nobody", "kopi-gayo"), ("", "")])
async def test_a_wrong_pair_is_refused_without_saying_which_half(
    door: Door, user: str, password: str
) -> None:
    with pytest.raises(WrongPassword) as refusal:
        await door.auth.login(user, password, ADDRESS)
    assert str(refusal.value) == "user, password and code do not belong together"


async def test_an_unknown_user_costs_as_much_time_as_a_known_one(door: Door) -> None:
    took = {}
    for user in ("admin", "nobody"):
        start = time.perf_counter()
        with pytest.raises(WrongPassword):
            await door.auth.login(user, "susu", ADDRESS)
        took[user] = time.perf_counter() - start
    assert took["nobody"] > took["admin"] / 4


async def test_a_session_ends_by_logout_and_by_time(door: Door) -> None:
    one, other = [await door.auth.login("admin", "kopi-gayo", ADDRESS) for _ in range(2)]
    await door.auth.logout(one.cookie)
    assert await door.auth.by_cookie(one.cookie) is None
    assert await door.auth.by_cookie(other.cookie) is not None
    door.time.now += 3601
    assert await door.auth.by_cookie(other.cookie) is None


async def test_guessing_is_slowed_down_even_with_the_right_password_at_last(door: Door) -> None:
    for _ in range(FREE_GUESSES):
        with pytest.raises(WrongPassword):
            await door.auth.login("admin", "susu", ADDRESS)
    with pytest.raises(TooManyGuesses) as refusal:
        await door.auth.login("admin", "kopi-gayo", ADDRESS)
    assert 0 < refusal.value.wait <= 1
    door.time.now += 1.1
    await door.auth.login("admin", "kopi-gayo", ADDRESS)
    await door.auth.login("admin", "kopi-gayo", ADDRESS)


async def test_guesses_made_all_at_once_are_counted_all_the_same(door: Door) -> None:
    answers = await asyncio.gather(
        *(door.auth.login("admin", f"guess-{number}", ADDRESS) for number in range(30)),
        return_exceptions=True,
    )
    heard = [answer for answer in answers if isinstance(answer, WrongPassword)]
    assert len(heard) == FREE_GUESSES


async def test_one_user_is_protected_from_many_addresses_and_many_users_from_one(door: Door) -> None:
    for number in range(FREE_GUESSES):
        with pytest.raises(WrongPassword):
            await door.auth.login("admin", "susu", f"192.0.2.{number}")
    with pytest.raises(TooManyGuesses):
        await door.auth.login("admin", "susu", "198.51.100.1")
    for number in range(FREE_GUESSES):
        with pytest.raises(WrongPassword):
            await door.auth.login(f"user-{number}", "susu", "203.0.113.9")
    with pytest.raises(TooManyGuesses):
        await door.auth.login("somebody-else", "susu", "203.0.113.9")


def test_each_wrong_guess_doubles_the_wait_up_to_a_limit() -> None:
    now = Time()
    throttle = Throttle(now)
    waits = []
    for _ in range(FREE_GUESSES + 12):
        throttle.wrong("address a")
        waits.append(throttle.wait("address a"))
    assert waits[: FREE_GUESSES - 1] == [0.0] * (FREE_GUESSES - 1)
    assert waits[FREE_GUESSES - 1 : FREE_GUESSES + 3] == [1.0, 2.0, 4.0, 8.0]
    assert waits[-1] == LONGEST_WAIT
    assert throttle.wait("address b") == 0.0


def test_the_throttle_forgets_after_a_while_and_never_grows_without_bound() -> None:
    now = Time()
    throttle = Throttle(now)
    for _ in range(FREE_GUESSES):
        throttle.wrong("user admin")
    now.now += 1000
    throttle.wrong("user admin")
    assert throttle.wait("user admin") == 0.0
    for number in range(REMEMBERED + 50):
        throttle.wrong(f"address {number}")
    assert len(throttle._wrong) == REMEMBERED


async def test_a_token_is_known_by_its_hash_alone(door: Door) -> None:
    token = await door.people.add_token("origin", ["purge"])
    principal = await door.auth.by_token(token)
    assert principal is not None
    assert (principal.name, principal.rights, principal.csrf) == ("origin", {"purge"}, None)
    for wrong in (token[:-1], token + "x", "", token.upper()):
        assert await door.auth.by_token(wrong) is None


async def test_no_secret_is_in_the_database(door: Door) -> None:
    token = await door.people.add_token("origin", ["purge"])
    session = await door.auth.login("admin", "kopi-gayo", ADDRESS)
    with sqlite3.connect(door.path) as connection:
        text = "\n".join(connection.iterdump())
    connection.close()
    assert "$argon2id$" in text
    for secret in ("kopi-gayo", token, session.cookie):
        assert secret not in text


async def test_an_expired_session_is_swept_out_by_the_next_login(door: Door) -> None:
    await door.auth.login("admin", "kopi-gayo", ADDRESS)
    door.time.now += 4000
    await door.auth.login("admin", "kopi-gayo", ADDRESS)
    with sqlite3.connect(door.path) as connection:
        assert connection.execute("select count(*) from sessions").fetchone() == (1,)
    connection.close()
