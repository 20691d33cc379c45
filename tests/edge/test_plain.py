"""Requests whose heads the lane has read: answered without the parser, and just as with it."""

from __future__ import annotations

import asyncio
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.wire.plain import Plain, read_line
from tests.edge.lanes import Line, head_of, settled
from tests.edge.nodes import node
from tests.edge.test_lane import BROWSER, stage
from tests.edge.wires import Heard, answer, origin


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        (b"GET / HTTP/1.1\r\n", Plain("GET", "/")),
        (b"HEAD /a%20b?c=d&e HTTP/1.1\r\n", Plain("HEAD", "/a%20b?c=d&e")),
        (b"GET /a#b HTTP/1.1\r\n", None),
        (b"GET /a b HTTP/1.1\r\n", None),
        (b"GET /\xe9 HTTP/1.1\r\n", None),
        (b'GET /" HTTP/1.1\r\n', None),
        (b"GET http://shop.test/ HTTP/1.1\r\n", None),
        (b"GET * HTTP/1.1\r\n", None),
        (b"GET / HTTP/1.0\r\n", None),
        (b"POST / HTTP/1.1\r\n", None),
        (b"get / HTTP/1.1\r\n", None),
    ],
)
def test_only_plain_lines_need_no_parser(line: bytes, asked: Plain | None) -> None:
    assert read_line(line) == asked


@given(st.binary(max_size=20))
def test_a_target_is_read_as_it_was_sent_or_not_at_all(target: bytes) -> None:
    asked = read_line(b"GET " + target + b" HTTP/1.1\r\n")
    assert asked is None or asked.target.encode("ascii") == target


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(head_of("/page?n=@", **BROWSER), id="page"),
        pytest.param(head_of("/page?n=@"), id="bare"),
        pytest.param(head_of("/page?n=@", method="HEAD", **BROWSER), id="head"),
        pytest.param(head_of("/p%61ge?n=@", **BROWSER), id="escaped"),
        pytest.param(head_of("/private?n=@", Cookie="session=1", **BROWSER), id="cookie"),
        pytest.param(head_of("/tagged?n=@", If_None_Match='"v1"'), id="conditional"),
        pytest.param(head_of("/vary?n=@", X_Currency="IDR"), id="vary"),
        pytest.param(head_of("/page?n=@", X_Forwarded_For="1.2.3.4", Via="1.1 b", Tepi_X="1"), id="strange"),
        pytest.param(head_of("/page?n=@", Cache_Control="only-if-cached"), id="only-if-cached"),
        pytest.param(head_of("/page?n=@", CDN_Loop="tepi"), id="loop"),
    ],
)
async def test_what_is_answered_and_asked_is_what_the_parser_would_have_brought(head: bytes) -> None:
    async with stage() as (_, behind, line):
        answers = [
            settled((await ask(head.replace(b"@", mark))).replace(b"n=" + mark, b"n=@"))
            for ask, mark in ((line.whole, b"1"), (line.parted, b"2"))
        ]
        assert answers[0] == answers[1]
        told = [
            (heard.method, re.sub(r"n=\d", "n=@", heard.target), {**heard.fields, "x-request-id": ""})
            for heard in behind.heard
        ]
        assert told[: len(told) // 2] == told[len(told) // 2 :]


async def test_what_comes_meanwhile_is_answered_in_its_turn() -> None:
    free = asyncio.Event()

    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        if heard.target == "/slow":
            await free.wait()
        writer.write(answer(heard.target.encode(), "200 OK", "Cache-Control: max-age=60"))

    async with origin(script) as behind, node(behind.url) as edge:
        line = await Line.to(edge)
        await line.whole(head_of("/hit"))
        line.writer.write(head_of("/slow"))
        while len(behind.heard) < 2:
            await asyncio.sleep(0.01)
        rest = b"".join(map(head_of, ["/hit", "/b", "/hit", "/c"] * 20))
        for at in range(0, len(rest), 50):  # more segments than are held
            line.writer.write(rest[at : at + 50])
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        assert len(behind.heard) == 2
        free.set()
        said = [(await line.hear()).rpartition(b"\r\n\r\n")[2] for _ in range(81)]
        assert said == [b"/slow", *[b"/hit", b"/b", b"/hit", b"/c"] * 20]
        await line.close()


async def test_a_client_that_leaves_takes_his_fetch_with_him() -> None:
    gone = asyncio.Event()

    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        if await heard.reader.read(1) == b"":  # the edge has hung up
            gone.set()

    async with origin(script) as behind, node(behind.url) as edge:
        line = await Line.to(edge)
        line.writer.write(head_of("/slow"))
        while not behind.heard:
            await asyncio.sleep(0.01)
        await line.close()
        async with asyncio.timeout(5):
            await gone.wait()
            while edge.running.front.under_way:
                await asyncio.sleep(0.01)


async def test_a_head_over_the_limit_is_refused_all_the_same() -> None:
    async with stage(limits={"head": 2_048}) as (_, behind, line):
        said = await line.whole(head_of(f"/{'a' * 3_000}"))
        assert said.startswith(b"HTTP/1.1 431 ")
        assert not behind.heard


async def test_what_goes_wrong_ends_the_connection_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage() as (edge, _, line):
        monkeypatch.setattr(edge.running.front, "finished", None)  # no answer can be counted
        with pytest.raises(asyncio.IncompleteReadError):
            while True:
                await line.whole(head_of("/page"))
        assert "ended unexpectedly" in caplog.text
        monkeypatch.undo()
        other = await Line.to(edge)
        assert (await other.whole(head_of("/page"))).startswith(b"HTTP/1.1 200 ")
        await other.close()
