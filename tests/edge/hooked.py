"""A node that takes webhooks, an origin that notes what it is handed, and senders that sign."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.webhooks.standard import verify
from tests.edge.nodes import Edge, node
from tests.edge.wires import Heard, Origin, answer, origin

SECRET = "whsec_" + base64.b64encode(b"between the edge and the origin!").decode()
STRIPE = "whsec_of_stripe"


@dataclass
class Notes:
    """What the origin was handed, verified, in order. `status` decides what it answers."""

    status: Callable[[str], int] = lambda id: 200
    ids: list[str] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    answered: list[int] = field(default_factory=list)

    async def script(self, heard: Heard, writer: asyncio.StreamWriter) -> None:
        if heard.method != "POST":
            writer.write(answer(b"the shop"))
            return
        id = verify(SECRET, heard.fields, heard.body, time.time())
        status = self.status(id)
        self.heard.append(heard)
        self.answered.append(status)
        if status < 300:
            self.ids.append(id)
        if status == 0:
            writer.close()
            return
        writer.write(answer(b"so be it", f"{status} Status"))


def document(directory: Path, url: str, **changes: Any) -> dict[str, Any]:
    """What a node's configuration says beside its origin."""
    secret, stripe = directory / "secret", directory / "stripe"
    secret.write_text(SECRET)
    stripe.write_text(STRIPE)
    webhooks = {
        "secret": f"file:{secret}",
        "spool": str(directory / "spool"),
        "accounts": [{"provider": "stripe", "settings": {"webhook_secret": f"file:{stripe}"}}],
        **changes,
    }
    return {"site": {"commerce": {"prefix": "/commerce", "url": url}}, "webhooks": webhooks}


@contextlib.asynccontextmanager
async def hooked(directory: Path, notes: Notes, **changes: Any) -> AsyncIterator[tuple[Edge, Origin]]:
    async with (
        origin(notes.script) as shop,
        node(shop.url, **document(directory, shop.url, **changes)) as edge,
    ):
        yield edge, shop


def event(number: int | str) -> bytes:
    return json.dumps({"id": f"evt_{number}", "object": "event"}).encode()


def stripe_field(body: bytes, at: float | None = None, secret: str = STRIPE) -> str:
    now = int(time.time() if at is None else at)
    signature = hmac.digest(secret.encode(), f"{now}.".encode() + body, hashlib.sha256).hex()
    return f"t={now},v1={signature}"


async def send(edge: Edge, body: bytes, provider: str = "stripe", **fields: str) -> Any:
    """One webhook on a connection of its own."""
    async with edge.visit() as visit:
        fields = fields or {"Stripe_Signature": stripe_field(body)}
        visit.say("POST", f"/commerce/hooks/{provider}", body, **fields)
        return await visit.hear()
