"""Members of the network for tests: keys, signed events, and a relay behind a real node."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from coincurve import PrivateKey

from origin.app import Origin, Wiring
from origin.p2p.plugin import P2P
from tests.edge.nodes import Edge, node
from tests.origin.standing import NOON, Clock, running

RELAY = "/commerce/p2p/relay"
SITE = "shop.test"


@dataclass(frozen=True, slots=True)
class Member:
    """A key, and what it signs. It spells events by itself: nothing of the plugin's is asked."""

    key: PrivateKey

    @classmethod
    def named(cls, name: str) -> Member:
        return cls(PrivateKey(hashlib.sha256(name.encode()).digest()))

    @property
    def pubkey(self) -> str:
        return self.key.public_key.format()[1:].hex()

    def sign(
        self, kind: int, *tags: Sequence[str], content: str = "", at: float = NOON, **changes: Any
    ) -> dict[str, Any]:
        said = [0, self.pubkey, int(at), kind, [list(tag) for tag in tags], content]
        digest = hashlib.sha256(json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()).digest()
        return {
            "id": digest.hex(),
            "pubkey": self.pubkey,
            "created_at": int(at),
            "kind": kind,
            "tags": said[4],
            "content": content,
            "sig": self.key.sign_schnorr(digest, b"\0" * 32).hex(),
            **changes,
        }

    def listing(
        self, d: str, title: str, *tags: Sequence[str], price: str = "85000", **more: Any
    ) -> dict[str, Any]:
        return self.sign(30402, ("d", d), ("title", title), ("price", price, "IDR"), *tags, **more)


ANI, BUDI = Member.named("ani"), Member.named("budi")


@dataclass(slots=True)
class Line:
    """A conversation with the relay."""

    socket: aiohttp.ClientWebSocketResponse
    challenge: str

    async def say(self, *parts: Any) -> None:
        await self.socket.send_str(json.dumps(parts, ensure_ascii=False))

    async def hear(self) -> list[Any]:
        heard = json.loads(await self.socket.receive_str(timeout=10))
        assert isinstance(heard, list)
        return heard

    async def publish(self, event: dict[str, Any]) -> list[Any]:
        await self.say("EVENT", event)
        return await self.hear()

    async def find(self, *filters: dict[str, Any], name: str = "cari") -> list[dict[str, Any]]:
        """All that is stored, with the subscription closed again."""
        await self.say("REQ", name, *filters)
        found = []
        while (heard := await self.hear())[0] == "EVENT":
            assert heard[1] == name
            found.append(heard[2])
        assert heard == ["EOSE", name]
        await self.say("CLOSE", name)
        return found

    async def authenticate(self, member: Member, **changes: Any) -> list[Any]:
        tags = (("relay", f"ws://{SITE}{RELAY}"), ("challenge", self.challenge))
        await self.say("AUTH", member.sign(22242, *tags, **changes))
        return await self.hear()


@dataclass(slots=True)
class Market:
    """An origin with the relay, and a node in front of it."""

    origin: Origin
    edge: Edge
    clock: Clock
    url: str  # of the origin
    admin: str

    @property
    def plugin(self) -> P2P:
        plugin = self.origin.plugins["p2p"]
        assert isinstance(plugin, P2P)
        return plugin

    @contextlib.asynccontextmanager
    async def line(self, edge: Edge | None = None) -> AsyncIterator[Line]:
        address = f"ws://127.0.0.1:{(edge or self.edge).port()}{RELAY}"
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(address, headers={"Host": SITE}) as socket,
        ):
            verb, challenge = json.loads(await socket.receive_str(timeout=10))
            assert verb == "AUTH"
            yield Line(socket, challenge)


@contextlib.asynccontextmanager
async def market(directory: Path, database: str = "", **settings: Any) -> AsyncIterator[Market]:
    clock = Clock()
    options: dict[str, Any] = {"database": database} if database else {}
    async with (
        running(directory, P2P, wiring=Wiring(clock, lambda: 0.5), tables={"p2p": settings}, **options) as (
            origin,
            bound,
        ),
        node(f"http://{bound.plain}") as edge,
    ):
        yield Market(origin, edge, clock, f"http://{bound.plain}", f"http://{bound.admin}")


async def soon(holds: Any, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.01)
