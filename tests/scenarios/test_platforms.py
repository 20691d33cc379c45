"""Each platform's shop behind a real node with its pack: everybody's pages hit, somebody's never do."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from edge.document.packs import bundled
from edge.http.cookies import MARKER
from tests.edge.wires import Origin
from tests.shops.scripted import Shop, shop

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("platforms")]
BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "id,en;q=0.5",
    "Accept-Encoding": "identity",
    "Sec-Fetch-Site": "none",
    "Upgrade-Insecure-Requests": "1",
}


TOKENS = {"csrftoken", "form_key", "XSRF-TOKEN"}  # cookies of form tokens: made here, for each his own


@dataclass(slots=True)
class Node:
    """A running `tepi edge` and the shops behind it."""

    traffic: str
    admin: str
    shops: dict[str, tuple[Shop, Origin]]


@dataclass(frozen=True, slots=True)
class Page:
    """What a visitor got."""

    status: int
    text: str
    cache: str
    set_cookie: tuple[str, ...]

    @property
    def hit(self) -> bool:
        return "; hit" in self.cache

    @property
    def stored(self) -> bool:
        return "; stored" in self.cache


@dataclass(slots=True)
class Visitor:
    """A browser with cookies of its own; an advertiser's is among them."""

    session: aiohttp.ClientSession
    node: Node
    host: str
    jar: dict[str, str] = field(default_factory=lambda: {"_ga": "GA1.1.7"})
    got: list[str] = field(default_factory=list)  # every cookie that was set for him, marker aside

    async def get(self, target: str) -> Page:
        return await self._ask("GET", target, None, {})

    async def send(self, target: str, **given: str) -> Page:
        """Open the shop's last page and send the form on it, with the token that stands there."""
        ways = self.node.shops[self.host.removesuffix(".test")][0].ways
        page = await self.get(ways.pages[-1])
        if ways.token:
            name = ways.token["field"]
            found = re.search(rf'name="{name}"[^>]*? value="([^"]+)"', page.text)
            assert found is not None, page.text
            given |= {name: found[1]}
        site = f"http://{self.host}"
        here = {"Sec-Fetch-Site": "same-origin", "Origin": site, "Referer": site + ways.pages[-1]}
        return await self._ask("POST", target, given, here)

    async def _ask(self, method: str, target: str, form: dict[str, str] | None, more: dict[str, str]) -> Page:
        cookies = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        headers = BROWSER | {"Host": self.host, "Cookie": cookies} | more
        async with self.session.request(
            method, self.node.traffic + target, headers=headers, data=form, allow_redirects=False
        ) as response:
            page = Page(
                response.status,
                (await response.read()).decode(),
                response.headers.get("Cache-Status", ""),
                tuple(response.headers.getall("Set-Cookie", ())),
            )
        for line in page.set_cookie:
            name, _, value = line.partition(";")[0].partition("=")
            self.jar[name] = value
            if name != MARKER:
                self.got.append(value)
        return page


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Node]:
    async with contextlib.AsyncExitStack() as stack:
        shops = {name: await stack.enter_async_context(shop(name)) for name in bundled()}
        file = tmp_path_factory.mktemp("platforms") / "edge.toml"
        file.write_text(
            'listen = ["127.0.0.1:0"]\nadmin = "127.0.0.1:0"\nworkers = 1\nlog = { access = "off" }\n'
            + "".join(
                f'[[sites]]\nname = "{name}"\nhosts = ["{made.ways.host}"]\nplatform = "{name}"\n'
                f"origins = [{{ url = {json.dumps(listening.url)} }}]\n"
                for name, (made, listening) in shops.items()
            )
        )
        traffic, admin = await stack.enter_async_context(edge(file))
        yield Node(traffic, admin, shops)


@contextlib.asynccontextmanager
async def edge(file: Path) -> AsyncIterator[tuple[str, str]]:
    """`tepi edge` as a process; where it answers visitors and its operator."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "control.cli", "edge", "--config", str(file), stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    said = ""
    try:
        async with asyncio.timeout(60):
            while "listening on" not in said or "admin listener on" not in said:
                line = (await process.stderr.readline()).decode()
                assert line, said
                said += line
        listening = [
            re.search(rf"{which} (http://[0-9.:]+)", said) for which in ("listening on", "admin listener on")
        ]
        assert listening[0] is not None
        assert listening[1] is not None
        yield listening[0][1], listening[1][1]
    finally:
        process.terminate()
        await process.wait()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False) as session:
        yield session


@pytest.mark.parametrize("platform", bundled())
async def test_a_day_in_the_shop(platform: str, node: Node, session: aiohttp.ClientSession) -> None:
    made = node.shops[platform][0]
    ways = made.ways
    ani, budi, citra, dewi, eka = (Visitor(session, node, ways.host) for _ in range(5))

    # The first visitor finds empty shelves, and gets pages of his own until they proved everybody's.
    for target in (*ways.pages, *ways.files):
        page = await eka.get(target)
        assert page.status == 200, target
        assert page.set_cookie == () or target in ways.pages, target
        async with asyncio.timeout(10):
            while not (await eka.get(target)).hit:
                await asyncio.sleep(0.01)
    for name, value in (("PHPSESSID", "old"), ("sessionid", "old"), ("bagisto_session", "old")):
        if platform in ("magento", "prestashop", "laravel", "django"):
            citra.jar[name] = value  # from before there was an edge

    # For everybody after him whatever is everybody's hits.
    fetched = len(made.asked)
    for visitor in (ani, budi, citra):
        for target in (*ways.pages, *ways.files):
            page = await visitor.get(target)
            assert page.hit, (target, page.cache)
            set_here = {line.partition("=")[0] for line in page.set_cookie}
            assert all(name in TOKENS or name.startswith("tepi-form-") for name in set_here), set_here
    assert len(made.asked) == fetched

    # Each has a basket, a name and an account of his own.
    assert (await ani.send(ways.add, item="robusta")).status == 303
    assert (await budi.send(ways.login, name="Budi")).status == 302
    assert (await budi.send(ways.add, item="teh-melati")).status == 303
    assert made.broken == 0
    for _ in range(2):
        for target in ways.own:
            for visitor, mine, others in (
                (ani, "basket: robusta.", ("Budi", "teh-melati")),
                (budi, "Hello Budi", ("robusta",)),
            ):
                page = await visitor.get(target)
                assert mine in page.text, (target, page.text)
                assert not any(other in page.text for other in others)
                assert not page.hit
                assert not page.stored
        for target in ways.pages:
            page = await ani.get(target)
            assert "Budi" not in page.text
            assert "teh-melati" not in page.text
            assert ("basket: robusta." in page.text) is ("basket" in ways.shows), page.text
            page = await budi.get(target)
            assert "robusta" not in page.text
            assert ("Hello Budi" in page.text) is ("login" in ways.shows), page.text
        for target in ways.files:
            assert (await budi.get(target)).hit, target

    # Who is nobody in particular sees what he always saw, and nobody got another's cookie. What forms
    # outdated (RFC 9111 §4.4) is fetched once for all.
    for target in (*ways.pages, *ways.files):
        for visitor in (citra, dewi):
            page = await visitor.get(target)
            assert page.hit or (visitor is citra and target in ways.pages), (target, page.cache)
            assert "Hello ." in page.text or target in ways.files
    states = {"1", "0f", "cart-filled", "logged-in"}  # cookies of these values are nobody's own
    owned = [set(visitor.got) - states for visitor in (ani, budi, citra, dewi, eka)]
    assert not any(mine & others for mine, others in itertools.combinations(owned, 2))
    assert not any(MARKER in (heard.fields.get("cookie") or "") for heard in node.shops[platform][1].heard)


@pytest.mark.parametrize("platform", [name for name in bundled() if name in ("magento", "shopware")])
async def test_the_shops_own_tags_purge(platform: str, node: Node, session: aiohttp.ClientSession) -> None:
    ways = node.shops[platform][0].ways
    visitor = Visitor(session, node, ways.host)
    await visitor.get(ways.pages[0])
    assert (await visitor.get(ways.pages[0])).hit
    purge = {"kind": "tag", "value": ways.tag, "site": platform}
    async with session.post(f"{node.admin}/purge", json=purge) as response:
        assert response.status == 200, await response.text()
    assert not (await visitor.get(ways.pages[0])).hit
