"""Pages in pieces: put together for each visitor from what is shared and what is his own."""

from __future__ import annotations

import asyncio
import gzip
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import brotli
import pytest

from edge.http.message import Answer, Client, Fields, Request
from edge.intake import Exchange
from edge.pages.assembly import Assembly, Filled, page_fields
from edge.pages.fragments import Unfit, resolved
from edge.policy.patterns import Patterns
from edge.policy.rules import EsiRules, SiteRules
from edge.position import ALONE
from edge.purge import Purge
from edge.store.content import Stored
from edge.store.fill import Cut
from edge.store.memory import weigh
from edge.transform.assembled import HELD, Assembled, Pieces
from edge.transform.template import Hole, Include, Piece, Template, Text, Variable
from tests.edge.stage import Origin, Reply, Stage, answer, make_request

HTML = "text/html; charset=utf-8"


def include(src: str, alt: str | None = None) -> Include:
    return Include((src.encode(),), None if alt is None else (alt.encode(),))


class Shop(Stage):
    """A stage on which `/page` is stored in pieces."""

    def __init__(self, *pieces: Piece, script: Any = None, esi: EsiRules | None = None, **more: Any) -> None:
        def otherwise(request: Request) -> Answer:
            return answer(cache_control="max-age=60", content_type=HTML, body=request.path.encode())

        super().__init__(
            script or otherwise,
            SiteRules("shop", esi=esi or EsiRules(cookies=Patterns(("currency",))), **more),
        )
        self.pieces = pieces

    async def store_page(self, path: str = "/page", *pieces: Piece, **fields: str) -> None:
        script, self.origin.script = self.origin.script, lambda request: answer(
            cache_control="max-age=60", content_type=HTML, etag='"v1"',
            last_modified="Mon, 01 Jan 2024 00:00:00 GMT", expires="0", cdn_cache_control="max-age=60",
            **fields,
        )  # fmt: skip
        await self.ask(path)
        self.origin.script = script
        self.origin.asked.clear()
        entry = self.store.get(f"shop.test{path}\x00http")[0]
        content = Stored(None, None, Template(pieces or self.pieces, 100))
        assert self.store.swap(entry, replace(entry, content=content))

    async def page(self, fields: Any = (), **more: Any) -> Reply:
        return await self.ask("/page", fields, **more)


async def test_a_page_is_put_together_in_order() -> None:
    shop = Shop(Text(b"<p>"), include("/a"), Text(b"|"), include("/b"), include("/c"), Text(b"</p>"))
    await shop.store_page()
    reply = await shop.page()
    assert reply.body == b"<p>/a|/b/c</p>"
    assert (reply.verdict, [asked.path for asked in shop.origin.asked]) == ("hit", ["/a", "/b", "/c"])
    assert (await shop.page()).body == reply.body
    assert shop.fetches == 3


async def test_a_visitor_sees_nothing_of_the_page_that_the_pieces_were_made_of() -> None:
    shop = Shop(Text(b"a"), include("/x"))
    await shop.store_page(content_digest="sha-256=:x:", accept_ranges="bytes", surrogate_control="max-age=9")
    reply = await shop.page({"If-None-Match": '"v1"', "Range": "bytes=0-0"})
    assert (reply.status, reply.body) == (200, b"a/x")
    for gone in ("etag", "last-modified", "content-length", "accept-ranges", "surrogate-control", "expires",
                 "cdn-cache-control", "content-digest"):  # fmt: skip
        assert reply[gone] is None, gone
    assert (reply["cache-control"], reply["vary"]) == ("private, no-cache", "Accept-Encoding")


async def test_head_asks_for_no_fragment() -> None:
    shop = Shop(Text(b"a" * 1000), include("/x"))
    await shop.store_page()
    whole = await shop.page({"Accept-Encoding": "gzip"})
    shop.origin.asked.clear()
    head = await shop.page({"Accept-Encoding": "gzip"}, method="HEAD")
    assert (head.status, head.body, shop.fetches) == (200, b"", 0)
    same = ("content-type", "content-encoding", "vary", "cache-control", "content-length")
    assert [head[name] for name in same] == [whole[name] for name in same]


def test_what_the_origin_forbids_the_browser_stays_forbidden() -> None:
    made = page_fields(Fields([("Cache-Control", "no-store, no-transform, max-age=3")]), ())
    assert made.get("cache-control") == "private, no-cache, no-store, no-transform"


@pytest.mark.parametrize(("coding", "decode"), [("gzip", gzip.decompress), ("br", brotli.decompress)])
@pytest.mark.parametrize("size", [400, 40_000])
@pytest.mark.parametrize("waits", [True, False])
async def test_a_compressed_page_is_the_plain_one(coding: str, decode: Any, size: int, waits: bool) -> None:
    pieces = (Text(b"x" * size), include("/a") if waits else Variable("HTTP_HOST"), Text(b"y" * size))
    shop = Shop(*pieces)
    await shop.store_page()
    plain, coded = await shop.page(), await shop.page({"Accept-Encoding": coding})
    assert (plain["content-encoding"], coded["content-encoding"]) == (None, coding)
    assert decode(coded.body) == plain.body
    assert plain.body[size:-size] == (b"/a" if waits else b"shop.test")


async def test_the_pieces_count_in_the_store() -> None:
    shop = Shop(Text(b"x" * 10_000), include("/a"), Hole("form"))
    await shop.store_page()
    entry = shop.store.get("shop.test/page\x00http")[0]
    assert weigh(entry) > 10_000 + weigh(replace(entry, content=Stored(b"")))
    assert entry.content.size == 100


async def test_a_page_that_is_confirmed_stays_in_pieces() -> None:
    shop = Shop(Text(b"a"), include("/x"))
    await shop.store_page()
    shop.sleep(61)
    confirmed = Answer(304, Fields([("ETag", '"v1"'), ("Cache-Control", "max-age=60")]))
    fresh = answer(cache_control="max-age=60", body=b"x")
    shop.origin.script = lambda request: confirmed if request.path == "/page" else fresh
    reply = await shop.page()
    assert (reply.verdict, reply.body) == ("revalidated", b"ax")


async def test_a_page_confirmed_as_private_is_fetched_whole() -> None:
    shop = Shop(Text(b"a"), include("/x"))
    await shop.store_page()
    shop.sleep(61)
    shop.origin.script = lambda request: (
        Answer(304, Fields([("ETag", '"v1"'), ("CDN-Cache-Control", "private")]))
        if "if-none-match" in request.fields
        else answer(cache_control="private", body=b"whole")
    )
    reply = await shop.page()
    assert (reply.body, len(shop.store)) == (b"whole", 0)


# Variables and holes ------------------------------------------------------------------------------


async def test_variables_are_the_visitors_and_cannot_break_out() -> None:
    shop = Shop(Text(b"<b>"), Variable("QUERY_STRING", "q", b"<none>"), Text(b"|"),
                Variable("HTTP_COOKIE", "currency"), Variable("HTTP_COOKIE", "session"),
                Variable("GEO_COUNTRY", None, b"??"), Variable("NO_SUCH", None, b"!"))  # fmt: skip
    await shop.store_page()
    cookies = {"Cookie": "session=secret; currency=IDR"}
    shop.rules = replace(shop.rules, key=replace(shop.rules.key, query=replace(shop.rules.key.query,
                         drop=Patterns(("q",)))))  # fmt: skip
    asked = make_request("/page?q=%3Cscript%3E%22%27%00%C3%A9", cookies, client=Client("192.0.2.1", 0, "ID"))
    reply = await Reply.of(await shop.pipeline.handle(asked))
    assert reply.body == b"<b>&lt;script&gt;&quot;&#x27;&#233;|IDRID!"
    assert (await shop.page()).body == b"<b><none>|??!"


async def test_holes_are_filled_before_the_head_goes_out() -> None:
    asked: list[frozenset[Hole]] = []

    async def fill(x: Exchange, holes: frozenset[Hole]) -> Filled:
        asked.append(holes)
        return Filled({Hole("form"): b"t0ken"}, (("Set-Cookie", "csrf=t0ken"),))

    shop = Shop(Text(b"<input value="), Hole("form"), Text(b">"))
    shop.pipeline._assembly = Assembly(shop.pipeline.fragments, fill)
    await shop.store_page()
    reply = await shop.page()
    assert reply.body == b"<input value=t0ken>"
    assert (reply["set-cookie"], asked) == ("csrf=t0ken", [frozenset({Hole("form")})])


# Whom fragments are asked of ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "url"),
    [
        pytest.param("/cart", "http://shop.test/cart", id="path"),
        pytest.param("cart?x=1", "http://shop.test/p/cart?x=1", id="relative"),
        pytest.param("../cart#top", "http://shop.test/cart", id="dots"),
        pytest.param("http:///x", "http://shop.test/x", id="no-host"),
        pytest.param("//shop.test:80/a", "http://shop.test/a", id="default-port"),
        pytest.param("HTTPS://SHOP.test", "https://shop.test/", id="absolute"),
        pytest.param(" /a b\r\nX: y ", "http://shop.test/a%20b%0D%0AX:%20y", id="no-line-breaks"),
        pytest.param("/caf\xc3\xa9?\xff", "http://shop.test/caf%C3%A9?%FF", id="bytes"),
        pytest.param("/a\\..\\b", "http://shop.test/a%5C..%5Cb", id="backslashes"),
    ],
)
def test_a_reference_is_read_as_a_browser_would(reference: str, url: str) -> None:
    made = resolved(make_request("/p/1?q=1"), reference)
    assert (made.url, made.fields.get("host")) == (url, made.host)


@pytest.mark.parametrize(
    "reference",
    ["file:///etc/passwd", "gopher://shop.test/", "http://a@shop.test/", "http://[::1", "data:,x",
     "http://shop.test:99999/", "http://sh op.test/", "http://shop.test%00.evil.test/", "javascript:1"],
)  # fmt: skip
def test_a_reference_that_is_no_http_url_is_refused(reference: str) -> None:
    with pytest.raises(Unfit, match="bad-url"):
        resolved(make_request("/p/1"), reference)


def test_a_fragment_is_asked_for_as_the_visitor_but_not_for_a_part_or_a_condition() -> None:
    said = {"Cookie": "a=1", "Authorization": "Basic x", "Range": "bytes=0-1", "If-None-Match": "*",
            "Accept-Encoding": "br", "Accept-Language": "id", "Host": "shop.test"}  # fmt: skip
    page = make_request("/p/1", said, method="POST", body=b"x")
    near, far = resolved(page, "/a").fields, resolved(page, "http://www.shop.test/a").fields
    kept = [("Host", "shop.test"), ("Cookie", "a=1"), ("Authorization", "Basic x"), ("Accept-Language", "id"),
            ("Accept-Encoding", "identity")]  # fmt: skip
    assert list(near) == kept
    assert list(far) == [("Host", "www.shop.test"), *kept[3:]]
    assert resolved(page, "/a").body is None


async def test_another_sites_host_is_never_asked() -> None:
    shop = Shop(Text(b"a"), include("http://169.254.169.254/meta-data", "//evil.test/"), Text(b"b"))
    await shop.store_page()
    assert ((await shop.page()).body, shop.fetches) == (b"ab", 0)
    assert shop.pipeline.fragments.asked == {("shop", "foreign-host"): 2}


# Failures -----------------------------------------------------------------------------------------


async def test_a_failing_fragment_shows_its_alternative_or_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def script(request: Request) -> Answer:
        return answer(500 if "bad" in request.path else 200, body=b"[alt]", cache_control="max-age=9")

    shop = Shop(Text(b"1"), include("/bad", "/alt"), Text(b"2"), include("/bad", "/bad-too"), Text(b"3"),
                script=script)  # fmt: skip
    await shop.store_page()
    assert (await shop.page()).body == b"1[alt]23"
    told = [record for record in caplog.records if record.message == "a page goes without a fragment"]
    assert [(vars(one)["id"], vars(one)["fragment"], vars(one)["why"]) for one in told] == [
        ("r-1", "/bad", "error-status, error-status")
    ]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        pytest.param(answer(404), "error-status", id="404"),
        pytest.param(answer(302, location="/x"), "error-status", id="redirect"),
        pytest.param(answer(body=b"x" * 101), "too-large", id="too-large"),
        pytest.param(answer(body=[b"x" * 60, b"x" * 60]), "too-large", id="too-large-stream"),
        pytest.param(answer(body=b"x", content_encoding="compress"), "encoded", id="odd-coding"),
        pytest.param(answer(body=b"x", content_encoding="gzip"), "encoded", id="bad-gzip"),
    ],
)
async def test_a_bad_fragment_is_not_the_pages_failure(bad: Answer, why: str) -> None:
    shop = Shop(Text(b"a"), include("/bad"), Text(b"b"), script=lambda request: bad, esi=EsiRules(size=100))
    await shop.store_page()
    assert (await shop.page()).body == b"ab"
    assert shop.pipeline.fragments.asked == {("shop", why): 1}


async def test_a_fragment_that_comes_gzipped_all_the_same_is_undone() -> None:
    zipped = gzip.compress(b"plain")
    shop = Shop(
        include("/z"), Text(b"."), script=lambda request: answer(body=zipped, content_encoding="gzip")
    )
    await shop.store_page()
    assert (await shop.page()).body == b"plain."


async def test_a_fragment_that_does_not_come_is_given_up() -> None:
    shop = Shop(Text(b"a"), include("/slow"), Text(b"b"), esi=EsiRules(seconds=0.02))
    await shop.store_page()
    shop.origin.gate = asyncio.Event()
    assert (await shop.page()).body == b"ab"
    assert shop.pipeline.fragments.asked == {("shop", "timeout"): 1}


async def test_cookies_of_fragments_are_dropped_and_counted() -> None:
    def script(request: Request) -> Answer:
        return answer(body=b"x", set_cookie="session=1")

    shop = Shop(Text(b"a"), include("/x"), script=script)
    await shop.store_page()
    reply = await shop.page()
    assert (reply.body, reply["set-cookie"]) == (b"ax", None)
    assert shop.pipeline.fragments.cookies == {"shop": 1}


# Bounds -------------------------------------------------------------------------------------------


async def test_a_page_never_includes_itself() -> None:
    shop = Shop(Text(b"("), include("/page"), include("/page?utm_source=x#y"), include("/other"), Text(b")"))
    shop.rules = replace(shop.rules, key=replace(shop.rules.key, query=replace(shop.rules.key.query,
                         drop=Patterns(("utm_*",)))))  # fmt: skip
    await shop.store_page()
    await shop.store_page("/other", Text(b"<"), include("/page"), include("/other"), Text(b">"))
    assert (await shop.page()).body == b"(<>)"
    assert shop.pipeline.fragments.asked["shop", "cycle"] == 4


async def test_fragments_within_fragments_end_at_a_depth() -> None:
    shop = Shop(Text(b"0"), include("/1"), esi=EsiRules(depth=2))
    await shop.store_page()
    for depth in range(1, 5):
        await shop.store_page(f"/{depth}", Text(str(depth).encode()), include(f"/{depth + 1}"), Text(b"."))
    assert (await shop.page()).body == b"012.."
    assert shop.pipeline.fragments.asked["shop", "too-deep"] == 1


async def test_a_page_and_its_fragments_have_one_number_of_fragments() -> None:
    shop = Shop(*[include("/f")] * 10, esi=EsiRules(number=7))
    await shop.store_page()
    await shop.store_page("/f", Text(b"f"), include("/g"))
    body = (await shop.page()).body
    assert body.count(b"f") + body.count(b"/g") == 7


async def test_few_fragments_are_asked_for_at_a_time() -> None:
    shop = Shop(*[include(f"/{number}") for number in range(9)], esi=EsiRules(ahead=3))
    await shop.store_page()
    shop.origin.gate = asyncio.Event()
    reading = asyncio.ensure_future(shop.page())
    while shop.fetches < 3:
        await asyncio.sleep(0)
    for _ in range(50):
        await asyncio.sleep(0)
    assert shop.fetches == 3
    shop.origin.gate.set()
    assert (await reading).body == b"".join(b"/%d" % number for number in range(9))


async def test_a_page_of_a_thousand_fragments_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    shop = Shop(*[include("/f"), Text(b".")] * 1000, esi=EsiRules(number=5))
    await shop.store_page()
    assert (await shop.page()).body == b"/f." * 5 + b"." * 995
    assert shop.pipeline.fragments.asked["shop", "too-many"] == 995
    assert [vars(record)["why"] for record in caplog.records if "fragment" in record.message] == ["too-many"]


async def test_fragments_that_come_in_another_order_are_delivered_in_the_pages() -> None:
    gates = {f"/{number}": asyncio.Event() for number in range(5)}

    class Slow(Origin):
        async def fetch(self, site: str, request: Request) -> Answer:
            made = await super().fetch(site, request)
            await gates[request.path].wait()
            return made

    shop = Shop(*[piece for path in gates for piece in (include(path), Text(b";"))])
    await shop.store_page()
    fetching = shop.pipeline._fetching
    shop.origin = Slow(shop.origin.script)
    fetching.asking = replace(fetching.asking, upstream=shop.origin)
    reading = asyncio.ensure_future(shop.page())
    while shop.fetches < len(gates):
        await asyncio.sleep(0)
    for path in reversed(gates):
        gates[path].set()
        await asyncio.sleep(0)
    assert (await reading).body == b"/0;/1;/2;/3;/4;"


class Words:
    """A parser to which `!name` is a fragment and everything else text."""

    def feed(self, data: bytes) -> tuple[Piece, ...]:
        name = data.decode()
        return (include(name[1:]) if name.startswith("!") else Text(data),)

    def end(self) -> tuple[Piece, ...]:
        return ()


async def test_a_page_is_not_read_on_for_ever_while_a_fragment_is_awaited() -> None:
    gate, read = asyncio.Event(), 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        yield b"!slow"
        for _ in range(100):
            read += 1
            yield b"x" * 16_384

    async def fetch(wanted: Include) -> bytes:
        await gate.wait()
        return b"[slow]"

    page = Assembled(Pieces(body=body(), parser=Words()), fetch, lambda piece: b"", 4)
    first = asyncio.ensure_future(anext(page))
    for _ in range(300):
        await asyncio.sleep(0)
    assert 1 < read <= HELD // 16_384 + 1
    gate.set()
    assert await first + b"".join([piece async for piece in page]) == b"[slow]" + b"x" * 1_638_400


async def test_a_page_that_breaks_off_gives_its_fragments_up() -> None:
    given_up = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"text"
        yield b"!slow"
        await asyncio.sleep(0)
        raise Cut("the origin went away")

    async def fetch(wanted: Include) -> bytes:
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()
        return b""

    page = Assembled(Pieces(body=body(), parser=Words()), fetch, lambda piece: b"", 4)
    assert await anext(page) == b"text"
    with pytest.raises(Cut):
        await anext(page)
    await page.aclose()
    assert given_up.is_set()


async def test_a_fragment_may_be_asked_of_the_origin_though_the_page_is_wanted_from_the_store() -> None:
    shop = Shop(Text(b"a"), include("/f"))
    await shop.store_page()
    reply = await shop.page({"Cache-Control": "only-if-cached"})
    assert (reply.verdict, reply.body) == ("hit", b"a/f")


async def test_who_leaves_takes_his_fragments_along() -> None:
    shop = Shop(Text(b"a"), include("/slow"))
    await shop.store_page()
    shop.origin.gate = asyncio.Event()
    page = await shop.pipeline.handle(make_request("/page"))
    assert not isinstance(page.body, bytes)
    assert await anext(page.body) == b"a"
    waiting = asyncio.ensure_future(anext(page.body))
    while not shop.fetches:
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await page.body.aclose()  # type: ignore[attr-defined]
    await shop.settle()
    assert len(asyncio.all_tasks()) == 1


# Sharing, and forgetting --------------------------------------------------------------------------


async def test_a_shared_fragment_is_a_hit_and_a_personal_one_is_not() -> None:
    def script(request: Request) -> Answer:
        who = (request.fields.get("cookie") or "nobody").encode()
        if request.path == "/mine":
            return answer(body=who, cache_control="private")
        return answer(body=b"menu", cache_control="max-age=60")

    shop = Shop(include("/menu"), Text(b" for "), include("/mine"), script=script)
    await shop.store_page()
    assert (await shop.page({"Cookie": "ann"})).body == b"menu for ann"
    assert (await shop.page({"Cookie": "bob"})).body == b"menu for bob"
    assert (await shop.page()).body == b"menu for nobody"
    assert [asked.path for asked in shop.origin.asked].count("/menu") == 1


async def test_no_order_of_visits_shows_one_visitors_fragment_to_another() -> None:
    def script(request: Request) -> Answer:
        who = request.fields.get("cookie") or ""
        return answer(body=f"[{request.path}:{who}]".encode(), cache_control=request.path[1:])

    fragments = [include(path) for path in ("/private", "/no-store", "/private,max-age=60", "/no-cache")]
    pieces = [piece for one in fragments for piece in (one, Text(b"-"))]
    for seed in range(20):
        chance = random.Random(seed)
        shop = Shop(*pieces, script=script, esi=EsiRules(ahead=chance.randint(1, 5)))
        await shop.store_page()
        visitors = [f"visitor={chance.randint(1, 4)}" for _ in range(12)]
        replies = await asyncio.gather(*(shop.page({"Cookie": who}) for who in visitors))
        for who, reply in zip(visitors, replies, strict=True):
            assert reply.body.count(who.encode()) == len(fragments) == reply.body.count(b"visitor=")


@pytest.mark.parametrize("soft", [False, True])
async def test_purging_a_fragment_changes_the_page_at_once_and_leaves_the_page(soft: bool) -> None:
    version = [1]

    def script(request: Request) -> Answer:
        return answer(body=b"v%d" % version[0], cache_control="max-age=60", cache_tag="menu")

    shop = Shop(Text(b"a"), include("/menu"), script=script)
    await shop.store_page()
    assert (await shop.page()).body == b"av1"
    version[0] = 2
    assert (await shop.page()).body == b"av1"
    assert await shop.pipeline.purge(Purge("tag", "menu", soft), ALONE) == 1
    reply = await shop.page()
    assert (reply.body, reply.verdict) == (b"av2", "hit")


async def test_purging_the_page_leaves_its_fragments() -> None:
    shop = Shop(Text(b"a"), include("/menu"))
    await shop.store_page()
    await shop.page()
    assert await shop.pipeline.purge(Purge("url", "http://shop.test/page"), ALONE) == 1
    await shop.store_page()
    assert ((await shop.page()).body, shop.fetches) == (b"a/menu", 0)


async def test_page_and_fragment_may_be_stale_while_they_are_refreshed() -> None:
    shop = Shop(Text(b"a"), include("/menu"), stale_while_revalidate=60)
    await shop.store_page()
    await shop.page()
    shop.sleep(70)
    shop.origin.asked.clear()
    reply = await shop.page()
    assert (reply.verdict, reply.body) == ("stale", b"a/menu")
    assert sorted(asked.path for asked in shop.origin.asked) == ["/menu", "/page"]
    assert shop.pipeline.fragments.asked["shop", "stale"] == 1
