"""The kinds of work that caches are compared in, and what Tepi is asked to do in each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.load.contest import BROWSER, CONNECTIONS, Load, visitors

URLS = 100_000
SKEW = 0.9
FILMS = 32


@dataclass(frozen=True, slots=True)
class Work:
    """One row: a load, and by peer how many times its requests per CPU-second Tepi must do.

    `compiled`, or else the sources alone; `disk`: Tepi's store is on disk, little memory before it. `warm`
    requests prepare each server for hits; with `misses` every request goes to the origin.
    """

    name: str
    title: str
    load: Load
    asked: Mapping[str, float]
    compiled: bool = True
    disk: bool = False
    warm: tuple[str, ...] = ()
    misses: bool = False


def zipf(urls: int, skew: float) -> str:
    """Draws URLs by Zipf's law, anew for each request."""
    return f"""
local sums, total = {{}}, 0
local before, after = {{}}, {{}}
local turn = 0
function init()
  for rank = 1, {urls} do
    total = total + rank ^ -{skew}
    sums[rank] = total
  end
  for visitor = 1, {CONNECTIONS} do
    wrk.headers["Cookie"] = string.format("_ga=GA1.1.%d.1764000000; currency=IDR", 1000000007 * visitor)
    local head = wrk.format("GET", "/picture/@")
    local at = head:find("@", 1, true)
    before[visitor], after[visitor] = head:sub(1, at - 1), head:sub(at + 1)
  end
  math.randomseed(os.time())
end
function request()
  turn = turn % {CONNECTIONS} + 1
  local drawn, low, high = math.random() * total, 1, {urls}
  while low < high do
    local middle = math.floor((low + high) / 2)
    if sums[middle] < drawn then low = middle + 1 else high = middle end
  end
  return before[turn] .. low .. after[turn]
end
"""


def in_turn(kind: str, count: int) -> str:
    """So many URLs in turn: more than a small memory holds."""
    return f"""
local heads = {{}}
local turn = 0
function init()
  for number = 1, {count} do
    heads[number] = wrk.format("GET", "/{kind}/" .. number)
  end
end
function request()
  turn = turn % {count} + 1
  return heads[turn]
end
"""


def unique(kind: str) -> str:
    """Every request for another URL, in this run and in all others."""
    return f"""
local before, after, run
local count = 0
function init()
  local head = wrk.format("GET", "/{kind}/@")
  local at = head:find("@", 1, true)
  before, after = head:sub(1, at - 1), head:sub(at + 1)
  math.randomseed(os.time())
  run = os.time() .. "-" .. math.random(1000000) .. "-"
end
function request()
  count = count + 1
  return before .. run .. count .. after
end
"""


def only(*fields: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """A browser's fields, with others in place of its own."""
    return tuple({**BROWSER, **dict(fields)}.items())


HIT = Load(visitors())
WORKS = (
    Work("hit", "hit, 4 KiB", HIT, {"nginx": 1.5, "Varnish": 3.0}),
    Work("interpreted", "the same, nothing compiled", HIT, {"nginx": 0.9}, compiled=False),
    Work("tls", "the same over TLS 1.3", Load(visitors(), secure=True), {"nginx": 1.0}),
    Work(
        "zipf",
        f"hit, {URLS:,} URLs, Zipf {SKEW}",
        Load(zipf(URLS, SKEW)),
        {"nginx": 1.3},
        warm=tuple(f"/picture/{number}" for number in range(1, URLS + 1)) * 2,  # the lane's memos, too
    ),
    Work("1m", "hit, 1 MiB, from memory", Load(visitors("/film1"), 8), {"nginx": 1.0}),
    Work(
        "1m-disk",
        "hit, 1 MiB, from disk",
        Load(in_turn("film1", FILMS), 8),
        {"nginx": 1.0},
        disk=True,
        warm=tuple(f"/film1/{number}" for number in range(1, FILMS + 1)) * 2,
    ),
    Work("100m-disk", "hit, 100 MiB, from disk", Load(visitors("/film100"), 2), {"nginx": 1.0}, disk=True),
    Work("100m", "hit, 100 MiB, from memory", Load(visitors("/film100"), 2), {"nginx": 1.0}),
    Work("304", "304 hit", Load(visitors(), fields=only(("If-None-Match", '"one"'))), {"nginx": 1.5}),
    Work(
        "miss",
        "miss and store, 4 KiB, unique URLs",
        Load(unique("picture")),
        {"nginx": 0.5, "Varnish": 1.0},
        misses=True,
    ),
    Work(
        "br",
        "HTML of 64 KiB, first answer br",
        Load(unique("page"), fields=only(("Accept", "text/html"), ("Accept-Encoding", "br"))),
        {"nginx": 1.0},
        misses=True,
    ),
)
