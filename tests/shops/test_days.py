"""Days in real shops behind a real node: no form breaks, nobody sees another's, everybody's hits."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edge.http.message import Line
from tests.edge.nodes import HOST, node
from tests.edge.wires import Heard, answer, origin, read_reply
from tests.shops.browser import Browser, Response, Tab
from tests.shops.kedai import SCRIPTS, TOKEN, Kedai

NAMES = ("ani", "budi", "citra", "dewi", "eka")
BROKEN = frozenset({400, 403, 404, 405, 419, 500, 502, 503, 504})


@dataclass(frozen=True)
class Shop:
    """A shop as its visitors know it."""

    port: int
    site: dict[str, Any]  # what its operator says of it
    pages: tuple[str, ...]
    door: str
    account: str
    cart: str
    script_field: str  # in which scripts send the token
    forget: Any  # ends all sessions


@dataclass
class Count:
    """What a day came to."""

    forms: int = 0
    broken: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    pages: int = 0
    missed: list[str] = field(default_factory=list)

    def form(self, who: str, what: str, said: Response) -> None:
        self.forms += 1
        if said.status in BROKEN:
            self.broken.append(f"{who}: {what}: {said.status}")

    def page(self, who: str, tab: Tab) -> Tab:
        """Whatever names another visitor is a leak."""
        for name in NAMES:
            if name != who and re.search(rf"\b{name}(?:'s|-only)?\b", tab.text):
                self.leaks.append(f"{who}: {tab.path} names {name}")
        return tab

    def shared(self, who: str, tab: Tab) -> Tab:
        self.pages += 1
        if tab.response.verdict != "hit":
            self.missed.append(f"{who}: {tab.path}: {tab.response['cache-status']}")
        return self.page(who, tab)


def sender(port: int) -> Any:
    """One request on a connection of its own."""

    async def send(method: str, target: str, lines: list[Line], body: bytes) -> Response:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            head = [f"{method} {target} HTTP/1.1", f"Host: {HOST}", "Connection: close"]
            head += [f"{name}: {value}" for name, value in lines]
            if body:
                head.append(f"Content-Length: {len(body)}")
            writer.write("\r\n".join([*head, "", ""]).encode("latin-1") + body)
            async with asyncio.timeout(30):
                reply = await read_reply(reader, head_only=method == "HEAD")
            return Response(reply.status, reply.lines, reply.body)
        finally:
            writer.close()

    return send


@contextlib.asynccontextmanager
async def kedai(_: Path) -> AsyncIterator[Shop]:
    """The scripted shop, over real sockets."""
    shop = Kedai()

    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        said = shop.answer(heard.method, heard.target, heard.fields, heard.body)
        writer.write(
            answer(said.body, f"{said.status} x", *(f"{name}: {value}" for name, value in said.lines))
        )

    tokens = [
        {"name": rule.name, "find": list(rule.find), "source": rule.source, "cookie": rule.cookie,
         "fields": list(rule.fields)}
        for rule in (TOKEN, SCRIPTS)
    ]  # fmt: skip
    site = {
        "never": {"paths": ["/cart", "/account"]},
        "pages": {"mark": True, "despite": {"paths": ["*"]}, "tokens": tokens},
    }

    async def forget() -> None:
        shop.forget_sessions()

    async with origin(script) as listening:
        yield Shop(listening.port, site, ("/", "/p/kopi", "/p/teh", "/login", "/register"), "/register",
                   "/account", "/cart", "X-CSRF-TOKEN", forget)  # fmt: skip


@contextlib.asynccontextmanager
async def django(directory: Path) -> AsyncIterator[Shop]:
    """A real Django project, in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "tests.shops.djangoshop",
        str(directory),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            port = int(await process.stdout.readline())
        pages = ("/", "/p/kopi", "/p/teh", "/about")

        async def forget() -> None:
            await sender(port)("GET", "/accounts/forget", [], b"")

        site = {"platform": "django"}
        yield Shop(
            port, site, pages[:4], "/accounts/register", "/accounts/orders", "/cart/", "X-CSRFToken", forget
        )
    finally:
        process.terminate()
        await process.wait()


SHOPS = {"kedai": kedai, "django": django}


def token_of(shop: Shop, browser: Browser, tab: Tab) -> str:
    """As scripts find it: in the page, or in a cookie."""
    found = tab.metas.get("csrf-token") or browser.seen_by_scripts("csrftoken")
    assert found is not None
    return found


async def live(shop: Shop, who: str, browser: Browser, count: Count) -> None:
    """One visitor's day."""
    tabs = {path: count.shared(who, await browser.visit(path)) for path in shop.pages}
    door = tabs.get(shop.door) or count.page(who, await browser.visit(shop.door))

    # Two tabs, a form without scripts and a script's request.
    first, second = tabs["/p/kopi"], tabs["/p/teh"]
    count.form(who, "basket", await browser.submit(first, first.form("/cart/add"), item=f"{who}-only"))
    fields = {shop.script_field: token_of(shop, browser, second)}
    count.form(who, "script", await browser.fetch(second, "/cart/add", {"item": "teh"}, fields))
    basket = count.page(who, await browser.visit(shop.cart))
    if f"{who}-only" not in basket.text or "teh" not in basket.text:
        count.broken.append(f"{who}: lost: {basket.text[:300]}")

    # An account, by a page that was open all the while.
    count.form(who, "account", await browser.submit(door, door.form(shop.door), name=who, password="secret"))
    account = count.page(who, await browser.visit(shop.account))
    if f"{who}'s orders" not in account.text:
        count.broken.append(f"{who}: login: none")

    # Back, and the same form once more; then a page of his own.
    count.form(who, "back", await browser.submit(first, first.form("/cart/add"), "multipart", item="again"))
    own = count.page(who, await browser.visit("/p/kopi"))
    if f"Hello, {who}" not in own.text:
        count.broken.append(f"{who}: page: a stranger")
    count.form(who, "own", await browser.submit(own, own.form("/cart/add"), item="mine"))


async def day(shop: Shop, port: int) -> Count:
    """Everything that happens in a shop, as visitors at `port` see it."""
    count, send = Count(), sender(port)
    early = Browser(send)
    for path in (*shop.pages, shop.door):
        await early.visit(path)
    await asyncio.gather(*(live(shop, who, Browser(send), count) for who in NAMES))

    # The first visitor's pages were his own, with a session of the shop's. They work as ever.
    await live(shop, "early", early, count)

    # Every session ends. Forms on pages that were there before are sent all the same.
    late = {who: Browser(send) for who in NAMES}
    old = {}
    for who, browser in late.items():
        old[who] = count.shared(who, await browser.visit("/p/kopi"))
        count.form(who, "before", await browser.submit(old[who], old[who].form("/cart/add"), item="x"))
    await shop.forget()
    for who, browser in late.items():
        count.form(who, "expired", await browser.submit(old[who], old[who].form("/cart/add"), item="y"))
        own = count.page(who, await browser.visit("/p/teh"))
        count.form(who, "after", await browser.submit(own, own.form("/cart/add"), item="z"))
    for who in NAMES:
        for path in shop.pages:
            count.shared(who, await Browser(send).visit(path))
    return count


@pytest.mark.xdist_group("shops")
@pytest.mark.parametrize("name", SHOPS)
async def test_a_day_in_the_shop(name: str, tmp_path: Path) -> None:
    """What the shop itself refuses (a form loaded before a login, after it) may be refused here too."""
    async with SHOPS[name](tmp_path) as shop:
        bare = await day(shop, shop.port)
    (tmp_path / "again").mkdir()
    async with (
        SHOPS[name](tmp_path / "again") as shop,
        node(f"http://127.0.0.1:{shop.port}", site=shop.site) as edge,
    ):
        count = await day(shop, edge.port())
        guard = edge.running.node.pipeline.proving.done
    hits = count.pages - len(count.missed)
    print(f"{name}: {count.forms} forms, {len(count.broken)} broken ({len(bare.broken)} at the bare shop), "
          f"{len(count.leaks)} leaks, {hits} hits of {count.pages} anonymous pages")  # fmt: skip
    assert kinds(count.broken) - kinds(bare.broken) == set(), count.broken
    assert kinds(count.broken) == (set() if name == "kedai" else {"back"})  # Django: login makes a new token
    assert (count.leaks, bare.leaks) == ([], [])
    # Each account's form outdates the page that it stands on (RFC 9111 §4.4); nothing else is fetched again.
    assert len(count.missed) <= len(NAMES) + 1
    assert all(f": {shop.door}: tepi; fwd=uri-miss;" in missed for missed in count.missed), count.missed
    assert (count.forms, bare.forms) == (45, 45)
    assert {what for _, what in guard} == {"fetch", "proven"}


def kinds(broken: list[str]) -> set[str]:
    return {label.split(": ")[1] for label in broken}


FOREIGN = {"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.test", "Referer": "http://evil.test/"}


@pytest.mark.xdist_group("shops")
@pytest.mark.parametrize("name", SHOPS)
async def test_a_forged_form_fails_as_it_does_without_an_edge(name: str, tmp_path: Path) -> None:
    async with SHOPS[name](tmp_path) as shop, node(f"http://127.0.0.1:{shop.port}", site=shop.site) as edge:
        for path in (*shop.pages, shop.door):
            await Browser(sender(edge.port())).visit(path)
        outcomes = []
        for port in (shop.port, edge.port()):
            victim, evil = Browser(sender(port)), Browser(sender(port))
            tab, theirs = await victim.visit("/p/kopi"), await evil.visit("/p/kopi")
            name_of_token = "_token" if name == "kedai" else "csrfmiddlewaretoken"
            said = await victim.submit(tab, tab.form("/cart/add"), item="wanted")
            assert said.status in (302, 303)
            stolen = tab.form("/cart/add").values[name_of_token]
            constant = theirs.form("/cart/add").values[name_of_token]
            statuses = []
            for token in (constant, stolen, "", "x" * 64):
                forged = await victim.forge("/cart/add", {name_of_token: token, "item": "forged"}, FOREIGN)
                statuses.append(forged.status)
                forged = await victim.forge(
                    "/cart/add", {"item": "forged"}, {**FOREIGN, shop.script_field: token or "y"}
                )
                statuses.append(forged.status)
            basket = await victim.visit(shop.cart)
            assert "wanted" in basket.text
            outcomes.append((statuses, "forged" in basket.text))
        assert outcomes[1][1] is False
        assert all(status in (403, 419) for status in outcomes[1][0])
        if name == "django":  # it checks Origin itself, also where the token is right
            assert outcomes[0] == outcomes[1]
