"""A new configuration takes hold between two requests; none is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from edge.listeners import AddressTaken
from tests.edge.nodes import Edge, config, node
from tests.edge.wires import origin, says

NO_STORE = "Cache-Control: no-store"


async def keep_asking(edge: Edge, answers: list[bytes], stop: asyncio.Event, *, kept: bool) -> None:
    while not stop.is_set():
        async with edge.visit() as visit:
            for _ in range(10 if kept else 1):
                reply = await visit.get(f"/{len(answers)}")
                assert reply.status == 200
                answers.append(reply.body)


async def test_no_request_is_lost_while_origins_change_under_load() -> None:
    async with (
        origin(says(b"one", "200 OK", NO_STORE)) as one,
        origin(says(b"two", "200 OK", NO_STORE)) as two,
        node(one.url) as edge,
    ):
        answers: list[bytes] = []
        stop = asyncio.Event()
        port = str(edge.port())
        asking = [asyncio.ensure_future(keep_asking(edge, answers, stop, kept=bool(n % 2))) for n in range(8)]
        for turn in range(20):
            await asyncio.sleep(0.05)
            target = two if turn % 2 == 0 else one
            await edge.running.take(config(target.url, listen=["127.0.0.1:0"]))
        stop.set()
        await asyncio.gather(*asking)
        assert str(edge.port()) == port
        assert len(answers) > 100
        assert set(answers) == {b"one", b"two"}
        assert len(one.heard) + len(two.heard) == len(answers)


async def test_limits_access_and_log_change_for_the_next_request(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    async with origin(says(b"", "200 OK", NO_STORE)) as shop, node(shop.url) as edge, edge.visit() as visit:
        assert (await visit.get()).status == 200
        await edge.running.take(
            config(shop.url, access={"deny": ["127.0.0.1"]}, log={"access": "json", "file": str(log)})
        )
        assert (await visit.get()).status == 403
        await edge.running.take(config(shop.url, limits={"requests_per_second": 1, "burst": 1}))
        assert [(await visit.get()).status for _ in range(2)] == [200, 429]
        assert len(log.read_text().splitlines()) == 1


async def test_a_log_that_was_moved_away_is_opened_anew(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    form = {"access": "combined", "file": str(log)}
    async with origin(says()) as shop, node(shop.url, log=form) as edge:
        await edge.get("/before")
        log.rename(tmp_path / "access.log.1")
        await edge.running.take(config(shop.url, log=form))
        await edge.get("/after")
    assert "/before" in (tmp_path / "access.log.1").read_text()
    assert [line.split()[6] for line in log.read_text().splitlines()] == ["/after"]


async def test_addresses_come_and_go_and_connections_stay() -> None:
    async with origin(says(b"", "200 OK", NO_STORE)) as shop, node(shop.url) as edge, edge.visit() as visit:
        assert (await visit.get()).status == 200
        old = edge.port()
        await edge.running.take(config(shop.url, listen=["127.0.0.2:0"]))
        assert [str(each.host) for _, each in edge.running.listeners.addresses()] == ["127.0.0.2"]
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", old)
        assert (await visit.get()).status == 200
        _, new = await asyncio.open_connection("127.0.0.2", edge.port())
        new.close()


async def test_a_configuration_that_can_not_be_taken_changes_nothing(tmp_path: Path) -> None:
    async with origin(says(b"", "200 OK", NO_STORE)) as shop, node(shop.url) as edge, edge.visit() as visit:
        for bad in (
            config(shop.url, listen=[f"127.0.0.1:{shop.port}"], access={"deny": ["127.0.0.1"]}),
            config(shop.url, log={"access": "json", "file": str(tmp_path)}, access={"deny": ["127.0.0.1"]}),
        ):
            with pytest.raises((AddressTaken, OSError)):
                await edge.running.take(bad)
            assert (await visit.get()).status == 200
            assert (await edge.get()).status == 200
