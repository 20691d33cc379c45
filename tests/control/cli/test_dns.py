"""`tepi dns` under control: what it is told becomes what it answers, and who sleeps is not ready."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import dns.asyncquery
import dns.edns
import dns.exception
import dns.message
import pytest

from control.cli.dns import Names
from edge.journal import Event, Kind, Snapshot
from edge.position import Position
from geo.dns.answer import Responder
from geo.dns.probe import Prober
from geo.dns.server import Server
from geo.dns.settings import DnsSettings, ProbeSettings
from geo.fleet import Fleet, Health
from geo.lookup import open_database
from tests.control.planes import JAKARTA, Control, controlling, healthy, joined
from tests.edge.scripted import running

SHOP = {"name": "shop", "hosts": ["www.shop.test"], "origins": [{"url": "http://127.0.0.1:9000"}]}
INDONESIA = "36.66.0.0"
FRANKFURT = {"city": "Frankfurt", "country": "DE", "latitude": 50.1, "longitude": 8.7}
NODES = [
    {"name": "jakarta", "role": "edge", "place": JAKARTA, "addresses": ["192.0.2.1"], "capacity": 1.0},
    {"name": "frankfurt", "role": "edge", "place": FRANKFURT, "addresses": ["192.0.2.2"], "capacity": 1.0},
    {"name": "ns1", "role": "dns", "place": None, "addresses": ["192.0.2.9"], "capacity": 1.0},
]


async def addresses(port: int, host: str = "www.shop.test") -> list[str]:
    query = dns.message.make_query(host, "A", use_edns=0)
    query.use_edns(options=[dns.edns.ECSOption(INDONESIA, 24)])
    try:
        reply = await dns.asyncquery.udp(query, "127.0.0.1", port=port, timeout=1)
    except (OSError, dns.exception.Timeout):
        return []
    return [item.address for record in reply.answer for item in record]


# What a name server does with what control says ----------------------------------------------------


@dataclass(slots=True)
class Desk:
    names: Names
    server: Server

    async def tell(self, kind: Kind, body: dict[str, object]) -> None:
        await self.names.apply(Event(Position("a", 1), kind, body))

    async def answer(self, host: str = "www.shop.test") -> str | None:
        found = await addresses(self.server.addresses[0][1], host)
        return found[0] if found else None


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    settings = DnsSettings.model_validate({"zone": "shop.test", "listen": ["127.0.0.1:0"]})
    with open_database() as database:
        responder = Responder((settings.zone_value(1),), frozenset(), Fleet(()), database)
        server = Server(responder, settings.listeners())
        await server.start()
        names = Names(server, Prober(ProbeSettings(), 1, lambda _: None))
        yield Desk(names, server)
        await server.stop()


async def test_sites_and_nodes_are_answered_as_they_come_and_go(desk: Desk) -> None:
    assert await desk.answer() is None
    await desk.tell("fleet.put", {"nodes": NODES})
    assert await desk.answer() is None
    await desk.tell("site.put", SHOP)
    assert await desk.answer() == "192.0.2.1"
    await desk.tell("site.put", {**SHOP, "hosts": ["toko.shop.test"]})
    assert (await desk.answer(), await desk.answer("toko.shop.test")) == (None, "192.0.2.1")
    await desk.tell("purge", {"kind": "tag", "value": "x"})
    await desk.tell("certificate.put", {"name": "shop", "hosts": []})
    await desk.tell("fleet.put", {"nodes": NODES[1:]})
    assert await desk.answer("toko.shop.test") == "192.0.2.2"
    await desk.tell("site.delete", {"name": "shop"})
    assert await desk.answer("toko.shop.test") is None


async def test_every_change_of_names_raises_the_zones_serial(desk: Desk) -> None:
    before = desk.server.responder.zones[0].serial
    await desk.tell("site.put", SHOP)
    await desk.tell("site.delete", {"name": "shop"})
    assert desk.server.responder.zones[0].serial == before + 2


async def test_a_snapshot_replaces_everything(desk: Desk) -> None:
    await desk.tell("site.put", {**SHOP, "name": "old", "hosts": ["old.shop.test"]})
    await desk.names.load(Snapshot(Position("b", 9), (SHOP,), tuple(NODES), ()))
    assert (await desk.answer(), await desk.answer("old.shop.test")) == ("192.0.2.1", None)


async def test_an_unhealthy_node_leaves_the_answers_and_stays_out_while_the_fleet_changes(
    desk: Desk,
) -> None:
    await desk.names.load(Snapshot(Position("a", 1), (SHOP,), tuple(NODES), ()))
    await desk.names.health({"jakarta": "unhealthy", "frankfurt": "healthy"})
    assert await desk.answer() == "192.0.2.2"
    await desk.tell("fleet.put", {"nodes": NODES})
    assert await desk.answer() == "192.0.2.2"
    await desk.names.health({"jakarta": "healthy", "frankfurt": "healthy"})
    assert await desk.answer() == "192.0.2.1"


async def test_own_probes_decide_while_control_is_away_and_where_it_does_not_know_yet(desk: Desk) -> None:
    await desk.names.load(Snapshot(Position("a", 1), (SHOP,), tuple(NODES), ()))
    await desk.names.health({"jakarta": "healthy", "frankfurt": "healthy"})
    desk.names.probes_found({"jakarta": Health.UNHEALTHY, "frankfurt": Health.HEALTHY})
    assert await desk.answer() == "192.0.2.1", "control knows better"
    desk.names.believe_probes(True)
    assert await desk.answer() == "192.0.2.2"
    await desk.names.health({"jakarta": "unknown", "frankfurt": "unknown"})  # control has just started
    desk.names.believe_probes(False)
    assert await desk.answer() == "192.0.2.2"
    await desk.names.health({"jakarta": "healthy", "frankfurt": "unknown"})
    assert await desk.answer() == "192.0.2.1"


async def test_a_word_of_a_newer_control_is_as_good_as_none(desk: Desk) -> None:
    await desk.names.load(Snapshot(Position("a", 1), (SHOP,), tuple(NODES), ()))
    await desk.names.health({"jakarta": "on-holiday", "somebody": "healthy"})
    assert await desk.answer() == "192.0.2.1"


# The process ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class NameServer:
    process: asyncio.subprocess.Process
    port: int
    admin: str
    log: Path

    async def ready(self) -> bool:
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"{self.admin}/readyz", timeout=aiohttp.ClientTimeout(1)) as response,
            ):
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def until(self, condition: Callable[[], object], seconds: float = 20) -> None:
        """Waits until `condition`, a coroutine function, holds."""
        async with asyncio.timeout(seconds):
            while not await condition():  # type: ignore[misc]
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def name_server(directory: Path, control: Control, probe_port: int = 1) -> AsyncIterator[NameServer]:
    port, admin = _free_port(), _free_port()
    (directory / "token").write_text(await control.invite("ns1", "dns"))
    path = directory / "dns.toml"
    path.write_text(
        f'zone = "shop.test"\nlisten = ["127.0.0.1:{port}"]\nadmin = "127.0.0.1:{admin}"\n'
        f'state = "{directory / "ns1"}"\nprobe_port = {probe_port}\n'
        f'[control]\nurl = "{control.nodes}"\njoin_token = "file:{directory / "token"}"\n'
    )
    log = directory / "dns.log"
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "control.cli", "dns", "--config", str(path),
            stdin=asyncio.subprocess.DEVNULL, stdout=file, stderr=file,
        )  # fmt: skip
    try:
        yield NameServer(process, port, f"http://127.0.0.1:{admin}", log)
    finally:
        if process.returncode is None:
            os.kill(process.pid, signal.SIGCONT)
            process.terminate()
        await asyncio.wait_for(process.wait(), 15)
    assert "Traceback" not in log.read_text()


async def test_a_name_server_joins_answers_and_is_not_ready_before_it_has_caught_up_with_its_sleep(
    tmp_path: Path,
) -> None:
    async with controlling(tmp_path / "control") as control:
        await control.ask("POST", "/sites", SHOP)
        node = await joined(control, "jakarta")
        async with running(node.agent()), name_server(tmp_path, control) as server:
            await healthy(control, "jakarta")
            await server.until(server.ready)
            assert await addresses(server.port) == ["127.0.0.1"]
            os.kill(server.process.pid, signal.SIGSTOP)
            await asyncio.sleep(4)  # longer than the silence after which control drops a line
            await control.ask("PUT", "/sites/shop", {**SHOP, "hosts": ["toko.shop.test"]})
            head = await control.is_up.journal.head()
            os.kill(server.process.pid, signal.SIGCONT)
            await server.until(server.ready)
            assert await addresses(server.port) == [], "it was ready with what it knew before it slept"
            assert await addresses(server.port, "toko.shop.test") == ["127.0.0.1"]
            seen = control.is_up.fanout.get("ns1")
            assert seen is not None
            assert seen.position == head


async def test_a_name_server_serves_on_without_control_and_starts_without_it(tmp_path: Path) -> None:
    async with controlling(tmp_path / "control") as control:
        await control.ask("POST", "/sites", SHOP)
        node = await joined(control, "jakarta")
        async with name_server(tmp_path, control) as server:
            async with running(node.agent()):
                await server.until(server.ready)
            await control.stop()
            assert await addresses(server.port) == ["127.0.0.1"]
            server.process.terminate()
            await asyncio.wait_for(server.process.wait(), 15)
            again = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "control.cli", "dns", "--config", str(tmp_path / "dns.toml"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            try:
                async with asyncio.timeout(20):
                    while await addresses(server.port) != ["127.0.0.1"]:
                        await asyncio.sleep(0.05)
            finally:
                again.terminate()
                await asyncio.wait_for(again.wait(), 15)
            await control.start()


async def test_a_used_token_ends_a_name_server_with_a_sentence(tmp_path: Path) -> None:
    async with controlling(tmp_path / "control") as control:
        (tmp_path / "one").mkdir()
        async with name_server(tmp_path / "one", control) as server:
            await server.until(server.ready)
        token = (tmp_path / "one" / "token").read_text()
        path = tmp_path / "two.toml"
        (tmp_path / "token").write_text(token)
        path.write_text(
            f'zone = "shop.test"\nlisten = ["127.0.0.1:0"]\nadmin = "127.0.0.1:0"\n'
            f'state = "{tmp_path / "two"}"\n'
            f'[control]\nurl = "{control.nodes}"\njoin_token = "file:{tmp_path / "token"}"\n'
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "control.cli", "dns", "--config", str(path),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, said = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 2
    assert b"refused this node: the join token is wrong, expired or used already" in said
    assert b"Traceback" not in said
    assert token.partition(".")[0].encode() not in said


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
