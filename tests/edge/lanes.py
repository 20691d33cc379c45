"""A node beside itself: the lane's answers against the pipeline's, byte for byte."""

from __future__ import annotations

import asyncio
import re

from tests.edge.nodes import Edge

# What belongs to the moment and not to the answer.
_MOMENT = re.compile(rb"(\r\n(?:Age|Date|X-Request-Id): )[^\r]*|(; hit; ttl=)\d+|(;dur=)[\d.]+")


def settled(said: bytes) -> bytes:
    """`said` less what differs from one moment to the next."""
    return _MOMENT.sub(lambda found: next(filter(None, found.groups())), said)


class Line:
    """One connection, on which a head comes whole (the lane may take it) or in two pieces (it may not)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, edge: Edge) -> Line:
        return cls(*await asyncio.open_connection("127.0.0.1", edge.port()))

    async def whole(self, head: bytes) -> bytes:
        """What is answered to `head`, sent at once."""
        self.writer.write(head)
        return await self.hear(head.startswith(b"HEAD "))

    async def parted(self, head: bytes) -> bytes:
        """What is answered to `head`, sent in two pieces."""
        self.writer.write(head[:3])
        await self.writer.drain()
        await asyncio.sleep(0.002)
        self.writer.write(head[3:])
        return await self.hear(head.startswith(b"HEAD "))

    async def hear(self, head_only: bool = False) -> bytes:
        """One answer, as it came."""
        async with asyncio.timeout(10):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"\r\nContent-Length: (\d+)\r\n", head)
            if head_only or length is None or head.startswith(b"HTTP/1.1 304"):
                return head
            return head + await self.reader.readexactly(int(length[1]))

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


def head_of(path: str = "/", method: str = "GET", host: str = "shop.test", **fields: str) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n".encode("latin-1")
