"""`tepi origin` as a process: it joins, believes members, purges what changes, and says what is wrong."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner

from control.cli.origin import Members, command
from edge.identity import join
from edge.journal import Event, Snapshot
from edge.position import Position
from tests.control.planes import Control
from tests.origin.standing import eventually

POSITION = Position("l", 1)
PLUGINS = sorted(entry.name for entry in entry_points(group="tepi.plugins"))


async def tepi(*words: object, **environment: str) -> tuple[int, str]:
    """Runs `tepi WORDS` to its end: exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "control.cli", *map(str, words),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env={**os.environ, **environment},
    )  # fmt: skip
    said, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return process.returncode, said.decode()


@dataclass(frozen=True, slots=True)
class Running:
    """An origin as a process, by its URLs."""

    plain: str
    mutual: str
    admin: str


@contextlib.asynccontextmanager
async def origin(
    directory: Path, control: Control, token: str | None, ports: list[int]
) -> AsyncIterator[Running]:
    """`tepi origin` in step with `control`; at the end it is asked to stop, and does so in order."""
    at = [f"127.0.0.1:{port}" for port in ports]
    (directory / "service").write_text(control.first_run["service_token"])
    lines = [
        f'state = "{directory / "origin"}"\nlisten = "{at[0]}"\nmutual_listen = "{at[1]}"\nadmin = "{at[2]}"',
        f'[purges]\nurl = "{control.api}"\ntoken = "file:{directory / "service"}"',
        f'[control]\nurl = "{control.nodes}"',
    ]
    if token is not None:
        (directory / "join").write_text(token)
        lines.append(f'join_token = "file:{directory / "join"}"')
    config = directory / "origin.toml"
    config.write_text("\n".join(lines))
    with (directory / "origin.log").open("ab") as said:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "control.cli", "origin", "--config", str(config), stderr=said
        )
    running = Running(f"http://{at[0]}", f"https://{at[1]}", f"http://{at[2]}")
    try:
        async with aiohttp.ClientSession() as session:

            async def ready() -> bool:
                assert process.returncode is None, (directory / "origin.log").read_text()
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"{running.admin}/readyz") as response:
                        return response.status == 200
                return False

            await eventually(ready, 40)
        yield running
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 15) == 0, (directory / "origin.log").read_text()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@contextlib.asynccontextmanager
async def control_in(directory: Path) -> AsyncIterator[Control]:
    control = Control(directory / "control")
    await control.start()
    try:
        yield control
    finally:
        await control.stop()


async def test_an_origin_joins_purges_what_changes_and_comes_back_without_its_token(
    tmp_path: Path, unused_tcp_port_factory: Callable[[], int]
) -> None:
    ports = [unused_tcp_port_factory() for _ in range(3)]
    async with control_in(tmp_path) as control:
        token = await control.invite("origin", "origin")
        async with origin(tmp_path, control, token, ports) as running:
            code, said = await tepi(
                "origin", "product", "set-price", "KOP-GAYO-250", "91000", TEPI_ORIGIN_ADMIN=running.admin
            )
            assert code == 0, said

            async def purged() -> bool:
                _, found = await control.ask("GET", "/purges")
                return [(one["kind"], one["value"]) for one in found["purges"]] == [
                    ("tag", "product-kopi-gayo")
                ]

            await eventually(purged, 20)
        async with (
            origin(tmp_path, control, None, ports) as running,
            aiohttp.ClientSession() as session,
            session.get(f"{running.plain}/p/kopi-gayo") as response,
        ):
            assert "91.000" in await response.text()


async def test_a_node_that_joined_reaches_the_shops_commerce_routes_under_its_certificate(
    tmp_path: Path, unused_tcp_port_factory: Callable[[], int]
) -> None:
    ports = [unused_tcp_port_factory() for _ in range(3)]
    async with control_in(tmp_path) as control:
        node = await join(tmp_path / "jakarta", control.nodes, await control.invite("jakarta"), "1")
        token = await control.invite("origin", "origin")
        async with origin(tmp_path, control, token, ports) as running, aiohttp.ClientSession() as session:
            url = f"{running.mutual}/commerce/storefront/products/kopi-gayo"
            async with session.get(url, ssl=node.client_context()) as response:
                assert response.status == 200
                assert (await response.json())["sku"] == "KOP-GAYO-250"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('listn = "x"', 'tepi: listn: got "x", expected no such key; did you mean listen?'),
        ("[plugins.storefront]\nseconds = -1", "tepi: plugins.storefront.seconds: got -1"),
        (
            "[plugins.storefornt]",
            f"tepi: plugins.storefornt: no such plugin, expected one of {', '.join(PLUGINS)}",
        ),
        ('mutual_listen = "127.0.0.1:0"', "mutual_listen needs [control]"),
        ('listen = "192.0.2.1:1"', "tepi: 192.0.2.1:1 can't be listened on"),
        (
            'webhook_secret = "env:NO_SUCH_NAME"',
            "tepi: env:NO_SUCH_NAME: the environment has no NO_SUCH_NAME",
        ),
        ("", "bytes, found 4: bring the file back, or remove it"),
    ],
)
async def test_what_cannot_run_ends_with_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    config, state = tmp_path / "origin.toml", tmp_path / "state"
    state.mkdir()
    if not text:
        (state / "secret").write_text("half")
    config.write_text(f'state = "{state}"\nadmin = "127.0.0.1:0"\n' + text)
    code, said = await tepi("origin", "--config", config)
    assert code == 2, said
    assert sentence in said
    assert "Traceback" not in said


async def test_a_wrong_token_ends_it_with_a_sentence(tmp_path: Path) -> None:
    async with control_in(tmp_path) as control:
        secret = await control.invite("origin", "origin")
        config = tmp_path / "origin.toml"
        config.write_text(
            f'state = "{tmp_path / "o"}"\n[control]\nurl = "{control.nodes}"\njoin_token = "env:JOIN"\n'
        )
        code, said = await tepi("origin", "--config", config, JOIN="wrong." + secret.rpartition(".")[2])
    assert code == 2, said
    assert "refused this node" in said
    assert "Traceback" not in said


def test_without_a_file_it_says_what_it_needs() -> None:
    result = CliRunner().invoke(command, [])
    assert (result.exit_code, "expected --config FILE" in result.output) == (2, True)


def test_plugins_commands_are_the_origins() -> None:
    result = CliRunner().invoke(command, ["--help"])
    assert result.exit_code == 0
    assert "product" in result.output
    assert CliRunner().invoke(command, ["prodct"]).exit_code == 2


async def test_who_is_a_member_follows_the_journal() -> None:
    members = Members()
    assert not members("jakarta", "a1")
    await members.load(snapshot({"name": "jakarta", "serial": "a1"}))
    assert members("jakarta", "a1")
    assert not members("jakarta", "a2")
    assert not members("virginia", "a1")
    await members.apply(Event(POSITION, "site.put", {"name": "shop"}))
    assert members("jakarta", "a1")
    await members.apply(Event(POSITION, "fleet.put", {"nodes": [{"name": "virginia", "serial": "b1"}]}))
    assert (members("jakarta", "a1"), members("virginia", "b1")) == (False, True)
    with pytest.raises(ValueError, match="an origin has no command explain"):
        await members.command("explain", {})


def snapshot(*nodes: dict[str, Any]) -> Snapshot:
    return Snapshot(POSITION, (), nodes, ())


async def test_goods_are_listed_with_price_and_stock_and_errors_are_sentences(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    away = await tepi("origin", "product", "list", "--admin", f"http://127.0.0.1:{unused_tcp_port}")
    assert away[0] == 1
    assert "can't be reached" in away[1]
    assert "Traceback" not in away[1]
