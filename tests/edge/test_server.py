"""Connections and heads: what an edge must stop before anything reaches an origin."""

from __future__ import annotations

import asyncio
import itertools
import logging
import re

import pytest
import uvloop
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.edge.nodes import HOST, node
from tests.edge.wires import Heard, answer, eventually, origin, says

HEAD = b"Host: shop.test\r\n"
GOOD = b"GET /good HTTP/1.1\r\nHost: shop.test\r\n\r\n"


def statuses(said: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", said)]


BAD = {
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "http-0.9": b"GET /\r\n\r\n",
    "lower-case-version": b"GET / http/1.1\r\n" + HEAD + b"\r\n",
    "version-2": b"GET / HTTP/2.0\r\n" + HEAD + b"\r\n",
    "no-method": b" / HTTP/1.1\r\n" + HEAD + b"\r\n",
    "method-with-a-colon": b"G:T / HTTP/1.1\r\n" + HEAD + b"\r\n",
    "method-before-a-tab": b"FETCH\t/ HTTP/1.1\r\n" + HEAD + b"\r\n",
    "no-host": b"GET / HTTP/1.1\r\n\r\n",
    "two-hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "host-with-a-space": b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "host-with-a-path": b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "host-with-a-user": b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
    "host-with-a-wild-port": b"GET / HTTP/1.1\r\nHost: a:80x\r\n\r\n",
    "host-not-ascii": b"GET / HTTP/1.1\r\nHost: \xe4\r\n\r\n",
    "space-before-colon": b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "folded-line": b"GET / HTTP/1.1\r\n" + HEAD + b"X: a\r\n b\r\n\r\n",
    "bare-line-feed": b"GET / HTTP/1.1\nHost: a\n\n\r\n\r\n",
    "bare-carriage-return": b"GET / HTTP/1.1\r\n" + HEAD + b"X: a\rb\r\n\r\n",
    "nul-in-a-value": b"GET / HTTP/1.1\r\n" + HEAD + b"X: a\x00b\r\n\r\n",
    "nameless-field": b"GET / HTTP/1.1\r\n" + HEAD + b": a\r\n\r\n",
    "no-colon": b"GET / HTTP/1.1\r\n" + HEAD + b"X\r\n\r\n",
    "fragment": b"GET /#a HTTP/1.1\r\n" + HEAD + b"\r\n",
    "target-without-slash": b"GET shop HTTP/1.1\r\n" + HEAD + b"\r\n",
    "foreign-scheme": b"GET ftp://a/ HTTP/1.1\r\n" + HEAD + b"\r\n",
    "asterisk-get": b"GET * HTTP/1.1\r\n" + HEAD + b"\r\n",
    "two-lengths": b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "list-of-lengths": b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 1, 1\r\n\r\na",
    "signed-length": b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: +1\r\n\r\na",
    "negative-length": b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: -1\r\n\r\na",
    "endless-length": b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: " + b"9" * 40 + b"\r\n\r\na",
    "hex-length": b"POST / HTTP/1.1\r\n" + HEAD + b"Content-Length: 0x1\r\n\r\na",
    "empty-coding": b"POST / HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding:\r\n\r\n",
    "empty-coding-and-a-length": b"POST / HTTP/1.1\r\n" + HEAD
    + b"Transfer-Encoding:\r\nContent-Length: 3\r\n\r\nabc",
    "coding-and-length": b"POST / HTTP/1.1\r\n" + HEAD
    + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "coding-in-1.0": b"POST / HTTP/1.0\r\n" + HEAD
    + b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "unknown-coding": b"POST / HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "quoted-coding": b"POST / HTTP/1.1\r\n" + HEAD + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "coding-twice": b"POST / HTTP/1.1\r\n" + HEAD
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked-not-last": b"POST / HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "coding-before-chunked": b"POST / HTTP/1.1\r\n" + HEAD
    + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "coding-hidden-by-a-tab": b"POST / HTTP/1.1\r\n" + HEAD
    + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "connect": b"CONNECT shop.test:443 HTTP/1.1\r\n" + HEAD + b"\r\n",
    "trace": b"TRACE / HTTP/1.1\r\n" + HEAD + b"\r\n",
}  # fmt: skip
OTHERWISE = {
    "connect": {405}, "trace": {405}, "http-0.9": {400, 505}, "version-2": {400, 505},
    "coding-before-chunked": {400, 501},
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
async def test_a_malformed_head_is_refused_and_nothing_forwarded(case: str) -> None:
    async with origin(says()) as shop, node(shop.url) as edge:
        said = await edge.say(BAD[case] + GOOD)
        assert len(statuses(said)) == 1, said
        assert set(statuses(said)) <= OTHERWISE.get(case, {400})
        assert b"Connection: close" in said
        assert shop.heard == []


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_head_behind_a_good_one_does_not_swallow_its_answer(case: str) -> None:
    async with origin(says(b"the good answer")) as shop, node(shop.url) as edge:
        said = await edge.say(GOOD + BAD[case] + GOOD)
        first, *rest = statuses(said)
        assert first == 200
        assert b"the good answer" in said
        assert len(rest) == 1
        assert set(rest) <= OTHERWISE.get(case, {400})
        assert [heard.target for heard in shop.heard] == ["/good"]


async def test_more_requests_than_the_queue_holds_are_answered_before_the_bad_one() -> None:
    async with origin(says(b"ok", "200 OK", "Cache-Control: no-store")) as shop, node(shop.url) as edge:
        said = await edge.say(GOOD * 100 + b"nonsense\r\n\r\n" + GOOD)
        assert statuses(said) == [200] * 100 + [400]


async def test_pipelined_requests_are_answered_in_order() -> None:
    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.02 if heard.target == "/0" else 0)
        writer.write(answer(heard.target.encode(), "200 OK", "Cache-Control: no-store"))

    async with origin(script) as shop, node(shop.url) as edge, edge.visit() as visit:
        for number in range(8):
            visit.say("POST" if number % 2 else "GET", f"/{number}", b"x" * number if number % 2 else b"")
        assert [(await visit.hear()).body for _ in range(8)] == [f"/{n}".encode() for n in range(8)]
        assert {heard.target: len(heard.body) for heard in shop.heard} == {
            f"/{n}": n if n % 2 else 0 for n in range(8)
        }


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(1, 200), max_size=8, unique=True))
def test_where_the_segments_are_cut_changes_nothing(cuts: list[int]) -> None:
    whole = (
        GOOD
        + b"POST /p HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 9\r\n\r\nab\r\n\r\ncd\n"
        + b"POST /c HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhallo\r\n0\r\n\r\n"
        + b"GET / HTTP/1.1\r\nHost : shop.test\r\n\r\n"
    )
    edges = [0, *sorted(cut for cut in cuts if cut < len(whole)), len(whole)]

    async def speak() -> None:
        async with origin(says(b"ok", "200 OK", "Cache-Control: no-store")) as shop, node(shop.url) as edge:
            async with edge.visit() as visit:
                for start, end in itertools.pairwise(edges):
                    visit.writer.write(whole[start:end])
                    await asyncio.sleep(0.001)
                said = await visit.reader.read()
            assert statuses(said) == [200, 200, 200, 400]
            assert [heard.body for heard in shop.heard] == [b"", b"ab\r\n\r\ncd\n", b"hallo"]

    uvloop.run(speak())


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n", id="long-target"),
        pytest.param(b"GET / HTTP/1.1\r\n" + HEAD + b"X: " + b"a" * 5000 + b"\r\n\r\n", id="long-field"),
        pytest.param(b"GET / HTTP/1.1\r\n" + HEAD + b"X: a\r\n" * 1000 + b"\r\n", id="many-fields"),
        pytest.param(b"GET / HTTP/1.1\r\n" + HEAD + b"X: a\r\n" * 1000, id="without-end"),
        pytest.param(b"\r\n" * 5000, id="empty-lines"),
    ],
)
async def test_a_head_that_is_too_long_is_refused(head: bytes) -> None:
    async with origin(says()) as shop, node(shop.url, limits={"head": 4096}) as edge:
        assert statuses(await edge.say(head)) == [431]
        assert shop.heard == []


async def test_a_head_that_comes_too_slowly_is_refused() -> None:
    async with origin(says()) as shop, node(shop.url, limits={"head_timeout": 0.1}) as edge:
        async with edge.visit() as visit:
            visit.writer.write(b"GET / HTTP/1.1\r\n")
            for _ in range(40):  # a byte now and then must not help
                await asyncio.sleep(0.05)
                visit.writer.write(b"a")
                if edge.running.telemetry.counters()["refused"]:
                    break
            reply = await visit.hear()
            assert reply.status == 408
            assert await visit.closed()
        assert shop.heard == []


async def test_an_idle_connection_is_closed_without_a_word() -> None:
    async with origin(says()) as shop, node(shop.url, limits={"idle": 0.1}) as edge:
        assert await edge.say(b"") == b""
        async with edge.visit() as visit:
            assert (await visit.get()).status == 200
            assert await visit.closed()


async def test_connections_beyond_the_limit_are_refused() -> None:
    async with origin(says()) as shop, node(shop.url, limits={"connections": 2}) as edge:
        async with edge.visit() as one, edge.visit() as two:
            assert (await one.get()).status == (await two.get()).status == 200
            assert statuses(await edge.say(b"")) == [503]
            assert (await one.get()).status == 200
        await eventually(lambda: edge.running.front.gate.connections.total == 0)
        assert (await edge.get()).status == 200


async def test_one_address_can_not_take_every_connection() -> None:
    limits = {"connections_per_address": 1}
    async with origin(says()) as shop, node(shop.url, limits=limits) as edge, edge.visit() as visit:
        assert (await visit.get()).status == 200
        assert statuses(await edge.say(b"")) == [503]
    async with (
        origin(says()) as shop,
        node(shop.url, limits=limits, trusted_proxies=["127.0.0.0/8"]) as edge,
        edge.visit() as one,
        edge.visit() as two,
    ):
        assert (await one.get()).status == (await two.get()).status == 200


async def test_a_request_that_takes_too_long_in_all_is_ended() -> None:
    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"x", length=1000))
        for _ in range(100):
            await asyncio.sleep(0.02)
            writer.write(b"x")

    async with origin(script) as shop, node(shop.url, limits={"total": 0.2}) as edge, edge.visit() as visit:
        visit.say()
        async with asyncio.timeout(5):
            try:
                said = await visit.reader.read()
            except ConnectionError:
                return
        assert len(said) < 1000


async def test_a_client_that_does_not_read_is_ended() -> None:
    size = 32 * 1024 * 1024

    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"x" * size, "200 OK", "Cache-Control: no-store"))

    async with origin(script) as shop, node(shop.url, limits={"idle": 0.2}) as edge, edge.visit() as visit:
        visit.say()
        await eventually(lambda: edge.running.front.under_way == 1)
        await eventually(lambda: edge.running.front.under_way == 0)
        assert visit.reader.exception() is None


async def test_a_refused_client_can_still_read_why() -> None:
    async with origin(says()) as shop, node(shop.url, limits={"head": 4096}) as edge:
        for _ in range(20):
            said = await edge.say(b"GET / HTTP/1.1\r\n" + b"X: " + b"a" * 200_000)
            assert statuses(said) == [431]


async def test_an_absolute_target_overrides_the_host() -> None:
    async with origin(says()) as shop, node(shop.url, site={"hosts": [HOST]}) as edge:
        said = await edge.say(
            b"GET http://SHOP.test:80/a?b HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n"
        )
        assert statuses(said) == [200]
        assert (shop.heard[0].target, shop.heard[0].fields["host"]) == ("/a?b", "shop.test")
        said = await edge.say(
            b"GET http://other.test/ HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n"
        )
        assert statuses(said) == [421]
        assert len(shop.heard) == 1


async def test_options_for_the_server_itself_are_answered_here() -> None:
    async with origin(says()) as shop, node(shop.url) as edge:
        said = await edge.say(b"OPTIONS * HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n")
        assert statuses(said) == [204]
        assert shop.heard == []


mutated = st.tuples(
    st.sampled_from([GOOD, *BAD.values()]),
    st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=6)), max_size=4),
)


@settings(max_examples=60, deadline=None)
@example(
    (
        b"POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        [(70, b"\0")],
    )
)
@given(mutated)
def test_whatever_is_said_is_answered_or_cut_off_and_never_an_error_in_the_log(
    case: tuple[bytes, list[tuple[int, bytes]]],
) -> None:
    said, changes = case
    for at, data in changes:
        said = said[:at] + data + said[at + len(data) :]
    records: list[logging.LogRecord] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = records.append  # type: ignore[method-assign]

    async def speak() -> None:
        async with origin(says(b"ok")) as shop, node(shop.url, limits={"idle": 0.2}) as edge:
            heard = await edge.say(said + b"\r\n\r\n" + GOOD)
            assert heard == b"" or heard.startswith(b"HTTP/1.1 ")
            assert len(statuses(heard)) >= len(shop.heard)

    logging.getLogger().addHandler(handler)
    try:
        uvloop.run(speak())
    finally:
        logging.getLogger().removeHandler(handler)
    assert [record.getMessage() for record in records] == []
