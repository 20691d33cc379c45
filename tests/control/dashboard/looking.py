"""A control plane with its dashboard, a fleet that talks to it, and a browser that looks."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from playwright.async_api import Browser, Page, async_playwright
from sqlalchemy import insert

from control.db.tables import samples
from edge.explain import Explanation, Step, StoredVariant
from edge.identity import join
from edge.journal import Document
from edge.purge import Weight
from tests.control.planes import Control, JoinedNode, healthy
from tests.edge.scripted import Told, running
from tests.support.tools import chromium

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
SITE = {
    "name": "shop",
    "hosts": ["shop.example", "www.shop.example"],
    "origins": [{"url": "http://203.0.113.80:8080"}],
    "commerce": {"prefix": "/commerce", "url": "https://203.0.113.81"},
}
PLACES = {
    "jakarta": {"city": "Jakarta", "country": "ID", "latitude": -6.2, "longitude": 106.8},
    "frankfurt": {"city": "Frankfurt", "country": "DE", "latitude": 50.1, "longitude": 8.7},
    "virginia": {"city": "Ashburn", "country": "US", "latitude": 39.0, "longitude": -77.5},
}


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody who is logged in, without a browser."""

    control: Control
    session: aiohttp.ClientSession

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.get(self.control.api + path, headers=fields) as response:
            return response.status, await response.text()

    async def post(self, path: str, form: dict[str, str], **headers: str) -> tuple[int, str]:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.post(
            self.control.api + path, data=form, headers=fields, allow_redirects=False
        ) as response:
            return response.status, await response.text()

    async def csrf(self) -> str:
        _, page = await self.get("/purges")
        return page.split('name="csrf" value="', 1)[1].split('"', 1)[0]


@contextlib.asynccontextmanager
async def logged_in(control: Control) -> AsyncIterator[Member]:
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        member = Member(control, session)
        form = {name: control.first_run[name] for name in ("user", "password")}
        status, page = await member.post("/login", form)
        assert status == 303, page
        yield member


@dataclass(slots=True)
class Serving(Told):
    """A node that seems to serve visitors: its counters grow, it explains, it counts."""

    began: float = field(default_factory=time.monotonic)
    share: float = 1.0

    async def command(self, verb: str, body: Document) -> Document:
        match verb:
            case "dry-run":
                return Weight(3, 1500, 380, 1000).as_json()
            case "explain" if "shop.example" in str(body["url"]):
                return explained(str(body["url"]))
        raise ValueError("got nonsense, expected a URL of a site")

    def heartbeat(self) -> Document:
        return traffic((time.monotonic() - self.began) * 120 * self.share)


def traffic(requests: float) -> dict[str, Any]:
    """A node's counters after so many requests."""
    count = int(requests)
    hits, misses, errors = int(count * 0.9), int(count * 0.06), int(count * 0.004)
    return {
        "requests": count,
        "hits": hits,
        "stale": 0,
        "revalidated": 0,
        "misses": misses,
        "passes": count - hits - misses - errors,
        "refused": 0,
        "errors": errors,
        "other": 0,
        "bytes_sent": count * 9000,
        "bytes_origin": count * 1200,
        "latency": {
            "0.001": int(count * 0.7),
            "0.005": int(count * 0.2),
            "0.1": int(count * 0.09),
            "0.5": count // 100,
        },
        "guard": {"shop": {"leak-guard": count // 50, "tokens-not-understood": count // 90}},
        "store": {"bytes": 96_000_000, "budget": 268_435_456, "entries": 8123},
    }


def explained(url: str) -> dict[str, Any]:
    """What a node says of a URL, in the form of edge.explain."""
    variant = StoredVariant(
        status=200,
        selected=True,
        age=75,
        lifetime=60,
        lifetime_from="s-maxage",
        ttl=-15,
        size=18_432,
        encodings=("identity", "br"),
        vary={"accept-language": "id"},
        tags=("product-kopi-gayo", "catalogue"),
        etag='"9"',
        parts=None,
    )
    return Explanation(
        url=url,
        method="GET",
        site="shop",
        key="shop.example/p/1",
        decision="revalidate",
        reason="stale",
        steps=(
            Step("site", "shop.example belongs to shop", {"hosts": ["shop.example"]}),
            Step("decision", "the stored answer is stale", {"age": 75, "lifetime": 60}),
        ),
        variants=(variant,),
        hit_when=("The origin gives a longer lifetime, or stale-while-revalidate.",),
    ).as_json()


@contextlib.asynccontextmanager
async def fleet_of(control: Control, *names: str) -> AsyncIterator[dict[str, JoinedNode]]:
    """Edge nodes of these names, at their places, that have joined and are healthy."""
    nodes = {}
    async with contextlib.AsyncExitStack() as stack:
        for index, name in enumerate(names):
            node = nodes[name] = await placed(control, name)
            node.told = Serving(share=1 / (index + 1))
            await stack.enter_async_context(running(node.agent()))
        await healthy(control, *names)
        yield nodes


async def placed(control: Control, name: str) -> JoinedNode:
    """An edge node at its own place that has joined."""
    body = {"name": name, "role": "edge", "place": PLACES[name], "addresses": ["127.0.0.1"]}
    status, made = await control.ask("POST", "/nodes", body)
    assert status == 201, made
    directory = control.directory.parent / name
    identity = await join(directory, control.nodes, made["join_token"], "1.0")
    return JoinedNode(name, directory, identity, control.nodes)


async def remember(control: Control, names: Sequence[str], minutes: int = 15) -> None:
    """Traffic of the past, as if the fleet had been counted second by second; it swells and ebbs."""
    now = int(control.is_up.clocks.wall())
    rows = []
    for share, name in enumerate(names, 1):
        for at in range(now - minutes * 60, now):
            wave = 1 + 0.5 * math.sin(at / 130 + share) + 0.1 * math.sin(at / 11)
            rows.append(
                {"resolution": "second", "start": at, "node": name, "counters": traffic(300 * wave / share)}
            )
    async with control.is_up.database.write() as connection:
        for start in range(0, len(rows), 1000):
            await connection.execute(insert(samples).values(rows[start : start + 1000]))


@contextlib.asynccontextmanager
async def browsing() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        try:
            yield browser
        finally:
            await browser.close()


async def enter(tab: Page, control: Control) -> None:
    """Logs in by the form, as people do."""
    await tab.goto(control.api + "/")
    await tab.fill('input[name="user"]', control.first_run["user"])
    await tab.fill('input[name="password"]', control.first_run["password"])
    await tab.click('button[type="submit"]')
    await tab.wait_for_url(control.api + "/")
