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
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from bench.load import machine
from bench.load.contest import CONNECTIONS, Contender, Load, run, start, visitors
from bench.load.picture import bars
from bench.load.processes import cores
from bench.load.servers import BODY, SERVERS, origin

RESULTS = Path(__file__).parent / "results"


def measure(rounds: int, seconds: int) -> list[Contender]:
    """Starts every server that is installed and loads them in turn."""
    load = Load(visitors())
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tepi-bench-")))
        directory.chmod(0o755)
        upstream, asked = stack.enter_context(origin(directory))
        contenders = start(SERVERS, directory, upstream, stack)
        for contender in contenders:
            run(contender, load, 1, directory)
        before = int(asked)
        for _ in range(rounds):
            for contender in contenders:
                contender.rounds.append(run(contender, load, seconds, directory))
        if int(asked) != before:
            raise SystemExit(f"not all were hits: the origin was asked {int(asked) - before} times")
    return contenders


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
