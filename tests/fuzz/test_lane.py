"""Heads by the thousand (`make fuzz`: by the million), to the lane, and to the pipeline behind its parser.

Whatever the lane answers must be, byte for byte, what the ordinary way answers; whatever it does not answer
it must hand on whole.
"""

from __future__ import annotations

import os
import random
import time
from dataclasses import dataclass, field

import pytest

from edge.door import Door
from edge.lane import Place, Profile
from tests.edge.lanes import Line, head_of, settled
from tests.edge.nodes import node
from tests.edge.test_lane import BROWSER, shop, warm
from tests.edge.wires import origin

HEADS = int(os.environ.get("TEPI_FUZZ_HEADS", "20000"))
COMPARED = int(os.environ.get("TEPI_FUZZ_COMPARED", "300"))  # of them also sent the other way
SITE = {"bypass_cookies": ["session*"], "key": {"cookies": ["currency"]}, "never": {"paths": ["/never*"]}}
TARGETS = (
    "/page",
    "/vary",
    "/tagged",
    "/picture",
    "/gone",
    "/never",
    "/page?utm_id=x",
    "/p%61ge",
    "/private",
)
VALUES = {
    "Accept-Encoding": ("gzip", "br", "zstd, gzip;q=0.5", "identity", "", "*", "br;q=0"),
    "Cookie": ("_ga=1", "session_id=ann", "currency=EUR", "currency=IDR; _ga=2", "a", ""),
    "X-Currency": ("IDR", "EUR", ""),
    "If-None-Match": ('"v1"', 'W/"v1"', "*", '"v0"', "v1"),
    "If-Modified-Since": ("Fri, 15 Jan 2027 08:00:00 GMT", "yesterday"),
    "Cache-Control": ("no-cache", "max-age=0", "only-if-cached", "no-transform", "no-store"),
    "Range": ("bytes=0-1",),
    "Authorization": ("Basic eDp5",),
    "Connection": ("keep-alive", "close", "x-currency"),
    "Content-Length": ("0", "5"),
    "Transfer-Encoding": ("chunked",),
    "User-Agent": ("curl/8", "Mozilla/5.0 (iPhone) Mobi"),
    "X-Forwarded-For": ("192.0.2.1",),
    "Pragma": ("no-cache",),
}


def heads(chance: random.Random) -> bytes:
    """A head: plain ones mostly, some broken by a hostile byte."""
    method = chance.choice(("GET", "GET", "GET", "GET", "HEAD", "POST", "get"))
    names = chance.sample(sorted(VALUES), chance.choice((0, 1, 1, 2, 2, 3)))
    lines = [f"{name}: {chance.choice(VALUES[name])}\r\n" for name in names]
    host = chance.choice(("shop.test", "shop.test", "shop.test", "SHOP.test", "shop.test:80", "a b", ""))
    target = chance.choice(TARGETS)
    head = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{''.join(lines)}\r\n".encode("latin-1")
    if chance.random() < 0.2:
        at = chance.randrange(len(head))
        odd = chance.choice((b"\0", b"\n", b"\r", b" ", b"\t", b"\x80", b":", b"\r\n", b""))
        head = head[:at] + odd + head[at + chance.randrange(2) :]
    return head


@dataclass
class Deaf:
    """A transport that keeps what is written to it, and an ordinary way that keeps what is handed on."""

    peer: str = "127.0.0.1"
    written: list[bytes] = field(default_factory=list)
    handed_on: bytes = b""

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def writelines(self, pieces: list[bytes]) -> None:
        self.written.append(b"".join(pieces))

    def connection_made(self, transport: object) -> None:
        """It is its own."""

    def at_rest(self) -> bool:
        return True

    def data_received(self, data: bytes) -> None:
        self.handed_on += data

    def place(self, client: str) -> Place:
        return None, None

    def missed(self, profile: Profile, line: bytes) -> bool:
        """Nothing is kept here."""
        return False


@pytest.mark.timeout(0)
async def test_the_lane_and_the_pipeline_agree() -> None:
    seed = int(os.environ.get("TEPI_FUZZ_SEED", time.time_ns() % 2**32))
    chance = random.Random(seed)
    compared = answered = 0
    async with origin(shop) as behind, node(behind.url, site=SITE) as edge:
        line = await Line.to(edge)
        for target in TARGETS:
            for fields in ({}, {"Cookie": "currency=EUR"}, {"X_Currency": "IDR"}, {"If_None_Match": '"v1"'}):
                for extra in ({}, {"Accept_Encoding": "gzip"}, BROWSER):
                    for method in ("GET", "HEAD"):
                        await warm(line, head_of(target, method, **fields, **extra))
        lane = edge.running.lanes["http"]
        for number in range(HEADS):
            head = heads(chance)
            way = Deaf()
            door = Door(lane, way)  # type: ignore[arg-type]
            door.connection_made(way)
            door.data_received(head)
            left = way.handed_on
            assert left in (head, b"") or head.endswith(left), (seed, number, head)
            if not way.written:
                assert left == head, (seed, number, head)
                continue
            answered += 1
            if compared < COMPARED and not left:
                compared += 1
                said = await line.parted(head)
                assert settled(b"".join(way.written)) == settled(said), (seed, number, head)
        await line.close()
    print(f"{HEADS:,} heads, {answered:,} answered by the lane, {compared:,} of these compared")
    assert answered > HEADS // 50, seed
    assert compared == min(COMPARED, answered), seed
