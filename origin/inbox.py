"""The inbox: webhooks from the edge, verified as Standard Webhooks and taken in effectively once."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from origin.contract import Webhook
from origin.db.database import Database
from origin.db.tables import inbox

TOLERANCE = 300.0  # seconds between the signature's time and ours
LONGEST_ID = 255
LONGEST_TIME = 12  # digits


class Unverified(Exception):
    """The webhook's signature, time or form is wrong."""


class UnknownProvider(Exception):
    """No plugin takes this provider's webhooks."""


def sign(secret: str, id: str, timestamp: int, body: bytes) -> str:
    """The Standard Webhooks signature: `v1,` and base64 of HMAC-SHA256 over id, time and body."""
    signed = _bytes(f"{id}.{timestamp}.") + body
    return "v1," + base64.b64encode(hmac.digest(_key(secret), signed, hashlib.sha256)).decode()


def verify(secret: str, fields: Mapping[str, str], body: bytes, now: float) -> str:
    """The webhook's id, if its signature holds. Raises Unverified.

    `fields` are webhook-id, webhook-timestamp and webhook-signature, the last with one signature or more.
    """
    id, time, signatures = (
        fields.get(name, "") for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
    )
    if not 1 <= len(id) <= LONGEST_ID:
        raise Unverified(f"webhook-id: got {len(id)} characters, expected 1 to {LONGEST_ID}")
    if not time.isascii() or not time.isdigit() or len(time) > LONGEST_TIME:
        raise Unverified(f"webhook-timestamp: got {time[:20]!r}, expected seconds since 1970")
    if abs(now - int(time)) > TOLERANCE:
        raise Unverified(f"webhook-timestamp: more than {TOLERANCE:g} s from now")
    expected = sign(secret, id, int(time), body).encode()
    matches = [hmac.compare_digest(expected, _bytes(one)) for one in signatures.split()]
    if not any(matches):
        raise Unverified("webhook-signature: none is right")
    return id


class Inbox:
    """Hands each webhook to the plugin that takes it, once. `clock` gives seconds since 1970."""

    def __init__(
        self, database: Database, webhooks: Mapping[str, Webhook], secret: str, clock: Callable[[], float]
    ) -> None:
        self._database = database
        self._webhooks = webhooks
        self._secret = secret
        self._clock = clock

    async def take(self, provider: str, fields: Mapping[str, str], body: bytes) -> bool:
        """Takes a webhook in; False if it was there already. What its handler writes is one transaction
        with the mark that it was seen. Raises UnknownProvider, Unverified, and whatever the handler raises.
        """
        webhook = self._webhooks.get(provider)
        if webhook is None:
            raise UnknownProvider(provider)
        id = verify(self._secret, fields, body, self._clock())
        try:
            document: Any = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise Unverified("the body is not JSON") from error
        if not isinstance(document, dict):
            raise Unverified("the body is not a JSON object")
        try:
            async with self._database.write() as connection:
                await connection.execute(
                    insert(inbox).values(provider=provider, event=id, received_at=self._clock())
                )
                await webhook.handler(connection, document)
        except IntegrityError:
            if await self._seen(provider, id):
                return False
            raise
        return True

    async def _seen(self, provider: str, id: str) -> bool:
        async with self._database.read() as connection:
            row = await connection.execute(
                inbox.select().where(inbox.c.provider == provider, inbox.c.event == id)
            )
            return row.first() is not None


def _bytes(text: str) -> bytes:
    """As it came: a field of a request may hold bytes that are no UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise ValueError("a webhook secret: expected whsec_ and base64") from error
