"""What does it cost a miss to ask the key's owner, and a shield, before the origin?

Real nodes, a process each, on one core together; origin and visitors on the other. Unique URLs, so that every
request is a miss everywhere on its way.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from statistics import median, quantiles

from rich.console import Console
from rich.table import Table

from bench.load import machine
from bench.load.processes import GRACE, cores, cpu_seconds, pinned
from edge.document.notation import Address
from edge.upstream.tiers import FROM_A_VISITOR, Fleet, Peer, route
from tests.edge.certificates import Authority
from tests.edge.wires import answer, free_port, origin, read_reply

RESULTS = Path(__file__).parent / "results" / "tiers.json"
BODY = b"x" * 4096
ROUNDS, MISSES, VISITORS = 3, 1500, 8
SHIELD = "b"


async def _script(heard: object, writer: asyncio.StreamWriter) -> None:
    writer.write(answer(BODY, "200 OK", "Cache-Control: max-age=600", 'ETag: "v1"'))


def _configuration(name: str, ports: dict[str, tuple[int, int]], authority: Authority, url: str) -> str:
    pair = authority.issue(name, name)
    peers = "".join(
        f'[[tiers.peers]]\nname = "{other}"\npop = "{other[0]}"\naddress = "127.0.0.1:{ports[other][1]}"\n'
        for other in ports
        if other != name
    )
    return f"""
name = "{name}"
listen = ["127.0.0.1:{ports[name][0]}"]
admin = "127.0.0.1:0"
workers = 1
log = {{ access = "off" }}
[tiers]
pop = "{name[0]}"
listen = "127.0.0.1:{ports[name][1]}"
certificate = "{pair.cert}"
key = "{pair.key}"
authority = "{authority.file}"
{peers}
[[sites]]
name = "shop"
hosts = ["*"]
origins = [{{ url = "{url}" }}]
shield = "{SHIELD if any(each[0] == SHIELD for each in ports) else "a"}"
"""


@contextlib.asynccontextmanager
async def _nodes(names: Sequence[str], url: str) -> AsyncIterator[tuple[int, list[int]]]:
    """The port of the first node, and the processes of all."""
    ports = {name: (await free_port(), await free_port()) for name in names}
    with tempfile.TemporaryDirectory() as directory:
        authority, running = Authority.make(Path(directory)), []
        for name in names:
            file = Path(directory) / f"{name}.toml"
            file.write_text(_configuration(name, ports, authority, url))
            running.append(_started(file))
        try:
            for port, _ in ports.values():
                await _up(port)
            yield ports[names[0]][0], [each.pid for each in running]
        finally:
            for each in running:
                each.terminate()
            for each in running:
                each.wait(GRACE)


def _started(file: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "control.cli", "edge", "--config", str(file)]
    return subprocess.Popen(pinned(cores()[0], command), stderr=subprocess.DEVNULL)


async def _up(port: int) -> None:
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.05)


def _paths(names: Sequence[str], count: int, salt: str) -> list[str]:
    """Paths whose keys another node of the first one's PoP owns, if there is one."""
    first, *others = names
    here = Fleet(first, first[0], tuple(Peer(other, other[0], Address("", 1)) for other in others))
    has_owner, found, number = any(other[0] == first[0] for other in others), [], 0
    while len(found) < count:
        path = f"/{salt}/{number}"
        hops = route(f"shop.test{path}\x00http", None, here, FROM_A_VISITOR, lambda one: True)
        if bool(hops) is has_owner:
            found.append(path)
        number += 1
    return found


async def _visit(port: int, paths: list[str], took: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for path in paths:
        began = time.perf_counter()
        writer.write(f"GET {path} HTTP/1.1\r\nHost: shop.test\r\n\r\n".encode())
        reply = await read_reply(reader)
        took.append(time.perf_counter() - began)
        if reply.status != 200 or reply.body != BODY:
            raise RuntimeError(f"{path} was answered {reply.status}")
    writer.close()


async def _measure(names: Sequence[str]) -> dict[str, float]:
    async with origin(_script) as made, _nodes(names, made.url) as (port, pids):
        costs, took = [], list[float]()
        for number in range(ROUNDS + 1):  # the first one warms up
            paths = _paths(names, MISSES, f"r{number}")
            took.clear()
            before, fetched = cpu_seconds(*pids), len(made.heard)
            await asyncio.gather(*(_visit(port, paths[at::VISITORS], took) for at in range(VISITORS)))
            if len(made.heard) - fetched != MISSES:
                raise RuntimeError(f"{MISSES} misses cost the origin {len(made.heard) - fetched} fetches")
            costs.append((cpu_seconds(*pids) - before) / MISSES * 1e6)
        return {
            "cpu_us": round(median(costs[1:]), 1),
            "p50_ms": round(median(took) * 1e3, 2),
            "p99_ms": round(quantiles(took, n=100)[98] * 1e3, 2),
        }


def main() -> int:
    """Prints a table and writes its figures."""
    ways = {"origin": ("a1",), "owner, origin": ("a1", "a2"), "owner, shield, origin": ("a1", "a2", "b1")}
    figures = {way: asyncio.run(_measure(names)) for way, names in ways.items()}
    table = Table("a miss by way of", "CPU µs, all nodes", "p50 ms", "p99 ms", box=None)
    for way, one in figures.items():
        table.add_row(way, *(f"{one[name]:g}" for name in ("cpu_us", "p50_ms", "p99_ms")))
    Console().print(table)
    RESULTS.write_text(json.dumps({"machine": machine.about(), "misses": figures}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
