from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import dns.asyncquery
import dns.edns
import dns.message
from aiohttp import web

IN_INDONESIA = "36.66.0.0"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def configuration(directory: Path, port: int, admin: int, health: int, more: str = "") -> Path:
    path = directory / "dns.toml"
    path.write_text(f"""
zone = "shop.test"
listen = ["127.0.0.1:{port}"]
admin = "127.0.0.1:{admin}"
hosts = ["www.shop.test"]
probe_port = {health}
probe = {{ interval = 0.2, timeout = 0.4, fall = 2 }}
{more}
[[nodes]]
name = "jakarta"
addresses = ["127.0.0.2"]
place = {{ city = "Jakarta", country = "ID", latitude = -6.2, longitude = 106.8 }}
[[nodes]]
name = "frankfurt"
addresses = ["127.0.0.3"]
place = {{ city = "Frankfurt", country = "DE", latitude = 50.1, longitude = 8.7 }}
""")
    return path


@contextlib.asynccontextmanager
async def tepi_dns(path: Path) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "control.cli", "dns", "--config", str(path), stdout=PIPE, stderr=PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@contextlib.asynccontextmanager
async def living(port: int, *hosts: str) -> AsyncIterator[None]:
    """Something that is healthy at each of `hosts`."""

    async def health(_request: web.Request) -> web.Response:
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_get("/_tepi/health", health)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    for host in hosts:
        await web.TCPSite(runner, host, port).start()
    try:
        yield
    finally:
        await runner.cleanup()


async def nearest(port: int) -> str | None:
    query = dns.message.make_query("www.shop.test", "A", use_edns=0)
    query.use_edns(options=[dns.edns.ECSOption(IN_INDONESIA, 24)])
    try:
        reply = await dns.asyncquery.udp(query, "127.0.0.1", port=port, timeout=1)
    except (OSError, dns.exception.Timeout):
        return None
    return str(reply.answer[0][0]) if reply.answer else None


async def until(port: int, address: str) -> None:
    async with asyncio.timeout(15):
        while await nearest(port) != address:
            await asyncio.sleep(0.05)


async def test_a_lone_name_server_leaves_out_a_node_that_dies_and_takes_it_back(tmp_path: Path) -> None:
    port, admin, health = free_port(), free_port(), free_port()
    path = configuration(tmp_path, port, admin, health)
    async with tepi_dns(path) as process, living(health, "127.0.0.3"):
        async with living(health, "127.0.0.2"):
            await until(port, "127.0.0.2")
        await until(port, "127.0.0.3")
        async with living(health, "127.0.0.2"):
            await until(port, "127.0.0.2")
            async with aiohttp.ClientSession() as session:
                for name, text in (("readyz", "ready"), ("metrics", 'node="jakarta"')):
                    async with session.get(f"http://127.0.0.1:{admin}/{name}") as response:
                        assert response.status == 200
                        assert text in await response.text()
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            assert await process.wait() == 0


async def refused(path: Path) -> str:
    async with tepi_dns(path) as process, asyncio.timeout(20):
        _, errors = await process.communicate()
        assert process.returncode == 2
        return errors.decode()


async def test_a_port_in_use_ends_it_with_one_sentence(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        errors = await refused(configuration(tmp_path, port, free_port(), free_port()))
    assert f"127.0.0.1:{port} (UDP) is in use: stop the other process" in errors
    assert errors.count("\n") == 1


async def test_a_bad_setting_ends_it_with_the_field_and_what_is_accepted(tmp_path: Path) -> None:
    path = configuration(tmp_path, free_port(), free_port(), free_port(), "ttl = -5")
    assert "ttl: got -5, expected 0 or more" in await refused(path)


async def test_a_database_that_is_none_ends_it_with_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.mmdb").write_text("no database")
    more = f'geo_database = "{tmp_path}/x.mmdb"'
    errors = await refused(configuration(tmp_path, free_port(), free_port(), free_port(), more))
    assert "x.mmdb: expected an MMDB file, whole" in errors
    assert errors.count("\n") == 1
