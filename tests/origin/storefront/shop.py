"""The shop as tests visit it: a running origin, and a browser-like client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from sqlalchemy import select

from origin.app import Bound, Origin, Wiring
from origin.db.tables import outbox
from origin.storefront.plugin import Storefront
from origin.storefront.store import Store
from tests.origin.standing import Clock, running

SAME = {"Sec-Fetch-Site": "same-origin"}


@dataclass(frozen=True, slots=True)
class Page:
    """What a visitor got."""

    status: int
    fields: Mapping[str, str]
    body: str
    cookies: tuple[str, ...] = ()

    @property
    def tags(self) -> set[str]:
        return set(self.fields.get("Cache-Tag", "").split(", ")) - {""}


@dataclass(slots=True)
class Visit:
    """A visitor of a shop that runs for the test."""

    origin: Origin
    bound: Bound
    session: aiohttp.ClientSession
    clock: Clock

    @property
    def store(self) -> Store:
        plugin = self.origin.plugins["storefront"]
        assert isinstance(plugin, Storefront)
        return plugin.store

    async def get(self, path: str, **headers: str) -> Page:
        return await self._ask("GET", f"http://{self.bound.plain}{path}", headers={**headers})

    async def post(
        self, path: str, form: Any, headers: Mapping[str, str] = SAME, *, follow: bool = False
    ) -> Page:
        url = f"http://{self.bound.plain}{path}"
        return await self._ask("POST", url, data=form, headers=headers, allow_redirects=follow)

    async def admin(self, path: str, change: Any) -> Page:
        return await self._ask("POST", f"http://{self.bound.admin}/plugins/storefront{path}", json=change)

    async def _ask(self, method: str, url: str, **options: Any) -> Page:
        async with self.session.request(method, url, **options) as response:
            set_cookies = tuple(response.headers.getall("Set-Cookie", ()))
            return Page(response.status, response.headers, await response.text(), set_cookies)

    async def purged(self) -> list[str]:
        """The tags that the shop has asked the fleet to forget, in order."""
        async with self.origin.database.read() as connection:
            asked = select(outbox.c.name).where(outbox.c.kind == "purge").order_by(outbox.c.number)
            return list((await connection.execute(asked)).scalars())


@asynccontextmanager
async def open_shop(directory: Path, **options: Any) -> AsyncIterator[Visit]:
    """A shop on free ports, and a visitor with a cookie jar that takes cookies from an address."""
    clock = Clock()
    jar = aiohttp.CookieJar(unsafe=True)
    async with (
        running(directory, Storefront, wiring=Wiring(clock, lambda: 0.5), **options) as (origin, bound),
        aiohttp.ClientSession(cookie_jar=jar) as session,
    ):
        yield Visit(origin, bound, session, clock)


def every_page(visit: Visit) -> Iterable[str]:
    """The path of each kind of page, in both languages; every category and product among them."""
    for base in ("", "/en"):
        yield from (f"{base}/", f"{base}/basket", f"{base}/no-such-page")
        yield from (f"{base}/search?q={query}" for query in ("kopi", "zzz", ""))
        yield from (f"{base}/c/{slug}" for slug in visit.store.categories)
        yield from (f"{base}/p/{slug}" for slug in visit.store.slugs)
