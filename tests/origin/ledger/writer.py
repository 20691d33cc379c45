"""A process that books one transfer after another and says each once it is committed: tests kill it.

python -m tests.origin.ledger.writer DIRECTORY FIRST [URL]
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.origin.ledger.books import open_books, paid, refund, refunded, sale


async def write(directory: Path, first: int, url: str) -> None:
    async with open_books(directory, url) as books:
        number = first
        while True:
            order = str(number)
            await books.post(f"payment:{order}", sale(100 + number), paid(order))
            print(f"payment:{order}", flush=True)
            await books.reserve(f"refund:{order}", refund(40), refunded(order))
            await (books.settle if number % 2 else books.void)(f"refund:{order}")
            print(f"refund:{order}", flush=True)
            number += 1


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else ""))
