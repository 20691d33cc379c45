"""A process in which a crowd buys one piece each and says each order once it is durable: tests kill it.

python -m tests.origin.tracking.crowd DIRECTORY BUYERS [URL]
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.origin.tracking.stockrooms import open_stockroom


async def crowd(directory: Path, buyers: int, url: str) -> None:
    async with open_stockroom(directory, url) as room:

        async def buyer() -> None:
            order = await room.buy()
            if order is not None:
                print(order, flush=True)

        await asyncio.gather(*(buyer() for _ in range(buyers)))


if __name__ == "__main__":
    asyncio.run(crowd(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else ""))
