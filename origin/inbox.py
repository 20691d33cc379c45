"""The inbox: webhooks from the edge, verified as Standard Webhooks and taken in effectively once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from edge.webhooks.contract import document_of
from edge.webhooks.standard import MARK, verify
from origin.contract import Webhook
from origin.db.database import Database
from origin.db.tables import inbox


class UnknownProvider(Exception):
    """No plugin takes this provider's webhooks."""


class Unconfirmable(Exception):
    """A hint, and the plugin that takes it has no way to ask the provider what is true."""


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
        with the mark that it was seen; of a hint it gets what the provider said when it was asked.

        Raises UnknownProvider, Unverified, Unconfirmable, and whatever the handler raises.
        """
        webhook = self._webhooks.get(provider)
        if webhook is None:
            raise UnknownProvider(provider)
        id = verify(self._secret, fields, body, self._clock())
        document = document_of(body)
        if id.startswith(MARK):
            if await self._seen(provider, id):
                return False
            if webhook.confirm is None:
                raise Unconfirmable(f"{provider} signs too weakly to be believed, and nobody can ask it")
            return await self._once(provider, id, webhook, await webhook.confirm(document))
        return await self._once(provider, id, webhook, document)

    async def _once(
        self, provider: str, id: str, webhook: Webhook, document: Mapping[str, Any] | None
    ) -> bool:
        """Handles `document`, or nothing, in one transaction with the mark that it was seen."""
        try:
            async with self._database.write() as connection:
                await connection.execute(
                    insert(inbox).values(provider=provider, event=id, received_at=self._clock())
                )
                if document is not None:
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
