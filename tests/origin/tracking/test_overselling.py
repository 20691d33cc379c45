"""Issue 7: 1,000 buyers at once on 50 pieces buy exactly 50, whatever is killed in between."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from pathlib import Path

import pytest

from tests.origin.ledger.books import ENGINES, database_url
from tests.origin.standing import Clock
from tests.origin.tracking.stockrooms import SKU, open_stockroom

PIECES, BUYERS, KILLS = 50, 1_000, 4


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_thousand_buyers_of_fifty_pieces_buy_fifty(tmp_path: Path, engine: str) -> None:
    with database_url(engine) as url:
        async with open_stockroom(tmp_path, url) as room:
            await room.count(30, "jkt")
            await room.count(20, "sby")
            orders = await asyncio.gather(*(room.buy() for _ in range(BUYERS)))
            sold = [order for order in orders if order is not None]
            assert (len(sold), len(set(sold))) == (PIECES, PIECES)
            assert await room.inventory.available(SKU) == 0
            await room.adds_up()
            assert await room.rows("SELECT SUM(reserved) FROM tracking_levels") == [(PIECES,)]


@pytest.mark.parametrize("engine", ENGINES)
async def test_kills_neither_oversell_nor_lose_an_order(tmp_path: Path, engine: str) -> None:
    chance = random.Random(7)
    crowds = 1 if engine == "sqlite" else 2  # SQLite has one writing process
    with database_url(engine) as url:
        async with open_stockroom(tmp_path, url) as room:
            await room.count(PIECES)
        said: list[str] = []
        for _ in range(KILLS):
            said += await _killed(tmp_path, url, crowds, chance.randrange(1, 12))
        async with open_stockroom(tmp_path, url) as room:
            early = await room.rows("SELECT id FROM tracking_holds WHERE state = 'ordered'")
            assert said
            assert set(said) <= {id for (id,) in early}, "no order that was said is lost"
            assert len(early) <= PIECES
            await room.adds_up()
        later = Clock()
        later.now += 61
        async with open_stockroom(tmp_path, url, later) as room:
            await room.inventory.expire()  # what the killed had in their hands
            await asyncio.gather(*(room.buy() for _ in range(BUYERS)))
            orders = await room.rows("SELECT COUNT(*) FROM tracking_holds WHERE state = 'ordered'")
            assert orders == [(PIECES,)]
            assert await room.rows("SELECT COUNT(*) FROM tracking_holds WHERE state = 'held'") == [(0,)]
            await room.adds_up()


async def _killed(directory: Path, url: str, crowds: int, orders: int) -> list[str]:
    """What `crowds` processes said that were killed when the first of them had said so many orders."""
    command = [sys.executable, "-m", "tests.origin.tracking.crowd", str(directory), str(BUYERS), url]
    processes = [
        await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE) for _ in range(crowds)
    ]
    first = processes[0].stdout
    assert first is not None
    said = [(await first.readline()).decode() for _ in range(orders)]
    for process in processes:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
    for process in processes:
        rest, _ = await process.communicate()
        said += rest.decode().splitlines(keepends=True)
    return [word[:-1] for word in said if word.endswith("\n")]  # the last may be half a word
