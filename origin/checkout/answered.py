"""Requests that were answered: the same key and body get the same answer, for a day.

The answer is written in the transaction that does what was asked, under a unique key. So a crash leaves
either both or neither, and of two origins that did the same at once only one can commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select, update

from origin.checkout.problems import Problem
from origin.checkout.tables import requests
from origin.contract import Answer, Host, Statements

if TYPE_CHECKING:
    from collections.abc import Iterator

KEPT = 86_400.0


class Answered:
    """What was answered to whom. `scope` says what a key is a key of."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._under_way: set[tuple[str, str]] = set()

    async def before(self, scope: str, key: str, fingerprint: str) -> Answer | None:
        """The answer that was given; None where it is new. Raises Problem: it was asked with another body."""
        async with self._host.read() as connection:
            found = await connection.execute(
                select(requests).where(
                    requests.c.scope == scope, requests.c.key == key, requests.c.until > self._host.now()
                )
            )
            row = found.first()
        if row is None:
            return None
        if row.fingerprint != fingerprint:
            raise Problem(422, "key-reused", "Idempotency-Key: it was used with another body; take a new one")
        return Answer(row.answer, status=row.status, fields={"Idempotent-Replayed": "true"})

    @contextmanager
    def under_way(self, scope: str, key: str) -> Iterator[None]:
        """While this lasts, the same request is told to wait. Raises Problem."""
        if (scope, key) in self._under_way:
            raise in_flight()
        self._under_way.add((scope, key))
        try:
            yield
        finally:
            self._under_way.discard((scope, key))

    async def record(
        self,
        connection: Statements,
        scope: str,
        key: str,
        fingerprint: str,
        status: int,
        answer: Mapping[str, Any],
    ) -> None:
        """Keeps the answer with what the caller's transaction does. IntegrityError: another was faster."""
        now = self._host.now()
        await connection.execute(
            delete(requests).where(requests.c.scope == scope, requests.c.key == key, requests.c.until <= now)
        )
        await connection.execute(
            insert(requests).values(
                scope=scope,
                key=key,
                fingerprint=fingerprint,
                status=status,
                answer=dict(answer),
                until=now + KEPT,
            )
        )

    async def complete(
        self, connection: Statements, scope: str, key: str, status: int, answer: Mapping[str, Any]
    ) -> None:
        """Keeps the answer to a request that was recorded, with status 0, before it could be answered."""
        await connection.execute(
            update(requests)
            .where(requests.c.scope == scope, requests.c.key == key, requests.c.status == 0)
            .values(status=status, answer=dict(answer))
        )

    async def forget(self) -> None:
        """Lets go what is older than a day."""
        async with self._host.write() as connection:
            await connection.execute(delete(requests).where(requests.c.until <= self._host.now()))


def in_flight() -> Problem:
    """The same request is being answered at this moment."""
    return Problem(
        409,
        "in-flight",
        "Idempotency-Key: the same request is being answered now; ask again",
        retry_after=1,
    )
