"""Regular checks against a real origin that falls ill and recovers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from edge.config import Site
from edge.http.message import Request
from edge.sites import Sites
from edge.upstream.backends import Backends
from edge.upstream.checks import Checks
from edge.upstream.contract import UpstreamError
from edge.upstream.fetch import Origins
from tests.edge.wires import Heard, answer, eventually, origin


@contextlib.asynccontextmanager
async def checked(url: str) -> AsyncIterator[Backends]:
    health = {"path": "/healthz", "interval": 0.01, "timeout": 0.2, "rise": 2, "fall": 2}
    site = Site.model_validate(
        {"name": "shop", "hosts": ["*.x.test", "shop.test"], "origins": [{"url": url}], "health": health}
    )
    backends = Backends(Sites([site]), lambda: None)
    task = asyncio.create_task(Checks(backends, tick=0.01).run())
    try:
        yield backends
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def state(backends: Backends) -> str:
    shop = backends.of("shop")
    assert shop is not None
    return shop.backends[0].health.state(time.monotonic())


async def test_an_origin_goes_down_and_comes_back_with_its_checks() -> None:
    status = "200 OK"

    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"", status))

    async with origin(script) as shop, checked(shop.url) as backends:
        await eventually(lambda: len(shop.heard) > 2)
        assert state(backends) == "up"
        assert shop.heard[0].fields["host"] == "shop.test"
        assert shop.heard[0].target == "/healthz"
        status = "503 Down"
        await eventually(lambda: state(backends) == "down")
        before = len([heard for heard in shop.heard if heard.target == "/"])
        with pytest.raises(UpstreamError) as caught:
            await Origins(backends, time.monotonic).fetch("shop", Request("GET", "http", "shop.test", "/"))
        assert caught.value.failure == "no-healthy-origin"
        assert len([heard for heard in shop.heard if heard.target == "/"]) == before
        status = "204 No Content"
        await eventually(lambda: state(backends) == "up")


async def test_an_origin_that_does_not_answer_in_time_goes_down() -> None:
    async def silent(heard: Heard, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async with origin(silent) as shop, checked(shop.url) as backends:
        await eventually(lambda: state(backends) == "down")


async def test_an_origin_that_refuses_connections_goes_down() -> None:
    async with origin(lambda heard, writer: asyncio.sleep(0)) as shop:
        url = shop.url
    async with checked(url) as backends:
        await eventually(lambda: state(backends) == "down")
