"""ESI from the origin's word to the visitor's page: when it is done, and what it costs and shields."""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config import Site
from edge.document.problems import Refused
from edge.http.cache_control import parse_targeted
from edge.http.message import Answer, Fields, Request
from edge.policy.surrogate import directives, esi_because, obeyed
from edge.position import ALONE
from edge.purge import Purge
from tests.edge import nodes, wires
from tests.edge.stage import Reply, Stage, answer, make_request

ESI = 'content="ESI/1.0"'
PAGE = b'<h1>Hi</h1><esi:include src="/cart"/><esi:remove>no cart</esi:remove><p>end</p>'
HTML = {"content_type": "text/html"}


def page(body: bytes | list[bytes] = PAGE, **fields: str) -> Answer:
    return answer(body=body, **{"cache_control": "max-age=60", "surrogate_control": ESI, **HTML, **fields})


Made = Callable[[], Answer]
ON: dict[str, Any] = {}


def stage(script: Callable[[Request], Answer], esi: dict[str, Any] | None = ON) -> Stage:
    origins = [{"url": "http://127.0.0.1:1"}]
    document = {"name": "shop", "hosts": ["shop.test", "www.shop.test"], "origins": origins}
    return Stage(script, Site.model_validate({**document, "esi": esi, "guard": False}).rules())


def shop(made: Made = page, cart: Made | None = None, **more: Any) -> Stage:
    """A shop whose pages are `made`, and whose fragments tell who asked."""

    def script(request: Request) -> Answer:
        if request.path.startswith("/cart"):
            who = request.fields.get("cookie") or "nobody"
            return cart() if cart else answer(body=f"[{who}]".encode(), cache_control="private")
        return made()

    return stage(script, **more)


# When ---------------------------------------------------------------------------------------------


async def test_a_page_that_says_so_is_put_together_when_it_comes_and_when_it_is_stored() -> None:
    it = shop()
    first = await it.ask("/", {"Cookie": "ann"})
    again = await it.ask("/", {"Cookie": "bob"})
    assert (first.verdict, first.body) == ("miss", b"<h1>Hi</h1>[ann]<p>end</p>")
    assert (again.verdict, again.body) == ("hit", b"<h1>Hi</h1>[bob]<p>end</p>")
    assert [asked.path for asked in it.origin.asked] == ["/", "/cart", "/cart"]
    assert first["cache-control"] == again["cache-control"] == "private, no-cache"
    assert first["etag"] is first["surrogate-control"] is None


async def test_without_the_table_esi_is_off() -> None:
    it = shop(esi=None)
    assert (await it.ask("/", {"Surrogate-Capability": 'x="ESI/1.0"'})).body == PAGE
    assert it.origin.asked[0].fields.get("surrogate-capability") is None
    assert (await it.ask("/")).body == PAGE


async def test_origins_are_told_of_it_in_our_words_only() -> None:
    it = shop()
    await it.ask("/", {"Surrogate-Capability": 'x="ESI/1.0", evil="X"'})
    assert {asked.fields.all("surrogate-capability") for asked in it.origin.asked} == {('tepi="ESI/1.0"',)}


async def test_a_rule_by_path_and_type_needs_no_word_of_the_origin() -> None:
    def script(request: Request) -> Answer:
        kind = "text/plain" if request.path.endswith(".txt") else "text/html;charset=utf-8"
        control = "max-age=60, no-transform" if "as-it-is" in request.path else "max-age=60"
        return answer(body=b"<esi:remove>x</esi:remove>.", content_type=kind, cache_control=control)

    it = stage(script, {"paths": ["/shop/*"]})
    for _ in range(2):
        assert (await it.ask("/shop/a")).body == b"."
        assert (await it.ask("/%73hop/a")).body == b"."
        assert (await it.ask("/shop/a.txt")).body == b"<esi:remove>x</esi:remove>."
        assert (await it.ask("/shop/as-it-is")).body == b"<esi:remove>x</esi:remove>."
        assert (await it.ask("/other")).body == b"<esi:remove>x</esi:remove>."


async def test_a_page_that_is_nobodys_to_keep_is_put_together_too() -> None:
    it = shop(lambda: page(cache_control="no-store"))
    for who in ("ann", "bob"):
        reply = await it.ask("/", {"Cookie": who, "If-None-Match": "*", "Range": "bytes=0-1"})
        assert (reply.status, reply.body) == (200, b"<h1>Hi</h1>[%b]<p>end</p>" % who.encode())
        assert reply["cache-control"] == "private, no-cache, no-store"
    head = await it.ask("/", method="HEAD")
    assert (head.status, head.body, head["content-length"]) == (200, b"", None)


async def test_the_answer_to_a_form_is_put_together_too() -> None:
    it = shop()
    reply = await it.ask("/", {"Cookie": "ann", "Accept-Encoding": "gzip"}, method="POST", body=b"x=1")
    assert it.origin.asked[0].fields.get("accept-encoding") == "identity"
    assert zlib.decompress(reply.body, 31) == b"<h1>Hi</h1>[ann]<p>end</p>"
    assert [(asked.method, asked.body) for asked in it.origin.asked] == [("POST", b"x=1"), ("GET", None)]


async def test_a_part_of_a_page_is_the_whole_page() -> None:
    def script(request: Request) -> Answer:
        if request.path == "/cart":
            return answer(body=b"[cart]")
        if "range" not in request.fields:
            return page()
        return answer(
            206, PAGE[10:20], content_range=f"bytes 10-19/{len(PAGE)}", surrogate_control=ESI, **HTML
        )

    it = stage(script)
    for _ in range(2):
        reply = await it.ask("/", {"Range": "bytes=10-19"})
        assert (reply.status, reply.body) == (200, b"<h1>Hi</h1>[cart]<p>end</p>")
        assert reply["content-range"] is None


async def test_a_page_in_which_there_is_nothing_to_do_is_like_any_other() -> None:
    it = shop(lambda: page(b"plain", etag='"v1"'))
    await it.ask("/")
    reply = await it.ask("/")
    assert (reply.body, reply["etag"], reply["cache-control"]) == (b"plain", '"v1"', "max-age=60")
    assert (await it.ask("/", {"If-None-Match": '"v1"'})).status == 304


async def test_a_page_that_is_all_text_keeps_its_lifetime_but_not_its_tag() -> None:
    it = shop(lambda: page(b"a<esi:comment text='x'/>b", etag='"v1"'))
    await it.ask("/")
    reply = await it.ask("/")
    assert (reply.body, reply["etag"], reply["cache-control"]) == (b"ab", None, "max-age=60")


async def test_a_page_in_a_coding_is_left_alone() -> None:
    it = shop(lambda: page(content_encoding="br"))
    assert (await it.ask("/", {"Accept-Encoding": "br"})).body == PAGE


async def test_a_fragments_fragments_are_put_together() -> None:
    def script(request: Request) -> Answer:
        inner = {"/": b'0<esi:include src="a/b"/>0', "/a/b": b'1<esi:include src="c"/>1', "/a/c": b"2"}
        return page(inner[request.path])

    it = stage(script)
    for _ in range(2):
        assert (await it.ask("/")).body == b"01210"


# What surrogates are told of lifetimes ------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        pytest.param("max-age=60", "max-age=60", id="lifetime"),
        pytest.param("max-age=60+10", "max-age=60, stale-while-revalidate=10", id="and-stale"),
        pytest.param("max-age=60;tepi, max-age=5", "max-age=60", id="to-us"),
        pytest.param("max-age=60;other, max-age=5", "max-age=5", id="to-others"),
        pytest.param("no-store", "no-store", id="no-store"),
        pytest.param("no-store-remote, max-age=9", "no-store", id="remote"),
        pytest.param("max-age=soon", "", id="malformed"),
        pytest.param("max-age=60+x", "max-age=60", id="half-malformed"),
        pytest.param(ESI, "", id="content-only"),
    ],
)
def test_surrogate_control_is_read_as_a_targeted_field(said: str, meant: str) -> None:
    fields = obeyed(Fields([("Surrogate-Control", said), ("Tepi-Surrogate-Control", "max-age=1")]))
    assert fields.all("tepi-surrogate-control") == (meant,)


@pytest.mark.parametrize(
    ("said", "done"),
    [
        pytest.param(ESI, True, id="plain"),
        pytest.param('max-age=1, content="ESI/1.0 ESI-Inline/1.0"', True, id="among-others"),
        pytest.param("content=ESI/1.0", True, id="token"),
        pytest.param('content="ESI/1.0";tepi', True, id="to-us"),
        pytest.param('content="ESI/1.0";other', False, id="to-others"),
        pytest.param('content="ESI/1.0", content="X/1";tepi', False, id="otherwise-to-us"),
        pytest.param('content="ESI/1.1"', False, id="other-version"),
        pytest.param('x="content=ESI/1.0"', False, id="in-a-string"),
        pytest.param('"', False, id="malformed"),
    ],
)
def test_who_is_to_do_esi(said: str, done: bool) -> None:
    rules = shop().rules.esi
    assert rules is not None
    fields = Fields([("Surrogate-Control", said)])
    assert (esi_because(rules, "/", 200, fields) is not None) == done
    assert esi_because(rules, "/", 304, fields) is esi_because(rules, "/", 206, fields) is None


@given(st.text(st.characters(codec="latin-1")) | st.text('max-ge=+;,"\\ 0nostre/'))
def test_whatever_surrogate_control_says_is_read_without_a_word(said: str) -> None:
    fields = obeyed(Fields([("Surrogate-Control", said)]))
    meant = fields.get("tepi-surrogate-control")
    assert meant == "" or (meant is not None and parse_targeted(meant) is not None)
    assert set(directives(fields)) == {name.lower() for name in directives(fields)}


@pytest.mark.parametrize(
    ("fields", "ttl"),
    [
        pytest.param({"cache_control": "private", "surrogate_control": "max-age=50"}, 50, id="beats"),
        pytest.param({"cdn_cache_control": "max-age=9", "surrogate_control": "max-age=50"}, 9, id="cdn"),
        pytest.param({"tepi_cache_control": "max-age=8", "cdn_cache_control": "max-age=9",
                      "surrogate_control": "no-store"}, 8, id="tepi-first"),
        pytest.param({"cdn_cache_control": "!", "surrogate_control": "max-age=50"}, 50, id="cdn-malformed"),
        pytest.param({"cache_control": "max-age=7", "surrogate_control": ESI}, 7, id="silent"),
        pytest.param({"cache_control": "max-age=7", "surrogate_control": "no-store"}, None, id="no-store"),
    ],
)  # fmt: skip
async def test_which_lifetime_holds(fields: dict[str, str], ttl: int | None) -> None:
    it = stage(lambda request: answer(**fields))
    assert (await it.ask("/")).answer.outcome.ttl == ttl
    without = stage(lambda request: answer(**fields), None)
    told = (await without.ask("/")).answer.outcome.ttl
    assert told == ttl or "surrogate_control" in fields


async def test_a_confirmation_may_change_the_surrogates_lifetime() -> None:
    def script(request: Request) -> Answer:
        if "if-none-match" in request.fields:
            return Answer(304, Fields([("ETag", '"v"'), ("Surrogate-Control", f"max-age=5, {ESI}")]))
        return page(etag='"v"', surrogate_control=f"max-age=60, {ESI}")

    it = stage(script)
    await it.ask("/")
    it.sleep(61)
    reply = await it.ask("/")
    assert (reply.verdict, reply.answer.outcome.ttl) == ("revalidated", 5)


# What it shields ----------------------------------------------------------------------------------


async def test_no_order_of_visits_shows_one_visitors_part_to_another() -> None:
    """Pages and fragments, shared and private, arriving and stored, purged in between."""
    kinds = ("private", "no-store", "max-age=60", "no-cache", "s-maxage=1")

    def script(request: Request) -> Answer:
        kind = request.path.strip("/")
        who = request.fields.get("cookie") or ""
        if request.path.startswith("/page"):
            tags = b"".join(b'<esi:include src="/%b"/>-' % kind.encode() for kind in kinds)
            return page([b"<p>", tags[:30], tags[30:], b"</p>"], cache_tag="page")
        if kind in ("max-age=60", "s-maxage=1"):
            return answer(body=b"[shared]", cache_control=kind, cache_tag="part")
        if kind == "no-store":  # a part that is a page itself
            return page(f"[{who}]<esi:include src='/private'/>".encode(), cache_control="no-store")
        return answer(body=f"[{who}]".encode(), cache_control=kind, etag=f'"{who}"')

    for seed in range(12):
        chance = random.Random(seed)
        it = stage(script, {"ahead": chance.randint(1, 4)})

        async def visit(who: str, it: Stage = it) -> None:
            reply = await Reply.of(await it.pipeline.handle(make_request("/page", {"Cookie": who})))
            expected = f"<p>[{who}]-[{who}][{who}]-[shared]-[{who}]-[shared]-</p>"
            assert reply.body.decode() == expected

        for _ in range(6):
            visitors = [f"v={chance.randint(1, 5)}" for _ in range(4)]
            await asyncio.gather(*map(visit, visitors))
            it.sleep(chance.choice((0, 2, 70)))
            if chance.random() < 0.5:
                tag = chance.choice(("page", "part"))
                await it.pipeline.purge(Purge("tag", tag, soft=chance.random() < 0.5), ALONE)
        await it.settle()


async def test_pages_do_not_bear_the_tags_of_their_fragments() -> None:
    it = shop(cart=lambda: answer(body=b"v", cache_control="max-age=60", cache_tag="cart"))
    await it.ask("/")
    assert await it.pipeline.purge(Purge("tag", "cart"), ALONE) == 1
    assert (await it.ask("/")).verdict == "hit"


async def test_explain_tells_the_pages_fragments() -> None:
    body = b'<esi:include src="/cart?u=$(HTTP_HOST)" alt="/empty"/><esi:include src="//evil.test/"/>'
    it = shop(lambda: page(body + b"<esi:vars>$(X)"))
    await it.ask("/")
    told = await it.pipeline.explain(make_request("/"))
    step = next(step for step in told.steps if step.step == "page")
    assert step.finding == "put together for each visitor, with 2 fragments, 1 variables"
    assert step.facts == {
        "because": "surrogate-control",
        "holes": [],
        "fragment 1": "http://shop.test/cart?u=shop.test, else /empty: miss (uri-miss)",
        "fragment 2": "http://evil.test/: left out, its host is not one of the site's",
    }
    assert told.as_json()["decision"] == "hit"


@pytest.mark.parametrize(
    ("table", "where"),
    [
        ({"depth": 0}, "depth"),
        ({"size": "lots"}, "size"),
        ({"includes": 3}, "includes"),
        ({"types": []}, "types"),
    ],
)
def test_a_table_that_cannot_be_is_refused_by_name(table: dict[str, Any], where: str) -> None:
    with pytest.raises(Refused, match=where):
        nodes.config("http://127.0.0.1:1", site={"esi": table})


# Over real sockets --------------------------------------------------------------------------------


class Sockets:
    """A shop over sockets: the fragment on `/` comes once `gate` is set, the page ends once `end` is."""

    def __init__(self) -> None:
        self.gate, self.end = asyncio.Event(), asyncio.Event()
        self.end.set()

    async def script(self, heard: wires.Heard, writer: Any) -> None:
        if heard.target == "/slow":
            await self.gate.wait()
            writer.write(wires.answer(b"[slow]", "200 OK", "Cache-Control: private"))
            return
        head = f"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nSurrogate-Control: {ESI}\r\n"
        writer.write(f"{head}Content-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for piece in (b"<html>" + b"x" * 500, b"<esi:incl", b"ude src='/slow'/><p>"):
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        await writer.drain()
        await self.end.wait()
        writer.write(b"7\r\n</html>\r\n0\r\n\r\n")


WHOLE = b"<html>" + b"x" * 500 + b"[slow]<p></html>"


@pytest.mark.parametrize("coding", ["identity", "gzip"])
@pytest.mark.parametrize("stored", [False, True])
async def test_the_page_begins_before_its_slow_fragment_is_there(coding: str, stored: bool) -> None:
    made = Sockets()
    async with wires.origin(made.script) as origin, nodes.node(origin.url, site={"esi": {}}) as edge:
        if stored:
            made.gate.set()
            assert (await edge.get("/")).body == WHOLE
            made.gate.clear()
        async with edge.visit() as visit:
            visit.say("GET", "/", **{"Accept-Encoding": coding})
            head = await visit.reader.readuntil(b"\r\n\r\n")
            assert b"Transfer-Encoding: chunked" in head and b"private, no-cache" in head
            size = int(await visit.reader.readuntil(b"\r\n"), 16)
            piece = (await visit.reader.readexactly(size + 2))[:-2]
            undo = zlib.decompressobj(31)
            begun = piece if coding == "identity" else undo.decompress(piece)
            assert begun == b"<html>" + b"x" * 500
            made.gate.set()
            rest = b""
            while size := int(await visit.reader.readuntil(b"\r\n"), 16):
                rest += (await visit.reader.readexactly(size + 2))[:-2]
            assert begun + (rest if coding == "identity" else undo.decompress(rest)) == WHOLE


async def test_fragments_of_an_arriving_page_are_shown_before_its_end_has_come() -> None:
    made = Sockets()
    made.gate.set()
    made.end.clear()
    async with wires.origin(made.script) as origin, nodes.node(origin.url, site={"esi": {}}) as edge:
        async with edge.visit() as visit:
            visit.say("GET", "/")
            seen = b""
            while b"[slow]" not in seen:
                seen += await visit.reader.read(4096)
            made.end.set()
            while not seen.endswith(b"0\r\n\r\n"):
                seen += await visit.reader.read(4096)
        assert (await edge.get("/")).body == WHOLE


async def test_over_a_kept_connection_each_page_is_its_own_visitors() -> None:
    """However short the way to a hit is, what was put together for one is never sent to another."""

    async def script(heard: wires.Heard, writer: Any) -> None:
        body = b"<body><esi:vars>$(HTTP_COOKIE{who})$(QUERY_STRING{q})</esi:vars></body>"
        lines = ("Cache-Control: max-age=60", f"Surrogate-Control: {ESI}", "Content-Type: text/html")
        writer.write(wires.answer(body, "200 OK", *lines))

    site = {"esi": {"cookies": ["who"]}, "key": {"query": {"drop": ["q"]}}, "guard": False}
    async with wires.origin(script) as origin, nodes.node(origin.url, site=site) as edge:
        async with edge.visit() as one, edge.visit() as other:
            for turn in range(4):
                for visit, who in ((one, "ann"), (other, "bob"), (one, "cyd")):
                    path = f"/?q={turn % 2}"
                    reply = await visit.get(path, Cookie=f"who={who}")
                    assert reply.body == f"<body>{who}{turn % 2}</body>".encode()
        assert len(origin.heard) == 1


async def test_over_a_kept_connection_each_visitor_gets_a_token_of_his_own() -> None:
    async def script(heard: wires.Heard, writer: Any) -> None:
        body = b'<body><input name="form_key" value="Abcdefgh01234567"></body>'
        lines = ("Set-Cookie: form_key=Abcdefgh01234567; path=/", "Content-Type: text/html")
        writer.write(wires.answer(body, "200 OK", *lines))

    token = {"name": "key", "find": ['name="form_key" value="([A-Za-z0-9]+)"'], "source": "cookie",
             "cookie": "form_key", "length": 16}  # fmt: skip
    site = {"pages": {"seconds": 300, "tokens": [token]}}
    async with wires.origin(script) as origin, nodes.node(origin.url, site=site) as edge:
        first = await edge.get("/")
        assert b"Abcdefgh01234567" in first.body
        await wires.eventually(lambda: len(edge.running.store) == 1)
        seen = set()
        async with edge.visit() as one, edge.visit() as other:
            for _ in range(4):
                for visit in (one, other):
                    reply = await visit.get("/")
                    seen.add(reply.fields["set-cookie"].partition("=")[2].partition(";")[0])
                    assert any(token.encode() in reply.body for token in seen)
        assert len(seen) == 8


async def test_metrics_count_fragments() -> None:
    made = Sockets()
    made.gate.set()
    async with wires.origin(made.script) as origin, nodes.node(origin.url, site={"esi": {}}) as edge:
        await edge.get("/")
        told = await wires.talk(
            "127.0.0.1",
            edge.running.admin.port,
            b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        )
        assert b'tepi_edge_fragments_total{result="miss",site="shop"} 1.0' in told
