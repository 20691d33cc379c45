"""A real NATS server with JetStream for tests, on loopback, its store in a directory of the test's."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("nats-server")


@dataclass(slots=True)
class NatsServer:
    """A server that can be stopped and started again at the same port, with what it had stored."""

    directory: Path
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns once it answers."""
        self.directory.mkdir(exist_ok=True)
        if not self.port:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
        words = [str(PROGRAM), "-js", "-sd", str(self.directory), "-a", "127.0.0.1", "-p", str(self.port)]
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(words, stdout=log, stderr=log)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as line:
                if line.recv(5) == b"INFO ":
                    return
            time.sleep(0.02)
        raise TimeoutError((self.directory / "log").read_text()[-2000:])

    def stop(self) -> None:
        """At once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None
