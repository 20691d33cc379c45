"""What wakes those who wait for a table to change, in this process and, on PostgreSQL, in every other one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

import psycopg

log = logging.getLogger("tepi.control.db")

PAUSE = 0.5  # seconds before a lost connection is tried again


class Bell:
    """Rings for all who wait at that moment. Take `next` before you look, and wait for it after."""

    def __init__(self) -> None:
        self.next = asyncio.Event()

    def ring(self) -> None:
        """Wakes those who wait."""
        self.next.set()
        self.next = asyncio.Event()


async def listen(url: str, channel: str, bells: Mapping[str, Bell]) -> None:
    """Rings the bell that each notification on `channel` names, until cancelled.

    What was said while the connection was lost is made up for by ringing all.
    """
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
                await connection.execute(f"LISTEN {channel}".encode())
                for bell in bells.values():
                    bell.ring()
                async for heard in connection.notifies():
                    if heard.payload in bells:
                        bells[heard.payload].ring()
        except psycopg.Error as error:
            log.warning("no notifications from the database: %s", str(error).strip())
        await asyncio.sleep(PAUSE)
