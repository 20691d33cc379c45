"""A running `tepi up`, seen from outside: its ready file, its processes, its answers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import brotli
import dns.asyncquery
import dns.edns
import dns.message
import dns.rcode
import dns.rdatatype

START_SECONDS = 90


@dataclass(frozen=True, slots=True)
class Page:
    """What a visitor got."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def cache_status(self) -> str:
        return self.headers.get("cache-status", "")

    @property
    def hit(self) -> bool:
        return "; hit" in self.cache_status

    @property
    def body(self) -> bytes:
        if self.headers.get("content-encoding") == "br":
            return bytes(brotli.decompress(self.raw))
        return self.raw


@dataclass(slots=True)
class Fleet:
    """`tepi up` in a directory of its own, as a process."""

    directory: Path
    port: int = 0
    process: asyncio.subprocess.Process | None = None
    ready: dict[str, Any] = field(default_factory=dict)

    async def start(self) -> None:
        ready_file = self.directory.parent / "ready.json"
        ready_file.unlink(missing_ok=True)
        with (self.directory.parent / "up.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *tepi("up", "--dir", self.directory, "--ready-file", ready_file, "--port", self.port),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        await eventually(lambda: self._ready(ready_file), START_SECONDS)
        self.ready = json.loads(ready_file.read_text())

    async def _ready(self, ready_file: Path) -> bool:
        assert self.process is not None
        assert self.process.returncode is None, self.said()
        return ready_file.exists()

    def said(self) -> str:
        return (self.directory.parent / "up.log").read_text(errors="replace")

    async def end(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGINT)
            await asyncio.wait_for(self.process.wait(), 30)

    def pid(self, name: str) -> int | None:
        """The process id of the part called `name`, found by its configuration file."""
        mark = str(self.directory.resolve() / "config" / f"{name}.toml").encode()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                if mark in words:
                    return int(entry.name)
        return None

    def signal(self, name: str, number: signal.Signals) -> None:
        pid = self.pid(name)
        assert pid is not None, f"{name} does not run"
        os.kill(pid, number)

    def edge(self, name: str) -> dict[str, str]:
        return next(edge for edge in self.ready["edges"] if edge["name"] == name)

    async def get(self, session: aiohttp.ClientSession, base: str, path: str, **headers: str) -> Page:
        """A page of the shop as a browser asks for it, its coding left as it came."""
        host = f"{self.ready['site']}:{base.rsplit(':', 1)[1]}"
        fields = {"Host": host, "Accept-Encoding": "gzip, deflate, br, zstd", **headers}
        async with session.get(base + path, headers=fields, allow_redirects=False) as response:
            lower = {name.lower(): value for name, value in response.headers.items()}
            return Page(response.status, lower, await response.read())

    async def nearest(self, subnet: str) -> str | None:
        """The name of the node whose address DNS gives to a visitor from `subnet`."""
        host, port = self.ready["dns"].rsplit(":", 1)
        query = dns.message.make_query(self.ready["site"], dns.rdatatype.A)
        query.use_edns(options=[dns.edns.ECSOption.from_text(subnet)])
        reply = await dns.asyncquery.udp(query, host, timeout=2, port=int(port))
        assert reply.rcode() == dns.rcode.NOERROR, reply
        addresses = [item.address for record in reply.answer for item in record]
        for edge in self.ready["edges"]:
            if addresses and f"//{addresses[0]}:" in edge["http"]:
                return str(edge["name"])
        return None

    async def health(self, session: aiohttp.ClientSession) -> dict[str, str]:
        """What control says of each node."""
        url = f"{self.ready['control']}/api/v1/nodes"
        async with session.get(url, headers=self.authorization) as response:
            assert response.status == 200, await response.text()
            return {node["name"]: node["health"] for node in (await response.json())["nodes"]}

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.ready['token']}"}

    async def tepi(self, *words: str) -> tuple[int, str]:
        """Runs an operator's verb against this fleet's control: exit code and all it said."""
        process = await asyncio.create_subprocess_exec(
            *tepi(*words),
            env={
                **os.environ,
                "TEPI_CONTROL": self.ready["control"],
                "TEPI_TOKEN": self.ready["token"],
                "COLUMNS": "200",
            },
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode is not None
        return process.returncode, said.decode()


def tepi(*words: object) -> tuple[str, ...]:
    return (sys.executable, "-m", "control.cli", *(str(word) for word in words))


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float) -> None:
    """Waits for `condition`; a failure after `seconds` names it."""
    try:
        async with asyncio.timeout(seconds):
            while not await condition():
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"not within {seconds} s: {condition}") from None
