"""What do several workers cost a hit and a miss, beside one?

Real nodes on one core, origin and visitors on the other; CPU time of all processes of a node together.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from bench.load import machine
from bench.load.processes import GRACE, cores, cpu_seconds, pinned
from tests.edge.wires import Origin, answer, free_port, origin, read_reply

RESULTS = Path(__file__).parent / "results" / "workers.json"
BODY = b"x" * 4096
CREWS = (1, 2, 4)
ROUNDS, VISITORS, HITS, MISSES, TOGETHER = 3, 16, 6_000, 600, 250
ID = slice(0, 12)  # of a request's id: its process's own

Wire = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _script(heard: object, writer: asyncio.StreamWriter) -> None:
    writer.write(answer(BODY, "200 OK", "Cache-Control: max-age=600", 'ETag: "v1"'))


@contextlib.asynccontextmanager
async def _node(workers: int, url: str) -> AsyncIterator[tuple[int, int]]:
    """The port of a node of so many workers, and its process."""
    port = await free_port()
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "edge.toml"
        file.write_text(
            f'listen = ["127.0.0.1:{port}"]\nadmin = "127.0.0.1:0"\nworkers = {workers}\n'
            f'log = {{ access = "off" }}\n[[sites]]\nname = "shop"\nhosts = ["*"]\n'
            f'origins = [{{ url = "{url}" }}]\n'
        )
        process = _started(file)
        try:
            yield port, process.pid
        finally:
            process.terminate()
            process.wait(GRACE)


def _started(file: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "control.cli", "edge", "--config", str(file)]
    return subprocess.Popen(pinned(cores()[0], command), stderr=subprocess.DEVNULL)


async def _ask(wire: Wire, path: str) -> str:
    """Asks for `path`; which process answered."""
    wire[1].write(f"GET {path} HTTP/1.1\r\nHost: shop.test\r\n\r\n".encode())
    reply = await read_reply(wire[0])
    if reply.status != 200 or reply.body != BODY:
        raise RuntimeError(f"{path} was answered {reply.status}")
    return reply.fields["x-request-id"][ID]


async def _visits(wires: Sequence[Wire], paths: Sequence[str]) -> None:
    async def visit(wire: Wire, own: Sequence[str]) -> None:
        for path in own:
            await _ask(wire, path)

    await asyncio.gather(*(visit(wire, paths[at :: len(wires)]) for at, wire in enumerate(wires)))


async def _wires(port: int, workers: int, stack: contextlib.AsyncExitStack) -> tuple[list[Wire], list[Wire]]:
    """Connections of visitors; and of them one to each worker."""
    wires: list[Wire] = []
    one_each: dict[str, Wire] = {}
    async with asyncio.timeout(60):
        while len(wires) < VISITORS or len(one_each) < workers:
            try:
                wire = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionError:
                await asyncio.sleep(0.05)
                continue
            stack.callback(wire[1].close)
            wires.append(wire)
            one_each.setdefault(await _ask(wire, "/who"), wire)
    return wires, list(one_each.values())


async def _measure(workers: int) -> dict[str, float]:
    """Microseconds of CPU for each answer."""
    async with (
        origin(_script) as shop,
        _node(workers, shop.url) as (port, pid),
        contextlib.AsyncExitStack() as stack,
    ):
        wires, one_each = await _wires(port, workers, stack)
        hits, misses, together = [], [], []
        for turn in range(ROUNDS + 1):  # the first one warms up
            before = cpu_seconds(pid)
            await _visits(wires, [f"/hit/{number % 50}" for number in range(HITS)])
            hits.append((cpu_seconds(pid) - before) / HITS * 1e6)
            before = cpu_seconds(pid)
            await _visits(wires, [f"/miss/{turn}/{number}" for number in range(MISSES)])
            misses.append((cpu_seconds(pid) - before) / MISSES * 1e6)
            before = cpu_seconds(pid)
            for number in range(TOGETHER):
                await asyncio.gather(*(_ask(wire, f"/all/{turn}/{number}") for wire in one_each))
            together.append((cpu_seconds(pid) - before) / TOGETHER / workers * 1e6)
        _check(shop)
        figures = {"hit": hits, "miss": misses, "together": together}
        return {name: round(median(each[1:]), 1) for name, each in figures.items()}


def _check(shop: Origin) -> None:
    """Each cold path cost one fetch, whichever workers were asked for it."""
    asked = [heard.target for heard in shop.heard]
    if len(asked) != len(set(asked)):
        raise RuntimeError(f"{len(asked) - len(set(asked))} paths of {len(asked)} were fetched twice")


def main() -> int:
    """Prints a table and writes its figures."""
    figures = {str(workers): asyncio.run(_measure(workers)) for workers in CREWS}
    table = Table("workers", "hit, CPU µs", "miss, CPU µs", "cold, asked of all at once, CPU µs", box=None)
    for workers, one in figures.items():
        table.add_row(workers, *(f"{one[name]:g}" for name in ("hit", "miss", "together")))
    Console().print(table)
    RESULTS.write_text(json.dumps({"machine": machine.about(), "answers": figures}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
