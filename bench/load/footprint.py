"""What memory an entry takes beyond its own bytes, in a store and in servers that run."""

from __future__ import annotations

import contextlib
import gc
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.load.contest import start
from bench.load.origin import SMALL, head_of
from bench.load.processes import family
from bench.load.servers import Make, origin
from bench.load.warm import warm
from edge.http.message import Fields
from edge.policy.entry import Entry
from edge.policy.freshness import Freshness, Timing
from edge.policy.rules import SiteRules
from edge.policy.storing import judge, make_entry
from edge.position import ALONE
from edge.store.content import Stored
from edge.store.memory import MemoryStore
from tests.edge.stage import T0, make_request

OWN = len(SMALL) + len(head_of(SMALL))  # bytes of a body and its head, as the origin sends them
RULES = SiteRules("shop")
ROOMY = 2**40


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes an entry beyond its own: as the kernel sees it, and as Tepi counts it where that is known."""

    of: str
    version: str
    entries: int
    taken: float
    counted: float | None = None


def in_store(count: int) -> Footprint:
    """The memory store of a node, in this process, with `count` entries as the pipeline makes them."""
    store = MemoryStore(ROOMY, ROOMY)
    gc.collect()
    before = resident()
    for number in range(count):
        store.put(_entry(number))
    gc.collect()
    taken = (resident() - before) / count - OWN
    return Footprint("Tepi's store alone", "", count, taken, store.size / count - OWN)


def _entry(number: int) -> Entry:
    request = make_request(f"/small/{number}")
    lines = head_of(SMALL).decode().split("\r\n")[1:-2]
    fields = Fields((name, value) for name, _, value in (line.partition(": ") for line in lines))
    timing = Timing(0.0, 0.0, T0)
    fresh = judge(request, 200, fields, timing, RULES)
    assert isinstance(fresh, Freshness)
    content = Stored(bytes(bytearray(SMALL)))
    return make_entry(request, 200, fields, timing, fresh, content, site="shop", order=0, position=ALONE)


def of_servers(makes: Sequence[Make], first: int, more: int) -> Iterator[Footprint]:
    """Each server in turn, between its `first` entries and `more` of them: what it takes at any rate, and
    what it takes for its log, is there by then."""
    for make in makes:
        with contextlib.ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tepi-bench-")))
            directory.chmod(0o755)
            upstream, _ = stack.enter_context(origin(directory))
            for contender in start([make], directory, upstream, stack):
                warm(contender.server.port, (f"/small/{number}" for number in range(first)))
                before = resident(*contender.pids)
                warm(contender.server.port, (f"/small/{number}" for number in range(first, first + more)))
                taken = (resident(*contender.pids) - before) / more - OWN
                yield Footprint(contender.server.name, contender.server.version, first + more, taken)


def resident(*pids: int) -> int:
    """Bytes of memory of `pids` and all their descendants, or of this process; what they share once."""
    names = [str(pid) for pid in family(*pids)] if pids else ["self"]
    return sum(_resident(name) for name in names)


def _resident(name: str) -> int:
    try:
        lines = Path(f"/proc/{name}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
