"""How many webhooks a second does a node take, each synced to disk before it is acknowledged?

Signed as Stripe signs, over keep-alive connections, node and senders in one process; the origin is away, so
that everything stays on disk. Beside it what this machine's disk takes for one fdatasync.

    python -m bench webhooks [--seconds S] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import logging
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.load import machine
from tests.edge.hooked import document, event, stripe_field
from tests.edge.nodes import Edge, node
from tests.edge.wires import free_port, read_reply

RESULTS = Path(__file__).parent / "results"
CONNECTIONS = (1, 4, 16, 64)
SYNCS = 300


@dataclass(frozen=True, slots=True)
class Result:
    """One run."""

    connections: int
    per_second: float
    p50_ms: float
    p99_ms: float
    per_sync: float


def part(sorted_times: Sequence[float], share: float) -> float:
    """A quantile in milliseconds."""
    return sorted_times[min(len(sorted_times) - 1, int(len(sorted_times) * share))] * 1000


def syncs(directory: Path) -> list[float]:
    """Seconds of appending 1 kB and syncing it, sorted."""
    taken = []
    file = os.open(directory / "calibration", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for _ in range(SYNCS):
        began = time.perf_counter()
        os.write(file, b"x" * 1000)
        os.fdatasync(file)
        taken.append(time.perf_counter() - began)
    os.close(file)
    return sorted(taken)


async def send(edge: Edge, numbers: itertools.count[int], until: float) -> list[float]:
    """One sender's latencies. Every answer must be 200."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port())
    taken = []
    while time.perf_counter() < until:
        body = event(next(numbers))
        head = "POST /commerce/hooks/stripe HTTP/1.1\r\nHost: shop.test\r\n"
        head += f"Content-Length: {len(body)}\r\nStripe-Signature: {stripe_field(body)}\r\n\r\n"
        began = time.perf_counter()
        writer.write(head.encode() + body)
        reply = await read_reply(reader)
        taken.append(time.perf_counter() - began)
        if reply.status != 200:
            raise SystemExit(f"a webhook was answered {reply.status}")
    writer.close()
    return taken


async def run(connections: int, seconds: float) -> Result:
    """`connections` senders for `seconds`."""
    url = f"http://127.0.0.1:{await free_port()}"
    with tempfile.TemporaryDirectory() as directory:
        async with node(url, **document(Path(directory), url)) as edge:
            began = time.perf_counter()
            numbers, until = itertools.count(), began + seconds
            told = await asyncio.gather(*(send(edge, numbers, until) for _ in range(connections)))
            took = time.perf_counter() - began
            assert edge.running.hooks is not None
            commits = edge.running.hooks.gateway.spool.commits
    times = sorted(itertools.chain.from_iterable(told))
    per_second, per_sync = len(times) / took, len(times) / commits
    return Result(connections, per_second, part(times, 0.5), part(times, 0.99), per_sync)


def main() -> None:
    """Print a table and write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--json", type=Path, default=RESULTS / "webhooks.json")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    about = machine.about()
    with tempfile.TemporaryDirectory() as directory:
        sync = syncs(Path(directory))
    results = [asyncio.run(run(count, options.seconds)) for count in CONNECTIONS]
    table = Table("senders", "per second", "p50 ms", "p99 ms", "webhooks a sync", box=None)
    for one in results:
        table.add_row(
            str(one.connections), f"{one.per_second:,.0f}", f"{one.p50_ms:.1f}", f"{one.p99_ms:.1f}",
            f"{one.per_sync:.1f}",
        )  # fmt: skip
    console = Console(highlight=False)
    console.print(f"one fdatasync here: p50 {part(sync, 0.5):.2f} ms, p99 {part(sync, 0.99):.2f} ms")
    console.print(table)
    found = {
        "bench": "webhooks",
        "machine": about,
        "fdatasync_ms": {"p50": part(sync, 0.5), "p99": part(sync, 0.99)},
        "runs": [asdict(one) for one in results],
    }
    options.json.parent.mkdir(exist_ok=True)
    options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
