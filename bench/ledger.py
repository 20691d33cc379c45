"""How many payments does the ledger book a second, each durable before the next, and what does one cost?

SQLite in a directory of its own. A payment has four postings; a transaction
commits one payment, then a hundred.

    python -m bench ledger [--seconds S]
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from origin.app import Origin, PluginHost, Wiring
from origin.contract import About, Chart, Money, Posting
from origin.ledger.plugin import LedgerPlugin, LedgerSettings
from origin.settings import OriginSettings

BATCHES = (1, 100)


def payment() -> list[Posting]:
    """Goods and taxes, less the provider's fee."""
    sides = (
        (Chart.clearing("stripe"), 10_800_000),
        (Chart.fees("stripe"), 300_000),
        (Chart.SALES, -10_000_000),
        (Chart.TAXES, -1_100_000),
    )
    return [Posting(account, Money(minor, "IDR")) for account, minor in sides]


async def booked(directory: Path, batch: int, seconds: float) -> tuple[int, float, float]:
    """Payments booked, seconds that took, seconds of CPU."""
    settings = LedgerSettings()
    origin = Origin(
        OriginSettings(state=str(directory)),
        {"ledger": LedgerPlugin},
        {"ledger": settings},
        Wiring(time.time, lambda: 0.5),
    )
    await origin.start()
    try:
        host, book = PluginHost(origin, settings, "ledger"), origin.shared.use("ledger")
        number, began, cpu = 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - began < seconds:
            async with host.write() as connection:
                for _ in range(batch):
                    number += 1
                    about = About("payment", str(number), "stripe", "card", f"ch_{number}")
                    await book.post(connection, f"payment:{number}", payment(), "", about)
            if number <= batch:
                await book.learn_accounts()
        return number, time.perf_counter() - began, time.process_time() - cpu
    finally:
        await origin.close()


def main() -> None:
    """Prints a line for each size of transaction."""
    reader = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    reader.add_argument("--seconds", type=float, default=3.0, help="how long each size is measured")
    seconds = reader.parse_args().seconds
    for batch in BATCHES:
        with tempfile.TemporaryDirectory() as directory:
            count, took, cpu = asyncio.run(booked(Path(directory), batch, seconds))
        rate, cost = count / took, cpu / count * 1e3
        print(f"{batch:4} a transaction: {rate:8,.0f} payments a second, {cost:.2f} ms of CPU each")


if __name__ == "__main__":
    main()
