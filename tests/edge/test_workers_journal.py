"""A node of three workers that obeys control: one line to it, acknowledged when all have applied."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from control.authority import Authority
from edge.journal import signed_frame
from tests.edge.crews import Crew, crew
from tests.edge.scripted import Call, ScriptedControl, identity_by
from tests.edge.wires import Heard, answer, eventually, origin

pytestmark = pytest.mark.xdist_group("workers")

WORKERS = 3
HOST = "shop.test"


def snapshot(control: ScriptedControl, *sites: dict[str, Any]) -> str:
    payload = {
        "lineage": control.lineage,
        "number": control.number,
        "sites": list(sites),
        "fleet": [],
        "certificates": [],
    }
    return signed_frame("snapshot", control.signer.sign(payload))


def joined(control: ScriptedControl, authority: Authority, state: Path) -> dict[str, Any]:
    """The configuration of a node that has joined `control`."""
    identity_by(authority, state / "identity")
    raw = control.key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    about = {"name": "jakarta", "role": "edge", "journal_key": base64.b64encode(raw).decode()}
    (state / "identity" / "node.json").write_text(json.dumps(about))
    return {
        "listen": ["127.0.0.1:0"],
        "admin": "127.0.0.1:0",
        "workers": WORKERS,
        "drain_seconds": 0.5,
        "log": {"access": "off"},
        "state": str(state),
        "control": {"url": control.url},
    }


async def acknowledged(control: ScriptedControl, call: Call) -> None:
    """Returns when the node stands where the journal does."""
    await eventually(
        lambda: any(frame["position"]["number"] == control.number for frame in call.of("ack")), 20
    )


async def everywhere(node: Crew, path: str) -> set[bytes]:
    """What the workers answer."""
    async with node.one_each(WORKERS) as visits:
        return {(await visit.get(path)).body for visit in visits}


async def test_one_line_to_control_and_a_receipt_when_all_workers_have_applied(tmp_path: Path) -> None:
    version = "one"

    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(version.encode(), "200 OK", "Cache-Control: max-age=3600", "Cache-Tag: kopi"))

    authority = Authority.open(tmp_path / "authority", datetime.now(UTC))
    async with ScriptedControl(tmp_path, authority).listening() as control, origin(script) as shop:
        site = {"name": "shop", "hosts": [HOST], "origins": [{"url": shop.url}]}
        async with crew(tmp_path, joined(control, authority, tmp_path / "state")) as node:
            call = await control.call()
            await call.say(snapshot(control, site))
            await acknowledged(control, call)
            assert await everywhere(node, "/p") == {b"one"}

            # a whole state makes all that is stored older than it: that is written once, not by each worker
            written, control.lineage = node.purges_written(), "second"
            await call.say(snapshot(control, site))
            await eventually(lambda: any(f["position"]["lineage"] == "second" for f in call.of("ack")), 20)
            assert node.purges_written() == written + 1
            assert await everywhere(node, "/p") == {b"one"}

            version = "two"
            body = {"id": "1", "kind": "tag", "value": "kopi", "soft": False, "site": None}
            await call.say(control.event("purge", body))
            await acknowledged(control, call)
            assert await everywhere(node, "/p") == {b"two"}

            await call.say(
                {"type": "command", "id": 1, "verb": "dry-run", "body": {"kind": "tag", "value": "kopi"}}
            )
            assert (await call.heard("reply"))["body"]["entries"] >= 1
            await call.say({"type": "command", "id": 2, "verb": "color", "body": {}})
            assert "expected explain, dry-run or hooks" in (await call.heard("reply", 2))["error"]

            # one is killed as an event comes, one hangs as the next does: nobody waits for the dead
            version = "three"
            os.kill(node.pids()[0], signal.SIGKILL)
            await call.say(control.event("site.put", {**site, "hosts": [HOST, "www.shop.test"]}))
            await call.say(control.event("purge", body))
            await acknowledged(control, call)
            # a site that can't be taken in leaves all as they were, those that come later too
            await call.say(control.event("site.put", {**site, "origins": []}))
            await acknowledged(control, call)
            os.kill(node.pids()[1], signal.SIGSTOP)
            version = "four"
            await call.say(control.event("purge", body))
            await acknowledged(control, call)
            await eventually(lambda: len(node.pids()) == WORKERS + 2, 30)
            async with node.one_each(WORKERS) as visits:
                told = {(await visit.get("/p", Host="www.shop.test")).body for visit in visits}
            assert told == {b"four"}
            await eventually(lambda: "site shop" in call.of("heartbeat")[-1]["problems"], 20)
            assert call.of("heartbeat")[-1]["counters"]["requests"] > 0
        assert len(control.calls) == 1
        assert max(frame["position"]["number"] for frame in call.of("ack")) == control.number
