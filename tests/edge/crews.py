"""A node of several workers as an operator runs it: processes, signals, standard error."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from edge.store.catalogue import Catalogue
from edge.workers.rooms import MEMORY, PREFIX
from tests.edge.nodes import Visit
from tests.edge.wires import Reply, eventually

STARTING = 60.0
ID = slice(0, 12)  # of a request's id: what is its process's own


def toml(document: dict[str, Any]) -> str:
    """A document as TOML, tables within it inline."""
    return "\n".join(f"{name} = {_inline(each)}" for name, each in document.items())


def _inline(value: object) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{name} = {_inline(each)}" for name, each in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(_inline, value)) + "]"
        case _:
            return json.dumps(value)


@dataclass(slots=True)
class Crew:
    """A running `tepi edge` with workers."""

    process: asyncio.subprocess.Process
    file: Path
    log: Path
    out: Path

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def port(self) -> int:
        return int(re.findall(r"(?<!admin )listen\w+ on http://127.0.0.1:(\d+)", self.said())[0])

    @property
    def tls_port(self) -> int:
        return int(re.findall(r"listening on https://127.0.0.1:(\d+)", self.said())[0])

    @property
    def admin(self) -> str:
        return re.findall(r"admin listener on (http://[0-9.:]+)", self.said())[0]

    def pids(self) -> list[int]:
        """The workers that have begun, in that order; among them those that have ended."""
        return [int(pid) for pid in re.findall(r"worker \d+ \(process (\d+)\) answers", self.said())]

    def purges_written(self) -> int:
        """How many purges the store that the workers share has been told of."""
        kept = self.file.parent / "kept"
        if not kept.exists():
            sockets = {f"{pid}.sock" for pid in self.pids()}
            kept = next(
                each / "store"
                for each in MEMORY.glob(f"{PREFIX}*")
                if sockets & {found.name for found in each.iterdir()}
            )
        index = Catalogue(kept, 64 * 2**20, synced=False)
        try:
            return index.totals().number
        finally:
            index.env.close()

    def write(self, document: dict[str, Any]) -> None:
        self.file.write_text(toml(document))

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    @contextlib.asynccontextmanager
    async def visit(self) -> AsyncIterator[Visit]:
        """One connection of a visitor."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield Visit(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def get(self, path: str = "/", **fields: str) -> Reply:
        """One request on a connection of its own."""
        async with self.visit() as visit:
            visit.say("GET", path, **fields)
            return await visit.hear(seconds=30)

    @contextlib.asynccontextmanager
    async def one_each(self, count: int) -> AsyncIterator[list[Visit]]:
        """A connection to each of `count` workers."""
        async with contextlib.AsyncExitStack() as stack:
            found: dict[str, Visit] = {}
            while len(found) < count:
                visit = await stack.enter_async_context(self.visit())
                found.setdefault((await visit.get("/who")).fields["x-request-id"][ID], visit)
            yield list(found.values())

    async def ask(self, what: str, **document: Any) -> tuple[int, dict[str, Any]]:
        """What the admin listener answers to a POST."""
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.admin}/{what}", json=document) as response,
        ):
            return response.status, await response.json(content_type=None)

    async def metrics(self) -> dict[str, float]:
        """Every sample by its name, those of one name added up."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.admin}/metrics") as response:
            found: dict[str, float] = {}
            for line in (await response.text()).splitlines():
                if not line.startswith("#"):
                    name, _, value = line.rpartition(" ")
                    name = name.partition("{")[0]
                    found[name] = found.get(name, 0.0) + float(value)
            return found

    def answers(self) -> list[dict[str, Any]]:
        """The access log, line by line."""
        return [json.loads(line) for line in self.out.read_text().splitlines()]


@contextlib.asynccontextmanager
async def crew(directory: Path, document: dict[str, Any]) -> AsyncIterator[Crew]:
    file, log, out = (directory / name for name in ("edge.toml", "edge.log", "access.log"))
    file.write_text(toml(document))
    with log.open("wb") as err, out.open("wb") as access:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "control.cli", "edge", "--config", str(file)), stdout=access, stderr=err
        )
    made = Crew(process, file, log, out)
    try:
        await eventually(
            lambda: process.returncode is not None or "listening on http" in made.said(), STARTING
        )
        assert process.returncode is None, made.said()
        yield made
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 20)
            except TimeoutError:
                process.kill()
                await process.wait()
        for pid in made.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
