"""A running control plane: real database, real TLS, real sockets; and nodes that join it."""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from control.app import Bound, serving
from control.plane import Clocks, Plane, build
from control.settings import ControlSettings
from edge.agent import Agent
from edge.checkpoint import Checkpoint
from edge.document.notation import Address
from edge.identity import Identity, join
from edge.journal import Reader
from geo.lookup import open_database
from tests.edge.scripted import Told, eventually

JAKARTA = {"city": "Jakarta", "country": "ID", "latitude": -6.2, "longitude": 106.8}


@dataclass(slots=True)
class Shift:
    """Real clocks, moved: what lies in the future comes at once."""

    wall: float = 0.0
    monotonic: float = 0.0

    def clocks(self) -> Clocks:
        return Clocks(lambda: time.time() + self.wall, lambda: time.monotonic() + self.monotonic)


@dataclass(slots=True)
class Control:
    """One control plane that can be stopped and started again at the same addresses."""

    directory: Path
    shift: Shift = field(default_factory=Shift)
    bound: Bound | None = None
    plane: Plane | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    _stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    async def start(self) -> None:
        settings = self.configured()
        lookup = self._stack.enter_context(open_database())
        self.plane = await build(settings, self.shift.clocks(), lookup)
        self._stack.push_async_callback(self.plane.close)
        self.bound = await self._stack.enter_async_context(serving(self.plane))

    def configured(self) -> ControlSettings:
        """Its settings: the addresses of before, or free ones."""
        free = Address("127.0.0.1", 0)
        at = self.bound or Bound(free, free, free)
        return ControlSettings(
            state=str(self.directory), listen=at.api, nodes_listen=at.nodes, admin=at.admin, **self.settings
        )

    async def stop(self) -> None:
        await self._stack.aclose()
        self.plane = None

    @property
    def is_up(self) -> Plane:
        assert self.plane is not None
        return self.plane

    @property
    def api(self) -> str:
        assert self.bound is not None
        return f"http://{self.bound.api}"

    @property
    def admin(self) -> str:
        assert self.bound is not None
        return f"http://{self.bound.admin}"

    @property
    def nodes(self) -> str:
        assert self.bound is not None
        return f"https://{self.bound.nodes}"

    async def invite(self, name: str, role: str = "edge") -> str:
        """A join token for a node called `name`."""
        status, made = await self.ask(
            "POST", "/nodes", {"name": name, "role": role, "place": JAKARTA, "addresses": ["127.0.0.1"]}
        )
        assert status == 201, made
        return str(made["join_token"])

    async def ask(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, **headers: str
    ) -> tuple[int, Any]:
        """One call of the API as the first administrator: status and document."""
        bearer = token or self.first_run["token"]
        fields = {"Authorization": f"Bearer {bearer}"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"{self.api}/api/v1{path}", json=body, headers=fields) as response,
        ):
            return response.status, await response.json(content_type=None) if response.status != 204 else None

    @property
    def first_run(self) -> dict[str, str]:
        made: dict[str, str] = json.loads((self.directory / "first-run.json").read_text())
        return made


@dataclass(slots=True)
class JoinedNode:
    """A node that has joined: its identity, its agent, and what it was told."""

    name: str
    directory: Path
    identity: Identity
    url: str
    told: Told = field(default_factory=Told)

    def agent(self) -> Agent:
        return Agent(
            url=self.url,
            context=self.identity.client_context(),
            reader=Reader.of(self.identity.journal_key),
            applies=self.told,
            checkpoint=Checkpoint(self.directory / "state"),
            version="1.0",
            monotonic=time.monotonic,
            jitter=random.random,
        )


async def joined(control: Control, name: str, role: str = "edge") -> JoinedNode:
    token = await control.invite(name, role)
    directory = control.directory.parent / name
    identity = await join(directory, control.nodes, token, "1.0")
    return JoinedNode(name, directory, identity, control.nodes)


async def healthy(control: Control, *names: str) -> None:
    """Waits until control finds every one of `names` healthy."""

    def all_are() -> bool:
        seen = [control.is_up.fanout.get(name) for name in names]
        return all(one is not None and one.health == "healthy" for one in seen)

    await eventually(all_are, 20)


@contextlib.asynccontextmanager
async def controlling(directory: Path, **settings: Any) -> AsyncIterator[Control]:
    control = Control(directory, settings=settings)
    await control.start()
    try:
        yield control
    finally:
        await control.stop()
