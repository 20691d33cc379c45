"""A process killed at any instant loses nothing that it said was booked, and leaves nothing half done."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from origin.contract import Chart
from tests.origin.ledger.books import ENGINES, database_url, open_books
from tests.origin.ledger.judge import agrees, exported, whole

KILLS = 6


@pytest.mark.parametrize("engine", ENGINES)
async def test_nothing_booked_is_lost_to_a_kill(tmp_path: Path, engine: str) -> None:
    chance = random.Random(6)
    with database_url(engine) as url:
        said: list[str] = []
        for round in range(KILLS):
            said += await _killed(tmp_path, 1 + 100_000 * round, url, chance.random() * 0.5)
        async with open_books(tmp_path, url) as books:
            known = {id for (id,) in await books.rows("SELECT id FROM ledger_transfers")}
            assert set(said) <= known
            assert len(said) > KILLS, "something was booked between the kills"
            resolved = {id for (id,) in await books.rows("SELECT transfer_id FROM ledger_resolutions")}
            assert {id for id in said if id.startswith("refund:")} <= resolved
            totals = await agrees(books)
            assert totals[Chart.clearing("stripe"), "IDR"] == await _expected(books)
            path = tmp_path / "books.beancount"
            path.write_text(await exported(books))
    checked = subprocess.run(
        [str(Path(sys.executable).with_name("bean-check")), str(path)], capture_output=True, text=True
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


async def _expected(books: object) -> object:
    rows = await books.rows(  # type: ignore[attr-defined]
        "SELECT t.id, t.phase, r.outcome FROM ledger_transfers t "
        "LEFT JOIN ledger_resolutions r ON r.transfer_id = t.id"
    )
    total = 0
    for id, phase, outcome in rows:
        number = int(id.partition(":")[2])
        total += 100 + number if phase == "posted" else -40 if outcome == "posted" else 0
    return whole(total)


async def _killed(directory: Path, first: int, url: str, seconds: float) -> list[str]:
    """What a writer said before it was killed, some time after its first word."""
    command = [sys.executable, "-m", "tests.origin.ledger.writer", str(directory), str(first), url]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    words = [(await process.stdout.readline()).decode().strip()]
    await asyncio.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    rest, _ = await process.communicate()
    await process.wait()
    lines = rest.decode().split("\n")[:-1]  # the last may be half a word
    return [word for word in [*words, *lines] if word]
