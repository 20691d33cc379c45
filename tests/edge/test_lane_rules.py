"""The lane keeps to a site's traffic rules: what it replays is what the pipeline would answer."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import Any

import pytest

from edge.position import ALONE
from edge.purge import Purge
from tests.edge.lanes import Line, head_of, settled
from tests.edge.nodes import Edge, config, node
from tests.edge.wires import Heard, answer, origin

STAFF = {"enabled": True, "cookie": "staff", "cookie_sha256": sha256(b"me").hexdigest()}


async def shop(heard: Heard, writer: asyncio.StreamWriter) -> None:
    fields = ["Cache-Control: max-age=600", "Content-Type: text/html", "Server: php"]
    if heard.target == "/missing":
        writer.write(answer(b"nothing", "404 Not Found", *fields))
    elif heard.target == "/sorry.html":
        writer.write(answer(b"<h1>Sorry</h1>", "200 OK", *fields))
    else:
        told = heard.fields.get("x-told", "").encode()
        writer.write(answer(b"page of " + heard.target.encode() + told, "200 OK", *fields, "Vary: X-Told"))


def taken(edge: Edge) -> int:
    return edge.running.lanes["http"].answers


@pytest.mark.parametrize(
    ("site", "heads", "is_replayed"),
    [
        pytest.param(
            {"redirects": [{"path": "/p", "languages": ["de"], "to": "/de", "status": 302}]},
            [{}, {"Accept_Language": "id"}, {"Accept_Language": "de"}, {"Accept_Language": "de-AT, en"}],
            True, id="a redirect by language",
        ),
        pytest.param(
            {"redirects": [{"path": "/p", "unless_cookies": ["chosen"], "to": "/new", "status": 302}]},
            [{"Cookie": "chosen=1"}, {"Cookie": "other=1"}, {}, {"Cookie": "a=b; chosen=2"}],
            True, id="a redirect by cookie",
        ),
        pytest.param(
            {"redirects": [{"path": "/p", "countries": ["DE"], "to": "/de", "status": 302}]},
            [{}, {"Accept": "*/*"}], True, id="a redirect by country",
        ),
        pytest.param(
            {"rewrites": [{"path": "/p", "to": "/inner"}]}, [{}, {"Accept": "*/*"}], True, id="a rewrite"
        ),
        pytest.param(
            {"answer_fields": [{"set": {"X-Frame-Options": "DENY"}, "unset": ["Server"]}]},
            [{}, {"Accept": "*/*"}], True, id="answer fields",
        ),
        pytest.param(
            {"answer_fields": [{"set": {"X-Where": "$host $scheme $country"}}]}, [{}], True, id="of the place"
        ),
        pytest.param({"answer_fields": [{"set": {"X-Who": "$client"}}]}, [{}], False, id="of the client"),
        pytest.param({"answer_fields": [{"set": {"X-Name": "$id"}}]}, [{}], False, id="of the request"),
        pytest.param(
            {"request_fields": [{"set": {"X-Told": "$host"}, "unset": ["X-Debug"]}]},
            [{}, {"X_Told": "forged"}, {"X_Debug": "1"}], True, id="request fields",
        ),
        pytest.param(
            {"maintenance": STAFF}, [{"Cookie": "staff=me"}, {"Cookie": "staff=x"}, {}], True, id="closed"
        ),
        pytest.param(
            {"maintenance": {"enabled": True, "allow": ["127.0.0.0/8"]}}, [{}], False, id="by network"
        ),
    ],
)  # fmt: skip
async def test_the_lane_and_the_pipeline_answer_alike(
    site: dict[str, Any], heads: list[dict[str, str]], is_replayed: bool
) -> None:
    async with origin(shop) as behind, node(behind.url, site=site) as edge:
        line = await Line.to(edge)
        for _ in range(4):
            for fields in heads:
                head = head_of("/p", **fields)
                short, long = settled(await line.whole(head)), settled(await line.parted(head))
                if b"; hit" in short:
                    assert _named(short) == _named(long)
                    assert b"; hit" in long
        for fields in heads:
            head = head_of("/p", **fields)
            assert _named(settled(await line.whole(head))) == _named(settled(await line.parted(head)))
        assert (taken(edge) > 0) is is_replayed
        await line.close()


def _named(said: bytes) -> bytes:
    """`said` less the request's own id where a rule repeats it."""
    return b"\r\n".join(line for line in said.split(b"\r\n") if not line.startswith(b"X-Name: "))


async def test_a_change_of_rules_holds_for_the_lane_at_once() -> None:
    async with origin(shop) as behind, node(behind.url) as edge:
        for value in ("one", "two"):
            rules = {"answer_fields": [{"set": {"X-Rule": value}}]}
            await edge.running.take(config(behind.url, site=rules))
            line = await Line.to(edge)
            for _ in range(4):
                said = await line.whole(head_of("/p"))
                assert b"\r\nX-Rule: " + value.encode() + b"\r\n" in said
            await line.close()
        await edge.running.take(config(behind.url, site={"maintenance": {"enabled": True}}))
        line = await Line.to(edge)
        assert (await line.whole(head_of("/p"))).startswith(b"HTTP/1.1 503 ")
        await line.close()


async def test_a_page_that_stands_in_for_a_stored_error_goes_with_its_purge() -> None:
    page = b"<h1>Sorry</h1>"

    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        if heard.target == "/sorry.html":
            writer.write(answer(page, "200 OK", "Cache-Control: max-age=600", "Content-Type: text/html"))
        else:
            await shop(heard, writer)

    site = {"hosts": ["shop.test"], "error_pages": [{"status": [404], "path": "/sorry.html"}]}
    async with origin(script) as behind, node(behind.url, site=site) as edge:
        line = await Line.to(edge)
        head = head_of("/missing", Accept="text/html")
        for _ in range(4):
            said = await line.whole(head)
        assert said.endswith(b"<h1>Sorry</h1>")
        assert b"; hit" in said
        page = b"<h1>Oops</h1>"
        await edge.running.node.pipeline.purge(Purge("url", "https://shop.test/sorry.html"), ALONE)
        assert (await line.whole(head)).endswith(b"<h1>Oops</h1>")
        assert [heard.target for heard in behind.heard].count("/missing") == 1
        await line.close()
