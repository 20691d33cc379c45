"""A sandbox provider as a process of its own, and a till whose payments it takes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import random
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from edge.secrets import resolve
from origin.app import Wiring
from tests.origin.checkout.till import Till, open_till
from tests.origin.standing import eventually

HOOKS = "whsec_" + base64.b64encode(b"between the sandbox and the shop").decode()
KEY = "sandbox-key-of-the-tests"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class Sandbox:
    """The running process, and what a test says to it."""

    directory: Path
    hooks: str
    client: aiohttp.ClientSession
    process: asyncio.subprocess.Process | None = None
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self.directory.mkdir(exist_ok=True)
        for name, text in (("key", KEY), ("secret", HOOKS)):
            (self.directory / name).write_text(text)
        self.port = self.port or free_port()
        words = {
            "--listen": f"127.0.0.1:{self.port}",
            "--state": self.directory / "book.db",
            "--key": self.directory / "key",
            "--secret": self.directory / "secret",
            "--hooks": self.hooks,
        }
        flat = [str(word) for pair in words.items() for word in pair]
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "origin.checkout.sandbox", *flat
        )
        await eventually(self._answers, 30)

    async def _answers(self) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            async with self.client.get(f"{self.url}/healthz") as response:
                return response.status == 200
        return False

    async def end(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.terminate()
            await asyncio.wait_for(self.process.wait(), 10)

    async def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        fields = {"Authorization": f"Bearer {KEY}"}
        async with self.client.request(method, self.url + path, json=body, headers=fields) as response:
            return await response.json()

    async def behave(self, **how: Any) -> None:
        said = await self.call("PUT", "/v1/behaviour", how)
        assert "error" not in said, said

    async def totals(self) -> Any:
        return await self.call("GET", "/v1/totals")

    async def pay(self, id: str, outcome: str = "paid", **more: Any) -> Any:
        return await self.call("POST", f"/v1/payments/{id}/pay", {"outcome": outcome, **more})

    async def quiet(self) -> None:
        """Returns once every webhook was taken."""

        async def taken() -> bool:
            return bool((await self.totals())["waiting_hooks"] == 0)

        await eventually(taken, 30)


@asynccontextmanager
async def sandbox(directory: Path, hooks: str) -> AsyncIterator[Sandbox]:
    async with aiohttp.ClientSession() as client:
        running = Sandbox(directory / "sandbox", hooks, client)
        try:
            await running.start()
            yield running
        finally:
            await running.end()


@dataclass(slots=True)
class Market:
    """A till and the sandbox that takes its payments."""

    till: Till
    sandbox: Sandbox

    async def begin(self, session: str, method: str = "card", channel: str | None = None) -> Any:
        got = await self.till.post(
            f"/sessions/{session}/payments",
            {"method": method} if channel is None else {"method": method, "channel": channel},
        )
        assert got.status == 201, got.text
        return got.json

    async def reference(self, session: str) -> str:
        """The sandbox's name of the session's payment."""
        _, payment = await self.till.checkout.sessions.find(session)
        assert payment is not None
        assert payment.reference is not None
        return payment.reference

    async def buy(self, method: str = "card", **changes: Any) -> str:
        """A session that is paid at the provider; the news may be on their way."""
        session = await self.till.open(**changes)
        await self.begin(session["id"], method)
        await self.sandbox.pay(await self.reference(session["id"]))
        return str(session["id"])

    async def becomes(self, session: str, state: str) -> None:
        async def has() -> bool:
            return bool((await self.till.session(session))["state"] == state)

        await eventually(has, 30)

    async def desk(self, method: str, path: str, body: Any = None, key: str = "desk") -> tuple[int, Any]:
        url = f"http://{self.till.bound.admin}/plugins/checkout{path}"
        fields = {"Idempotency-Key": key}
        async with self.till.client.request(method, url, json=body, headers=fields) as response:
            return response.status, await response.json()


def wiring() -> Wiring:
    """Real clocks and secrets: a provider's time is the world's."""
    return Wiring(time.time, random.random, webhook_secret=HOOKS, reveal=resolve)


def account(sandbox: Sandbox) -> dict[str, Any]:
    return {"sandbox": {"url": sandbox.url, "key": f"file:{sandbox.directory / 'key'}"}}


@asynccontextmanager
async def market(directory: Path, wired: Wiring | None = None, **checkout: Any) -> AsyncIterator[Market]:
    """A shop that the sandbox takes payments for; its webhooks come straight to the origin's inbox."""
    port = free_port()
    async with sandbox(directory, f"http://127.0.0.1:{port}/commerce/hooks/sandbox") as provider:
        tables = {**checkout, "providers": {**account(provider), **checkout.get("providers", {})}}
        async with open_till(
            directory / "origin", wiring=wired or wiring(), listen=f"127.0.0.1:{port}", **tables
        ) as till:
            yield Market(till, provider)
