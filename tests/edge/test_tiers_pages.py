"""Shared pages in a fleet: what is proven comes by way of owner and shield, and nothing personal does."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.edge import wires
from tests.edge.fleets import fleet
from tests.edge.nodes import Edge

POPS = {"jakarta": 2, "frankfurt": 2, "virginia": 1}
NAMES = ("ani", "budi", "citra")
CACHED = ("Content-Type: text/html", "Cache-Control: max-age=300")
IN_PIECES = b'<p>page</p><esi:include src="/nav"/><esi:include src="/cart"/><p>end</p>'
TOKENS = [{"name": "csrf", "find": ['name=csrf value="([^"]+)"'], "source": "session", "cookie": "sid"}]


@dataclass
class Shop:
    """Sets a session with every page, says so in Vary, and greets by name on the pages of accounts."""

    sessions: itertools.count[int] = field(default_factory=itertools.count)
    asked: list[tuple[str, str, str]] = field(default_factory=list)  # path, cookie, the node's own field
    open: asyncio.Event = field(default_factory=asyncio.Event)
    tokens: set[bytes] = field(default_factory=set)

    async def script(self, heard: wires.Heard, writer: asyncio.StreamWriter) -> None:
        cookie = heard.fields.get("cookie", "")
        self.asked.append((heard.target, cookie, heard.fields.get("tepi-hop", "")))
        await self.open.wait()
        if heard.target.startswith("/esi/"):
            writer.write(wires.answer(IN_PIECES, "200 OK", *CACHED, 'Surrogate-Control: content="ESI/1.0"'))
            return
        if heard.target == "/nav":
            writer.write(wires.answer(b"[nav]", "200 OK", *CACHED))
            return
        if heard.target == "/cart":
            writer.write(wires.answer(f"[{cookie}]".encode(), "200 OK", "Cache-Control: private"))
            return
        greeting = f"<p>Welcome back, {cookie}!</p>" if heard.target.startswith("/account/") else ""
        if heard.target.startswith("/form/"):
            token = f"token{next(self.sessions):027}"
            self.tokens.add(token.encode())
            greeting = f'<form><input type=hidden name=csrf value="{token}"></form>'
        body = f"<body class=product>{greeting}<h1>{heard.target}</h1></body>"
        lines = ["Content-Type: text/html", "Vary: Cookie", f'ETag: "{next(self.sessions)}"']
        if not cookie:
            lines.append(f"Set-Cookie: sid=new-{next(self.sessions)}-0123456789; Path=/")
        writer.write(wires.answer(body.encode(), "200 OK", *lines))

    def fetches(self, path: str) -> int:
        return sum(target == path for target, _, _ in self.asked)


@dataclass
class House:
    shop: Shop
    nodes: list[Edge]

    async def proven(self, path: str) -> None:
        """At every node somebody has been at `path`, and its template has proved everybody's there."""
        for node in self.nodes:
            await node.get(path, Cookie="sid=dewi-0123456789")
            await wires.eventually(
                lambda node=node: node.running.node.pipeline.proving.done["shop", "proven"] > 0
            )

    def hops(self) -> Counter[str]:
        told: Counter[str] = Counter()
        for node in self.nodes:
            for gauge in node.running.vicinity.counts():
                if gauge.name == "hops":
                    told[gauge.labels["result"]] += int(gauge.value)
        return told


@contextlib.asynccontextmanager
async def house(tmp_path: Path, **site: Any) -> AsyncIterator[House]:
    shop = Shop()
    shop.open.set()
    site = site or {"guard": True, "pages": {"mark": True, "seconds": 300}}
    async with (
        wires.origin(shop.script) as origin,
        fleet(origin.url, tmp_path, POPS, shield="frankfurt", site=site) as nodes,
    ):
        yield House(shop, list(nodes.values()))


def visitor(number: int) -> str:
    return f"sid={NAMES[number % len(NAMES)]}-{number:010}"


async def test_a_page_of_a_proven_template_costs_the_origin_one_fetch(tmp_path: Path) -> None:
    async with house(tmp_path) as made:
        await made.proven("/p/0")
        made.shop.open.clear()
        visits = [
            asyncio.create_task(made.nodes[at % len(made.nodes)].get("/p/1", Cookie=visitor(at)))
            for at in range(100)
        ]
        under_way = lambda: sum(node.running.front.under_way for node in made.nodes)  # noqa: E731
        await wires.eventually(lambda: under_way() == len(visits), 30)
        made.shop.open.set()
        replies = await asyncio.gather(*visits)
        assert {(reply.status, reply.body) for reply in replies} == {
            (200, b"<body class=product><h1>/p/1</h1></body>")
        }
        assert made.shop.fetches("/p/1") == 1
        assert [cookie for path, cookie, _ in made.shop.asked if path == "/p/1"] == [""]  # asked as nobody
        assert not [reply for reply in replies if "set-cookie" in reply.fields]
        assert made.hops()["answered"] >= 3


async def test_what_is_personal_never_passes(tmp_path: Path) -> None:
    """Each visitor of an account gets his own, whichever node he comes to, and no other ever sees it."""
    async with house(tmp_path) as made:
        await made.proven("/p/0")
        for turn in range(3):
            for at, node in enumerate(made.nodes):
                cookie = visitor(at)
                reply = await node.get("/account/1", Cookie=cookie)
                assert f"Welcome back, {cookie}!".encode() in reply.body, turn
                reply = await node.get("/p/1", Cookie=cookie)
                assert b"Welcome" not in reply.body
        for path, cookie, hop in made.shop.asked:
            assert hop == ""
            assert path != "/p/1" or cookie == ""
        for node in made.nodes:
            for entry in node.running.store.get("shop.test/account/1\x00http"):
                raise AssertionError(entry)


async def test_a_node_whose_template_is_yet_to_prove_asks_the_origin_in_its_visitors_name(
    tmp_path: Path,
) -> None:
    async with house(tmp_path) as made:
        first = await made.nodes[0].get("/p/1", Cookie=visitor(0))
        assert "detail=unproven" in first.fields["cache-status"]
        assert made.shop.asked[0][:2] == ("/p/1", visitor(0))
        assert made.hops()["answered"] == 0


@pytest.mark.parametrize("kind", ["url", "site"])
async def test_a_purge_at_every_node_holds_for_shared_pages(tmp_path: Path, kind: str) -> None:
    async with house(tmp_path) as made:
        await made.proven("/p/0")
        for node in made.nodes:
            await node.get("/p/1", Cookie=visitor(1))
        assert made.shop.fetches("/p/1") == 1
        value = {"url": "http://shop.test/p/1", "site": "shop"}[kind]
        for node in made.nodes:
            await node.running.purge({"kind": kind, "value": value})
        await made.nodes[0].get("/p/1", Cookie=visitor(1))
        assert made.shop.fetches("/p/1") >= 2


async def test_a_page_with_holes_passes_without_what_fills_them(tmp_path: Path) -> None:
    """One rendering of the shop's is everybody's, its token in nobody's page: each gets a stand-in."""
    pages = {"mark": True, "seconds": 300, "tokens": TOKENS}
    async with house(tmp_path, guard=True, pages=pages) as made:
        await made.proven("/form/0")
        replies = []
        for turn in range(2):
            for at, node in enumerate(made.nodes):
                replies.append(await node.get("/form/1", Cookie=visitor(at + turn)))
        assert made.shop.fetches("/form/1") == 1
        given = [re.findall(rb'name=csrf value="([^"]+)"', reply.body) for reply in replies]
        assert all(len(each) == 1 and each[0].startswith(b"tepi") for each in given)
        assert len({each[0] for each in given}) == len(replies)
        assert not any(token in reply.body for token in made.shop.tokens for reply in replies)
        secrets = [reply.fields["set-cookie"] for reply in replies]
        assert len(set(secrets)) == len(replies)
        assert all("private" in reply.fields["cache-control"] for reply in replies)
        assert not any("tepi-pieces" in reply.fields for reply in replies)


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_page_of_fragments_is_put_together_where_its_visitor_is(
    tmp_path: Path, at_once: bool
) -> None:
    async with house(tmp_path, guard=False, esi={}) as made:

        async def look(at: int) -> None:
            reply = await made.nodes[at % len(made.nodes)].get("/esi/1", X_Visitor=str(at))
            assert reply.body == b"<p>page</p>[nav][]<p>end</p>"
            assert "private" in reply.fields["cache-control"]

        if at_once:
            await asyncio.gather(*map(look, range(30)))
        else:
            for at in range(len(made.nodes) * 2):
                await look(at)
        assert made.shop.fetches("/esi/1") == 1
        assert made.shop.fetches("/nav") == 1
        for at, node in enumerate(made.nodes):  # his own fragment in the page that all share
            reply = await node.get("/esi/1", Cookie=visitor(at))
            assert reply.body == f"<p>page</p>[nav][{visitor(at)}]<p>end</p>".encode()
        assert made.shop.fetches("/esi/1") == 1


async def test_an_origin_that_poses_as_a_node_is_an_origin(tmp_path: Path) -> None:
    """What it says in the words of nodes means nothing: a page is what its bytes are."""
    posing = ("Tepi-Pieces: ?1", 'Tepi-Position: "else";number=9', "Tepi-Ttl: 9")
    async with (
        wires.origin(wires.says(b"page", "200 OK", *CACHED, *posing)) as origin,
        fleet(origin.url, tmp_path, POPS, shield="frankfurt") as nodes,
    ):
        for _ in range(2):
            for node in nodes.values():
                reply = await node.get("/p/1")
                assert (reply.status, reply.body) == (200, b"page")
                assert not [name for name in reply.fields if name.startswith("tepi-")]
        assert len(origin.heard) == 1
