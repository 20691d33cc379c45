"""How long does one policy decision take on one core, and what does it allocate?

Every case is one call as the data path makes it: a lookup among stored entries, the judgement of an answer,
the making of an entry. Fields are indexed once for all decisions about a request: a case of its own.

    python bench/policy.py [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from timeit import Timer

from edge.http.message import Fields, Request
from edge.policy.freshness import Freshness, Timing
from edge.policy.key import key_of
from edge.policy.lookup import lookup
from edge.policy.rules import SiteRules
from edge.policy.storing import judge, make_entry
from edge.policy.tags import tags_of
from edge.position import ALONE
from edge.store.content import Stored

RULES = SiteRules("shop")
TIMING = Timing(0.0, 0.1, 1_800_000_000.0)
BROWSER = (
    ("Host", "shop.example"),
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("Accept-Language", "id-ID,id;q=0.9,en;q=0.8"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Cookie", "_ga=GA1.1.1234567890; currency=IDR"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Upgrade-Insecure-Requests", "1"),
)
PAGE = (
    ("Date", "Fri, 15 Jan 2027 08:00:00 GMT"),
    ("Content-Type", "text/html; charset=utf-8"),
    ("Content-Length", "4096"),
    ("Cache-Control", "public, s-maxage=300, stale-while-revalidate=60"),
    ("ETag", '"5f3759df"'),
    ("Last-Modified", "Thu, 14 Jan 2027 08:00:00 GMT"),
    ("Cache-Tag", "product-42, category-7, home"),
    ("Strict-Transport-Security", "max-age=31536000"),
)
PRIVATE = (*PAGE[:3], ("Cache-Control", "private, no-store"), ("Set-Cookie", "session=1; HttpOnly"))


@dataclass(frozen=True, slots=True)
class Result:
    """What one decision costs: `allocated` is the most bytes that were in use at once for it."""

    case: str
    microseconds: float
    allocated: int

    @property
    def per_second(self) -> float:
        return 1e6 / self.microseconds


def request(*more: tuple[str, str]) -> Request:
    return Request("GET", "https", "shop.example", "/p/kopi-gayo", "colour=green", Fields((*BROWSER, *more)))


def cases() -> dict[str, Callable[[], object]]:
    """name -> one decision."""
    asked, page, private = request(), Fields(PAGE), Fields(PRIVATE)
    fresh = judge(asked, 200, page, TIMING, RULES)
    if not isinstance(fresh, Freshness):
        raise SystemExit(f"the page of this benchmark is not kept: {fresh}")

    def entry(answer: Fields, by: Request, found: Freshness) -> object:
        content = Stored(bytes(4096))
        return make_entry(by, 200, answer, TIMING, found, content, site="shop", order=0, position=ALONE)

    kept = make_entry(asked, 200, page, TIMING, fresh, Stored(b""), site="shop", order=0, position=ALONE)
    varying = Fields((*PAGE, ("Vary", "Accept-Language, X-Device")))
    variants = [
        make_entry(
            request(("X-Device", str(number))),
            200,
            varying,
            TIMING,
            fresh,
            Stored(b""),
            site="shop",
            order=0,
            position=ALONE,
        )
        for number in range(8)
    ]
    last = request(("X-Device", "7"))
    tagged = Fields([("Cache-Tag", ",".join(f"product-{number}" for number in range(1000)))])
    return {
        "index a request's fields": lambda: "cookie" in Fields(BROWSER),
        "key": lambda: key_of(asked),
        "lookup: hit": lambda: lookup(asked, (kept,), RULES, 1.0),
        "lookup: stale": lambda: lookup(asked, (kept,), RULES, 310.0),
        "lookup: miss": lambda: lookup(asked, (), RULES, 1.0),
        "lookup: hit, last of 8 variants": lambda: lookup(last, variants, RULES, 1.0),
        "judge: keep": lambda: judge(asked, 200, Fields(PAGE), TIMING, RULES),
        "judge: private": lambda: judge(asked, 200, private, TIMING, RULES),
        "make an entry": lambda: entry(Fields(PAGE), asked, fresh),
        "read 1000 tags": lambda: tags_of(tagged),
    }


def measure(case: str, decide: Callable[[], object]) -> Result:
    """The best of five runs; allocations of one call after it has run before."""
    timer = Timer(decide)
    runs, _ = timer.autorange()
    best = min(timer.repeat(5, max(1, runs // 4))) / max(1, runs // 4)
    tracemalloc.start()
    decide()
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    decide()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return Result(case, best * 1e6, peak - before)


def main() -> None:
    """Print a table; write JSON where it is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "results" / "policy.json")
    options = parser.parse_args()
    results = [measure(case, decide) for case, decide in cases().items()]
    print(f"{'decision':34}{'µs':>9}{'per second':>13}{'bytes':>9}")
    for result in results:
        print(f"{result.case:34}{result.microseconds:9.2f}{result.per_second:13,.0f}{result.allocated:9,}")
    rows = [asdict(result) for result in results]
    document = {"bench": "policy", "python": sys.version.split()[0], "decisions": rows}
    options.json.parent.mkdir(exist_ok=True)
    options.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
