"""A whole node in this process, on free ports, in front of an origin that a test scripts."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from edge.__main__ import running
from edge.config import EdgeConfig, parse_edge
from edge.running import Running
from tests.edge.wires import Reply, read_reply, talk

HOST = "shop.test"


def document(origin_url: str, **changes: Any) -> dict[str, Any]:
    """A node's configuration with one site; `site` merges into the site, the rest into the whole."""
    site = {"name": "shop", "hosts": ["*"], "origins": [{"url": origin_url}], **changes.pop("site", {})}
    return {
        "listen": ["127.0.0.1:0"],
        "admin": "127.0.0.1:0",
        "log": {"access": "off"},
        "sites": [site],
        **changes,
    }


def config(origin_url: str, **changes: Any) -> EdgeConfig:
    return parse_edge(document(origin_url, **changes))


@dataclass(slots=True)
class Edge:
    """A running node, and ways to talk to it."""

    running: Running

    def port(self, scheme: str = "http") -> int:
        return next(address.port for found, address in self.running.listeners.addresses() if found == scheme)

    @property
    def admin(self) -> str:
        assert self.running.admin is not None
        return f"http://{self.running.admin}"

    async def say(self, said: bytes, seconds: float = 5.0) -> bytes:
        """All that comes back for `said` until the node closes."""
        return await talk("127.0.0.1", self.port(), said, seconds)

    @contextlib.asynccontextmanager
    async def visit(self, scheme: str = "http", tls: ssl.SSLContext | None = None) -> AsyncIterator[Visit]:
        """One connection of a visitor."""
        name = HOST if tls is not None else None
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port(scheme), ssl=tls, server_hostname=name
        )
        try:
            yield Visit(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    async def get(self, path: str = "/", **fields: str) -> Reply:
        """One request on a connection of its own."""
        async with self.visit() as visit:
            return await visit.get(path, **fields)

    async def at_rest(self) -> None:
        """Waits until nobody is connected and nothing is under way."""
        running = self.running
        async with asyncio.timeout(10):
            while running.listeners.count() or running.front.under_way:
                await asyncio.sleep(0.01)
        assert running.front.gate.connections.total == 0


@dataclass(slots=True)
class Visit:
    """A connection, said on and heard from."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def say(self, method: str = "GET", path: str = "/", body: bytes = b"", **fields: str) -> None:
        lines = {"Host": HOST} | {name.replace("_", "-"): value for name, value in fields.items()}
        if body:
            lines["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body)

    async def hear(self, *, head_only: bool = False, seconds: float = 5.0) -> Reply:
        async with asyncio.timeout(seconds):
            return await read_reply(self.reader, head_only=head_only)

    async def get(self, path: str = "/", **fields: str) -> Reply:
        self.say("GET", path, **fields)
        return await self.hear()

    async def closed(self, seconds: float = 5.0) -> bool:
        """Whether nothing more comes before the node closes."""
        async with asyncio.timeout(seconds):
            try:
                return await self.reader.read() == b""
            except ConnectionError:
                return True


@contextlib.asynccontextmanager
async def node(origin_url: str, **changes: Any) -> AsyncIterator[Edge]:
    async with running(config(origin_url, **changes)) as started:
        yield Edge(started)
