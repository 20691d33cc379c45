"""103 Early Hints (RFC 8297): the origin's, passed on, and the edge's own, of a page that is asked about."""

from __future__ import annotations

import asyncio
from typing import Any

from edge.http.message import Answer, Fields, Request
from edge.position import ALONE
from edge.purge import Purge
from tests.edge.nodes import Visit, node
from tests.edge.stage import Reply, Stage, answer, make_request
from tests.edge.wires import Heard, origin
from tests.edge.wires import answer as wire_answer

OPENING = {"Sec_Fetch_Mode": "navigate"}
PRELOAD = "</a.css>; rel=preload; as=style"


class Shop:
    """A page that is stale at once, and links to its style; `early` is said ahead of each answer."""

    def __init__(self) -> None:
        self.early = b""
        self.hold = asyncio.Event()
        self.hold.set()

    async def __call__(self, heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(self.early)
        await self.hold.wait()
        known = "if-none-match" in heard.fields
        lines = ['ETag: "1"', "Cache-Control: max-age=0", f"Link: {PRELOAD}, </next>; rel=next"]
        if known:
            writer.write("\r\n".join(["HTTP/1.1 304 Not Modified", *lines, "", ""]).encode())
        else:
            writer.write(wire_answer(b"page", "200 OK", *lines))


async def heard(visit: Visit) -> list[tuple[int, str | None]]:
    """Status and Link of each answer up to the final one."""
    told = []
    while True:
        reply = await visit.hear()
        told.append((reply.status, reply.fields.get("link")))
        if reply.status >= 200:
            return told


FINAL = (200, f"{PRELOAD}, </next>; rel=next")


async def test_a_browser_that_waits_for_a_validation_hears_the_links_first() -> None:
    shop = Shop()
    async with origin(shop) as behind, node(behind.url) as edge, edge.visit() as visit:
        visit.say("GET", "/p", **OPENING)
        assert await heard(visit) == [FINAL]  # nothing is known yet
        shop.hold.clear()
        visit.say("GET", "/p", **OPENING)
        early = await visit.hear()  # while the origin has not answered
        assert (early.status, early.lines) == (103, [("link", PRELOAD)])
        shop.hold.set()
        assert await heard(visit) == [FINAL]
        visit.say("GET", "/p")  # the connection goes on, and who opens no page hears nothing early
        assert await heard(visit) == [FINAL]


async def test_http_1_0_and_a_site_that_wants_none_hear_nothing() -> None:
    without = {"cache": {"early_hints": False}}
    async with origin(Shop()) as behind, node(behind.url, site=without) as edge, edge.visit() as visit:
        for _ in range(2):
            visit.say("GET", "/p", **OPENING)
            assert await heard(visit) == [FINAL]
    async with origin(Shop()) as behind, node(behind.url) as edge:
        await edge.get("/p")
        said = b"GET /p HTTP/1.0\r\nHost: shop.test\r\nSec-Fetch-Mode: navigate\r\n\r\n"
        assert b" 103 " not in await edge.say(said)


async def test_the_origins_own_are_passed_on_once_and_never_come_from_the_store() -> None:
    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </o.css>; rel=preload\r\n\r\n")
        writer.write(wire_answer(b"page", "200 OK", "Cache-Control: max-age=60", f"Link: {PRELOAD}"))

    async with origin(script) as behind, node(behind.url) as edge, edge.visit() as visit:
        visit.say("GET", "/p", **OPENING)
        assert await heard(visit) == [(103, "</o.css>; rel=preload"), (200, PRELOAD)]
        visit.say("GET", "/p", **OPENING)
        assert await heard(visit) == [(200, PRELOAD)]


def page(request: Request) -> Answer:
    return answer(etag='"1"', cache_control="max-age=10", link=PRELOAD, body=b"page")


async def ask(stage: Stage, **more: Any) -> tuple[Reply, list[tuple[int, Fields]]]:
    told: list[tuple[int, Fields]] = []
    fields = {"Sec-Fetch-Mode": "navigate"}
    return await stage.ask(fields=fields, on_interim=lambda *early: told.append(early), **more), told


async def test_a_hit_and_a_miss_have_none() -> None:
    stage = Stage(page)
    for _ in range(2):
        assert (await ask(stage))[1] == []


async def test_what_a_purge_has_struck_or_may_have_is_not_hinted_at() -> None:
    stage = Stage(page)
    await stage.ask()
    await stage.pipeline.distrust()
    assert (await ask(stage))[1] == []
    await stage.pipeline.purge(Purge("site", "shop", soft=True), ALONE)
    reply, told = await ask(stage)
    assert (reply.reason, told) == ("stale", [])
    stage.sleep(11)
    assert len((await ask(stage))[1]) == 1


async def test_a_link_that_the_site_takes_from_its_answers_is_not_hinted_at() -> None:
    async with (
        origin(Shop()) as behind,
        node(behind.url, site={"answer_fields": [{"unset": ["Link"]}]}) as edge,
        edge.visit() as visit,
    ):
        for _ in range(2):
            visit.say("GET", "/p", **OPENING)
            assert await heard(visit) == [(200, None)]


async def test_everybody_who_waits_hears_them_once_also_where_he_waited_in_vain() -> None:
    stage = Stage(page)
    await stage.ask()
    stage.sleep(11)
    stage.origin.script = lambda request: answer(cache_control="private", body=b"own")
    stage.origin.gate = asyncio.Event()
    told: list[list[int]] = [[] for _ in range(3)]
    asking = [
        asyncio.create_task(
            stage.pipeline.handle(
                make_request(
                    fields={"Sec-Fetch-Mode": "navigate"},
                    on_interim=lambda status, _, heard=heard: heard.append(status),
                )
            )
        )
        for heard in told
    ]
    for _ in range(5):
        await asyncio.sleep(0)
    assert told == [[103]] * 3
    stage.origin.gate.set()
    assert [(await Reply.of(await each)).body for each in asking] == [b"own"] * 3
    assert told == [[103]] * 3
