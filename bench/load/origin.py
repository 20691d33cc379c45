"""The origin behind every cache on the bench: quick, and the same for all.

    python -m bench.load.origin PORT LOG

A body by the first segment of a path: /small (100 bytes), /picture (4 KiB), /page (64 KiB of HTML), /film1
(1 MiB), /film100 (100 MiB). LOG gets a line for each request that came, so that a benchmark knows that hits
were hits.
"""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path
from typing import cast

import uvloop

HOST = "127.0.0.1"
MIB = 1024 * 1024
PICTURE = random.Random(1).randbytes(4096)  # nobody compresses it, so everybody sends the same bytes
SMALL = PICTURE[:100]
FLUSH = 0.05


def page() -> bytes:
    """64 KiB of HTML as a shop's: words, markup, prices."""
    chance = random.Random(2)
    words = ("kopi", "gayo", "batik", "tulis", "sandal", "lontar", "madu", "hutan", "teh", "melati", "rotan")
    cards = []
    while sum(map(len, cards)) < 64 * 1024:
        name = " ".join(chance.choices(words, k=6))
        price = chance.randrange(10_000, 900_000)
        cards.append(
            f'<article class="card" data-id="{chance.getrandbits(32):08x}"><h2>{name}</h2>'
            f'<p class="price">Rp{price:,}</p><a href="/p/{name.replace(" ", "-")}">'
            f"{chance.choice(words)}</a></article>\n"
        )
    return "".join(cards).encode()[: 64 * 1024]


def answers() -> dict[bytes, bytes]:
    """Whole answers by the first segment of the path."""
    bodies = {
        b"small": (b"image/webp", SMALL),
        b"picture": (b"image/webp", PICTURE),
        b"page": (b"text/html; charset=utf-8", page()),
        b"film1": (b"video/mp4", PICTURE * (MIB // 4096)),
        b"film100": (b"video/mp4", PICTURE * (100 * MIB // 4096)),
    }
    return {name: head_of(body, kind) + body for name, (kind, body) in bodies.items()}


def head_of(body: bytes, kind: bytes = b"image/webp") -> bytes:
    """The head of the answer whose body is `body`."""
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n"
        b'Cache-Control: public, max-age=3600\r\nETag: "one"\r\n\r\n' % (kind, len(body))
    )


class Origin(asyncio.Protocol):
    """One connection of a cache."""

    known = answers()
    asked = 0

    def __init__(self) -> None:
        self._held = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        data = self._held + data
        while (end := data.find(b"\r\n\r\n")) >= 0:
            segment = data[: data.find(b"\r\n")].split(b"/", 2)[1]
            name = segment.partition(b".")[0].partition(b" ")[0]
            assert self._transport is not None
            Origin.asked += 1
            self._transport.write(self.known.get(name, self.known[b"picture"]))
            data = data[end + 4 :]
        self._held = data


def note(log: Path, asked: int) -> None:
    """Writes down how often the origin was asked."""
    log.write_text(str(asked))


async def serve(port: int, log: Path) -> None:
    """Answers on `port` until it is ended; `log` holds how many requests came."""
    server = await asyncio.get_running_loop().create_server(Origin, HOST, port, backlog=1024)
    async with server:
        told = -1
        while True:
            if told != Origin.asked:
                told = Origin.asked
                note(log, told)
            await asyncio.sleep(FLUSH)


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
