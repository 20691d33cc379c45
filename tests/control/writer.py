"""A process that appends purges to a journal: `python writer.py URL COUNT NAME`."""

from __future__ import annotations

import asyncio
import sys
import time

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from control.db.database import Database
from control.journal import Journal
from edge.journal import Signer


async def main(url: str, count: int, name: str) -> None:
    database = Database(url)
    journal = Journal(database, Signer(Ed25519PrivateKey.generate()), time.time)
    for number in range(count):
        async with database.write() as connection:
            await journal.append(connection, "purge", {"value": f"{name}-{number}"})
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
