"""Tepi, nginx and Varnish as caches before the same origin, with access log and metrics on."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from bench.load.origin import HOST, PICTURE
from bench.load.processes import cores, pinned, running
from tests.edge.certificates import Authority
from tests.support.tools import bring, find

BODY = PICTURE
MEMORY = 1024 * 1024 * 1024
IN_MEMORY = f"memory = {MEMORY}\nmax_object = {128 * 1024 * 1024}"
LEVEL = 5  # of Brotli, as Tepi keeps for those who ask again; its first answer is made more quickly
HOUSE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Server:
    """One cache: its name and version, the ports it answers on, the commands that make it."""

    name: str
    version: str
    port: int
    commands: tuple[list[str], ...]
    secure_port: int | None = None
    place: Path | None = None  # where its commands run
    environment: tuple[tuple[str, str], ...] = ()


class Asked:
    """What the origin has been asked: a line a flush, in a file of its own process."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def __int__(self) -> int:
        return int(self._log.read_text() or 0)


@contextmanager
def origin(directory: Path) -> Iterator[tuple[int, Asked]]:
    """An origin in a process of its own, on the load's core: its port, and how often it was asked."""
    port, log = free_port(), directory / "origin.asked"
    log.write_text("0")
    command = [sys.executable, "-m", "bench.load.origin", str(port), str(log)]
    with running(pinned(cores()[1], command), directory / "origin.log"):
        yield port, Asked(log)


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])


def tepi(directory: Path, upstream: int, store: str = IN_MEMORY) -> Server:
    """A node with one site, from a file as an operator writes it."""
    port, secure = free_port(), free_port()
    pair = Authority.make(directory).issue("bench", HOST)
    file = directory / "edge.toml"
    file.write_text(f"""
listen = ["{HOST}:{port}"]
listen_tls = ["{HOST}:{secure}"]
admin = "{HOST}:{free_port()}"
[tls]
cert = {json.dumps(str(pair.cert))}
key = {json.dumps(str(pair.key))}
[store]
{store}
[log]
access = "json"
file = {json.dumps(str(directory / "access.log"))}
[[sites]]
name = "shop"
hosts = ["*"]
origins = [{{ url = "http://{HOST}:{upstream}" }}]
""")
    command = [sys.executable, "-m", "control.cli", "edge", "--config", str(file)]
    return Server("Tepi", version("tepi"), port, (command,), secure)


def on_disk(directory: Path, upstream: int) -> Server:
    """The same with a store on disk, and too little memory before it for what is large."""
    store = f'memory = "8MiB"\nmax_object = "2MiB"\ndirectory = {json.dumps(str(directory / "store"))}'
    return tepi(directory, upstream, store)


def interpreted(directory: Path, upstream: int) -> Server:
    """The same where nothing is compiled: the sources alone."""
    house = directory / "house"
    for package in ("edge", "origin", "control", "geo"):
        shutil.copytree(
            HOUSE / package, house / package, ignore=shutil.ignore_patterns("*.so", "__pycache__")
        )
    server = tepi(directory, upstream)
    return Server(
        "Tepi, interpreted", server.version, server.port, server.commands, server.secure_port, house,
        (("PYTHONPATH", str(house)),),
    )  # fmt: skip


def nginx(directory: Path, upstream: int) -> Server | None:
    """proxy_cache with one worker. Raises ToolMissing: its Brotli module can't be had."""
    program = find("nginx")
    if program is None:
        return None
    port, secure = free_port(), free_port()
    pair = Authority.make(directory).issue("bench", HOST)
    scratch = "\n".join(
        f"    {kind}_temp_path {directory}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    brotli = bring("nginx-brotli")
    file = directory / "nginx.conf"
    file.write_text(f"""
{"user root;" if os.geteuid() == 0 else ""}
load_module {brotli};
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
    tcp_nopush on;
    tcp_nodelay on;
    proxy_cache_path {directory}/cache levels=1:2 keys_zone=one:100m max_size={MEMORY} inactive=1d;
    upstream shop {{ server {HOST}:{upstream}; keepalive 32; keepalive_requests 100000000; }}
    server {{
        listen {HOST}:{port};
        listen {HOST}:{secure} ssl;
        ssl_certificate {pair.cert};
        ssl_certificate_key {pair.key};
        ssl_protocols TLSv1.3;
        brotli on;
        brotli_comp_level {LEVEL};
        brotli_types text/html;
        location = /status {{ stub_status; }}
        location / {{
            proxy_pass http://shop;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_cache one;
            add_header X-Cache $upstream_cache_status;
        }}
    }}
}}
""")
    command = [program, "-p", str(directory), "-c", str(file), "-e", str(directory / "error.log")]
    return Server("nginx", _version(program, "-v"), port, (command,), secure)


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
        program, "-F", "-j", "none", "-n", place, "-a", f"{HOST}:{port}", "-f", str(file), "-s",
        f"malloc,{MEMORY}", "-T", "none",
    ]  # fmt: skip
    writer = find("varnishncsa")
    commands = [command]
    if writer is not None:
        commands.append([writer, "-n", place, "-t", "20", "-w", str(directory / "access.log")])
    return Server("Varnish", _version(program, "-V"), port, tuple(commands))


def _version(program: str, option: str) -> str:
    said = subprocess.run([program, option], capture_output=True, text=True)
    found = re.search(r"\d+\.\d+\.\d+", said.stderr + said.stdout)
    return found[0] if found else ""


Make = Callable[[Path, int], Server | None]
SERVERS: tuple[Make, ...] = (tepi, nginx, varnish)
