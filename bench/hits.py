"""How much CPU does a hit of 4 KiB cost, in Tepi, nginx and Varnish?

Browser-like requests, an analytics cookie of each visitor's own included, over 32 keep-alive connections from
wrk on one core; the server on another, with access log and metrics on. Rounds are interleaved, medians count.
CPU is what all the server's processes used.

    python -m bench hits [--rounds N] [--seconds S]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import subprocess
import tempfile
import time
import urllib.request
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from bench.load import machine
from bench.load.picture import bars
from bench.load.processes import cores, cpu_seconds, pinned, running
from bench.load.servers import BODY, HOST, SERVERS, Server, origin
from tests.support.tools import bring

RESULTS = Path(__file__).parent / "results"
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


# Visitors in turn, each with a cookie that says nothing to the cache.
VISITORS = """
local heads = {}
local turn = 0
function init()
  for visitor = 1, %d do
    wrk.headers["Cookie"] = string.format("_ga=GA1.1.%%d.1764000000; currency=IDR", 1000000007 * visitor)
    heads[visitor] = wrk.format("GET", wrk.path)
  end
end
function request()
  turn = turn %% %d + 1
  return heads[turn]
end
"""


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
    rounds: list[Round]

    def cpu(self) -> float:
        """Median microseconds of CPU a request."""
        return median(each.cpu_microseconds for each in self.rounds)


def measure(rounds: int, seconds: int) -> list[Contender]:
    """Starts every server that is installed and loads them in turn."""
    wrk = bring("wrk")
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tepi-bench-")))
        directory.chmod(0o755)
        upstream, asked = stack.enter_context(origin())
        contenders = []
        for make in SERVERS:
            home = directory / make.__name__
            home.mkdir()
            server = make(home, upstream)
            if server is not None:
                contenders.append(started(server, home, stack))
        for contender in contenders:
            load(wrk, contender, 1, directory)
        before = len(asked)
        for _ in range(rounds):
            for contender in contenders:
                contender.rounds.append(load(wrk, contender, seconds, directory))
        if len(asked) != before:
            raise SystemExit(f"not all were hits: the origin was asked for {asked[before:]}")
    return contenders


def started(server: Server, home: Path, stack: contextlib.ExitStack) -> Contender:
    """The server once it answers with the right picture."""
    pids = []
    for number, command in enumerate(server.commands):
        log = home / f"output-{number}.log"
        pids.append(stack.enter_context(running(pinned(cores()[0], command), log)))
    url = f"http://{HOST}:{server.port}{PATH}"
    for _ in range(150):
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.read() == BODY:
                    return Contender(server, pids, [])
        except OSError:
            time.sleep(0.1)
    said = "\n".join(log.read_text(errors="replace")[-1000:] for log in home.glob("output-*.log"))
    raise SystemExit(f"{server.name} does not answer: {said}")


def load(wrk: str, contender: Contender, seconds: int, home: Path) -> Round:
    """One run of wrk. Stops everything if an answer was no 200."""
    fields = [word for name, value in BROWSER.items() for word in ("-H", f"{name}: {value}")]
    script = home / "visitors.lua"
    script.write_text(VISITORS % (CONNECTIONS, CONNECTIONS))
    command = [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", str(script), *fields]
    url = f"http://{HOST}:{contender.server.port}{PATH}"
    before = cpu_seconds(*contender.pids)
    said = subprocess.run(
        pinned(cores()[1], [*command, url]), capture_output=True, text=True, check=True, timeout=seconds + 30
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


def rows(contenders: list[Contender]) -> list[dict[str, object]]:
    """The figures of each server, medians over its rounds."""
    ours = contenders[0].cpu()
    return [
        {
            "server": each.server.name,
            "version": each.server.version,
            "cpu_microseconds": round(each.cpu(), 2),
            "requests_per_cpu_second": round(1e6 / each.cpu()),
            "requests_per_second": round(median(one.requests / one.seconds for one in each.rounds)),
            "p50_ms": median(one.p50_ms for one in each.rounds),
            "p99_ms": median(one.p99_ms for one in each.rounds),
            "cpu_ratio_to_tepi": round(each.cpu() / ours, 3),
            "rounds": [asdict(one) for one in each.rounds],
        }
        for each in contenders
    ]


def show(found: list[dict[str, object]], here: dict[str, object]) -> None:
    """The table."""
    table = Table("server", box=None)
    for heading in ("CPU µs", "per CPU s", "per second", "p50 ms", "p99 ms", "CPU of Tepi's"):
        table.add_column(heading, justify="right")
    for row in found:
        table.add_row(
            f"{row['server']} {row['version']}", f"{row['cpu_microseconds']:.1f}",
            f"{row['requests_per_cpu_second']:,}", f"{row['requests_per_second']:,}", f"{row['p50_ms']:.2f}",
            f"{row['p99_ms']:.2f}", f"{row['cpu_ratio_to_tepi']:.2f}",
        )  # fmt: skip
    console = Console()
    console.print(table)
    for name, value in here.items():
        console.print(f"{name.replace('_', ' ')}: {value}", style="dim", highlight=False)


def main() -> None:
    """Measures, prints a table, writes JSON and a picture."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--rounds", type=int, default=5, help="Rounds a server.")
    options.add_argument("--seconds", type=int, default=4, help="Seconds a round.")
    options.add_argument("--results", type=Path, default=RESULTS, help="Where JSON and picture go.")
    chosen = options.parse_args()
    here = machine.about()
    found = rows(measure(chosen.rounds, chosen.seconds))
    show(found, here)
    document = {
        "bench": "hits",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": here,
        "load": {"connections": CONNECTIONS, "body_bytes": len(BODY), "rounds": chosen.rounds,
                 "seconds": chosen.seconds, "one_core_each": cores()[0] != cores()[1]},
        "servers": found,
    }  # fmt: skip
    chosen.results.mkdir(parents=True, exist_ok=True)
    (chosen.results / "hits.json").write_text(json.dumps(document, indent=2) + "\n")
    values = {f"{row['server']} {row['version']}": float(str(row["cpu_microseconds"])) for row in found}
    picture = bars("CPU for a hit of 4 KiB, microseconds", values)
    (chosen.results / "hits.svg").write_text(picture)


if __name__ == "__main__":
    main()
