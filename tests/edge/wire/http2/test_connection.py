"""HTTP/2 over real sockets: the same pipeline behind it."""

from __future__ import annotations

import asyncio
import random
import ssl
from typing import Any

import pytest
from h2.errors import ErrorCodes

from edge.tls import KeyPair
from edge.wire.http2.priorities import PRIORITY_UPDATE
from tests.edge.certificates import Authority
from tests.edge.nodes import node
from tests.edge.wire.http2.visitors import visit
from tests.edge.wires import Heard, answer, origin, says

FRESH = "Cache-Control: max-age=60"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


def secure(pair: KeyPair) -> dict[str, Any]:
    return {"listen_tls": ["127.0.0.1:0"], "tls": {"cert": str(pair.cert), "key": str(pair.key)}}


def browser(authority: Authority) -> ssl.SSLContext:
    trust = authority.client()
    trust.set_alpn_protocols(["h2", "http/1.1"])
    return trust


async def test_both_versions_share_one_store() -> None:
    async with origin(says(b"page", "200 OK", FRESH, 'ETag: "1"')) as shop, node(shop.url) as edge:
        async with visit(edge) as visitor:
            first = await visitor.get("/a", accept="text/html")
            second = await visitor.get("/a")
            unchanged = await visitor.get("/a", if_none_match='"1"')
            number = visitor.begin("/a", "HEAD")
            head = await visitor.hear(number)
        assert (first.status, bytes(first.body), first.hit, second.hit) == (200, b"page", False, True)
        assert (unchanged.status, bytes(unchanged.body), unchanged.hit) == (304, b"", True)
        assert (bytes(head.body), head.fields["content-length"]) == (b"", "4")
        assert second.fields["content-length"] == "4"
        assert "; hit" in (await edge.get("/a")).fields["cache-status"]
        assert len(shop.heard) == 1
        assert shop.heard[0].fields["host"] == "shop.test"
        assert shop.heard[0].fields["via"] == "2.0 tepi"


async def test_over_tls_the_client_chooses(authority: Authority) -> None:
    pair = authority.issue("default", "shop.test")
    async with origin(says(b"page", "200 OK", FRESH)) as shop, node(shop.url, **secure(pair)) as edge:
        async with visit(edge, browser(authority)) as visitor:
            assert visitor.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
            assert (await visitor.get("/a")).status == 200
            assert (await visitor.get("/a")).hit
        async with edge.visit("https", authority.client()) as plain:
            assert "; hit" in (await plain.get("/a")).fields["cache-status"]
        assert shop.heard[0].fields["x-forwarded-proto"] == "https"


async def test_a_node_that_does_not_speak_it_offers_it_to_nobody(authority: Authority) -> None:
    pair = authority.issue("off", "shop.test")
    async with (
        origin(says()) as shop,
        node(shop.url, http2={"enabled": False}, **secure(pair)) as edge,
    ):
        async with edge.visit("https", browser(authority)) as plain:
            assert plain.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
            assert (await plain.get("/")).status == 200
        assert (await edge.say(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("cut", [1, 3, 4, 10, 17, 18, 20])
async def test_a_preface_may_come_in_pieces(cut: int) -> None:
    async with origin(says(b"page")) as shop, node(shop.url) as edge, edge.visit() as plain:
        settings = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
        said = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings
        plain.writer.write(said[:cut])
        await asyncio.sleep(0.02)
        plain.writer.write(said[cut:])
        async with asyncio.timeout(5):
            assert (await plain.reader.readexactly(9))[3] == 4  # its own SETTINGS


async def test_a_name_that_the_shown_certificate_is_not_for_is_misdirected(authority: Authority) -> None:
    pair = authority.issue("default", "shop.test", "other.test")
    async with origin(says()) as shop, node(shop.url, **secure(pair)) as edge:
        certificates = edge.running.node.certificates
        own = authority.issue("own", "own.test", "*.own.test")
        certificates.put("own", ("own.test", "*.own.test"), own)
        trust = browser(authority)
        async with visit(edge, trust) as visitor:
            assert (await visitor.get("/", host_="other.test")).status == 200
            assert (await visitor.get("/", host_="www.own.test")).status == 421
        async with visit(edge, trust, name="own.test") as visitor:
            assert (await visitor.get("/", host_="www.own.test:443")).status == 200
            assert (await visitor.get("/", host_="shop.test")).status == 421
            certificates.put("own", ("own.test", "*.own.test"), own)  # renewed meanwhile
            assert (await visitor.get("/", host_="own.test")).status == 200


async def test_content_goes_up_in_step_with_who_reads_it() -> None:
    sent = random.Random(1).randbytes(1_500_000)

    async def echo(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(heard.body))

    async with origin(echo) as shop, node(shop.url) as edge, visit(edge) as visitor:
        heard = await visitor.post("/up", sent)
        assert (heard.status, bytes(heard.body) == sent) == (200, True)
        assert bytes((await visitor.post("/up", b"at once", content_length="7")).body) == b"at once"
        number = visitor.begin("/up", "POST", end=False, content_length="3", expect="100-continue")
        while not visitor.answers[number].interim:
            await visitor.read()
        await visitor.send(number, b"now")
        heard = await visitor.hear(number)
        assert (heard.interim, bytes(heard.body)) == ([{":status": "100"}], b"now")


async def test_a_hundred_answers_at_once_with_windows_cancellations_and_priorities() -> None:
    sizes = (0, 1, 999, 16_384, 70_001, 400_000)
    bodies = {f"/{size}": random.Random(size).randbytes(size) for size in sizes}

    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(bodies[heard.target], "200 OK", FRESH))

    chance = random.Random(7)
    async with origin(script) as shop, node(shop.url) as edge:
        for window in (1_000, 65_535, 1_000_000):
            async with visit(edge, window=window) as visitor:
                asked = {}
                for _ in range(100):
                    path, turns = chance.choice(list(bodies)), chance.choice(["", ", i"])
                    asked[visitor.begin(path, priority=f"u={chance.randrange(8)}{turns}")] = path
                given_up = set(chance.sample(sorted(asked), 20))
                for number in given_up:
                    visitor.h2.reset_stream(number, ErrorCodes.CANCEL)
                visitor.flush()
                for number in set(asked) - given_up:
                    heard = await visitor.hear(number)
                    assert (heard.status, bytes(heard.body)) == (200, bodies[asked[number]])
        await edge.at_rest()


async def test_the_urgent_overtake() -> None:
    body = b"x" * 300_000
    async with origin(says(body, "200 OK", FRESH)) as shop, node(shop.url) as edge:
        async with visit(edge) as visitor:
            await visitor.get("/a")
        async with visit(edge, reads=False) as visitor:
            numbers = slow, urgent, updated = [visitor.begin("/a", priority=f"u={one}") for one in (5, 1, 6)]
            visitor.say_unknown(PRIORITY_UPDATE, updated.to_bytes(4, "big") + b"u=0")
            while len(visitor.order) < 4:  # the window is full
                await visitor.read()
            visitor.h2.increment_flow_control_window(3 * len(body))
            for number in numbers:
                visitor.h2.increment_flow_control_window(len(body), number)
            visitor.flush()
            for number in numbers:
                assert len((await visitor.hear(number)).body) == len(body)
            last = {number: at for at, number in enumerate(visitor.order)}
            assert last[updated] < last[urgent] < last[slow]


async def test_early_hints_reach_the_client() -> None:
    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")
        writer.write(answer(b"page"))

    async with origin(script) as shop, node(shop.url) as edge, visit(edge) as visitor:
        heard = await visitor.get("/", sec_fetch_mode="navigate")
        assert heard.interim == [{":status": "103", "link": "</a.css>; rel=preload"}]
        assert heard.status == 200


async def test_a_body_that_breaks_off_is_reset_and_the_connection_goes_on() -> None:
    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        if heard.target == "/cut":
            writer.write(answer(b"x" * 500_000, length=1_000_000))
            await writer.drain()
            writer.close()
        else:
            writer.write(answer(b"whole"))

    async with origin(script) as shop, node(shop.url) as edge, visit(edge) as visitor:
        cut = await visitor.get("/cut")
        assert (cut.reset, cut.ended) == (ErrorCodes.INTERNAL_ERROR, False)
        assert bytes((await visitor.get("/whole")).body) == b"whole"


async def test_streams_beyond_the_limit_are_refused_and_may_come_again() -> None:
    held = asyncio.Event()

    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        await held.wait()
        writer.write(answer(b"late"))

    async with origin(script) as shop, node(shop.url, http2={"streams": 2}) as edge, visit(edge) as visitor:
        first, second, refused = (visitor.begin(f"/{one}") for one in range(3))
        assert (await visitor.hear(refused)).reset == ErrorCodes.REFUSED_STREAM
        held.set()
        for number in (first, second):
            assert bytes((await visitor.hear(number)).body) == b"late"
        assert bytes((await visitor.get("/2")).body) == b"late"


async def test_guards_stand_here_too() -> None:
    async with origin(says()) as shop:
        async with node(shop.url, access={"deny": ["127.0.0.1/32"]}) as edge, visit(edge) as visitor:
            assert (await visitor.get("/")).status == 403
        async with node(shop.url, limits={"body": 10}) as edge, visit(edge) as visitor:
            assert (await visitor.post("/", b"x" * 11)).status == 413
            assert (await visitor.post("/", b"x" * 9)).status == 200


async def test_a_node_that_goes_away_answers_what_began() -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await go_on.wait()
        writer.write(answer(b"the last"))

    async with origin(script) as shop:
        stack = node(shop.url)
        edge = await stack.__aenter__()
        async with visit(edge) as visitor:
            reading = asyncio.create_task(visitor.hear(visitor.begin("/")))
            await asked.wait()
            leaving = asyncio.create_task(stack.__aexit__(None, None, None))
            while not edge.running.front.draining:
                await asyncio.sleep(0)
            go_on.set()
            heard = await reading
            assert (heard.status, bytes(heard.body)) == (200, b"the last")
            assert await visitor.bye() == ErrorCodes.NO_ERROR
            await leaving
