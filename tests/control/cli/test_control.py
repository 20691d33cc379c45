"""`tepi control` as a process: what stops it before it starts, and how it ends."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sqlite3
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from control.auth import WrongPassword, digest
from control.cli.control import command
from tests.control.planes import controlling


async def control(path: Path, *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "control.cli", "control", "--config", str(path), *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def started(process: asyncio.subprocess.Process) -> None:
    """Returns once the process says that it listens."""
    assert process.stderr is not None
    async with asyncio.timeout(30):
        while line := await process.stderr.readline():
            if b"dashboard and API at" in line:
                return
    raise AssertionError("it ended before it listened")


async def said(process: asyncio.subprocess.Process) -> str:
    _, text = await asyncio.wait_for(process.communicate(), 30)
    return text.decode()


def configuration(directory: Path, **changes: str) -> Path:
    values = {
        "state": str(directory / "state"),
        **dict.fromkeys(("listen", "nodes_listen", "admin"), "127.0.0.1:0"),
        **changes,
    }
    path = directory / "control.toml"
    path.write_text("".join(f'{name} = "{value}"\n' for name, value in values.items()))
    return path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_ends_cleanly_when_it_is_asked_to(tmp_path: Path, number: signal.Signals) -> None:
    process = await control(configuration(tmp_path))
    try:
        await started(process)
        process.send_signal(number)
        text = await said(process)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, text
    assert "Traceback" not in text


@pytest.mark.parametrize("setting", ["listen", "nodes_listen", "admin"])
async def test_a_port_in_use_is_named_with_the_setting_that_moves_it(tmp_path: Path, setting: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        process = await control(configuration(tmp_path, **{setting: address}))
        text = await said(process)
    assert process.returncode == 2
    sentence = f"tepi: {address} is in use: stop the other process or choose another with {setting}"
    assert text.splitlines()[-1] == sentence
    assert "Traceback" not in text


async def test_a_first_start_that_is_killed_anywhere_can_be_made_again(tmp_path: Path) -> None:
    for pause in (0.4, 0.6, 0.7, 0.8, 0.9):
        process = await control(configuration(tmp_path))
        await asyncio.sleep(pause)
        process.kill()
        await said(process)
    process = await control(configuration(tmp_path))
    try:
        await started(process)
        made = json.loads((tmp_path / "state" / "first-run.json").read_text())
        with sqlite3.connect(tmp_path / "state" / "control.db") as connection:
            hashes = {row[0] for row in connection.execute("select hash from tokens")}
        connection.close()
        assert hashes == {digest(made["token"]), digest(made["service_token"])}
    finally:
        process.kill()
        await said(process)


async def test_a_bad_file_is_refused_line_by_line(tmp_path: Path) -> None:
    path = configuration(tmp_path, listen="nowhere", journal_keeep="1")
    process = await control(path)
    text = await said(process)
    assert process.returncode == 2
    assert 'listen: got "nowhere", expected HOST:PORT' in text
    assert "journal_keeep" in text
    assert "did you mean journal_keep?" in text


async def test_a_directory_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    process = await control(configuration(tmp_path, state=str(tmp_path / "file" / "state")))
    text = await said(process)
    assert process.returncode == 2
    assert str(tmp_path / "file") in text
    assert "Traceback" not in text


async def test_after_a_restored_backup_a_new_lineage_can_be_asked_for(tmp_path: Path) -> None:
    lineages = []
    for words in ((), (), ("--new-lineage",)):
        process = await control(configuration(tmp_path), *words)
        try:
            await started(process)
            process.send_signal(signal.SIGTERM)
            await said(process)
        finally:
            if process.returncode is None:
                process.kill()
        with sqlite3.connect(tmp_path / "state" / "control.db") as connection:
            lineages += connection.execute("select lineage from counter").fetchone()
        connection.close()
    assert lineages[0] == lineages[1] != lineages[2]


async def test_who_is_locked_out_gets_a_new_password_and_the_log_tells(tmp_path: Path) -> None:
    async with controlling(tmp_path / "state") as plane:
        old = plane.first_run["password"]
    config = ["--config", str(configuration(tmp_path))]
    told = await asyncio.to_thread(CliRunner().invoke, command, [*config, "password", "admin"])
    assert told.exit_code == 0, told.output
    fresh = told.output.split()[4]
    told = await asyncio.to_thread(CliRunner().invoke, command, [*config, "password", "nobody"])
    assert (told.exit_code, "there is no user called nobody" in told.output) == (1, True)
    async with controlling(tmp_path / "state") as plane:
        with pytest.raises(WrongPassword):
            await plane.is_up.auth.login("admin", old, "127.0.0.1")
        await plane.is_up.auth.login("admin", fresh, "127.0.0.1")
    told = await asyncio.to_thread(CliRunner().invoke, command, [*config, "audit"])
    assert (told.exit_code, "whole and unchanged" in told.output) == (0, True), told.output
    told = await asyncio.to_thread(CliRunner().invoke, command, [*config, "audit", "--known", "abc"])
    assert (told.exit_code, "cut off" in told.output) == (1, True), told.output


@pytest.mark.parametrize("token", ["tepi_short", "0123456789-0123456789-0123456789-0123456789", ""])
async def test_a_first_token_that_can_be_guessed_is_refused(tmp_path: Path, token: str) -> None:
    (tmp_path / "token").write_text(token)
    file = configuration(tmp_path)
    file.write_text(file.read_text() + f'first_tokens = {{ admin = "file:{tmp_path}/token" }}\n')
    process = await control(file)
    text = await said(process)
    assert process.returncode == 2
    assert f"file:{tmp_path}/token: a token is `tepi_` and 32" in text
    assert "Traceback" not in text
    if token:
        assert token not in text.replace("`tepi_`", "")
