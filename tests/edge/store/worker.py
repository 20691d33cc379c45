"""One worker's store as a process of its own, told what to do line by line."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from edge.policy.entry import Entry
from edge.purge import Keys, Mark, Prefix, Site, Tag
from edge.store.content import Stored
from edge.store.disk import Disk, Place
from edge.store.layered import LayeredStore
from edge.store.memory import MemoryStore
from edge.store.record import Clocks
from tests.edge.store.filling import filled, key_at

KINDS = {"prefix": Prefix, "tag": Tag, "site": Site}


def mark_of(told: dict[str, Any]) -> Mark:
    if told["kind"] == "url":
        return Keys((key_at(told["value"]),), told.get("soft", False))
    made: Mark = KINDS[told["kind"]](told["value"], soft=told.get("soft", False))
    return made


class Worker:
    def __init__(self, told: dict[str, Any]) -> None:
        clocks = Clocks(time.time, time.monotonic)
        place = Place(Path(told["directory"]), told["size"], synced=told["synced"], shared=True)
        self.store = LayeredStore(MemoryStore(told["memory"], 2**20), Disk(place, clocks))

    async def obey(self, told: dict[str, Any]) -> object:
        match told["do"]:
            case "put":
                self.store.put(self.entry(told))
                if told.get("settle", True):
                    self.store.disk.settle()
                return None
            case "get":
                return await self.get(told["path"])
            case "strike":
                sweep = self.store.strike(mark_of(told), time.monotonic())
                sweep.step(sys.maxsize)
                return await sweep.hold()
            case "drop":
                for entry in self.store.get(key_at(told["path"])):
                    self.store.drop(entry)
                self.store.disk.settle()
                return None
            case "replay":
                return await self.replay(told["paths"], told["size"])
            case "limit":
                resource.setrlimit(resource.RLIMIT_FSIZE, (told["size"], resource.RLIM_INFINITY))
                return None
            case "figures":
                totals = self.store.disk.totals()
                return {
                    "bytes": totals.bytes,
                    "entries": totals.entries,
                    "errors": dict(self.store.disk.errors),
                }
        raise ValueError(told)

    def entry(self, told: dict[str, Any]) -> Entry:
        body = bytes([told["version"] % 256]) * told["size"]
        return filled(told["path"], body, tuple(told.get("tags", ())), self.store.number)

    async def get(self, path: str) -> object:
        """[version, seconds of freshness] of what is stored, or None."""
        for entry in self.store.get(key_at(path)):
            if not await self.store.recall(entry):
                return None
            assert isinstance(entry.content, Stored)
            body = entry.content.identity
            assert (
                body is not None
                and len(set(body)) == 1
                and str(len(body)) == entry.fields.get("content-length")
            )
            self.store.use(entry)
            return [body[0], entry.freshness.ttl(time.monotonic())]
        return None

    async def replay(self, paths: list[str], size: int) -> int:
        """Ask for `paths`, filling what is not there; how many were."""
        hits = 0
        for path in paths:
            if await self.get(path) is not None:
                hits += 1
            else:
                self.store.put(filled(path, b"x" * size, (), self.store.number))
            await asyncio.sleep(0)
        self.store.disk.settle()
        return hits


async def main() -> None:
    worker = Worker(json.loads(sys.stdin.readline()))
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        told = json.loads(line)
        if told["do"] == "close":
            break
        print(json.dumps(await worker.obey(told)), flush=True)
    worker.store.close()


if __name__ == "__main__":
    asyncio.run(main())
