"""Requests through a whole node: bodies, streams, limits, access, and who is told what."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json

import aiohttp
import pytest

from tests.edge.nodes import HOST, node
from tests.edge.wires import Heard, Script, answer, eventually, origin, says

NO_STORE = "Cache-Control: no-store"
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def streams(*pieces: bytes, pause: float = 0.0, kind: str = "text/plain") -> Script:
    """An answer in chunks, a pause after each."""

    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{NO_STORE}\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head.encode())
        for piece in pieces:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
            await asyncio.sleep(pause)
        writer.write(b"0\r\n\r\n")

    return script


# Bodies ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 5000, 3_000_000])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_reaches_the_origin_as_it_came(size: int, chunked: bool) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    async with origin(says()) as shop, node(shop.url) as edge, edge.visit() as visit:
        if chunked:
            visit.say("POST", "/", Transfer_Encoding="chunked")
            for start in range(0, size, 100_000):
                piece = body[start : start + 100_000]
                visit.writer.write(b"%x;note=1\r\n%b\r\n" % (len(piece), piece))
            visit.writer.write(b"0\r\nTrailer: x\r\n\r\n")
        else:
            visit.say("POST", "/", body, **({} if body else {"Content_Length": "0"}))
        assert (await visit.hear(seconds=20)).status == 200
        assert shop.heard[0].body == body
        assert (await visit.get("/next")).status == 200
        assert len(shop.heard) == 2


async def test_neither_side_is_decompressed() -> None:
    bomb = gzip.compress(b"\0" * 4_000_000)
    script = says(bomb, "200 OK", "Content-Encoding: gzip", "Content-Type: application/x-y", NO_STORE)
    async with origin(script) as shop, node(shop.url) as edge, edge.visit() as visit:
        visit.say("POST", "/", bomb, Content_Encoding="gzip", Accept_Encoding="gzip")
        reply = await visit.hear()
        assert shop.heard[0].body == bomb
        assert shop.heard[0].fields["content-encoding"] == "gzip"
        assert reply.body == bomb


async def test_a_body_over_the_limit_is_refused_before_it_is_sent_on() -> None:
    async with origin(says()) as shop, node(shop.url, limits={"body": 1000}) as edge:
        async with edge.visit() as visit:
            visit.say("POST", "/", b"x" * 1001)
            reply = await visit.hear()
            assert (reply.status, reply.fields["connection"]) == (413, "close")
            assert await visit.closed()
        async with edge.visit() as visit:
            visit.say("POST", "/", Transfer_Encoding="chunked")
            visit.writer.write(b"3ea\r\n" + b"x" * 1002 + b"\r\n0\r\n\r\n")
            assert (await visit.hear()).status == 413
        assert shop.heard == []
        async with edge.visit() as visit:
            visit.say("POST", "/", b"x" * 1000)
            assert (await visit.hear()).status == 200


async def test_a_streamed_body_that_grows_over_the_limit_is_cut_off() -> None:
    async with origin(says()) as shop, node(shop.url, limits={"body": 200_000}) as edge:
        async with edge.visit() as visit:
            visit.say("POST", "/", Transfer_Encoding="chunked")
            for _ in range(30):
                visit.writer.write(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
                await asyncio.sleep(0.002)
            assert (await visit.hear()).status == 413
        assert shop.heard == []


async def test_a_body_that_stops_coming_is_given_up() -> None:
    async with origin(says()) as shop, node(shop.url, limits={"idle": 0.1}) as edge, edge.visit() as visit:
        visit.say("POST", "/", Content_Length="10")
        visit.writer.write(b"half")
        assert (await visit.hear()).status == 408
        assert shop.heard == []


async def test_a_broken_chunk_is_a_bad_request() -> None:
    async with origin(says()) as shop, node(shop.url) as edge, edge.visit() as visit:
        visit.say("POST", "/", Transfer_Encoding="chunked")
        visit.writer.write(b"3\r\nabc\r\n")
        await asyncio.sleep(0.05)
        visit.writer.write(b"zz\r\n")
        reply = await visit.hear()
        assert (reply.status, reply.fields["connection"]) == (400, "close")
        assert shop.heard == []


async def test_a_client_that_waits_for_100_gets_it_once_the_origin_is_asked() -> None:
    async with origin(says()) as shop, node(shop.url) as edge, edge.visit() as visit:
        visit.say("POST", "/", Content_Length="5", Expect="100-continue")
        assert (await visit.hear()).status == 100
        visit.writer.write(b"hello")
        assert (await visit.hear()).status == 200
        assert shop.heard[0].body == b"hello"
        assert "expect" not in shop.heard[0].fields


async def test_a_client_that_waits_for_100_is_refused_without_it() -> None:
    async with origin(says()) as shop, node(shop.url, limits={"body": 4}) as edge, edge.visit() as visit:
        visit.say("POST", "/", Content_Length="5", Expect="100-continue")
        reply = await visit.hear()
        assert (reply.status, reply.fields["connection"]) == (413, "close")


# Answers -----------------------------------------------------------------------------------------


async def test_head_has_the_length_but_no_body() -> None:
    async with origin(says(b"hello")) as shop, node(shop.url) as edge, edge.visit() as visit:
        visit.say("HEAD", "/")
        reply = await visit.hear(head_only=True)
        assert (reply.status, reply.fields["content-length"]) == (200, "5")
        assert (await visit.get("/")).body == b"hello"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
async def test_answers_without_a_body_have_no_length(status: str) -> None:
    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status}\r\n{NO_STORE}\r\n\r\n".encode())

    async with origin(script) as shop, node(shop.url) as edge, edge.visit() as visit:
        for _ in range(2):
            reply = await visit.get("/", If_None_Match='"x"')
            assert str(reply.status) == status[:3]
            assert "content-length" not in reply.fields
            assert "transfer-encoding" not in reply.fields


async def test_old_clients_get_no_chunks() -> None:
    async with origin(streams(b"one", b"two")) as shop, node(shop.url) as edge:
        said = await edge.say(b"GET / HTTP/1.0\r\nHost: shop.test\r\nConnection: keep-alive\r\n\r\n")
        head, _, body = said.partition(b"\r\n\r\n")
        assert body == b"onetwo"
        assert b"transfer-encoding" not in head.lower()
        assert b"connection: close" in head.lower()


async def test_old_clients_may_keep_their_connection_where_the_length_is_known() -> None:
    async with origin(says(b"hello")) as shop, node(shop.url) as edge:
        ask = b"GET / HTTP/1.0\r\nHost: shop.test\r\nConnection: keep-alive\r\n\r\n"
        said = await edge.say(ask + ask.replace(b"keep-alive", b"close"))
        assert said.count(b"HTTP/1.1 200") == 2
        assert said.lower().count(b"connection: keep-alive") == 1


async def test_a_cut_answer_is_cut_for_the_client_too() -> None:
    async def cut(heard: Heard, writer: asyncio.StreamWriter) -> None:
        counted = answer(b"half", "200 OK", NO_STORE, length=9)
        chunked = f"HTTP/1.1 200 OK\r\n{NO_STORE}\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"
        writer.write(counted if heard.target == "/counted" else chunked.encode())
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.close()

    async with origin(cut) as shop, node(shop.url) as edge:
        for target in ("/counted", "/chunked"):
            async with edge.visit() as visit:
                visit.say("GET", target)
                with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                    await visit.hear()


@pytest.mark.parametrize("control", ["no-store", "max-age=60"])
@pytest.mark.parametrize("framing", ["Content-Length: 100000", "Transfer-Encoding: chunked"])
async def test_nothing_is_written_after_the_bytes_of_a_cut_answer(control: str, framing: str) -> None:
    async def cut(heard: Heard, writer: asyncio.StreamWriter) -> None:
        half = b"4\r\nhalf\r\n" if "chunked" in framing else b"half"
        writer.write(f"HTTP/1.1 200 OK\r\nCache-Control: {control}\r\n{framing}\r\n\r\n".encode() + half)
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.close()

    async with origin(cut) as shop, node(shop.url) as edge, edge.visit() as visit:
        visit.say("GET", "/")
        heard = b""
        with contextlib.suppress(ConnectionError):
            while piece := await visit.reader.read(65_536):
                heard += piece
        assert heard.startswith(b"HTTP/1.1 200 OK\r\n")
        assert heard.endswith((b"\r\n\r\nhalf", b"\r\n4\r\nhalf\r\n"))


async def test_events_arrive_one_by_one() -> None:
    events = [f"data: {number}\n\n".encode() for number in range(4)]
    gate = asyncio.Semaphore(0)

    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(EVENTS)
        for event in events:
            writer.write(b"%x\r\n%b\r\n" % (len(event), event))
            await gate.acquire()

    async with origin(script) as shop, node(shop.url) as edge, edge.visit() as visit:
        visit.say("GET", "/events", Accept="text/event-stream", Accept_Encoding="identity")
        await visit.reader.readuntil(b"\r\n\r\n")
        for event in events:  # the origin goes on only when this one has arrived
            async with asyncio.timeout(2):
                assert event in await visit.reader.readuntil(event)
            gate.release()


async def test_an_event_stream_may_be_silent_longer_than_other_answers() -> None:
    script = streams(b"data: 1\n\n", b"data: 2\n\n", pause=0.3, kind="text/event-stream")
    timeouts = {"between_bytes": 0.1, "stream": 5.0, "total": 0.2}
    async with origin(script) as shop, node(shop.url, site={"timeouts": timeouts}) as edge:
        assert (await edge.get(Accept_Encoding="identity")).body == b"data: 1\n\ndata: 2\n\n"


async def test_early_hints_reach_the_client() -> None:
    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
        writer.write(answer(b"page", "200 OK", NO_STORE))

    async with origin(script) as shop, node(shop.url) as edge, edge.visit() as visit:
        visit.say()
        hint = await visit.hear()
        assert (hint.status, hint.fields["link"]) == (103, "</a.css>")
        assert (await visit.hear()).body == b"page"
        said = await edge.say(b"GET / HTTP/1.0\r\nHost: shop.test\r\n\r\n")
        assert said.startswith(b"HTTP/1.1 200")


async def test_redirects_and_cookies_are_the_clients_own() -> None:
    script = says(b"", "302 Found", "Location: /elsewhere", "Set-Cookie: id=1", NO_STORE)
    async with origin(script) as shop, node(shop.url) as edge:
        first = await edge.get("/a", Cookie="mine=1")
        await edge.get("/b")
        assert (first.status, first.fields["location"]) == (302, "/elsewhere")
        assert [heard.target for heard in shop.heard] == ["/a", "/b"]
        assert [heard.fields.get("cookie") for heard in shop.heard] == ["mine=1", None]


async def test_a_client_that_leaves_lets_the_origin_go() -> None:
    gone = asyncio.Event()

    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(EVENTS)
        try:
            while True:
                writer.write(b"1\r\nx\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)
        finally:
            gone.set()

    async with origin(script) as shop, node(shop.url) as edge:
        async with edge.visit() as visit:
            visit.say("GET", "/", Accept_Encoding="identity")
            await visit.reader.readuntil(b"x")
        async with asyncio.timeout(5):
            await gone.wait()
        await eventually(lambda: edge.running.front.under_way == 0)


async def test_a_slow_reader_holds_the_origin_back() -> None:
    sent = 0

    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        size = 64 * 1024 * 1024
        writer.write(f"HTTP/1.1 200 OK\r\n{NO_STORE}\r\nContent-Length: {size}\r\n\r\n".encode())
        for _ in range(size // 65536):
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    async with origin(script) as shop, node(shop.url) as edge, edge.visit() as visit:
        visit.say()
        await asyncio.sleep(0.7)
        assert 0 < sent < 32 * 1024 * 1024


# Failures ----------------------------------------------------------------------------------------


async def silent(heard: Heard, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def rude(heard: Heard, writer: asyncio.StreamWriter) -> None:
    writer.close()


@pytest.mark.parametrize(("script", "status", "detail"), [(silent, 504, "timeout"), (rude, 502, "reset")])
async def test_an_origin_that_fails_has_a_status_and_a_named_reason(
    script: Script, status: int, detail: str
) -> None:
    async with origin(script) as shop, node(shop.url, site={"timeouts": {"first_byte": 0.1}}) as edge:
        reply = await edge.get()
        assert reply.status == status
        assert f"detail={detail}" in reply.fields["cache-status"]
        assert edge.running.telemetry.counters()["errors"] == 1


async def test_an_origin_that_is_not_there_is_a_bad_gateway() -> None:
    async with origin(says()) as shop:
        url = shop.url
    async with node(url) as edge:
        assert (await edge.get()).status == 502


async def test_a_host_that_nobody_claims_is_misdirected() -> None:
    async with origin(says()) as shop, node(shop.url, site={"hosts": ["other.test"]}) as edge:
        assert (await edge.get()).status == 421
        assert shop.heard == []


# Who may -----------------------------------------------------------------------------------------


async def test_denied_addresses_are_refused() -> None:
    async with origin(says()) as shop, node(shop.url, access={"deny": ["127.0.0.0/8"]}) as edge:
        async with edge.visit() as visit:
            assert (await visit.get()).status == 403
            assert (await visit.get("/_tepi/health")).status == 200
        assert shop.heard == []


@pytest.mark.parametrize(
    ("said", "status"),
    [("203.0.113.7", 200), ("203.0.113.8", 403), ("192.0.2.1", 403), ("203.0.113.8, 203.0.113.7", 200)],
)
async def test_access_is_decided_by_the_client_behind_trusted_proxies(said: str, status: int) -> None:
    access = {"allow": ["203.0.113.0/24"], "deny": ["203.0.113.8"]}
    async with (
        origin(says()) as shop,
        node(shop.url, access=access, trusted_proxies=["127.0.0.1"]) as edge,
    ):
        assert (await edge.get(X_Forwarded_For=said)).status == status


async def test_the_origin_is_told_of_the_client_and_strangers_words_are_dropped() -> None:
    said = {"X_Forwarded_For": "192.0.2.9", "X_Forwarded_Proto": "https", "Forwarded": "for=192.0.2.9",
            "Tepi_Client_Address": "192.0.2.9", "X_Real_IP": "192.0.2.9"}  # fmt: skip
    async with origin(says()) as shop, node(shop.url) as edge:
        await edge.get("/a", **said)
    async with origin(says()) as proxied, node(proxied.url, trusted_proxies=["127.0.0.1"]) as edge:
        await edge.get("/a", **said)
    stranger, trusted = shop.heard[0].fields, proxied.heard[0].fields
    assert (stranger["x-forwarded-for"], stranger["x-forwarded-proto"]) == ("127.0.0.1", "http")
    assert (trusted["x-forwarded-for"], trusted["x-forwarded-proto"]) == ("192.0.2.9", "https")
    for fields in (stranger, trusted):
        assert fields["x-forwarded-host"] == fields["host"] == HOST
        assert "tepi-client-address" not in fields
        assert "x-real-ip" not in fields
        assert len(fields["x-request-id"]) > 8


async def test_an_id_follows_the_request_to_the_origin_and_back() -> None:
    async with origin(says()) as shop, node(shop.url) as edge:
        replies = [await edge.get(f"/{number}", X_Request_Id="mine") for number in range(3)]
        ids = [reply.fields["x-request-id"] for reply in replies]
        assert ids == [heard.fields["x-request-id"] for heard in shop.heard]
        assert len(set(ids)) == 3


async def test_too_many_requests_are_told_when_to_come_back() -> None:
    limits = {"requests_per_second": 0.5, "burst": 2}
    async with origin(says()) as shop, node(shop.url, limits=limits) as edge, edge.visit() as visit:
        replies = [await visit.get() for _ in range(4)]
        assert [reply.status for reply in replies] == [200, 200, 429, 429]
        assert replies[2].fields["retry-after"] == "2"
        assert "detail=rate" in replies[2].fields["cache-status"]


# Itself ------------------------------------------------------------------------------------------


async def test_health_is_told_on_the_traffic_port() -> None:
    async with origin(says()) as shop, node(shop.url) as edge:
        reply = await edge.get("/_tepi/health")
        assert (reply.status, reply.body, reply.fields["cache-control"]) == (200, b"ok\n", "no-store")
        edge.running.front.draining = True
        assert (await edge.get("/_tepi/health")).status == 503
        assert shop.heard == []


async def test_a_node_that_ends_finishes_what_is_under_way() -> None:
    release = asyncio.Event()

    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.write(answer(b"late"))

    async with origin(script) as shop:
        starting = node(shop.url)
        edge = await starting.__aenter__()
        port = edge.port()
        async with edge.visit() as busy, edge.visit() as idle:
            busy.say()
            await eventually(lambda: len(shop.heard) == 1)
            ending = asyncio.ensure_future(starting.__aexit__(None, None, None))
            assert await idle.closed()
            with pytest.raises(ConnectionError):
                await asyncio.open_connection("127.0.0.1", port)
            assert not ending.done()
            release.set()
            reply = await busy.hear()
            assert (reply.body, reply.fields["connection"]) == (b"late", "close")
            async with asyncio.timeout(3):
                await ending


async def test_the_commerce_origin_is_told_where_the_client_is() -> None:
    async with origin(says(b"shop")) as shop, origin(says(b"pay")) as pay:
        site = {"commerce": {"url": pay.url, "prefix": "/commerce"}}
        async with node(shop.url, site=site, trusted_proxies=["127.0.0.1"]) as edge:
            reply = await edge.get("/commerce/x", X_Forwarded_For="36.66.0.1")
            await edge.get("/x", X_Forwarded_For="36.66.0.1")
        fields = pay.heard[0].fields
        assert reply.body == b"pay"
        assert (fields["tepi-site"], fields["tepi-client-address"]) == ("shop", "36.66.0.1")
        assert fields["tepi-client-country"] == "ID"
        assert not any(name.startswith("tepi-") for name in shop.heard[0].fields)


async def test_what_is_purged_and_explained_on_the_admin_listener() -> None:
    script = says(b"page", "200 OK", "Cache-Control: max-age=60", "Cache-Tag: red, blue")
    async with origin(script) as shop, node(shop.url) as edge, aiohttp.ClientSession() as session:

        async def post(path: str, body: object) -> tuple[int, dict[str, object]]:
            async with session.post(edge.admin + path, json=body) as response:
                return response.status, json.loads(await response.text())

        url = f"http://{HOST}/p"
        assert (await post("/explain", {"url": url}))[1]["decision"] == "miss"
        await edge.get("/p")
        assert "; hit" in (await edge.get("/p")).fields["cache-status"]
        assert (await post("/explain", {"url": url}))[1]["decision"] == "hit"
        dry = await post("/purge", {"kind": "tag", "value": "red", "dry_run": True})
        assert (dry[0], dry[1]["entries"], dry[1]["dry_run"]) == (200, 1, True)
        assert (dry[1]["bytes"], dry[1]["hot_share"]) == (dry[1]["hot_bytes"], 1.0)
        assert "; hit" in (await edge.get("/p")).fields["cache-status"]
        assert (await post("/purge", {"kind": "tag", "value": "red"}))[1]["entries"] == 1
        assert "; hit" not in (await edge.get("/p")).fields["cache-status"]

        status, refused = await post("/purge", {"kind": "tags", "valu": "red"})
        assert status == 422
        errors = {error["field"]: error["expected"] for error in refused["errors"]}  # type: ignore[attr-defined]
        assert "did you mean value?" in errors["valu"]
        assert set(errors) == {"kind", "valu", "value"}
        assert (await post("/purge", [1]))[0] == 400
        assert (await post("/purge", {"kind": "url", "value": "not a url"}))[0] == 422
        assert (await post("/explain", {"url": "/relative"}))[0] == 422
        async with session.post(edge.admin + "/purge", data='{"kind":"site","value":"shop"}') as response:
            assert response.status == 415
        async with session.get(edge.admin + "/metrics") as response:
            text = await response.text()
        assert 'tepi_edge_requests_total{site="shop",status="2xx",verdict="hit"} 2.0' in text
        assert "tepi_edge_store_entries 1.0" in text
        assert f'tepi_edge_origin_up{{origin="{shop.url}",prefix="/",site="shop"}} 1.0' in text
        for path in ("/healthz", "/readyz"):
            async with session.get(edge.admin + path) as response:
                assert response.status == 200


async def test_visitors_of_a_country_get_its_page_on_any_path() -> None:
    place = {"buckets": {"IDR": ["ID"]}, "otherwise": "USD"}
    script = says(b"page", "200 OK", "Cache-Control: max-age=60")
    async with (
        origin(script) as shop,
        node(shop.url, site={"key": {"place": place}}, trusted_proxies=["127.0.0.1"]) as edge,
    ):
        for address in ("36.66.0.1", "8.8.8.8", "36.66.0.2"):
            await edge.get("/p/kopi-gayo", X_Forwarded_For=address)
        assert [heard.fields["tepi-variant"] for heard in shop.heard] == ["place=IDR", "place=USD"]
