"""Both ends of the wires, byte for byte: an origin that follows a script, a client that says anything."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

Script = Callable[["Heard", asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True)
class Heard:
    """One request as an origin received it. `connection` numbers the connections from 0."""

    line: str
    fields: dict[str, str]
    body: bytes
    connection: int
    reader: asyncio.StreamReader

    @property
    def method(self) -> str:
        return self.line.split(" ")[0]

    @property
    def target(self) -> str:
        return self.line.split(" ")[1]


@dataclass(slots=True)
class Origin:
    """A listening origin and all it was asked."""

    host: str
    port: int
    scheme: str = "http"
    heard: list[Heard] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


async def read_request(reader: asyncio.StreamReader, connection: int = 0) -> Heard:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *rest = head[:-4].split("\r\n")
    fields: dict[str, str] = {}
    for each in rest:
        name, _, value = each.partition(":")
        name = name.lower()
        fields[name] = f"{fields[name]}, {value.strip()}" if name in fields else value.strip()
    body = b""
    if fields.get("transfer-encoding") == "chunked":
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
    elif "content-length" in fields:
        body = await reader.readexactly(int(fields["content-length"]))
    return Heard(line, fields, body, connection, reader)


@contextlib.asynccontextmanager
async def origin(script: Script, tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[Origin]:
    """An origin that answers each request as `script` says, until it closes the connection."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        number = made.connections
        made.connections += 1
        try:
            while not writer.is_closing():
                heard = await read_request(reader, number)
                made.heard.append(heard)
                await script(heard, writer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError):
            pass
        finally:
            writer.close()
            tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", port, ssl=tls)
    host, bound = server.sockets[0].getsockname()[:2]
    made = Origin(host, bound, "http" if tls is None else "https")
    try:
        yield made
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def says(body: bytes = b"ok", status: str = "200 OK", *lines: str) -> Script:
    """Every request is answered alike."""

    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"" if heard.method == "HEAD" else body, status, *lines, length=len(body)))

    return script


def answer(body: bytes, status: str = "200 OK", *lines: str, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    head = "\r\n".join([f"HTTP/1.1 {status}", *lines, f"Content-Length: {size}", "", ""])
    return head.encode("latin-1") + body


@dataclass(slots=True)
class Reply:
    """An answer as a client received it."""

    status: int
    fields: dict[str, str]
    body: bytes
    lines: list[tuple[str, str]]


async def read_reply(reader: asyncio.StreamReader, *, head_only: bool = False) -> Reply:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *rest = head[:-4].split("\r\n")
    lines = [(name.lower(), value.strip()) for name, _, value in (each.partition(":") for each in rest)]
    fields: dict[str, str] = {}
    for name, value in lines:
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    status = int(line.split(" ")[1])
    body = b""
    if head_only or status in (204, 304) or status < 200:
        pass
    elif fields.get("transfer-encoding") == "chunked":
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
    elif "content-length" in fields:
        body = await reader.readexactly(int(fields["content-length"]))
    else:
        body = await reader.read()
    return Reply(status, fields, body, lines)


async def talk(host: str, port: int, said: bytes, seconds: float = 5.0) -> bytes:
    """Everything that comes back for `said` until the other side closes."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(said)
        async with asyncio.timeout(seconds):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def free_port() -> int:
    """A port where nobody listens."""
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = int(server.sockets[0].getsockname()[1])
    server.close()
    await server.wait_closed()
    return port


async def eventually(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
