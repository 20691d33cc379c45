"""The stream that keeps pages alive."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.control.dashboard.looking import fleet_of, logged_in
from tests.control.planes import Control, controlling


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Control]:
    async with controlling(tmp_path / "control") as control:
        yield control


async def said(stream: aiohttp.ClientResponse) -> dict[str, Any]:
    """The next event's parts."""
    async with asyncio.timeout(10):
        while True:
            line = (await stream.content.readline()).decode()
            assert line, "the stream has ended"
            if line.startswith("data: "):
                told: dict[str, Any] = json.loads(line[6:])
                return told


async def test_the_stream_begins_with_every_part_that_was_asked_for(control: Control) -> None:
    async with (
        logged_in(control) as member,
        member.session.get(
            control.api + "/events?parts=figures,map,charts,nodes,guard,orders,secrets"
        ) as stream,
    ):
        assert stream.content_type == "text/event-stream"
        assert set(await said(stream)) == {"figures", "map", "charts", "nodes", "guard", "orders"}


async def test_a_node_that_joins_and_a_purge_are_seen_without_a_reload(control: Control) -> None:
    async with (
        logged_in(control) as member,
        member.session.get(control.api + "/events?parts=nodes,orders") as stream,
    ):
        assert "tepi node add" in (await said(stream))["nodes"]
        async with fleet_of(control, "jakarta"):
            while "healthy" not in (await said(stream)).get("nodes", ""):
                pass
            await control.ask("POST", "/purges", {"kind": "tag", "value": "product-1"})
            while "1 of 1" not in (await said(stream)).get("orders", ""):
                pass


async def test_parts_that_did_not_change_are_not_sent_again(control: Control) -> None:
    async with (
        logged_in(control) as member,
        member.session.get(control.api + "/events?parts=orders") as stream,
    ):
        await said(stream)
        lines = [(await stream.content.readline()).decode() for _ in range(5)]
        assert {line.strip() for line in lines} == {"", ": still here"}


async def test_the_stream_ends_with_the_session(control: Control) -> None:
    async with (
        logged_in(control) as member,
        member.session.get(control.api + "/events?parts=orders") as stream,
    ):
        await said(stream)
        cookies = {cookie.key: cookie.value for cookie in member.session.cookie_jar}
        await control.is_up.auth.logout(cookies["tepi_session"])
        async with asyncio.timeout(15):
            await stream.content.read()


async def test_an_open_stream_does_not_hold_up_the_end_of_control(tmp_path: Path) -> None:
    control = Control(tmp_path / "control")
    await control.start()
    async with (
        logged_in(control) as member,
        member.session.get(control.api + "/events?parts=orders") as stream,
    ):
        await said(stream)
        began = time.monotonic()
        await control.stop()
        assert time.monotonic() - began < 3
