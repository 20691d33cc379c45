"""Servers side by side under the same load: started, loaded in turn, and what each request cost."""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench.load.origin import HOST
from bench.load.processes import cores, cpu_seconds, pinned, running
from bench.load.servers import BODY, Make, Server
from tests.support.tools import bring

CONNECTIONS = 32
PATH = "/picture.webp"
BROWSER = {
    "Accept": "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Accept-Language": "id-ID,id;q=0.9,en-US;q=0.8,en;q=0.7",
    "Referer": "https://shop.example/p/kopi-gayo",
    "Sec-CH-UA": '"Chromium";v="130", "Not?A_Brand";v="99"',
    "Sec-CH-UA-Mobile": "?0",
    "Sec-CH-UA-Platform": '"Linux"',
    "Sec-Fetch-Dest": "image",
    "Sec-Fetch-Mode": "no-cors",
    "Sec-Fetch-Site": "same-origin",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/130.0.0.0 Safari/537.36",
}
WAIT = 15.0  # seconds for a server to answer for the first time


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk does: a script that makes requests, over so many connections."""

    script: str
    connections: int = CONNECTIONS
    secure: bool = False
    fields: tuple[tuple[str, str], ...] = tuple(BROWSER.items())


@dataclass(frozen=True, slots=True)
class Round:
    """One run of the load against one server."""

    requests: int
    seconds: float
    cpu_seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def cpu_microseconds(self) -> float:
        """CPU for one request."""
        return self.cpu_seconds / self.requests * 1e6


@dataclass(slots=True)
class Contender:
    """A server that runs, and its rounds so far."""

    server: Server
    pids: list[int]
    rounds: list[Round] = field(default_factory=list)

    def cpu(self) -> float:
        """Median microseconds of CPU a request."""
        return median(each.cpu_microseconds for each in self.rounds)

    def rate(self) -> float:
        """Median requests a second."""
        return median(each.requests / each.seconds for each in self.rounds)

    def url(self, *, secure: bool) -> str:
        """Where it answers."""
        if secure:
            return f"https://{HOST}:{self.server.secure_port}{PATH}"
        return f"http://{HOST}:{self.server.port}{PATH}"


def visitors(path: str = PATH) -> str:
    """Everybody asks for `path`; visitors in turn, each with a cookie that says nothing to the cache."""
    return f"""
local heads = {{}}
local turn = 0
function init()
  for visitor = 1, {CONNECTIONS} do
    wrk.headers["Cookie"] = string.format("_ga=GA1.1.%d.1764000000; currency=IDR", 1000000007 * visitor)
    heads[visitor] = wrk.format("GET", "{path}")
  end
end
function request()
  turn = turn % {CONNECTIONS} + 1
  return heads[turn]
end
"""


def start(
    makes: Iterable[Make], directory: Path, upstream: int, stack: contextlib.ExitStack
) -> list[Contender]:
    """Every server of `makes` that is installed, once it answers with the right picture."""
    contenders = []
    for make in makes:
        home = directory / make.__name__
        home.mkdir()
        server = make(home, upstream)
        if server is not None:
            contenders.append(_started(server, home, stack))
    return contenders


def _started(server: Server, home: Path, stack: contextlib.ExitStack) -> Contender:
    pids = []
    for number, command in enumerate(server.commands):
        log = home / f"output-{number}.log"
        process = running(pinned(cores()[0], command), log, server.place, dict(server.environment))
        pids.append(stack.enter_context(process))
        if number == 0:
            _await(server, home)
    return Contender(server, pids)


def _await(server: Server, home: Path) -> None:
    until = time.monotonic() + WAIT
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{server.port}{PATH}", timeout=2) as answer:
                if answer.read() == BODY:
                    return
        except OSError:
            time.sleep(0.1)
    said = "\n".join(log.read_text(errors="replace")[-1000:] for log in home.glob("output-*.log"))
    raise SystemExit(f"{server.name} does not answer: {said}")


def run(contender: Contender, load: Load, seconds: int, home: Path) -> Round:
    """One run of wrk. Stops everything if an answer was no success."""
    script = home / "load.lua"
    script.write_text(load.script)
    fields = [word for name, value in load.fields for word in ("-H", f"{name}: {value}")]
    command = [
        bring("wrk"), "-t1", f"-c{load.connections}", f"-d{seconds}s", "--latency", "--timeout", "10s", "-s",
        str(script), *fields, contender.url(secure=load.secure),
    ]  # fmt: skip
    before = cpu_seconds(*contender.pids)
    said = subprocess.run(
        pinned(cores()[1], command), capture_output=True, text=True, check=True, timeout=seconds + 60
    ).stdout
    spent = cpu_seconds(*contender.pids) - before
    if "Non-2xx" in said or "Socket errors" in said:
        raise SystemExit(f"{contender.server.name} failed under load:\n{said}")
    requests, took, unit = re.findall(r"(\d+) requests in ([\d.]+)(m?s)", said)[0]
    return Round(
        int(requests), float(took) / (1000 if unit == "ms" else 1), spent, _ms(said, "50%"), _ms(said, "99%")
    )


def _ms(said: str, percentile: str) -> float:
    value, unit = re.findall(rf"{percentile}\s+([\d.]+)(us|ms|s)", said)[0]
    return float(value) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]
