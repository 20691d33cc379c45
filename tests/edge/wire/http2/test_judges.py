"""HTTP/2 as programs that know nothing of us speak it: nghttp2's h2load, and Chromium."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from playwright.async_api import async_playwright

from tests.edge.certificates import Authority
from tests.edge.nodes import node
from tests.edge.wires import Heard, answer, origin, says
from tests.support.tools import chromium, require

FRESH = "Cache-Control: max-age=60"


@pytest.mark.parametrize(("size", "requests"), [(4_096, 2_000), (300_000, 60)])
async def test_h2load_gets_every_answer_whole(size: int, requests: int, tmp_path: Path) -> None:
    pair = Authority.make(tmp_path).issue("default", "127.0.0.1")
    files = {"cert": str(pair.cert), "key": str(pair.key)}
    async with (
        origin(says(b"x" * size, "200 OK", FRESH)) as shop,
        node(shop.url, listen_tls=["127.0.0.1:0"], tls=files) as edge,
    ):
        for url in (f"http://127.0.0.1:{edge.port()}/", f"https://127.0.0.1:{edge.port('https')}/"):
            load = await asyncio.create_subprocess_exec(
                require("h2load"),
                "-n",
                str(requests),
                "-c",
                "4",
                "-m",
                "10",
                url,
                stdout=asyncio.subprocess.PIPE,
            )
            said = (await load.communicate())[0].decode()
            assert f"{requests} succeeded, 0 failed, 0 errored" in said, said
            assert f"({requests * size}) data" in said, said
        assert len(shop.heard) <= 2  # one a scheme
        await edge.at_rest()


async def test_chromium_opens_a_page_and_all_that_is_on_it(tmp_path: Path) -> None:
    pictures = "".join(f'<img src="/{number}.svg" alt="">' for number in range(30))

    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        if heard.target == "/":
            page = f"<!doctype html><title>Shop</title>{pictures}".encode()
            writer.write(answer(page, "200 OK", FRESH, "Content-Type: text/html"))
        else:
            picture = b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'
            writer.write(answer(picture, "200 OK", FRESH, "Content-Type: image/svg+xml"))

    pair = Authority.make(tmp_path).issue("default", "127.0.0.1")
    files = {"cert": str(pair.cert), "key": str(pair.key)}
    async with (
        origin(script) as shop,
        node(shop.url, listen_tls=["127.0.0.1:0"], tls=files) as edge,
        async_playwright() as play,
    ):
        engine = await play.chromium.launch(
            executable_path=chromium(),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        tab = await (await engine.new_context(ignore_https_errors=True)).new_page()
        await tab.goto(f"https://127.0.0.1:{edge.port('https')}/", wait_until="load")
        spoken = await tab.evaluate(
            "['navigation', 'resource'].flatMap(kind => performance.getEntriesByType(kind))"
            ".filter(entry => !entry.name.endsWith('/favicon.ico')).map(entry => entry.nextHopProtocol)"
        )
        shown = await tab.evaluate("[...document.images].every(image => image.naturalWidth === 1)")
        await engine.close()
    assert spoken == ["h2"] * 31
    assert shown
    assert all(re.fullmatch(r"GET /(\d+\.svg|favicon\.ico)? HTTP/1.1", heard.line) for heard in shop.heard)
