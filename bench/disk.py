"""How soon after kill -9 does a node with a million entries on disk serve its first hit from there?

One process fills the store and is killed; then a node is started as an operator starts it, and asked.
Beside it: what a fill costs, what a look-up and a body from disk cost, and what a purge by tag costs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from edge.purge import Tag
from edge.store.content import Stored
from edge.store.disk import Disk
from edge.store.layered import LayeredStore
from edge.store.memory import MemoryStore
from edge.store.place import Place
from edge.store.record import Clocks
from tests.edge.store.filling import filled, key_at

RESULT = Path(__file__).parent / "results" / "disk.json"
GIB = 2**30
ROOM = 64 * GIB
PURGED = 1000  # entries that bear the tag that is purged
UNWRITTEN = 4096  # entries that may wait to be written


def open_store(directory: Path) -> LayeredStore:
    clocks = Clocks(time.time, time.monotonic)
    return LayeredStore(MemoryStore(16 * 2**20, 2**20), Disk(Place(directory, ROOM), clocks))


def fill(directory: Path, entries: int, size: int) -> None:
    """Fill, and wait to be killed."""
    store, body = open_store(directory), os.urandom(size)
    began, used = time.perf_counter(), time.process_time()
    for number in range(entries):
        tags = ("all", f"t{number // PURGED}")
        store.put(filled(f"/{number}", body, tags, seconds=10**6))
        if number % UNWRITTEN == 0:  # beyond WAITING bytes the disk would not take them
            store.disk.settle()
    store.disk.settle()
    took, cpu = time.perf_counter() - began, time.process_time() - used
    print(json.dumps({"fill_us": took / entries * 1e6, "fill_cpu_us": cpu / entries * 1e6}), flush=True)
    signal.pause()


def filled_and_killed(directory: Path, entries: int, size: int) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.disk", "--fill", str(directory)]
    child = subprocess.Popen([*command, str(entries), str(size)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    said: dict[str, float] = json.loads(child.stdout.readline())
    child.kill()
    child.wait()
    return said


def first_hit(directory: Path, entries: int) -> dict[str, float]:
    """Seconds from the start of a node until its first hit from disk, and until it listened."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = directory.parent / "edge.toml"
    config.write_text(
        f'listen = ["127.0.0.1:{port}"]\nadmin = "127.0.0.1:0"\nlog = {{ access = "off" }}\n'
        f'[store]\ndirectory = "{directory}"\ndisk = "{ROOM}"\nmemory = "64MiB"\n'
        '[[sites]]\nname = "shop"\nhosts = ["*"]\norigins = [{ url = "http://127.0.0.1:1" }]\n'
    )
    environment = _installed(directory.parent / "bytecode")
    began = time.perf_counter()
    node = subprocess.Popen(
        [Path(sys.executable).with_name("tepi"), "edge", "--config", config],
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    try:
        listened, head = _asked(port, f"/{entries // 3}", began)
        answered = time.perf_counter() - began
    finally:
        node.terminate()
        node.wait()
    if b"; hit" not in head:
        raise SystemExit(f"no hit: {head!r}")
    return {
        "listens_s": listened,
        "first_hit_s": answered,
        "hit_after_listening_ms": (answered - listened) * 1e3,
    }


def _installed(bytecode: Path) -> dict[str, str]:
    """An environment in which modules are compiled to bytecode beforehand, as pip leaves them."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(bytecode)
    loads_all = (sys.executable, "-c", "import control.cli.edge, edge.workers.worker")
    subprocess.run(loads_all, env=environment, check=True)
    return environment


def _asked(port: int, path: str, began: float) -> tuple[float, bytes]:
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port)) as connection:
                listened = time.perf_counter() - began
                connection.sendall(
                    f"GET {path} HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n".encode()
                )
                head = b""
                while part := connection.recv(65536):
                    head += part
                return listened, head.partition(b"\r\n\r\n")[0]
        except ConnectionRefusedError:
            if time.perf_counter() - began > 60:
                raise
            time.sleep(0.005)


def index_bytes(directory: Path) -> int:
    return sum(each.stat().st_blocks * 512 for each in directory.glob("index-*/data.mdb"))


async def costs(directory: Path, entries: int) -> dict[str, float]:
    """Microseconds of a look-up and of a body, and milliseconds of a purge, on what is there."""
    store = open_store(directory)
    try:
        keys = [key_at(f"/{number * 7919 % entries}") for number in range(2000)]
        began = time.perf_counter()
        for key in keys:
            store.disk.find(key)
        looked_up = time.perf_counter() - began
        began = time.perf_counter()
        for key in keys:
            for entry in store.get(key):
                assert await store.recall(entry) and isinstance(entry.content, Stored)
        recalled = time.perf_counter() - began
        began = time.perf_counter()
        struck = await store.strike(Tag("t3"), time.monotonic()).hold()
        purged = time.perf_counter() - began
        totals = store.disk.totals()
        return {
            "find_us": looked_up / len(keys) * 1e6,
            "recall_us": recalled / len(keys) * 1e6,
            "purge_ms": purged * 1e3,
            "purged": struck,
            "index_bytes_per_entry": index_bytes(directory) / totals.entries,
            "counted_bytes_per_entry": totals.bytes / totals.entries,
        }
    finally:
        store.close()


def main(entries: int, size: int, where: str | None) -> None:
    with tempfile.TemporaryDirectory(dir=where) as made:
        directory = Path(made) / "store"
        said: dict[str, float] = {"entries": entries, "body": size}
        said |= filled_and_killed(directory, entries, size)
        said |= first_hit(directory, entries)
        said |= asyncio.run(costs(directory, entries))
    for name, value in said.items():
        print(f"{name:26} {value:14,.2f}")
    RESULT.write_text(json.dumps(said, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--fill"]:
        fill(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    else:
        parser = argparse.ArgumentParser(description=__doc__)
        parser.add_argument("--entries", type=int, default=1_000_000)
        parser.add_argument("--size", type=int, default=1024, help="bytes of a body")
        parser.add_argument("--where", help="a directory on the disk that is measured")
        given = parser.parse_args()
        main(given.entries, given.size, given.where)
