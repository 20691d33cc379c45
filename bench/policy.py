"""How long does one policy decision take on one core, and what does it allocate?

Every case is one call as the data path makes it: what kind of request this is, what of it is in the key, a
lookup among stored entries, the judgement of an answer, the making of an entry; without rules of the site's,
and with those of a platform pack. Fields are indexed once for all decisions about a request: a case of its
own. The time is the processor's, so that a busy machine does not count.

    python bench/policy.py [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from timeit import Timer

from edge.config import parse_edge
from edge.http.message import Client, Fields, Request
from edge.policy.classes import classify
from edge.policy.freshness import Freshness, Timing, freshness, governing
from edge.policy.invalidation import invalidated
from edge.policy.key import key_of
from edge.policy.keying import keyed
from edge.policy.lookup import lookup
from edge.policy.rules import SiteRules
from edge.policy.storing import judge, make_entry
from edge.policy.tags import tags_of
from edge.policy.validation import asking, not_modified, selected_by, updated
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


def request(*more: tuple[str, str], path: str = "/p/kopi-gayo", query: str = "colour=green") -> Request:
    client = Client("192.0.2.7", country="ID")
    return Request("GET", "https", "shop.example", path, query, Fields((*BROWSER, *more)), client)


def shop_rules() -> SiteRules:
    """A site with a platform's pack, currencies by place, and variants of its own."""
    site = {
        "name": "shop",
        "hosts": ["shop.example"],
        "origins": [{"url": "http://127.0.0.1:9"}],
        "platform": "woocommerce",
        "key": {
            "cookies": ["currency"],
            "device": True,
            "place": {"buckets": {"idr": ["ID"], "eur": ["DE", "FR", "NL"]}, "otherwise": "usd"},
            "query": {"sort": True},
        },
    }
    return parse_edge({"sites": [site]}).sites[0].rules()


def of_requests(asked: Request) -> dict[str, Callable[[], object]]:
    """What is decided of a request alone, without rules and by a platform's."""
    rules, came = shop_rules(), request(query="colour=green&utm_source=mail&gclid=1&size=2&fbclid=3")
    picture = request(path="/wp-content/uploads/kopi.jpg", query="")
    plain, page, file = classify(asked, RULES), classify(came, rules), classify(picture, rules)
    return {
        "index a request's fields": lambda: "cookie" in Fields(BROWSER),
        "classify: no rules": lambda: classify(asked, RULES),
        "classify: page, by a pack": lambda: classify(came, rules),
        "classify: picture, by a pack": lambda: classify(picture, rules),
        "keyed: no rules": lambda: keyed(asked, RULES, plain),
        "keyed: page, by a pack": lambda: keyed(came, rules, page),
        "keyed: picture, by a pack": lambda: keyed(picture, rules, file),
    }


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
    short = Fields([("Cache-Tag", ",".join(f"product-{number}" for number in range(1000)))])
    long = Fields([("X-Magento-Tags", ",".join(f"cat_p_{number}" for number in range(1_500)))])
    directives = governing(page)
    conditional, posted = request(("If-None-Match", '"5f3759df"')), replace(asked, method="POST")
    targeted = (*PAGE, ("CDN-Cache-Control", "max-age=3600, stale-if-error=600"))
    return {
        **of_requests(asked),
        "key": lambda: key_of(asked),
        "lookup: hit": lambda: lookup(asked, (kept,), RULES, 1.0),
        "lookup: stale": lambda: lookup(asked, (kept,), RULES, 310.0),
        "lookup: miss": lambda: lookup(asked, (), RULES, 1.0),
        "lookup: hit, last of 8 variants": lambda: lookup(last, variants, RULES, 1.0),
        "has the visitor this?": lambda: not_modified(conditional.fields, 200, page, kept.date),
        "ask the origin whether it holds": lambda: asking(asked, kept),
        "a 304: which, and its fields": lambda: selected_by(kept, page) and updated(kept.fields, page),
        "freshness": lambda: freshness(200, page, TIMING, RULES, directives),
        "judge: keep": lambda: judge(asked, 200, Fields(PAGE), TIMING, RULES),
        "judge: private": lambda: judge(asked, 200, private, TIMING, RULES),
        "judge: by a targeted field": lambda: judge(asked, 200, Fields(targeted), TIMING, RULES),
        "make an entry": lambda: entry(Fields(PAGE), asked, fresh),
        "make an entry with 1500 tags": lambda: entry(Fields((*PAGE, *long.lines)), asked, fresh),
        "what a POST outdates": lambda: invalidated(posted, 201, page),
        "read 1000 tags": lambda: tags_of(short),
        "read 16 KiB of tags": lambda: tags_of(long),
    }


def measure(case: str, decide: Callable[[], object]) -> Result:
    """The best of five runs; allocations of one call after it has run before."""
    timer = Timer(decide, timer=time.process_time)
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
