"""Fetching from origins, over real sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config import Site
from edge.http.message import Answer, Fields, Request
from edge.sites import Sites
from edge.upstream.backends import Backends
from edge.upstream.contract import UpstreamError
from edge.upstream.fetch import Origins, request_head
from tests.edge.wires import Heard, Script, answer, eventually, free_port, origin, says


def upstream(*origins: dict[str, Any], **settings: Any) -> Origins:
    site = Site.model_validate({"name": "shop", "hosts": ["*"], "origins": list(origins), **settings})
    return Origins(Backends(Sites([site]), lambda: None), time.monotonic)


def get(path: str = "/", method: str = "GET", **more: Any) -> Request:
    return Request(method, "http", "shop.test", path, **more)


async def read(got: Answer) -> bytes:
    if isinstance(got.body, bytes):
        return got.body
    return b"".join([chunk async for chunk in got.body])


async def in_pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def test_the_request_goes_out_as_it_came_with_host_unchanged() -> None:
    async with origin(says(b"hello", "200 OK", 'ETag: "1"', "Connection: x-hop", "X-Hop: 1")) as shop:
        fields = Fields([("Host", "Shop.test:8080"), ("X-Odd", "a"), ("x-odd", "b")])
        got = await upstream({"url": shop.url}).fetch("shop", get("/p%2fq", query="a=%20b", fields=fields))
        assert (got.status, await read(got)) == (200, b"hello")
        assert got.fields.get("etag") == '"1"'
        assert "x-hop" not in got.fields
        assert "connection" not in got.fields
        assert (got.outcome.origin, got.outcome.origin_status) == (shop.url, 200)
        assert shop.heard[0].line == "GET /p%2fq?a=%20b HTTP/1.1"
        assert shop.heard[0].fields == {"host": "Shop.test:8080", "x-odd": "a, b"}


async def test_a_connection_is_used_again() -> None:
    async with origin(says()) as shop:
        origins = upstream({"url": shop.url})
        for _ in range(5):
            await read(await origins.fetch("shop", get()))
        assert (len(shop.heard), shop.connections) == (5, 1)
        assert origins.bytes_received == 10


async def test_many_at_once_never_exceed_the_origins_connections() -> None:
    async def slow(heard: Heard, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.01)
        writer.write(answer(heard.target.encode()))

    async with origin(slow) as shop:
        origins = upstream({"url": shop.url, "max_connections": 3})
        answers = await asyncio.gather(*(origins.fetch("shop", get(f"/{n}")) for n in range(12)))
        assert [await read(each) for each in answers] == [f"/{n}".encode() for n in range(12)]
        assert shop.connections == 3


async def test_more_than_may_wait_are_refused_as_overload() -> None:
    async def never(heard: Heard, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async with origin(never) as shop:
        origins = upstream(
            {"url": shop.url, "max_connections": 1}, timeouts={"first_byte": 30, "connect": 30}
        )
        waiting = [asyncio.ensure_future(origins.fetch("shop", get())) for _ in range(5)]
        await eventually(lambda: len(shop.heard) == 1)
        with pytest.raises(UpstreamError) as caught:
            await origins.fetch("shop", get())
        assert (caught.value.failure, caught.value.sent) == ("overloaded", False)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_one_stalled_origin_does_not_hold_up_another() -> None:
    async def never(heard: Heard, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async with origin(never) as stalled, origin(says(b"fine")) as good:
        origins = upstream({"url": good.url}, {"url": stalled.url, "prefix": "/stalled"})
        waiting = [asyncio.ensure_future(origins.fetch("shop", get("/stalled/x"))) for _ in range(150)]
        await eventually(lambda: len(stalled.heard) >= 100)
        async with asyncio.timeout(2):
            assert await read(await origins.fetch("shop", get("/"))) == b"fine"
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_refused_connection_is_tried_elsewhere_even_for_a_post() -> None:
    dead = f"http://127.0.0.1:{await free_port()}"
    async with origin(says(b"made")) as shop:
        origins = upstream({"url": dead, "weight": 100}, {"url": shop.url})
        got = await origins.fetch("shop", get(method="POST", body=in_pieces(b"a", b"b")))
        assert await read(got) == b"made"
        assert shop.heard[0].body == b"ab"


async def hangs_up(heard: Heard, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def test_a_get_that_an_origin_hangs_up_on_is_tried_elsewhere_a_post_is_not() -> None:
    async with origin(hangs_up) as rude, origin(says()) as shop:
        origins = upstream({"url": rude.url, "weight": 2}, {"url": shop.url})
        assert await read(await origins.fetch("shop", get())) == b"ok"
        with pytest.raises(UpstreamError) as caught:
            for _ in range(3):
                await origins.fetch("shop", get(method="POST", body=b"pay"))
        assert (caught.value.failure, caught.value.sent) == ("reset", True)
        assert sum(heard.method == "POST" for heard in (*rude.heard, *shop.heard)) <= 3


async def test_a_kept_connection_that_died_is_replaced_without_a_word() -> None:
    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        kept = heard.connection == 0 and len(shop.heard) > 1
        writer.write(b"" if kept else answer(b"ok"))
        if kept:
            writer.close()

    async with origin(script) as shop:
        origins = upstream({"url": shop.url}, health={"fall": 1})
        await read(await origins.fetch("shop", get()))
        assert await read(await origins.fetch("shop", get())) == b"ok"
        assert shop.connections == 2


@pytest.mark.parametrize("heard_by_the_loop", [True, False])
async def test_a_late_second_answer_never_reaches_the_next_visitor(heard_by_the_loop: bool) -> None:
    writers: list[asyncio.StreamWriter] = []

    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        writer.write(answer(heard.target.encode()))

    async with origin(script) as shop:
        origins = upstream({"url": shop.url})
        for number in range(4):
            got = await origins.fetch("shop", get(f"/{number}"))
            assert await read(got) == f"/{number}".encode()
            writers[-1].write(answer(b"somebody's secret"))
            if heard_by_the_loop:
                await asyncio.sleep(0.01)
        assert shop.connections == 4


async def test_a_connection_that_the_origin_has_just_closed_is_not_used_for_a_post() -> None:
    writers: list[asyncio.StreamWriter] = []

    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        writer.write(answer(b"ok"))

    async with origin(script) as shop:
        origins = upstream({"url": shop.url})
        for _ in range(4):
            await read(await origins.fetch("shop", get(method="POST", body=b"pay")))
            writers[-1].transport.abort()
            await asyncio.sleep(0)
        assert shop.connections == 4


async def test_an_answer_before_the_body_was_sent_ends_the_connection() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.01)
            yield b"x" * 10

    server = await asyncio.start_server(_reads_head_only, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        origins = upstream({"url": url})
        for _ in range(3):
            fields = Fields([("Content-Length", "100000")])
            got = await origins.fetch("shop", get(method="POST", body=endless(), fields=fields))
            assert (got.status, await read(got)) == (413, b"no")
            got = await origins.fetch("shop", get())
            assert (got.status, await read(got)) == (413, b"no")


async def _reads_head_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer(b"no", "413 Content Too Large"))
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:  # uvloop can't close a loop whose leftovers' warnings are errors
        writer.close()


async def test_failed_origins_are_avoided_and_tried_again_when_nobody_else_is_left() -> None:
    dead = {"url": f"http://127.0.0.1:{await free_port()}"}
    async with origin(says()) as shop:
        origins = upstream(dead, {"url": shop.url}, health={"fall": 1, "eject": 60})
        for _ in range(6):
            await read(await origins.fetch("shop", get()))
        assert len(shop.heard) == 6
    origins = upstream(dead, health={"fall": 1, "eject": 60})
    for _ in range(3):
        with pytest.raises(UpstreamError) as caught:
            await origins.fetch("shop", get())
        assert caught.value.failure == "connect"


async def test_the_longest_prefix_chooses_the_origin_however_it_is_spelled() -> None:
    async with origin(says(b"page")) as shop, origin(says(b"api")) as api, origin(says(b"pay")) as pay:
        origins = upstream(
            {"url": shop.url}, {"url": api.url, "prefix": "/api"},
            commerce={"url": pay.url, "prefix": "/commerce"},
        )  # fmt: skip
        wanted = {"/": b"page", "/api/x": b"api", "/%61pi/x": b"api", "/apix": b"page",
                  "/commerce": b"pay", "/c%6Fmmerce/checkout": b"pay"}  # fmt: skip
        got = {path: await read(await origins.fetch("shop", get(path))) for path in wanted}
        assert got == wanted


async def silent(heard: Heard, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def half(heard: Heard, writer: asyncio.StreamWriter) -> None:
    writer.write(answer(b"half", length=9))
    await writer.drain()
    await asyncio.sleep(60)


async def cut(heard: Heard, writer: asyncio.StreamWriter) -> None:
    writer.write(answer(b"half", length=9))
    writer.close()


async def babble(heard: Heard, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 smtp.test ESMTP\r\n")


@pytest.mark.parametrize(
    ("script", "failure"), [(silent, "timeout"), (hangs_up, "reset"), (babble, "protocol")]
)
async def test_a_failure_is_named(script: Script, failure: str) -> None:
    async with origin(script) as shop:
        with pytest.raises(UpstreamError) as caught:
            await upstream({"url": shop.url}, timeouts={"first_byte": 0.1}).fetch("shop", get())
        assert (caught.value.failure, caught.value.sent) == (failure, True)


@pytest.mark.parametrize(("script", "failure"), [(half, "timeout"), (cut, "reset")])
async def test_a_body_that_stops_is_an_error_after_what_came(script: Script, failure: str) -> None:
    async with origin(script) as shop:
        got = await upstream({"url": shop.url}, timeouts={"between_bytes": 0.1}).fetch("shop", get())
        assert not isinstance(got.body, bytes)
        assert await anext(got.body) == b"half"
        with pytest.raises(UpstreamError) as caught:
            await anext(got.body)
        assert caught.value.failure == failure


async def test_a_body_let_go_ends_its_connection() -> None:
    async with origin(half) as shop:
        origins = upstream({"url": shop.url, "max_connections": 1})
        for _ in range(2):
            got = await origins.fetch("shop", get())
            assert not isinstance(got.body, bytes)
            await got.body.aclose()  # type: ignore[attr-defined]
        assert shop.connections == 2


async def test_a_slow_upload_does_not_count_against_the_origins_time() -> None:
    async def slowly() -> AsyncIterator[bytes]:
        for _ in range(4):
            await asyncio.sleep(0.06)
            yield b"x"

    async with origin(says()) as shop:
        request = get(method="PUT", body=slowly(), fields=Fields([("Content-Length", "4")]))
        got = await upstream({"url": shop.url}, timeouts={"first_byte": 0.1}).fetch("shop", request)
        assert await read(got) == b"ok"
        assert (shop.heard[0].body, shop.heard[0].fields["content-length"]) == (b"xxxx", "4")


async def test_a_client_that_leaves_in_the_middle_of_his_body_is_not_the_origins_fault() -> None:
    async def leaves() -> AsyncIterator[bytes]:
        yield b"x"
        raise ConnectionResetError("gone")

    async with origin(says()) as shop:
        origins = upstream({"url": shop.url}, health={"fall": 1, "eject": 60}, timeouts={"first_byte": 1})
        with pytest.raises(UpstreamError):
            await origins.fetch("shop", get(method="POST", body=leaves()))
        backends = origins._backends.of("shop")
        assert backends is not None
        assert backends.backends[0].health.state(time.monotonic()) == "up"


async def test_interim_answers_are_told() -> None:
    async def early(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
        writer.write(answer(b"ok"))

    told: list[tuple[int, str | None]] = []
    async with origin(early) as shop:
        request = get(on_interim=lambda status, fields: told.append((status, fields.get("link"))))
        await upstream({"url": shop.url}).fetch("shop", request)
    assert told == [(103, "</a.css>")]


async def test_a_strange_transfer_coding_stays_visible() -> None:
    async def strange(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: rot13\r\n\r\nuryyb")
        writer.close()

    async with origin(strange) as shop:
        got = await upstream({"url": shop.url}).fetch("shop", get())
        assert got.fields.get("transfer-encoding") == "rot13"
        assert await read(got) == b"uryyb"


async def test_a_changed_site_keeps_the_connections_to_origins_that_stay() -> None:
    async with origin(says()) as shop, origin(says()) as other:
        first = Site.model_validate({"name": "shop", "hosts": ["*"], "origins": [{"url": shop.url}]})
        sites = Sites([first])
        backends = Backends(sites, lambda: None)
        origins = Origins(backends, time.monotonic)
        await read(await origins.fetch("shop", get()))
        sites.put(first.model_copy(update={"hosts": ("shop.test",)}))
        await read(await origins.fetch("shop", get()))
        assert shop.connections == 1
        sites.replace(
            [Site.model_validate({"name": "shop", "hosts": ["*"], "origins": [{"url": other.url}]})]
        )
        await read(await origins.fetch("shop", get()))
        assert len(other.heard) == 1
        backends.tend()
        sites.replace([])
        with pytest.raises(UpstreamError) as caught:
            await origins.fetch("shop", get())
        assert caught.value.failure == "no-healthy-origin"


text = st.text(st.characters(max_codepoint=0x110), max_size=12)


@settings(max_examples=200)
@given(name=text.filter(lambda name: ":" not in name), value=text)
def test_no_field_can_break_out_of_its_line(name: str, value: str) -> None:
    request = get(fields=Fields([(name, value), ("After", "1")]))
    try:
        head = request_head(request, "a")
    except UpstreamError as refused:
        assert not refused.sent
        return
    assert head.count(b"\r\n") == head.count(b"\n") == head.count(b"\r")
    assert head.endswith(b"\r\n\r\n")
    expected = 3 if name.lower() not in ("host", "content-length", "transfer-encoding", "expect") else 2
    assert head[:-4].count(b"\r\n") == expected
