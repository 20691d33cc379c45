"""Tepi, nginx and Varnish as caches before the same origin, with access log and metrics on."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

from tests.support.tools import find

HOST = "127.0.0.1"
BODY = os.urandom(4096)  # a picture: nobody compresses it, so everybody sends the same bytes


@dataclass(frozen=True, slots=True)
class Server:
    """One cache: its name and version, the port it answers on, the commands that make it."""

    name: str
    version: str
    port: int
    commands: tuple[list[str], ...]


class _Pictures(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Type", "image/webp")
        self.send_header("Content-Length", str(len(BODY)))
        self.send_header("Cache-Control", "public, max-age=3600")
        self.send_header("ETag", '"one"')
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@contextmanager
def origin() -> Iterator[tuple[int, list[str]]]:
    """An origin in this process: its port, and the paths it has been asked for."""
    _Pictures.asked.clear()
    server = ThreadingHTTPServer((HOST, 0), _Pictures)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1], _Pictures.asked
    finally:
        server.shutdown()
        server.server_close()


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])


def tepi(directory: Path, upstream: int) -> Server:
    """A node with one site, from a file as an operator writes it."""
    port = free_port()
    file = directory / "edge.toml"
    file.write_text(f"""
listen = ["{HOST}:{port}"]
admin = "{HOST}:{free_port()}"
[log]
access = "json"
file = {json.dumps(str(directory / "access.log"))}
[[sites]]
name = "shop"
hosts = ["*"]
origins = [{{ url = "http://{HOST}:{upstream}" }}]
""")
    command = [sys.executable, "-m", "control.cli", "edge", "--config", str(file)]
    return Server("Tepi", version("tepi"), port, (command,))


def nginx(directory: Path, upstream: int) -> Server | None:
    """proxy_cache with one worker."""
    program = find("nginx")
    if program is None:
        return None
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    scratch = "\n".join(
        f"    {kind}_temp_path {directory}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = directory / "nginx.conf"
    file.write_text(f"""
{user}
daemon off;
worker_processes 1;
pid {directory}/pid;
error_log {directory}/error.log;
events {{ worker_connections 1024; }}
http {{
{scratch}
    access_log {directory}/access.log combined;
    keepalive_requests 100000000;
    sendfile on;
    tcp_nodelay on;
    proxy_cache_path {directory}/cache levels=1:2 keys_zone=one:10m;
    server {{
        listen {HOST}:{port};
        location = /status {{ stub_status; }}
        location / {{
            proxy_pass http://{HOST}:{upstream};
            proxy_cache one;
            add_header X-Cache $upstream_cache_status;
        }}
    }}
}}
""")
    command = [program, "-p", str(directory), "-c", str(file), "-e", str(directory / "error.log")]
    return Server("nginx", _version(program, "-v"), port, (command,))


def varnish(directory: Path, upstream: int) -> Server | None:
    """malloc storage, cookies left out; varnishncsa writes its access log, as Debian runs it."""
    program = find("varnishd")
    if program is None:
        return None
    port = free_port()
    file = directory / "default.vcl"
    # as everybody has it who caches pages: Varnish passes whatever comes with a cookie otherwise
    recipe = "sub vcl_recv { unset req.http.Cookie; }"
    file.write_text(f'vcl 4.1;\nbackend shop {{ .host = "{HOST}"; .port = "{upstream}"; }}\n{recipe}\n')
    place = str(directory / "run")
    command = [
        program, "-F", "-j", "none", "-n", place, "-a", f"{HOST}:{port}", "-f", str(file), "-s", "malloc,64m",
        "-T", "none",
    ]  # fmt: skip
    log = Path(program).with_name("varnishncsa")
    writer = log if log.exists() else Path("/usr/bin/varnishncsa")
    commands = [command]
    if writer.exists():
        commands.append([str(writer), "-n", place, "-t", "20", "-w", str(directory / "access.log")])
    return Server("Varnish", _version(program, "-V"), port, tuple(commands))


def _version(program: str, option: str) -> str:
    said = subprocess.run([program, option], capture_output=True, text=True)
    found = re.search(r"\d+\.\d+\.\d+", said.stderr + said.stdout)
    return found[0] if found else ""


SERVERS: tuple[Callable[[Path, int], Server | None], ...] = (tepi, nginx, varnish)
