"""Fills and purges without end, until it is killed: told a directory, its size, how many paths, a version."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from pathlib import Path

from edge.purge import Keys, Mark, Prefix, Tag
from edge.store.disk import Disk
from edge.store.layered import LayeredStore
from edge.store.memory import MemoryStore
from edge.store.place import Place
from edge.store.record import Clocks
from tests.edge.store.filling import TIMES, filled, key_at


def tell(version: int, struck: list[str], *, done: bool) -> None:
    print(json.dumps({"version": version, "struck": struck, "done": done}), flush=True)


async def main(directory: Path, size: int, paths: int, version: int) -> None:
    chance = random.Random(version)
    store = LayeredStore(
        MemoryStore(2**20, 2**19), Disk(Place(directory, size), Clocks(time.time, time.monotonic))
    )
    while True:
        for _ in range(chance.randrange(30)):
            number = chance.randrange(paths)
            version += 1
            body = json.dumps(version).encode() * chance.choice(TIMES)
            store.put(filled(f"/{number}", body, (f"t{number % 7}",), store.number))
        mark, struck = wish(chance, paths)
        version += 1
        tell(version, struck, done=False)
        sweep = store.strike(mark, time.monotonic())
        sweep.step(sys.maxsize)
        await sweep.hold()
        tell(version, struck, done=True)


def wish(chance: random.Random, paths: int) -> tuple[Mark, list[str]]:
    """A purge, and the paths that it strikes."""
    number = chance.randrange(paths)
    every = [f"/{each}" for each in range(paths)]
    match chance.randrange(3):
        case 0:
            return Keys((key_at(f"/{number}"),)), [f"/{number}"]
        case 1:
            tag = number % 7
            return Tag(f"t{tag}"), [path for path in every if int(path[1:]) % 7 == tag]
        case _:
            return Prefix(f"shop.test/{number}"), [path for path in every if path.startswith(f"/{number}")]


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *map(int, sys.argv[2:])))
