"""How fast is Tepi beside nginx and Varnish, in every kind of work that a cache does?

Ratios within one run: the server's processes on one core, the load on another, CPU time per request, medians
of interleaved rounds, access log and metrics on at all. `latency` is the odd row: p99 of hits at 60 % of what
each server can do, timed from the moment that a request was due. `memory` counts bytes an entry beyond its
own. What falls short stays in the table.

    python -m bench speed [ROW ...] [--rounds N] [--seconds S]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from bench.load import machine
from bench.load.contest import BROWSER, PATH, Contender, run, start
from bench.load.footprint import OWN, of_servers
from bench.load.processes import cores, pinned
from bench.load.servers import Asked, interpreted, nginx, on_disk, origin, tepi, varnish
from bench.load.warm import warm
from bench.load.works import HIT, WORKS, Work

RESULTS = Path(__file__).parent / "results"
LATENCY = "latency"
MEMORY = "memory"
FIRST, MORE = 35_000, 40_000  # entries until a server is weighed, and until it is again
MOST_MEMORY = 0.5  # times the peer's
SHARE = 0.6  # of saturation
KEPT = 0.95  # of the rate; where less comes, server or load had not the core to itself
MOST_LATENCY = 1.2  # times the peer's
PEERS = {"nginx": nginx, "Varnish": varnish}


@dataclass(slots=True)
class Row:
    """One line of the table. `ratio` is what `asked` is about: at least that, or at most where `at_most`."""

    name: str
    title: str
    unit: str
    peer: str
    ours: float
    theirs: float
    ratio: float
    asked: float
    at_most: bool = False
    rounds: dict[str, list[dict[str, float]]] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        """Whether Tepi does what is asked."""
        return self.ratio <= self.asked if self.at_most else self.ratio >= self.asked


def compare(work: Work, rounds: int, seconds: int) -> Iterator[Row]:
    """The servers of one row, loaded in turn."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tepi-bench-")))
        directory.chmod(0o755)
        upstream, asked = stack.enter_context(origin(directory))
        ours = on_disk if work.disk else tepi if work.compiled else interpreted
        makes = [ours, *(PEERS[peer] for peer in work.asked)]
        first, *peers = contenders = start(makes, directory, upstream, stack)
        _prepare(work, contenders, directory)
        before = _settled(asked)
        for _ in range(rounds):
            for contender in contenders:
                contender.rounds.append(run(contender, work.load, seconds, directory))
        if not work.misses and _settled(asked) != before:
            raise SystemExit(f"{work.name}: not all were hits, the origin was asked")
        for peer in peers:
            name = peer.server.name
            yield Row(
                work.name, work.title, "CPU µs", f"{name} {peer.server.version}", first.cpu(), peer.cpu(),
                peer.cpu() / first.cpu(), work.asked[name], rounds=_rounds(first, peer),
            )  # fmt: skip


def _prepare(work: Work, contenders: list[Contender], directory: Path) -> None:
    for contender in contenders:
        if work.warm:
            warm(contender.server.port, work.warm)
        run(contender, work.load, 1 if not work.warm else 5, directory)


def _settled(asked: Asked) -> int:
    """What the origin was asked, once it has written it down."""
    time.sleep(0.2)
    return int(asked)


def latency(rounds: int, seconds: int) -> Iterator[Row]:
    """p99 of hits, each server at its own share of saturation."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tepi-bench-")))
        directory.chmod(0o755)
        upstream, _ = stack.enter_context(origin(directory))
        contenders = start([tepi, nginx], directory, upstream, stack)
        found: dict[str, list[dict[str, float]]] = {each.server.name: [] for each in contenders}
        for contender in contenders:
            run(contender, HIT, 1, directory)
            contender.rounds.append(run(contender, HIT, seconds, directory))
        for _ in range(rounds):
            for contender in contenders:
                said = _paced(contender, contender.rate() * SHARE, seconds)
                found[contender.server.name].append(said)
        ours, *peers = contenders
        mine = median(each["p99"] for each in found[ours.server.name])
        for peer in peers:
            theirs = median(each["p99"] for each in found[peer.server.name])
            yield Row(
                LATENCY, f"p99 of hits at {SHARE:.0%} of saturation", "µs", f"nginx {peer.server.version}",
                mine, theirs, mine / theirs, MOST_LATENCY, at_most=True, rounds=found,
            )  # fmt: skip


def memory() -> Iterator[Row]:
    """What memory an entry takes."""
    ours, *peers = of_servers((tepi, varnish), FIRST, MORE)
    for peer in peers:
        yield Row(
            MEMORY, f"memory an entry, beyond its {OWN} bytes", "bytes", f"{peer.of} {peer.version}",
            ours.taken, peer.taken, ours.taken / peer.taken, MOST_MEMORY, at_most=True,
        )  # fmt: skip


def _paced(contender: Contender, rate: float, seconds: int) -> dict[str, float]:
    fields = json.dumps({**BROWSER, "Cookie": "_ga=GA1.1.1000000007.1764000000; currency=IDR"})
    command = [
        sys.executable, "-m", "bench.load.paced", str(contender.server.port), PATH, f"{rate:.0f}",
        str(seconds), fields,
    ]  # fmt: skip
    said = subprocess.run(pinned(cores()[1], command), capture_output=True, text=True, check=True)
    figures: dict[str, float] = json.loads(said.stdout)
    if figures["kept"] < KEPT * rate:
        print(f"{contender.server.name}: {figures['kept']:,.0f} of {rate:,.0f} a second", file=sys.stderr)
    return {"rate": round(rate), **figures}


def _rounds(*contenders: Contender) -> dict[str, list[dict[str, float]]]:
    return {each.server.name: [asdict(one) for one in each.rounds] for each in contenders}


def show(rows: list[Row], here: dict[str, object]) -> None:
    """The table."""
    table = Table(box=None)
    for heading in ("work", "peer"):
        table.add_column(heading, no_wrap=True)
    for heading in ("Tepi", "peer", "unit", "per CPU s", "ratio", "asked", ""):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row.title, row.peer, f"{row.ours:,.1f}", f"{row.theirs:,.1f}", row.unit,
            f"{1e6 / row.ours:,.0f}" if row.unit == "CPU µs" else "", f"{row.ratio:.2f}",
            f"{'≤' if row.at_most else '≥'} {row.asked:.1f}", "" if row.met else "short",
        )  # fmt: skip
    console = Console(width=max(110, Console().width))
    console.print(table)
    for name, value in here.items():
        console.print(f"{name.replace('_', ' ')}: {value}", style="dim", highlight=False)


def measured(names: list[str], rounds: int, seconds: int) -> Iterator[Row]:
    """The rows called `names`."""
    for work in WORKS:
        if work.name in names:
            yield from compare(work, rounds, seconds)
    if LATENCY in names:
        yield from latency(rounds, seconds)
    if MEMORY in names:
        yield from memory()


def write(file: Path, rows: list[dict[str, object]]) -> None:
    """Writes `rows`, each with when and where it was measured; those that were not stay as they were."""
    before = json.loads(file.read_text())["rows"] if file.exists() else []
    measured = {row["name"] for row in rows}
    kept = [row for row in before if row["name"] not in measured]
    file.write_text(json.dumps({"bench": "speed", "rows": [*kept, *rows]}, indent=2) + "\n")


def main() -> None:
    """Measures, prints the table, writes JSON."""
    known = [*(work.name for work in WORKS), LATENCY, MEMORY]
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("rows", nargs="*", choices=[*known, []], help="Which rows; all without any.")
    options.add_argument("--rounds", type=int, default=5, help="Rounds a server.")
    options.add_argument("--seconds", type=int, default=2, help="Seconds a round.")
    options.add_argument("--results", type=Path, default=RESULTS, help="Where the JSON goes.")
    chosen = options.parse_args()
    here = machine.about()
    rows = []
    for row in measured(chosen.rows or known, chosen.rounds, chosen.seconds):
        rows.append(row)
        print(f"{row.title}: {row.ours:.1f} against {row.theirs:.1f} of {row.peer}", file=sys.stderr)
    show(rows, here)
    load = {"rounds": chosen.rounds, "seconds": chosen.seconds, "one_core_each": cores()[0] != cores()[1]}
    when = datetime.now(UTC).isoformat(timespec="seconds")
    chosen.results.mkdir(parents=True, exist_ok=True)
    write(
        chosen.results / "speed.json",
        [{**asdict(row), "met": row.met, "when": when, "machine": here, "load": load} for row in rows],
    )


if __name__ == "__main__":
    main()
