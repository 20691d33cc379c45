"""How many requests, and how many bytes, does each eviction policy answer from the cache?

Traces (bench/eviction/traces.toml, and generated ones) are replayed with room for 1 % and for 10 % of their
objects, or of their bytes where sizes are known: through the memory store's own places, plain LRU beside
them, LFUDA, and libCacheSim's policies and offline limits. Half of the traces were for tuning; the other half
is what counts. Public traces are read from bench/traces/, or fetched by name; those that cannot be had are
named and left out.

    python -m bench.hit_ratio [--all] [--traces WORD ...]
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.eviction import traces
from bench.eviction.limits import JUDGES, Lfuda, judge
from bench.eviction.replay import Lru, Ours, Ratio, replay
from bench.load.picture import bars

RESULTS = Path(__file__).parent / "results"
SHARES = (0.01, 0.1)  # of the footprint
GAP = 0.005  # between LRU and the limit; below, there is nothing to win, and no share of it is taken
OURS = "Tepi"
POLICIES = (OURS, "S3-FIFO", "SIEVE", "GDSF", "LFUDA", "W-TinyLFU")


@dataclass(frozen=True, slots=True)
class Run:
    """One trace with room for `share` of its footprint."""

    trace: str
    split: str
    kind: str
    requests: int
    share: float
    sized: bool
    ratios: dict[str, Ratio]

    def limit(self, what: str) -> float:
        """The offline limit, of "objects" or "bytes"."""
        name = "BeladySize" if self.sized and what == "objects" else "Belady"
        return float(getattr(self.ratios[name], what))

    def won(self, policy: str, what: str) -> float:
        """Hit ratio above LRU's."""
        return float(getattr(self.ratios[policy], what) - getattr(self.ratios["LRU"], what))

    def knows(self, policy: str) -> bool:
        """Whether `policy` was run."""
        return policy in self.ratios

    def closed(self, policy: str, what: str) -> float | None:
        """The share of the gap from LRU to the limit that `policy` closes; None where there is none."""
        gap = self.limit(what) - getattr(self.ratios["LRU"], what)
        if gap < GAP or (what == "bytes" and not self.sized):
            return None
        return self.won(policy, what) / gap


def measure(trace: traces.Trace) -> list[Run]:
    """`trace` with each share of its footprint. Raises ValueError if our LRU and the judge's differ."""
    rooms = [max(1, int(trace.footprint * share)) for share in SHARES]
    runs = []
    for share, room, ratios in zip(SHARES, rooms, judge(trace, rooms), strict=True):
        plain = replay(Lru(room), trace)
        if abs(plain.objects - ratios["LRU"].objects) * len(trace.ids) > 0.5:
            raise ValueError(f"{trace.name}: LRU hits {plain.objects}, libCacheSim's {ratios['LRU'].objects}")
        ratios["LRU"] = plain
        ratios[OURS] = replay(Ours(room, len(trace.sizes)), trace)
        ratios["LFUDA"] = replay(Lfuda(room), trace)
        runs.append(Run(trace.name, trace.split, trace.kind, len(trace.ids), share, trace.sized, ratios))
    return runs


def mean(runs: list[Run], policy: str, what: str) -> float:
    """The mean share of the gap that `policy` closes."""
    found = [closed for run in runs if run.knows(policy) and (closed := run.closed(policy, what)) is not None]
    return fmean(found) if found else 0.0


def worst(runs: list[Run], policy: str, what: str) -> tuple[float, str]:
    """The least that `policy` wins over LRU, and on which trace."""
    found = [
        (run.won(policy, what), f"{run.trace} {run.share:.0%}")
        for run in runs
        if run.knows(policy) and (what == "objects" or run.sized)
    ]
    return min(found, default=(0.0, "–"))


def summary(runs: list[Run]) -> dict[str, dict[str, object]]:
    """For each policy, what it closes of the gaps, its worst trace, and its processor time against LRU's."""
    lru = sum(run.ratios["LRU"].seconds for run in runs)
    rows: dict[str, dict[str, object]] = {}
    for policy in POLICIES:
        row: dict[str, object] = {}
        for what in ("objects", "bytes"):
            won, where = worst(runs, policy, what)
            row[what] = round(mean(runs, policy, what), 4)
            row[f"{what}, worst against LRU"] = round(won, 4)
            row[f"{what}, worst trace"] = where
        for sized, name in ((False, "objects that count one"), (True, "objects with sizes")):
            row[name] = round(mean([run for run in runs if run.sized is sized], policy, "objects"), 4)
        seconds = sum(run.ratios[policy].seconds for run in runs if run.knows(policy))
        row["CPU against LRU"] = round(seconds / lru, 2) if seconds else None
        rows[policy] = row
    return rows


def show(console: Console, title: str, rows: dict[str, dict[str, object]]) -> None:
    """A table of `rows`."""
    table = Table("policy", "objects", "bytes", "worst, objects", "worst, bytes", "CPU / LRU", title=title)
    for policy, row in rows.items():
        table.add_row(
            policy,
            f"{row['objects']:.1%}",
            f"{row['bytes']:.1%}",
            f"{row['objects, worst against LRU']:+.2%} {row['objects, worst trace']}",
            f"{row['bytes, worst against LRU']:+.2%} {row['bytes, worst trace']}",
            str(row["CPU against LRU"] or ""),
        )
    console.print(table)


def each(console: Console, runs: list[Run]) -> None:
    """A row a run."""
    table = Table("trace", "split", "room", "LRU", "limit", OURS, "closed: objects", "bytes")
    for run in runs:
        closed = [run.closed(OURS, what) for what in ("objects", "bytes")]
        ratio = [f"{run.ratios[name].objects:.1%} {run.ratios[name].bytes:.1%}" for name in ("LRU", OURS)]
        limit = f"{run.limit('objects'):.1%} {run.limit('bytes'):.1%}"
        shares = ["" if value is None else f"{value:.0%}" for value in closed]
        table.add_row(run.trace, run.split, f"{run.share:.0%}", ratio[0], limit, ratio[1], *shares)
    console.print(table)


def picture(rows: dict[str, dict[str, object]]) -> str:
    """Bars: what each policy closes of the gaps, over the traces that are reported."""
    values = {
        f"{policy}, {what}": max(0.0, 100 * float(str(row[what])))
        for what in ("objects", "bytes")
        for policy, row in rows.items()
    }
    return bars("% of the gap from LRU to the offline limit that is closed", values)


def main() -> int:
    """Measures, prints, writes bench/results/hit_ratio.json and .svg."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--all", action="store_true", help="a row for every run")
    parser.add_argument("--traces", nargs="*", help="only those whose names hold one of these words")
    chosen = parser.parse_args()
    console = Console(highlight=False)
    found: list[traces.Trace] = []
    absent: list[str] = []
    for source in traces.sources():
        try:
            found += traces.load(source)
        except traces.Absent as error:
            absent.append(str(error))
            console.print(f"left out: {error}", style="yellow", markup=False)
    found += traces.generated_traces()
    if chosen.traces:
        found = [trace for trace in found if any(word in trace.name for word in chosen.traces)]
    runs: list[Run] = []
    with Progress(console=console) as progress:
        for trace in progress.track(found, description="replaying"):
            runs += measure(trace)
    halves = {}
    for split in ("tune", "report"):
        half = [run for run in runs if run.split == split]
        if half:
            halves[split] = summary(half)
            show(console, f"share of the gap closed, mean of the traces: {split}", halves[split])
    if chosen.all:
        each(console, runs)
    if not chosen.traces:
        RESULTS.mkdir(exist_ok=True)
        document = {
            "judges": list(JUDGES),
            "left out": absent,
            "summary": halves,
            "runs": [asdict(run) for run in runs],
        }
        (RESULTS / "hit_ratio.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
        if "report" in halves:
            (RESULTS / "hit_ratio.svg").write_text(picture(halves["report"]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
