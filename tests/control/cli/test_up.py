"""`tepi up` refuses with one sentence that names what is wrong and how to mend it."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest


def up(*words: object) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "control.cli", "up", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr).strip()


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.2", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, said = up("--dir", tmp_path / "state", "--port", port)
    assert code == 1
    assert said == (
        f"Error: 127.0.0.2:{port} (http) can't be opened: address already in use. "
        "Stop what uses it, or move the fleet with --port N (0 takes free ports)."
    )


@pytest.mark.parametrize("port", [-4, 65_530, 99_999])
def test_an_impossible_port_is_named(tmp_path: Path, port: int) -> None:
    code, said = up("--dir", tmp_path / "state", f"--port={port}")
    assert code == 1
    assert said.startswith(f"Error: --port: got {port}, expected 0")
    assert not (tmp_path / "state").exists()


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("not a directory")
    code, said = up("--dir", place / "state")
    assert code == 1
    assert said == (
        f"Error: {place / 'state'} can't be written (not a directory): choose another place with --dir."
    )


def test_a_second_fleet_in_the_same_directory_is_refused(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / "lock", os.O_WRONLY | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        code, said = up("--dir", tmp_path, "--port", 0)
    finally:
        os.close(descriptor)
    assert code == 1
    assert said == f"Error: another `tepi up` runs in {tmp_path}: end it, or choose another place with --dir."
