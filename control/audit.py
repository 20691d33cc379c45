"""The audit log: who did what, from where, before and after. It only grows, each entry chained to the last.

An entry's hash covers all that it says and the hash before it, and is signed with the journal's key: what is
changed, left out or slipped in later is found, also when whoever did it can write to the database.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import insert, select

from control.db.database import Database, Statements
from control.db.tables import audit

Outcome = Literal["done", "denied", "refused"]
BEGINNING = "0" * 64  # what the first entry is chained to
SAID = (
    "number",
    "at",
    "who",
    "kind",
    "address",
    "action",
    "subject",
    "outcome",
    "before",
    "after",
    "previous",
)
LONGEST = 255  # characters of a subject
BATCH = 500
AGAIN_AFTER = 60.0  # seconds
REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something. `kind` is user, token or system; `address` is empty for control itself."""

    name: str
    kind: str
    address: str = ""


ITSELF = Actor("control", "system")
acting: ContextVar[Actor | None] = ContextVar("acting", default=None)


class Broken(Exception):
    """The chain does not hold; the sentence says where."""


class Audit:
    """Writes and reads the log. `clock` gives seconds since 1970."""

    def __init__(self, database: Database, key: Ed25519PrivateKey, clock: Callable[[], float]) -> None:
        self._database = database
        self._key = key
        self._clock = clock

    async def note(
        self,
        connection: Statements,
        action: str,
        subject: str,
        *,
        before: Any = None,
        after: Any = None,
        outcome: Outcome = "done",
    ) -> None:
        """Adds an entry to the transaction on `connection`: it is there if its deed is. Call it last."""
        actor = acting.get() or ITSELF
        await connection.lock("audit")
        last = (
            await connection.execute(
                select(audit.c.number, audit.c.hash).order_by(audit.c.number.desc()).limit(1)
            )
        ).first()
        entry = {
            "number": 1 if last is None else last.number + 1,
            "at": self._clock(),
            "who": actor.name[:63],
            "kind": actor.kind,
            "address": actor.address[:64],
            "action": action[:63],
            "subject": subject[:LONGEST],
            "outcome": outcome,
            "before": before,
            "after": after,
            "previous": BEGINNING if last is None else last.hash,
        }
        hashed = digest(entry)
        signature = base64.b64encode(self._key.sign(hashed.encode())).decode()
        await connection.execute(insert(audit).values(**entry, hash=hashed, signature=signature))

    async def note_alone(self, action: str, subject: str, outcome: Outcome, after: Any = None) -> None:
        """An entry of its own, where nothing was changed."""
        async with self._database.write() as connection:
            await self.note(connection, action, subject, after=after, outcome=outcome)

    async def entries(
        self, *, before: int | None = None, who: str | None = None, limit: int = 100
    ) -> list[dict[str, Any]]:
        """The latest entries, the newest first; `before` is the number that they come before."""
        query = select(audit).order_by(audit.c.number.desc()).limit(limit)
        if before is not None:
            query = query.where(audit.c.number < before)
        if who is not None:
            query = query.where(audit.c.who == who)
        async with self._database.read() as connection:
            return [dict(row._mapping) for row in await connection.execute(query)]

    async def verify(self, known: str | None = None) -> tuple[int, str]:
        """Follows the whole chain: how many entries, and the last one's hash. Raises Broken.

        `known` is the hash of an entry that was noted down once: it must be among them.
        """
        number, previous, met = 0, BEGINNING, known in (None, BEGINNING)
        public = self._key.public_key()
        async with self._database.moment() as connection:
            while True:
                query = select(audit).where(audit.c.number > number).order_by(audit.c.number).limit(BATCH)
                rows = [dict(row._mapping) for row in await connection.execute(query)]
                if not rows:
                    break
                for row in rows:
                    if row["number"] != number + 1:
                        raise Broken(f"entry {number + 1} is missing")
                    if row["previous"] != previous or row["hash"] != digest(row):
                        raise Broken(f"entry {row['number']} is not what was written")
                    try:
                        public.verify(base64.b64decode(row["signature"]), row["hash"].encode())
                    except (InvalidSignature, ValueError):
                        raise Broken(f"entry {row['number']} was not written by this control") from None
                    number, previous = row["number"], row["hash"]
                    met = met or previous == known
        if not met:
            raise Broken(f"the entry with hash {known} is missing: the log was cut off or written anew")
        return number, previous


class Denials:
    """Who was denied what: a line each, but the same one no more than once a minute."""

    def __init__(self, audit: Audit, monotonic: Callable[[], float]) -> None:
        self._audit = audit
        self._monotonic = monotonic
        self._noted: dict[tuple[str, str], float] = {}

    async def note(self, what: str) -> None:
        """The one who acts was denied `what`."""
        now, key = self._monotonic(), ((acting.get() or ITSELF).name, what)
        if now - self._noted.get(key, float("-inf")) < AGAIN_AFTER:
            return
        self._noted.pop(key, None)
        self._noted[key] = now
        while len(self._noted) > REMEMBERED:
            del self._noted[next(iter(self._noted))]
        await self._audit.note_alone("denied", what, "denied")


def digest(entry: dict[str, Any]) -> str:
    """The hash of what `entry` says, the hash before it included."""
    said = json.dumps([entry[name] for name in SAID], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(said.encode()).hexdigest()
