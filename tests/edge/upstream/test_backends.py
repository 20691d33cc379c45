"""Who is asked among a site's origins: backups, the least busy, the client's own, checks by path."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from edge.config import Site
from edge.http.message import Client, Request
from edge.sites import Sites
from edge.upstream.backends import Backends
from edge.upstream.checks import Checks
from edge.upstream.fetch import Origins
from tests.edge.wires import Heard, answer, eventually, free_port, origin, says


def made(*origins: dict[str, Any], **settings: Any) -> Backends:
    site = Site.model_validate({"name": "shop", "hosts": ["*"], "origins": list(origins), **settings})
    return Backends(Sites([site]), lambda: None)


async def asked(backends: Backends, path: str = "/", client: str = "192.0.2.1") -> str | None:
    """The URL of the origin that answered."""
    request = Request("GET", "http", "shop.test", path, client=Client(client))
    got = await Origins(backends, time.monotonic).fetch("shop", request)
    assert isinstance(got.body, bytes)
    return got.outcome.origin


@contextlib.asynccontextmanager
async def checking(backends: Backends) -> AsyncIterator[None]:
    task = asyncio.create_task(Checks(backends, tick=0.01).run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_backup_is_asked_only_while_no_other_is_up() -> None:
    port = await free_port()
    async with origin(says()) as spare:
        backends = made(
            {"url": f"http://127.0.0.1:{port}"},
            {"url": spare.url, "backup": True},
            health={"fall": 1, "eject": 0.05},
        )
        assert await asked(backends) == spare.url  # the first was tried in vain
        async with origin(says(), port=port) as first:
            shop = backends.of("shop")
            assert shop is not None
            await eventually(lambda: shop.backends[0].health.state(time.monotonic()) == "up")
            assert {await asked(backends) for _ in range(4)} == {first.url}
        assert len(spare.heard) == 1


async def test_backups_take_turns_among_themselves() -> None:
    async with origin(says()) as one, origin(says()) as two:
        dead = f"http://127.0.0.1:{await free_port()}"
        backends = made(
            {"url": dead}, {"url": one.url, "backup": True}, {"url": two.url, "backup": True},
            health={"fall": 1, "eject": 60},
        )  # fmt: skip
        assert Counter([await asked(backends) for _ in range(6)]) == {one.url: 3, two.url: 3}


async def test_the_one_with_the_fewest_requests_under_way_is_next() -> None:
    release = asyncio.Event()

    async def slow(heard: Heard, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.write(answer(b""))

    async with origin(slow) as one, origin(says(b"")) as two:
        backends = made({"url": one.url}, {"url": two.url}, balance="least-connections")
        held = asyncio.ensure_future(asked(backends))
        await eventually(lambda: len(one.heard) == 1)
        assert {await asked(backends) for _ in range(5)} == {two.url}
        release.set()
        assert await held == one.url


async def test_a_client_finds_his_origin_again() -> None:
    async with origin(says(b"")) as one, origin(says(b"")) as two:
        backends = made({"url": one.url}, {"url": two.url}, balance="client")
        own = {
            address: await asked(backends, client=address) for address in map("192.0.2.{}".format, range(20))
        }
        assert set(own.values()) == {one.url, two.url}
        for address, url in own.items():
            assert await asked(backends, client=address) == url
        homes = {await asked(backends, client=f"2001:db8::{number}") for number in range(1, 9)}
        assert len(homes) == 1  # one household


async def test_each_prefix_is_checked_by_a_path_of_its_own() -> None:
    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"", "503 Down" if heard.target == "/api/health" else "200 OK"))

    health = {"path": "/health", "interval": 0.01, "timeout": 0.5, "rise": 1, "fall": 1}
    async with origin(script) as shop:
        backends = made(
            {"url": shop.url}, {"url": shop.url, "prefix": "/api", "check": "/api/health"}, health=health
        )
        async with checking(backends):
            await eventually(lambda: {heard.target for heard in shop.heard} >= {"/health", "/api/health"})
            found = backends.of("shop")
            assert found is not None
            await eventually(lambda: found.standing("/api/x", 0.0)[0].state == "down")
            assert found.standing("/", 0.0)[0].state == "up"
            assert await asked(backends, "/p") == shop.url


@pytest.mark.parametrize(("path", "prefix"), [("/x", "/"), ("/api/x", "/api"), ("/%61pi/x", "/api")])
async def test_what_stands_for_a_path_can_be_told(path: str, prefix: str) -> None:
    backends = made(
        {"url": "http://127.0.0.1:1"},
        {"url": "http://127.0.0.1:2", "prefix": "/api", "backup": True},
        {"url": "http://127.0.0.1:3", "prefix": "/api", "weight": 2},
    )
    found = backends.of("shop")
    assert found is not None
    told = found.standing(path, 0.0)
    assert {one.prefix for one in told} == {prefix}
    if prefix == "/api":
        assert [(one.url[-1], one.backup, one.weight) for one in told] == [("3", False, 2), ("2", True, 1)]
