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
from edge.settings.store import StoreTable
from edge.store.content import Stored
from edge.store.contract import Store
from edge.store.disk import Disk
from edge.store.layered import LayeredStore
from edge.store.memory import MemoryStore
from edge.store.opening import Crew, open_store
from edge.store.place import Place
from edge.store.record import Clocks
from edge.wiring import SystemClock
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
        self.store: Store
        if told["of"] is not None:
            table = StoreTable(memory=told["memory"], max_object=2**20)
            crew = Crew(told["of"], Path(told["directory"])) if told["of"] > 1 else None
            self.store = open_store(table, SystemClock(), crew)
            return
        place = Place(Path(told["directory"]), told["size"], synced=told["synced"], shared=True)
        self.store = LayeredStore(MemoryStore(told["memory"], 2**20), Disk(place, clocks))

    async def obey(self, told: dict[str, Any]) -> object:
        match told["do"]:
            case "put":
                self.store.put(self.entry(told))
                if told.get("settle", True):
                    self.settle()
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
                self.settle()
                return None
            case "replay":
                return await self.replay(list(zip(told["paths"], told["sizes"], strict=True)))
            case "limit":
                resource.setrlimit(resource.RLIMIT_FSIZE, (told["size"], resource.RLIM_INFINITY))
                return None
            case "figures":
                assert isinstance(self.store, LayeredStore)
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
            body = entry.content.plain
            assert (
                body is not None
                and len(set(body)) == 1
                and str(len(body)) == entry.fields.get("content-length")
            )
            self.store.use(entry)
            return [body[0], entry.freshness.ttl(time.monotonic())]
        return None

    async def replay(self, asked: list[tuple[str, int]]) -> int:
        """Ask for paths, filling what is not there with so many bytes; how many were there."""
        hits = 0
        for path, size in asked:
            if await self.get(path) is not None:
                hits += 1
            else:
                self.store.put(filled(path, b"x" * size, (), self.store.number))
            await asyncio.sleep(0)
        self.settle()
        return hits

    def settle(self) -> None:
        """Wait until what was put is where it is to be."""
        if isinstance(self.store, LayeredStore):
            self.store.disk.settle()


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
