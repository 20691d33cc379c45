"""A control that says what a test tells it to, over real TLS, and keeps what nodes say."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from control.authority import Authority, server_context
from edge.agent import Agent
from edge.checkpoint import Checkpoint
from edge.identity import Identity, write_private
from edge.journal import Document, Event, Reader, Signer, Snapshot, signed_frame

SECONDS = 10.0


async def eventually(condition: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Waits until `condition` holds; a test that waits in vain fails."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@dataclass(slots=True)
class Clock:
    """Real monotonic seconds; `skip` lets time pass that this process has not lived through."""

    skipped: float = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.skipped

    def skip(self, seconds: float) -> None:
        self.skipped += seconds


@dataclass(slots=True)
class Call:
    """One line that a node has opened: every frame that it sent, and a way to answer."""

    socket: web.WebSocketResponse
    frames: list[dict[str, Any]] = field(default_factory=list)
    closed: bool = False

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [frame for frame in self.frames if frame["type"] == kind]

    @property
    def hello(self) -> dict[str, Any]:
        return self.of("hello")[0]

    async def say(self, frame: str | dict[str, Any]) -> None:
        await self.socket.send_str(frame if isinstance(frame, str) else json.dumps(frame))

    async def heard(self, kind: str, count: int = 1) -> dict[str, Any]:
        """The last of `count` frames of `kind`."""
        await eventually(lambda: len(self.of(kind)) >= count)
        return self.of(kind)[count - 1]


class ScriptedControl:
    """`answer_beats` lets it answer heartbeats with its head, as control does."""

    def __init__(self, directory: Path, authority: Authority) -> None:
        self.key = Ed25519PrivateKey.generate()
        self.signer = Signer(self.key)
        self.authority = authority
        self.calls: list[Call] = []
        self.dialled: list[float] = []
        self.lineage, self.number = "first", 0
        self.answer_beats = True
        self.turn_away = False
        self.port = 0
        self._directory = directory

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[ScriptedControl]:
        app = web.Application()
        app.router.add_get("/node/v1/stream", self._stream)
        pair = self.authority.issue(["127.0.0.1"], datetime.now(UTC))
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        context = server_context(self.authority, pair, self._directory)
        site = web.TCPSite(runner, "127.0.0.1", self.port, ssl_context=context)
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            for call in self.calls:
                await call.socket.close(code=WSCloseCode.GOING_AWAY)
            await runner.cleanup()

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        self.dialled.append(time.monotonic())
        if self.turn_away:
            raise web.HTTPForbidden(text="revoked")
        socket = web.WebSocketResponse(timeout=0.2)
        await socket.prepare(request)
        call = Call(socket)
        self.calls.append(call)
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            frame = json.loads(message.data)
            call.frames.append(frame)
            if frame["type"] == "heartbeat" and self.answer_beats:
                await call.say(self.head(frame["beat"]))
        call.closed = True
        return socket

    async def call(self, number: int = 1) -> Call:
        """The `number`-th line, once it has said hello."""
        await eventually(lambda: len(self.calls) >= number and bool(self.calls[number - 1].of("hello")))
        return self.calls[number - 1]

    def head(self, beat: int) -> dict[str, Any]:
        return {"type": "head", "beat": beat, "lineage": self.lineage, "number": self.number}

    def event(
        self, kind: str, body: dict[str, Any], *, number: int | None = None, signer: Signer | None = None
    ) -> str:
        """The next event; with `number`, that one, and the head stays where it is."""
        if number is None:
            self.number += 1
        payload = {
            "lineage": self.lineage,
            "number": self.number if number is None else number,
            "kind": kind,
            "body": body,
        }
        return signed_frame("event", (signer or self.signer).sign(payload))

    def snapshot(self, *sites: str, signer: Signer | None = None) -> str:
        payload = {
            "lineage": self.lineage,
            "number": self.number,
            "sites": [{"name": name} for name in sites],
            "fleet": [],
            "certificates": [],
        }
        return signed_frame("snapshot", (signer or self.signer).sign(payload))


@dataclass(slots=True)
class Told:
    """A node that only remembers what it was told. `before` runs ahead of each event and snapshot."""

    events: list[Event] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)
    healths: list[dict[str, str]] = field(default_factory=list)
    before: Callable[[], Awaitable[None]] | None = None

    async def apply(self, event: Event) -> None:
        if self.before is not None:
            await self.before()
        self.events.append(event)

    async def load(self, snapshot: Snapshot, *, known: bool = False) -> None:
        if self.before is not None:
            await self.before()
        self.snapshots.append(snapshot)

    async def health(self, nodes: dict[str, str]) -> None:
        self.healths.append(nodes)

    async def command(self, verb: str, body: Document) -> Document:
        match verb:
            case "echo":
                return dict(body)
            case "refuse":
                raise ValueError("not today")
            case "sleep":
                await asyncio.sleep(60)
        raise RuntimeError("secret detail")

    def heartbeat(self) -> Document:
        return {"requests": len(self.events)}

    @property
    def numbers(self) -> list[int]:
        return [event.position.number for event in self.events]


def identity_by(authority: Authority, directory: Path, name: str = "jakarta") -> Identity:
    """What a node keeps after it has joined."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "joining")])
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    pem = csr.public_bytes(serialization.Encoding.PEM).decode()
    certificate, _ = authority.sign_node(pem, name, "edge", ["127.0.0.1"], datetime.now(UTC))
    directory.mkdir(parents=True)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(directory / "key.pem", private)
    write_private(directory / "certificate.pem", certificate.encode())
    write_private(directory / "authority.pem", authority.pem.encode())
    return Identity(directory, name, "edge", b"")


@dataclass(slots=True)
class Bench:
    """One agent before one scripted control."""

    control: ScriptedControl
    agent: Agent
    told: Told
    clock: Clock
    context: ssl.SSLContext
    directory: Path

    def another(self) -> Agent:
        """The node's agent after a restart: the same disk, nothing in memory."""
        self.told = Told()
        return agent_of(self.control, self.context, self.told, self.clock, self.directory)


def agent_of(
    control: ScriptedControl, context: ssl.SSLContext, told: Told, clock: Clock, directory: Path
) -> Agent:
    return Agent(
        url=control.url,
        context=context,
        reader=Reader(control.key.public_key()),
        applies=told,
        checkpoint=Checkpoint(directory),
        version="1.2.3",
        monotonic=clock,
        jitter=lambda: 0.0,
    )


@contextlib.asynccontextmanager
async def running(agent: Agent) -> AsyncIterator[Agent]:
    task = asyncio.create_task(agent.run())
    try:
        yield agent
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
