"""How does cost grow with sites, with entries, and with what a purge strikes?

The real pipeline, lane and store in this process, without sockets; CPU time. A hit should cost the same at
one site and at 10,000, at 10^3 entries and at 10^6; a purge what it strikes, however much is
stored beside that.

    python -m bench growth [--entries N] [--results DIR]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import time
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from bench.load import machine
from bench.load.contest import BROWSER
from bench.load.curves import Curve, draw
from edge.config import parse_edge
from edge.door import Door
from edge.guard.gate import Gate
from edge.http.message import Answer, Fields, Request
from edge.http.recording import Conditions
from edge.ids import Ids
from edge.lane import Lane, Memo, Place, Profile
from edge.policy.entry import Entry
from edge.position import ALONE
from edge.purge import Purge
from edge.series import Series
from edge.sites import Sites
from edge.store.content import Stored
from tests.edge.stage import Stage

RESULTS = Path(__file__).parent / "results"
SITES = (1, 100, 10_000)
ENTRIES = (1_000, 100_000, 1_000_000)
STRUCK = (1, 1_000, 100_000)
HITS = 2_000
ROUNDS = 5
ROOMY = 16 * 2**30
BODY = b"kopi gayo " * 10
PIECES = (
    b"HTTP/1.1 200 OK\r\nAge: ",
    b"\r\nCache-Status: tepi; hit; ttl=",
    b"\r\nX-Request-Id: ",
    b"\r\n\r\n",
)


@dataclass(slots=True)
class Deaf:
    """A transport that sends nothing, and an ordinary way that the lane should not need."""

    peer: str = "127.0.0.1"
    heard: int = 0
    handed_on: list[bytes] = field(default_factory=list)

    def write(self, data: bytes) -> None:
        """Counts an answer."""
        self.heard += 1

    def connection_made(self, transport: object) -> None:
        """It is its own."""

    def at_rest(self) -> bool:
        """Always."""
        return True

    def data_received(self, data: bytes) -> None:
        """Keeps what the lane did not answer."""
        self.handed_on.append(data)

    def place(self, client: str) -> Place:
        """Nowhere."""
        return None, None

    def missed(self, profile: Profile, line: bytes) -> bool:
        """Keeps nothing, answers nothing."""
        return False


def answer(request: Request) -> Answer:
    """What the origin says to everything."""
    lines = [("Cache-Control", "public, max-age=3600"), ("Content-Type", "image/webp"), ("ETag", '"one"')]
    return Answer(200, Fields(lines), BODY)


async def pattern(stage: Stage) -> Entry:
    """An entry as the pipeline makes it."""
    await stage.ask("/p/0")
    await stage.settle()
    (entry,) = stage.store.get("shop.test/p/0\x00http")
    return entry


def fill(stage: Stage, entry: Entry, first: int, last: int) -> None:
    """Entries like it, the first 1, 1,000 and 100,000 of which share a tag."""
    for number in range(first, last + 1):
        tags = tuple(f"of-{struck}" for struck in STRUCK if number <= struck)
        stage.store.put(replace(entry, key=f"shop.test/p/{number}\x00http", tags=tags, content=Stored(BODY)))


async def hits(stage: Stage, hosts: list[str], paths: list[str]) -> float:
    """Microseconds of CPU for a hit by the whole pipeline."""
    fields = Fields(BROWSER.items())
    asked = [
        Request("GET", "http", hosts[number % len(hosts)], paths[number % len(paths)], fields=fields)
        for number in range(HITS)
    ]
    spent = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for request in asked:
            said = await stage.pipeline.handle(request)
        spent.append((time.process_time() - began) / len(asked))
        if said.outcome.verdict != "hit":
            raise SystemExit(f"not a hit: {said.outcome}")
    return median(spent) * 1e6


async def by_sites() -> list[tuple[int, float]]:
    """What a hit costs at so many sites."""
    found = []
    for count in SITES:
        documents = [
            {"name": f"s{one}", "hosts": [f"s{one}.shop.test"], "origins": [{"url": "http://127.0.0.1:1"}]}
            for one in range(count)
        ]
        sites = Sites(parse_edge({"sites": documents}).sites)
        stage = Stage(answer, budget=ROOMY)
        stage.pipeline._sites = sites.rules
        hosts = [f"s{one * count // 100 if count >= 100 else 0}.shop.test" for one in range(100)]
        for host in hosts:
            await stage.pipeline.handle(Request("GET", "http", host, "/p"))
        await stage.settle()
        found.append((count, await hits(stage, hosts, ["/p"])))
    return found


async def by_entries(most: int) -> tuple[list[tuple[int, float]], list[tuple[int, float]], Stage]:
    """What a hit costs at so many entries, by the pipeline and by the lane; the stage with the most."""
    ordinary, short = [], []
    stage = Stage(answer, budget=ROOMY)
    entry = await pattern(stage)
    here = 0
    for count in (count for count in ENTRIES if count <= most):
        fill(stage, entry, here + 1, count)
        here = count
        step = max(1, count // HITS)
        ordinary.append((count, await hits(stage, ["shop.test"], [f"/p/{n}" for n in range(1, count, step)])))
        short.append((count, by_lane(stage, count)))
    return ordinary, short, stage


def by_lane(stage: Stage, count: int) -> float:
    """Microseconds of CPU for a hit in a lane that has a memo of each of `count` entries."""
    site = {"name": "shop", "hosts": ["*"], "origins": [{"url": "http://127.0.0.1:1"}]}
    config = parse_edge({"sites": [site]})
    served = Sites(config.sites).find("shop.test")
    lane = Lane(stage.store, Gate(config, time.monotonic), Ids("bench-"), ROOMY)
    lines = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "shop.test", **BROWSER}.items())
    block = f"{lines}\r\n".encode()
    profile = lane.profile(block)
    assert profile is not None and served is not None
    conditions, series, now = Conditions(()), Series(), time.monotonic()
    for number in range(1, count + 1):
        slot = stage.store.slot(stage.store.get(f"shop.test/p/{number}\x00http")[0])
        assert slot is not None
        line = b"GET /p/%d HTTP/1.1\r\n" % number
        memo = Memo(line, conditions, slot, served, PIECES, BODY, now, now + 3600, series, None, None)
        lane.keep(profile, memo)
    deaf = Deaf()
    door = Door(lane, deaf)
    door.connection_made(deaf)
    step = max(1, count // HITS)
    heads = [b"GET /p/%d HTTP/1.1\r\n%b" % (number, block) for number in range(1, count, step)]
    spent = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for head in heads:
            door.data_received(head)
        spent.append((time.process_time() - began) / len(heads))
    if deaf.handed_on:
        raise SystemExit(f"the lane left {len(deaf.handed_on)} of its hits to others")
    for number in range(1, count + 1):
        stage.store.slot(stage.store.get(f"shop.test/p/{number}\x00http")[0]).let_go()  # type: ignore[union-attr]
    return median(spent) * 1e6


async def by_struck(stage: Stage) -> list[tuple[int, float]]:
    """Milliseconds of CPU until a purge of a tag is acknowledged that so many entries bear."""
    found = []
    for struck in (struck for struck in STRUCK if struck <= len(stage.store)):
        began = time.process_time()
        count = await stage.pipeline.purge(Purge("tag", f"of-{struck}"), ALONE)
        found.append((struck, (time.process_time() - began) * 1e3))
        if count < struck - sum(each for each in STRUCK if each < struck):
            raise SystemExit(f"of {struck} entries {count} were struck")
        await stage.settle()
    return found


async def measure(most: int) -> list[Curve]:
    """Every curve."""
    gc.freeze()
    sites = await by_sites()
    ordinary, short, stage = await by_entries(most)
    return [
        Curve("a hit, by sites", "sites", "CPU µs", (("pipeline", sites),)),
        Curve("a hit, by entries", "entries", "CPU µs", (("pipeline", ordinary), ("lane", short))),
        Curve(
            f"a purge of a tag, of {len(stage.store):,} entries",
            "entries struck",
            "CPU ms",
            (("until acknowledged", await by_struck(stage)),),
        ),
    ]


def main() -> None:
    """Measures, prints a table, writes JSON and a picture."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--entries", type=int, default=max(ENTRIES), help="The most entries.")
    options.add_argument("--results", type=Path, default=RESULTS, help="Where JSON and picture go.")
    chosen = options.parse_args()
    here = machine.about()
    found = asyncio.run(measure(chosen.entries))
    table = Table("what", "at", box=None)
    table.add_column("cost", justify="right")
    for curve in found:
        for name, points in curve.lines:
            for at, cost in points:
                table.add_row(f"{curve.title}: {name}", f"{at:,} {curve.of}", f"{cost:,.2f} {curve.unit}")
    Console().print(table)
    document = {
        "bench": "growth",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": here,
        "curves": [asdict(curve) for curve in found],
    }
    chosen.results.mkdir(parents=True, exist_ok=True)
    (chosen.results / "growth.json").write_text(json.dumps(document, indent=2) + "\n")
    draw(found, chosen.results / "growth.png")


if __name__ == "__main__":
    main()
