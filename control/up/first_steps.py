"""What an operator does first on a new fleet: announce nodes, hand out join tokens, add the site."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import aiohttp

from control.up.plan import CART_KEY, EDGES, Plan
from control.up.ports import LOOPBACK
from origin.checkout.carts import Keys

POLL = 0.05


@dataclass(frozen=True, slots=True)
class FirstRun:
    """What control made at its very first start."""

    user: str
    password: str
    token: str
    service_token: str


class StepRefused(Exception):
    """Control answered an introductory step with an error."""


class Introduction:
    """Talks to control's API as an operator does."""

    def __init__(self, plan: Plan, session: aiohttp.ClientSession) -> None:
        self._plan = plan
        self._session = session

    def first_run(self) -> FirstRun:
        """What control wrote at its first start. The origin gets its token, people the authority.

        Nodes and origin get a secret for webhooks, control and origin one for pages, the sandbox its own.
        """
        made = FirstRun(**json.loads(self._plan.first_run.read_text()))
        authority = self._plan.first_run.parent / "authority.pem"
        self._plan.authority.write_bytes(authority.read_bytes())
        write_private(self._plan.service_token, made.service_token)
        if not self._plan.pages_secret.exists():
            write_private(self._plan.pages_secret, secrets.token_urlsafe(32))
        for path, prefix in (
            (self._plan.hook_secret, "whsec_"),
            (self._plan.sandbox_secret, "whsec_"),
            (self._plan.sandbox_key, ""),
            (self._plan.cart_secret, ""),
        ):
            if not path.exists():
                write_private(path, prefix + base64.b64encode(secrets.token_bytes(32)).decode())
        return made

    async def introduce(self, token: str) -> None:
        """Tells control of site and nodes, and leaves each node that has not joined yet a token."""
        headers = {"Authorization": f"Bearer {token}"}
        await self._put_site(headers)
        for edge in EDGES:
            await self._announce(
                headers,
                {
                    "name": edge.name,
                    "role": "edge",
                    "place": asdict(edge.place),
                    "addresses": [edge.address],
                },
            )
        for name in ("origin", "dns"):
            await self._announce(headers, {"name": name, "role": name, "addresses": [LOOPBACK]})

    async def all_healthy(self, token: str) -> None:
        """Returns once control calls every edge node healthy: then a purge waits for all of them."""
        headers = {"Authorization": f"Bearer {token}"}
        while True:
            _, answer = await self._call("GET", "/api/v1/nodes", headers, None)
            health = {node["name"]: node["health"] for node in answer.get("nodes", ())}
            if all(health.get(edge.name) == "healthy" for edge in EDGES):
                return
            await asyncio.sleep(POLL)

    async def _put_site(self, headers: dict[str, str]) -> None:
        keys = Keys.made_of(self._plan.cart_secret.read_bytes(), CART_KEY)
        document = self._plan.site(keys.written())
        path = f"/api/v1/sites/{document['name']}"
        status, stored = await self._call("GET", path, headers, None)
        if status == 404:
            await self._must("POST", "/api/v1/sites", headers, document)
        elif any(stored.get(key) != document[key] for key in ("origins", "commerce")) and _is_ours(stored):
            await self._must("PUT", path, headers, {**stored, **document})

    async def _announce(self, headers: dict[str, str], node: dict[str, Any]) -> None:
        if self._plan.joined(node["name"]):
            return
        await self._call("DELETE", f"/api/v1/nodes/{node['name']}", headers, None)
        made = await self._must("POST", "/api/v1/nodes", headers, node)
        write_private(self._plan.join_token(node["name"]), made["join_token"])

    async def _must(
        self, method: str, path: str, headers: dict[str, str], body: dict[str, Any] | None
    ) -> dict[str, Any]:
        status, answer = await self._call(method, path, headers, body)
        if status >= 400:
            raise StepRefused(f"control refused {method} {path} ({status}): {json.dumps(answer)}")
        return answer

    async def _call(
        self, method: str, path: str, headers: dict[str, str], body: dict[str, Any] | None
    ) -> tuple[int, dict[str, Any]]:
        url = self._plan.control_url + path
        async with self._session.request(method, url, headers=headers, json=body) as response:
            text = await response.text()
            return response.status, json.loads(text) if text else {}


def _is_ours(document: dict[str, Any]) -> bool:
    """Whether the stored site still points at a local origin, whose port may have moved since."""
    return all(f"//{LOOPBACK}:" in origin["url"] for origin in document.get("origins", ()))


async def answers(session: aiohttp.ClientSession, url: str) -> None:
    """Returns once `url` answers 200."""
    while True:
        try:
            async with session.get(url, timeout=aiohttp.ClientTimeout(total=2)) as response:
                if response.status == 200:
                    return
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass
        await asyncio.sleep(POLL)


def write_private(path: Path, text: str) -> None:
    """Writes `text` so that its owner alone can read it, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
