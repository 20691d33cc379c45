"""Webhooks on a node of several workers: each has a spool of its own, and a dead one's is not left alone."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.edge.crews import Crew, crew
from tests.edge.hooked import Notes, document, event, stripe_field
from tests.edge.nodes import document as node_document
from tests.edge.wires import eventually, free_port, origin

pytestmark = pytest.mark.xdist_group("workers")


async def sent(node: Crew, number: int) -> int:
    async with node.visit() as visit:
        body = event(number)
        visit.say("POST", "/commerce/hooks/stripe", body, Stripe_Signature=stripe_field(body))
        return (await visit.hear()).status


async def ask(node: Crew, verb: str, *letters: str) -> dict[str, Any]:
    body = {"verb": verb, "letters": list(letters), "every": not letters}
    async with aiohttp.ClientSession() as session, session.post(f"{node.admin}/hooks", json=body) as response:
        told: dict[str, Any] = await response.json(content_type=None)
        assert response.status == 200, told
        return told


async def test_what_a_killed_worker_took_is_delivered_and_dead_letters_are_the_nodes(tmp_path: Path) -> None:
    port = await free_port()
    url = f"http://127.0.0.1:{port}"
    written = node_document(url, workers=2, **document(tmp_path, url))
    refused = {"evt_3"}
    notes = Notes(status=lambda id: 422 if id in refused else 200)
    async with crew(tmp_path, written) as node:
        taken = [number for number in range(12) if await sent(node, number) == 200]
        assert len(taken) == 12
        assert (await ask(node, "list"))["waiting"] == 12
        os.kill(node.pids()[0], signal.SIGKILL)
        async with origin(notes.script, port=port):
            wanted = {f"evt_{number}" for number in taken} - refused
            await eventually(lambda: wanted <= set(notes.ids), 40)
            await eventually(lambda: 422 in notes.answered)
            listed = await ask(node, "list")
            assert [each["id"] for each in listed["letters"]] == ["evt_3"]
            refused.clear()
            letter = listed["letters"][0]["letter"]
            assert (await ask(node, "replay", letter))["replayed"] == [letter]
            await eventually(lambda: "evt_3" in notes.ids)
