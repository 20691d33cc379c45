"""How many bytes of memory does an entry take beyond those of its body and head?

Small bodies, so that this is what counts. The store of a node by itself, with many entries, and a node, nginx
and Varnish as they run, between so many entries and so many more, by the kernel's count (PSS).

    python -m bench memory [--entries N] [--first N] [--more N] [--results DIR]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.load import machine
from bench.load.footprint import OWN, Footprint, in_store, of_servers
from bench.load.servers import nginx, tepi, varnish

RESULTS = Path(__file__).parent / "results"
ENTRIES = (10_000, 100_000, 1_000_000)
FIRST, MORE = 50_000, 100_000


def apart(count: int) -> Footprint:
    """Measured in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(in_store, (count,))


def show(found: list[Footprint]) -> None:
    """The table."""
    table = Table("what", box=None)
    for heading in ("entries", "bytes an entry", "as counted"):
        table.add_column(heading, justify="right")
    for one in found:
        counted = "" if one.counted is None else f"{one.counted:,.0f}"
        table.add_row(f"{one.of} {one.version}", f"{one.entries:,}", f"{one.taken:,.0f}", counted)
    Console().print(table)
    Console().print(f"beyond {OWN} bytes of body and head each", style="dim", highlight=False)


def main() -> None:
    """Measures, prints a table, writes JSON."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--entries", type=int, default=max(ENTRIES), help="The most entries in the store.")
    options.add_argument("--first", type=int, default=FIRST, help="Entries in a server before it is weighed.")
    options.add_argument("--more", type=int, default=MORE, help="Entries until it is weighed again.")
    options.add_argument("--results", type=Path, default=RESULTS, help="Where the JSON goes.")
    chosen = options.parse_args()
    here = machine.about()
    found = [apart(count) for count in ENTRIES if count <= chosen.entries]
    if chosen.more:
        found += of_servers((tepi, nginx, varnish), chosen.first, chosen.more)
    show(found)
    document = {
        "bench": "memory",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": here,
        "own_bytes": OWN,
        "entries": [asdict(one) for one in found],
    }
    chosen.results.mkdir(parents=True, exist_ok=True)
    (chosen.results / "memory.json").write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
