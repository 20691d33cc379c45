"""Methods that aiohttp refuses, over real sockets: into the same pipeline, under the same limits."""

from __future__ import annotations

import asyncio
import logging
import re
from pathlib import Path

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.wire.methods import LONGEST
from tests.edge.nodes import node
from tests.edge.test_server import BAD, GOOD, HEAD, statuses
from tests.edge.wires import Heard, answer, eventually, origin, says

UNKNOWN = ["FOO", "get", "GETX", "VERSION-CONTROL", "M-SEARCH", "DESCRIBE", "X_1!", "z" * LONGEST]


async def echo(heard: Heard, writer: asyncio.StreamWriter) -> None:
    """Says back what it was asked; only GET may be kept."""
    control = "max-age=60" if heard.method == "GET" else "no-store"
    writer.write(answer(f"{heard.line} {len(heard.body)}".encode(), "200 OK", f"Cache-Control: {control}"))


@pytest.mark.parametrize("method", UNKNOWN)
async def test_any_token_reaches_the_origin_with_its_body_and_is_answered(method: str) -> None:
    async with origin(echo) as shop, node(shop.url) as edge, edge.visit() as visit:
        visit.say(method, "/a?b", b"hello")
        reply = await visit.hear()
        assert (reply.status, reply.body) == (200, f"{method} /a?b HTTP/1.1 5".encode())
        assert "fwd=method" in reply.fields["cache-status"]
        visit.say(method, "/c", Transfer_Encoding="chunked")
        visit.writer.write(b"2\r\nab\r\n3;x=y\r\ncde\r\n0\r\n\r\n")
        assert (await visit.hear()).body == f"{method} /c HTTP/1.1 5".encode()
        visit.say(method, "/d")
        assert (await visit.hear()).body == f"{method} /d HTTP/1.1 0".encode()
        assert [heard.method for heard in shop.heard] == [method] * 3


async def test_it_is_never_answered_from_the_store_and_outdates_what_it_changed() -> None:
    cacheable = says(b"ok", "200 OK", "Cache-Control: max-age=60")
    async with origin(cacheable) as shop, node(shop.url) as edge, edge.visit() as visit:
        for method in ("GET", "GET", "FOO", "FOO", "GET", "GET"):
            visit.say(method, "/p")
            assert (await visit.hear()).status == 200
        assert [heard.method for heard in shop.heard] == ["GET", "FOO", "FOO", "GET"]


async def test_one_that_failed_outdates_nothing() -> None:
    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        status = "200 OK" if heard.method == "GET" else "405 Method Not Allowed"
        writer.write(answer(b"x", status, "Cache-Control: max-age=60"))

    async with origin(script) as shop, node(shop.url) as edge, edge.visit() as visit:
        for method, status in (("GET", 200), ("FOO", 405), ("GET", 200), ("FOO", 405)):
            visit.say(method, "/p")
            assert (await visit.hear()).status == status
        assert [heard.method for heard in shop.heard] == ["GET", "FOO", "FOO"]


async def test_it_is_never_sent_twice() -> None:
    async def hangs_up(heard: Heard, writer: asyncio.StreamWriter) -> None:
        if heard.method == "GET":
            writer.write(answer(b"x", "200 OK", "Cache-Control: no-store"))
        else:
            writer.close()

    async with origin(hangs_up) as shop, node(shop.url) as edge, edge.visit() as visit:
        assert (await visit.get("/")).status == 200  # a connection that is kept
        visit.say("FOO", "/p")
        assert (await visit.hear()).status == 502
        assert [heard.method for heard in shop.heard] == ["GET", "FOO"]


async def test_an_origin_that_ignores_its_body_can_not_be_made_to_answer_the_next_visitor() -> None:
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: shop.test\r\n\r\n"

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Knows neither the method nor that it has a body: what follows the head is the next request."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                target = head.split(b" ")[1]
                heard.append(head)
                writer.write(answer(target, "200 OK", "Cache-Control: no-store"))
                if b"Connection: close" in head:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    heard: list[bytes] = []
    server = await asyncio.start_server(deaf, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, node(f"http://127.0.0.1:{port}") as edge:
        for number in range(5):
            async with edge.visit() as visit:
                visit.say("FOO", "/first", smuggled)
                assert (await visit.hear()).body == b"/first"
            assert (await edge.get(f"/{number}")).body == f"/{number}".encode()
    assert not any(b"/smuggled" in head for head in heard)


async def test_pipelined_they_are_answered_in_order() -> None:
    async def slow_at_first(heard: Heard, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.02 if heard.target == "/0" else 0)
        writer.write(answer(heard.line.encode(), "200 OK", "Cache-Control: no-store"))

    async with origin(slow_at_first) as shop, node(shop.url) as edge, edge.visit() as visit:
        methods = ["FOO", "GET", "BAR", "POST", "get", "PUT", "FOO", "GET"]
        for number, method in enumerate(methods):
            visit.say(method, f"/{number}", b"x\r\n\r\nFOO / HTTP/1.1\r\n\r\n" * (number % 3))
        for number, method in enumerate(methods):
            assert (await visit.hear()).body == f"{method} /{number} HTTP/1.1".encode()
        assert len(shop.heard) == len(methods)


async def test_where_segments_are_cut_changes_nothing_at_any_byte() -> None:
    body = b"ab\r\n\r\nFOO / HTTP/1.1\r\n\r\n"
    whole = (
        b"FOO /1 HTTP/1.1\r\nHost: shop.test\r\nContent-Length: %d\r\n\r\n" % len(body)
        + body
        + b"\r\nBAR /2 HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"%x\r\n%b\r\n0\r\nX: y\r\n\r\n" % (len(body), body)
        + b"get /3 HTTP/1.1\r\nHost: shop.test\r\n\r\n"
        + b"GET /4 HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n"
    )
    async with origin(says(b"ok", "200 OK", "Cache-Control: no-store")) as shop, node(shop.url) as edge:
        for cut in range(1, len(whole)):
            shop.heard.clear()
            async with edge.visit() as visit:
                visit.writer.write(whole[:cut])
                await asyncio.sleep(0.001)
                visit.writer.write(whole[cut:])
                assert statuses(await visit.reader.read()) == [200] * 4, cut
            heard = [(one.method, one.target, one.body) for one in shop.heard]
            assert heard == [
                ("FOO", "/1", body),
                ("BAR", "/2", body),
                ("get", "/3", b""),
                ("GET", "/4", b""),
            ], cut


@pytest.mark.parametrize("size", [200_000, 3_000_000])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_large_body_that_nobody_reads_yet_does_not_hide_the_next_request(
    chunked: bool, size: int
) -> None:
    """The parser stops in the middle of it, and what follows has come in the same segment."""
    hold = asyncio.Event()

    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        await hold.wait()
        said = f"{heard.method} {len(heard.body)}".encode()
        writer.write(answer(said, "200 OK", "Cache-Control: no-store"))

    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (size, b"x" * size) if chunked else b"x" * size
    async with origin(script) as shop, node(shop.url) as edge, edge.visit() as visit:
        visit.say("FOO", "/slow")
        await eventually(lambda: len(shop.heard) == 1)
        (listener,) = edge.running.listeners._listeners()
        (connection,) = listener.connections
        connection.data_received(
            b"BAR /large HTTP/1.1\r\n" + HEAD + framing + b"\r\n\r\n" + body
            + b"BAZ /after HTTP/1.1\r\n" + HEAD + b"\r\n"
        )  # fmt: skip
        hold.set()
        answers = [(await visit.hear()).body for _ in range(3)]
        assert answers == [b"FOO 0", b"BAR %d" % size, b"BAZ 0"]


# Limits --------------------------------------------------------------------------------------------


async def test_a_method_that_is_too_long_is_not_implemented() -> None:
    async with origin(says()) as shop, node(shop.url) as edge:
        for said in (b"x" * (LONGEST + 1) + b" / HTTP/1.1\r\n" + HEAD + b"\r\n", b"x" * (LONGEST + 1)):
            assert statuses(await edge.say(GOOD + said)) == [200, 501]
        assert len(shop.heard) == 2


async def test_heads_bodies_and_their_time_are_limited_as_ever() -> None:
    limits = {"head": 4096, "body": 1000, "head_timeout": 0.1}
    async with origin(says()) as shop, node(shop.url, limits=limits) as edge:
        head = b"FOO / HTTP/1.1\r\nHost: shop.test\r\n"
        assert statuses(await edge.say(head + b"X: " + b"a" * 5000 + b"\r\n\r\n")) == [431]
        assert statuses(await edge.say(b"\r\n" * 4000 + head)) == [431]
        async with edge.visit() as visit:
            visit.say("FOO", "/", b"x" * 1001)
            assert (await visit.hear()).status == 413
            assert await visit.closed()
        for said in (b"FOO", b"\r\nFO", b"FOO ", head):
            assert statuses(await edge.say(said)) == [408], said
        assert shop.heard == []


@pytest.mark.parametrize("method", ["Connect", "connect", "trace", "Trace", "head", "Head"])
async def test_what_a_lax_origin_would_take_for_another_method_is_refused(method: str) -> None:
    async with origin(says()) as shop, node(shop.url) as edge:
        assert statuses(await edge.say(f"{method} / HTTP/1.1\r\n".encode() + HEAD + b"\r\n")) == [405]
        assert shop.heard == []


@pytest.mark.parametrize(
    "start",
    [b"PRI * HTTP/2.0", b"PRI / HTTP/1.1", b"FOO * HTTP/1.1", b"SOURCE / ICE/1.0", b"PLAY / RTSP/1.0"],
)
async def test_what_is_no_request_of_http_1_is_refused(start: bytes) -> None:
    async with origin(says()) as shop, node(shop.url) as edge:
        assert statuses(await edge.say(start + b"\r\n" + HEAD + b"\r\n")) == [400]
        assert shop.heard == []


# Switching protocols -------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"hello"])
@pytest.mark.parametrize("method", ["FOO", "POST"])
async def test_an_upgrade_that_nobody_relays_does_not_hide_the_next_request(method: str, body: bytes) -> None:
    async with origin(echo) as shop, node(shop.url) as edge, edge.visit() as visit:
        visit.say(method, "/1", body, Connection="upgrade", Upgrade="websocket")
        visit.say("FOO", "/2", b"x")
        assert (await visit.hear()).body == f"{method} /1 HTTP/1.1 {len(body)}".encode()
        assert (await visit.hear()).body == b"FOO /2 HTTP/1.1 1"


async def test_what_follows_a_handshake_that_was_declined_is_not_taken_for_requests() -> None:
    async with origin(echo) as shop, node(shop.url) as edge:
        handshake = GOOD[:-2] + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        assert statuses(await edge.say(handshake + GOOD)) == [200]
        assert len(shop.heard) == 1
    async with origin(echo) as shop, node(shop.url, access={"deny": ["127.0.0.0/8"]}) as edge:
        assert statuses(await edge.say(handshake + GOOD)) == [403]


# Hostile heads -------------------------------------------------------------------------------------


def under(method: bytes, said: bytes) -> bytes | None:
    """`said` with another method, if it is a request of a method that is framed like any other."""
    match = re.match(rb"(GET|POST) ", said)
    return None if match is None else method + said[match.end() - 1 :]


changed = st.tuples(
    st.sampled_from(sorted(case for case in BAD if under(b"", BAD[case]) is not None)),
    st.lists(st.tuples(st.integers(4, 200), st.binary(max_size=6)), max_size=3),
)


@pytest.mark.parametrize("case", sorted(case for case in BAD if under(b"", BAD[case]) is not None))
async def test_no_head_is_let_pass_for_its_method(case: str) -> None:
    said = under(b"FOO", BAD[case])
    assert said is not None
    async with origin(says()) as shop, node(shop.url) as edge:
        assert statuses(await edge.say(said + GOOD)) == statuses(await edge.say(BAD[case] + GOOD))
        assert shop.heard == []


@settings(max_examples=60, deadline=None)
@given(changed, st.sampled_from([b"FOO", b"a", b"VERSION-CONTROL", b"!"]))
def test_whatever_is_said_under_a_strange_method_meets_what_it_meets_under_put(
    case: tuple[str, list[tuple[int, bytes]]], method: bytes
) -> None:
    records: list[logging.LogRecord] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = records.append  # type: ignore[method-assign]

    async def speak() -> None:
        async with origin(says(b"ok")) as shop, node(shop.url, limits={"idle": 0.2}) as edge:
            outcomes = []
            for name in (method, b"PUT"):
                said = under(b"GET", BAD[case[0]]) or b""
                for at, data in case[1]:
                    said = said[:at] + data + said[at + len(data) :]
                said = under(name, said) or b""
                shop.heard.clear()
                heard = statuses(await edge.say(said + b"\r\n\r\n" + GOOD))
                outcomes.append((heard, [(one.target, one.body) for one in shop.heard]))
            assert outcomes[0] == outcomes[1]

    logging.getLogger().addHandler(handler)
    try:
        uvloop.run(speak())
    finally:
        logging.getLogger().removeHandler(handler)
    assert [record.getMessage() for record in records] == []


async def test_the_log_names_the_true_method(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    async with origin(says()) as shop, node(shop.url, log={"access": "json", "file": str(file)}) as edge:
        async with edge.visit() as visit:
            visit.say("FOO", "/p")
            assert (await visit.hear()).status == 200
        await eventually(lambda: file.exists() and b'"FOO"' in file.read_bytes())
