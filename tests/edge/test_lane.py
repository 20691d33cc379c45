from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import brotli
import pytest

from edge.http.message import Fields
from edge.position import ALONE
from edge.purge import Purge
from tests.edge.lanes import Line, head_of, settled
from tests.edge.nodes import Edge, config, document, node
from tests.edge.wires import Heard, Origin, answer, origin

BROWSER = {
    "User_Agent": "Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0",
    "Accept": "text/html,*/*;q=0.8",
    "Accept_Language": "id-ID,id;q=0.9,en;q=0.8",
    "Accept_Encoding": "gzip, deflate, br, zstd",
    "Sec_Fetch_Mode": "navigate",
}
PAGE = b"<html>" + b"kopi " * 400


async def shop(heard: Heard, writer: asyncio.StreamWriter) -> None:
    """Answers by path: what is cached, and how."""
    path = heard.target.partition("?")[0]
    fields = ["Cache-Control: max-age=600", "Content-Type: text/html", f"Cache-Tag: tag{path}"]
    match path:
        case "/vary":
            fields.append("Vary: X-Currency")
        case "/tagged":
            fields += ['ETag: "v1"', "Last-Modified: Fri, 15 Jan 2027 08:00:00 GMT"]
        case "/picture":
            fields[1] = "Content-Type: image/webp"
        case "/private":
            fields[0] = "Cache-Control: private"
        case "/brief":
            fields[0] = "Cache-Control: max-age=1"
        case "/gone":
            writer.write(answer(b"gone", "410 Gone", *fields))
            return
    body = PAGE + heard.fields.get("x-currency", "").encode()
    writer.write(answer(b"" if heard.method == "HEAD" else body, "200 OK", *fields, length=len(body)))


@asynccontextmanager
async def stage(**changes: Any) -> AsyncIterator[tuple[Edge, Origin, Line]]:
    async with origin(shop) as behind, node(behind.url, **changes) as edge:
        line = await Line.to(edge)
        try:
            yield edge, behind, line
        finally:
            await line.close()


def taken(edge: Edge) -> int:
    """Answers that the lane has given."""
    return edge.running.lanes["http"].answers


def packed_in(said: bytes) -> bytes:
    """The body of an answer."""
    return said.partition(b"\r\n\r\n")[2]


async def warm(line: Line, *heads: bytes) -> None:
    """Ask until the lane has a memo of each: the first answer is a miss, the second makes it."""
    for head in heads:
        await line.whole(head)
        await line.whole(head)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(head_of("/page", **BROWSER), id="page"),
        pytest.param(head_of("/page", **BROWSER, Cookie="_ga=GA1.1.42"), id="cookie-that-nobody-asks-for"),
        pytest.param(head_of("/page"), id="no-encoding"),
        pytest.param(head_of("/page", Accept_Encoding="gzip"), id="gzip"),
        pytest.param(head_of("/page", Accept_Encoding="zstd;q=0.5, br;q=0.1"), id="weighed-encodings"),
        pytest.param(head_of("/page", method="HEAD", **BROWSER), id="head"),
        pytest.param(head_of("/page?utm_source=x&q=1", **BROWSER), id="query"),
        pytest.param(head_of("/pag%65", **BROWSER), id="escaped"),
        pytest.param(head_of("/page", host="SHOP.test:80", **BROWSER), id="spelled-otherwise"),
        pytest.param(head_of("/vary", X_Currency="IDR", **BROWSER), id="vary"),
        pytest.param(head_of("/tagged", If_None_Match='"v1"', **BROWSER), id="not-modified"),
        pytest.param(head_of("/tagged", If_None_Match='"v0"', **BROWSER), id="modified"),
        pytest.param(
            head_of("/tagged", If_Modified_Since="Fri, 15 Jan 2027 08:00:00 GMT"), id="not-modified-since"
        ),
        pytest.param(head_of("/picture", Connection="keep-alive", **BROWSER), id="keep-alive"),
        pytest.param(head_of("/gone", **BROWSER), id="gone"),
        pytest.param(head_of("/page", Cache_Control="max-age=0", **BROWSER), id="reload"),
    ],
)
async def test_what_the_lane_serves_is_what_the_pipeline_serves(head: bytes) -> None:
    async with stage() as (edge, behind, line):
        await line.parted(head.replace(b"HEAD", b"GET", 1))
        expected = settled(await line.parted(head))
        await warm(line, head)
        before, asked = taken(edge), len(behind.heard)
        assert settled(await line.whole(head)) == expected
        assert settled(await line.parted(head)) == expected
        assert taken(edge) == before + 1
        assert len(behind.heard) == asked


@pytest.mark.parametrize(
    "fields",
    [
        {"Authorization": "Basic eDp5"},
        {"Range": "bytes=0-1"},
        {"Expect": "100-continue", "Content_Length": "0"},
        {"Content_Length": "0"},
        {"Connection": "close"},
        {"Upgrade": "websocket", "Connection": "upgrade"},
        {"If_Match": '"v1"'},
        {"X_Odd": "caf\xe9"},
    ],
    ids=lambda fields: next(iter(fields)),
)
async def test_what_is_unusual_goes_the_ordinary_way(fields: dict[str, str]) -> None:
    async with stage() as (edge, _, line):
        await warm(line, head_of("/page"))
        before = taken(edge)
        await line.whole(head_of("/page", **fields))
        assert taken(edge) == before


async def test_another_variant_is_not_replayed() -> None:
    async with stage() as (edge, behind, line):
        idr, eur = head_of("/vary", X_Currency="IDR"), head_of("/vary", X_Currency="EUR")
        await warm(line, idr, eur, idr)  # a newcomer under the key makes the lane ask anew
        assert (len(behind.heard), taken(edge)) == (2, 1)
        for currency in ("EUR", "IDR", "EUR"):
            assert (await line.whole(head_of("/vary", X_Currency=currency))).endswith(currency.encode())
        assert (await line.whole(head_of("/vary", X_Currency="USD"))).endswith(b"USD")
        assert (len(behind.heard), taken(edge)) == (3, 4)


async def test_a_newcomer_that_fits_as_well_takes_the_old_ones_place() -> None:
    """Policy would serve the newest variant that fits; a memo of an older one must not stand in its way."""
    varies = ["X-A"]

    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(varies[0].encode(), "200 OK", "Cache-Control: max-age=600", f"Vary: {varies[0]}"))

    async with origin(script) as behind, node(behind.url) as edge:
        line = await Line.to(edge)
        old = head_of("/p")
        await warm(line, old)
        varies[0] = "X-B"
        await line.whole(head_of("/p", X_A="other"))  # fits whoever sends no X-B, the old one's visitors too
        async with asyncio.timeout(5):
            while len(edge.running.store.get("shop.test/p\x00http")) < 2:
                await asyncio.sleep(0.01)
        assert (await line.whole(old)).endswith(b"X-B")
        await line.close()


async def test_a_better_encoding_takes_the_place_of_the_first_in_the_lane_too() -> None:
    body = b"".join(b"<p>kopi %d gayo %d</p>" % (n * 7919 % 1000, n) for n in range(1_000))

    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(body, "200 OK", "Cache-Control: max-age=600", "Content-Type: text/html"))

    async with origin(script) as behind, node(behind.url) as edge:
        line = await Line.to(edge)
        head = head_of("/p", **BROWSER)
        first = packed_in(await line.whole(head))
        async with asyncio.timeout(10):
            while len(packed_in(await line.whole(head))) >= len(first):
                await asyncio.sleep(0.01)
        await warm(line, head)
        before = taken(edge)
        assert settled(await line.whole(head)) == settled(await line.parted(head))
        assert taken(edge) == before + 1
        assert brotli.decompress(packed_in(await line.whole(head))) == body
        assert len(behind.heard) == 1
        await line.close()


async def test_answers_stay_in_order_however_requests_arrive() -> None:
    async with stage() as (_, _, line):
        hit, miss = head_of("/picture"), head_of("/private")
        await warm(line, hit)
        sent = [hit, hit, miss, hit, miss, miss, hit, hit]
        expected = [settled(await line.parted(head)) for head in sent]
        line.writer.write(b"".join(sent))
        assert [settled(await line.hear()) for _ in sent] == expected


async def test_a_request_that_is_cut_anywhere_is_answered_all_the_same() -> None:
    async with stage() as (_, _, line):
        head = head_of("/picture", **BROWSER)
        await warm(line, head)
        expected = settled(await line.parted(head))
        both = head + head
        for cut in range(1, len(both), 7):
            line.writer.write(both[:cut])
            await line.writer.drain()
            await asyncio.sleep(0)
            line.writer.write(both[cut:])
            assert [settled(await line.hear()), settled(await line.hear())] == [expected, expected]


@pytest.mark.parametrize(
    "purge",
    [
        Purge("url", "http://shop.test/page"),
        Purge("prefix", "http://shop.test/p"),
        Purge("tag", "tag/page"),
        Purge("site", "shop"),
        Purge("tag", "tag/page", soft=True),
    ],
    ids=lambda purge: f"{purge.kind}{'-soft' if purge.soft else ''}",
)
async def test_a_purge_that_is_acknowledged_ends_the_memo(purge: Purge) -> None:
    async with stage() as (edge, behind, line):
        head = head_of("/page", **BROWSER)
        await warm(line, head)
        asked = len(behind.heard)
        assert await edge.running.node.pipeline.purge(purge, ALONE) >= 1
        await line.whole(head)
        assert len(behind.heard) == asked + 1


async def test_an_unsafe_request_ends_the_memo_before_it_is_answered() -> None:
    async with stage() as (_, behind, line):
        head = head_of("/page")
        await warm(line, head)
        await line.whole(b"POST /page HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 2\r\n\r\nhi")
        asked = len(behind.heard)
        await line.whole(head)
        assert len(behind.heard) == asked + 1


async def test_nothing_is_replayed_once_what_is_stored_is_not_trusted() -> None:
    async with stage() as (edge, behind, line):
        head = head_of("/page")
        await warm(line, head)
        await edge.running.node.pipeline.distrust()
        asked = len(behind.heard)
        await line.whole(head)
        assert len(behind.heard) == asked + 1


async def test_nothing_is_replayed_once_the_sites_rules_are_others() -> None:
    async with stage() as (edge, behind, line):
        head = head_of("/page")
        await warm(line, head)
        changed = document(behind.url, site={"never": {"paths": ["/page"]}})
        edge.running.node.sites.replace(config(behind.url, site=changed["sites"][0]).sites)
        asked = len(behind.heard)
        await line.whole(head)
        assert len(behind.heard) == asked + 1


async def test_nothing_is_replayed_past_its_time() -> None:
    async with stage() as (edge, behind, line):
        head = head_of("/brief")
        await warm(line, head)
        memos = edge.running.lanes["http"]
        assert taken(edge) == 0
        await line.whole(head)
        assert taken(edge) == 1
        async with asyncio.timeout(10):  # it must end by itself, whenever that is on this machine
            while len(behind.heard) == 1:
                await asyncio.sleep(0.1)
                await line.whole(head)
        assert memos.answers >= 1


async def test_a_node_that_drains_tells_its_clients() -> None:
    async with stage() as (edge, _, line):
        head = head_of("/page")
        await warm(line, head)
        for lane in edge.running.lanes.values():
            lane.close()
        edge.running.front.draining = True
        assert b"\r\nConnection: close\r\n" in await line.whole(head)


async def test_limits_hold_in_the_lane() -> None:
    async with stage(limits={"requests_per_second": 0.01, "burst": 4}) as (_, _, line):
        head = head_of("/page")
        said = [(await line.whole(head))[9:12] for _ in range(6)]
        assert said == [b"200"] * 4 + [b"429"] * 2


async def test_who_may_not_ask_gets_nothing_from_the_lane() -> None:
    async with stage() as (edge, behind, line):
        head = head_of("/page")
        await warm(line, head)
        await edge.running.take(config(behind.url, access={"deny": ["127.0.0.1"]}))
        assert (await line.whole(head)).startswith(b"HTTP/1.1 403")


def through(client: str, scheme: str = "http", path: str = "/page") -> bytes:
    """A head as a proxy passes it on."""
    return head_of(path, X_Forwarded_For=f"192.0.2.66, {client}", X_Forwarded_Proto=scheme)


async def test_a_trusted_proxys_clients_are_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    log = {"access": "json", "file": str(file)}
    denied, other = "198.51.100.9", "198.51.100.8"
    access = {"deny": [denied]}
    async with stage(trusted_proxies=["127.0.0.1"], log=log, access=access) as (edge, behind, line):
        await warm(line, through("198.51.100.7"))
        expected = settled(await line.parted(through("198.51.100.7")))
        before = taken(edge)
        assert settled(await line.whole(through("198.51.100.7"))) == expected
        assert settled(await line.whole(through(other))) == expected
        assert taken(edge) == before + 2
        assert (await line.whole(through(denied))).startswith(b"HTTP/1.1 403")
        assert (taken(edge), len(behind.heard)) == (before + 2, 1)
        edge.running.access_log.flush()  # type: ignore[union-attr]
    said = [json.loads(text)["client"] for text in file.read_text().splitlines()]
    assert said[-3:] == ["198.51.100.7", other, denied]


async def test_a_trusted_proxys_clients_have_rates_of_their_own() -> None:
    limits = {"requests_per_second": 0.01, "burst": 3}
    async with stage(trusted_proxies=["127.0.0.1"], limits=limits) as (_, _, line):
        for client in ("198.51.100.7", "198.51.100.8"):
            said = [(await line.whole(through(client)))[9:12] for _ in range(5)]
            assert said == [b"200"] * 3 + [b"429"] * 2


async def test_schemes_behind_a_trusted_proxy_have_memos_of_their_own() -> None:
    async def says_scheme(heard: Heard, writer: asyncio.StreamWriter) -> None:
        said = heard.fields.get("x-forwarded-proto", "")
        writer.write(answer(said.encode(), "200 OK", "Cache-Control: max-age=600"))

    async with origin(says_scheme) as behind, node(behind.url, trusted_proxies=["127.0.0.1"]) as edge:
        line = await Line.to(edge)
        for scheme in ("https", "http"):
            await warm(line, through("198.51.100.7", scheme))
        for scheme in ("https", "http", "https"):
            assert (await line.whole(through("198.51.100.7", scheme))).endswith(f"\r\n{scheme}".encode())
        assert len(behind.heard) == 2
        assert [edge.running.lanes[each].memos for each in ("http", "https")] == [1, 1]
        await edge.running.take(config(behind.url))  # whose word counts no more
        for _ in range(2):
            assert (await line.whole(through("198.51.100.7", "https"))).endswith(b"\r\nhttp")
        await line.close()


async def test_hits_of_the_lane_are_counted_and_logged_like_all_others(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    async with stage(log={"access": "json", "file": str(file)}) as (edge, _, line):
        head = head_of("/page?token=secret", **BROWSER, Referer="http://a.test/?key=secret")
        await warm(line, head)
        await line.parted(head)
        before = edge.running.telemetry.counters()
        await line.whole(head)
        after = edge.running.telemetry.counters()
        assert (taken(edge), after["hits"] - before["hits"]) == (1, 1)
        assert after["bytes_sent"] > before["bytes_sent"]
        assert sum(after["latency"].values()) == sum(before["latency"].values()) + 1
        edge.running.access_log.flush()  # type: ignore[union-attr]
    *_, ordinary, replayed = (json.loads(text) for text in file.read_text().splitlines())
    assert replayed["id"] != ordinary["id"]
    for said in (ordinary, replayed):
        del said["time"], said["id"], said["seconds"]
    assert replayed == ordinary
    assert "secret" not in file.read_text()


async def test_a_hit_in_the_lane_keeps_its_entry_from_eviction() -> None:
    async with stage() as (edge, _, line):
        head = head_of("/picture")
        await warm(line, head)
        store = edge.running.store
        (entry,) = store.get("shop.test/picture\x00http")
        slot = store.slot(entry)
        assert slot is not None
        slot.used = False
        await line.whole(head)
        assert taken(edge) == 1
        assert slot.used


async def test_an_entry_that_leaves_the_store_takes_its_bytes_along() -> None:
    async with stage() as (edge, _, line):
        await warm(line, head_of("/picture"), head_of("/picture", Accept="image/*"))
        store = edge.running.store
        (entry,) = store.get("shop.test/picture\x00http")
        slot = store.slot(entry)
        assert slot is not None
        assert slot.memos
        memos = list(slot.memos)
        store.drop(entry)
        assert not slot.memos
        assert not any(memo.alive for memo in memos)  # type: ignore[attr-defined]


async def test_memos_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.wiring.MEMOS", 256 * 2**20 // 20_000)
    async with stage() as (edge, behind, line):
        for number in range(40):
            await warm(line, head_of(f"/picture?n={number}"))
        assert 10 <= edge.running.lanes["http"].memos <= 40
        assert 10_000 < edge.running.store.front.heat.copied < 45_000
        assert len(behind.heard) == 40


@pytest.mark.parametrize(
    ("site", "nobodys", "somebodys"),
    [
        pytest.param({"bypass_cookies": ["session*"]}, "_ga=1.2", "_ga=1.2; session_id=ann", id="bypass"),
        pytest.param(
            {"pages": {"seconds": 60, "ignore_cookies": ["_ga"]}, "guard": False},
            "_ga=1.2", "_ga=1.2; PHPSESSID=ann", id="anonymous-pages",
        ),
        pytest.param({"key": {"cookies": ["currency"]}}, "_ga=1.2", "_ga=1.2; currency=EUR", id="key"),
    ],
)  # fmt: skip
async def test_cookies_that_say_nothing_make_no_difference(
    site: dict[str, Any], nobodys: str, somebodys: str
) -> None:
    async with stage(site=site) as (edge, _, line):
        await warm(line, head_of("/page", Cookie=nobodys, **BROWSER))
        for number in range(5):
            await line.whole(head_of("/page", Cookie=f"{nobodys}{number}", **BROWSER))
        assert taken(edge) == 5
        await line.whole(head_of("/page", Cookie=somebodys, **BROWSER))
        assert taken(edge) == 5


@pytest.mark.parametrize("cookie", [None, "_ga=1.2"], ids=["no-cookies", "the-same-cookies"])
@pytest.mark.parametrize("source", ["cookie", "session"])
async def test_what_is_filled_in_for_one_visitor_is_not_replayed_to_the_next(
    source: str, cookie: str | None
) -> None:
    async def tokens(heard: Heard, writer: asyncio.StreamWriter) -> None:
        body = b'<form><input name="t" value="0123456789abcdef0123456789abcdef"></form>'
        fields = ["Content-Type: text/html", "Set-Cookie: t=0123456789abcdef0123456789abcdef; Path=/"]
        writer.write(answer(body, "200 OK", *fields))

    token = {"name": "t", "find": ['name="t" value="([^"]+)"'], "source": source, "cookie": "t"}
    site = {"pages": {"seconds": 60, "mark": True, "tokens": [token]}, "guard": False}
    async with origin(tokens) as behind, node(behind.url, site=site) as edge:
        line = await Line.to(edge)
        head = head_of("/page", **BROWSER, **({} if cookie is None else {"Cookie": cookie}))
        said = [await line.whole(head) for _ in range(6)]
        await line.close()
        assert all(b"; hit;" in each for each in said[1:])
        pages = [each.partition(b"\r\n\r\n")[2] for each in said]
        assert len(set(pages)) == len(pages)
        assert taken(edge) == 0


async def test_countries_are_told_apart_where_the_key_tells_them_apart() -> None:
    buckets = {"key": {"place": {"buckets": {"IDR": ["ID"]}, "otherwise": "USD"}}}
    async with stage(site=buckets) as (edge, _, line):
        head = head_of("/page")
        await warm(line, head)
        await line.whole(head)
        assert taken(edge) == 1
        ((connection,),) = (each.listener.connections for each in edge.running.listeners._open.values())
        connection._place = ("ID", None)
        await line.whole(head)
        assert taken(edge) == 1


async def test_fields_are_read_as_every_parser_reads_them() -> None:
    from edge.http.subset import strict_fields

    assert strict_fields(b"Host: a\r\nA:  b \t\r\n\r\n") == Fields([("Host", "a"), ("A", "b")])
    for odd in (
        b"Host: a\r\n folded: b\r\n\r\n",
        b"Host : a\r\n\r\n",
        b"Host: a\nA: b\r\n\r\n",
        b"Host: a\r\nA: \x00\r\n\r\n",
        b"Host: a\r\nHost: a\r\n\r\n",
        b"A: b\r\n\r\n",
        b"Host: a/b\r\n\r\n",
        b"Host: a\r\n: b\r\n\r\n",
        b"Host: a\r\nA\r\n\r\n",
        b"\r\n",
    ):
        assert strict_fields(odd) is None, odd


async def test_a_page_that_is_made_anew_for_each_visitor_is_not_replayed() -> None:
    async def form(heard: Heard, writer: asyncio.StreamWriter) -> None:
        token = f"{heard.connection:04}{id(heard):028x}"
        page = f'<body><input name="_token" value="{token}"></body>'.encode() + PAGE
        writer.write(answer(page, "200 OK", "Content-Type: text/html", f"Set-Cookie: sid={token}"))

    tokens = [
        {
            "name": "form",
            "find": ['name="_token" value="([0-9a-f]{32})"'],
            "source": "session",
            "cookie": "sid",
        }
    ]
    pages = {"mark": True, "tokens": tokens}
    async with origin(form) as behind, node(behind.url, site={"pages": pages}) as edge:
        line = await Line.to(edge)
        seen = []
        for _ in range(5):
            said = await line.whole(head_of("/page", Accept="text/html"))
            seen.append(set(re.findall(rb"tepi[0-9a-f]{78}|tepi-form-[0-9a-f]{8}=[0-9a-f]{32}", said)))
        await line.close()
        assert [len(found) for found in seen[1:]] == [2, 2, 2, 2]
        assert not set.intersection(*seen[1:])
        assert taken(edge) == 0
