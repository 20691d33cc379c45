"""The origin's plugins as control sees them: which pages they have, and what those answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp

from control.settings import OriginTable
from edge.secrets import NoSecret, resolve
from origin.speaker import signed

log = logging.getLogger("tepi.control.plugins")

TIMEOUT = aiohttp.ClientTimeout(total=30)
EVERY = 10.0  # seconds between looks at which pages there are
LARGEST = 64 * 1024 * 1024
PASSED_ON = ("Content-Type", "Content-Disposition")


class NotReached(Exception):
    """The origin gave no answer; the text says why."""


@dataclass(frozen=True, slots=True)
class FrontPage:
    """A plugin's first page, by its title in each language."""

    plugin: str
    titles: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Told:
    """What a page answered. `fields` are those that a browser may have."""

    status: int
    body: bytes
    fields: Mapping[str, str]

    @property
    def is_html(self) -> bool:
        """Whether it is a fragment for the dashboard's layout."""
        return self.fields.get("Content-Type", "").startswith("text/html")


class Plugins:
    """Speaks to the origin's admin listener. `clock` gives seconds since 1970."""

    def __init__(self, settings: OriginTable | None, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self.fronts: tuple[FrontPage, ...] = ()

    async def watch(self) -> None:
        """Keeps `fronts` up to date, for ever."""
        while self._settings is not None:
            with contextlib.suppress(NotReached, ValueError, KeyError, TypeError):
                await self.look()
            await asyncio.sleep(EVERY)

    async def look(self) -> None:
        """Reads which pages there are. Raises NotReached."""
        told = await self.ask("GET", "/plugins/", "", b"", "en")
        self.fronts = _fronts(told.body)

    async def ask(self, method: str, path: str, user: str, body: bytes, language: str) -> Told:
        """What the page at `path` (with its query) answers to `user`. Raises NotReached."""
        if self._settings is None:
            raise NotReached("no origin is set")
        fields = {"Accept-Language": language}
        if body:
            fields["Content-Type"] = "application/json"
        try:
            if user:
                secret = resolve(self._settings.pages_secret)
                fields |= signed(secret, user, self._clock(), method, path, body)
            url = self._settings.admin.rstrip("/") + path
            async with self._open().request(
                method, url, data=body or None, headers=fields, allow_redirects=False
            ) as answer:
                found = await answer.content.read(LARGEST + 1)
                while len(found) <= LARGEST and (more := await answer.content.read(LARGEST)):
                    found += more
                if len(found) > LARGEST:
                    raise NotReached(f"an answer of more than {LARGEST} bytes")
                passed = {name: answer.headers[name] for name in PASSED_ON if name in answer.headers}
                return Told(answer.status, found, passed)
        except NoSecret as error:
            raise NotReached(f"origin.pages_secret: {error}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("the origin's pages can't be reached: %s", error or type(error).__name__)
            raise NotReached("the origin does not answer") from error

    async def close(self) -> None:
        """Gives the connections back."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=TIMEOUT)
        return self._session


def path_of(plugin: str, rest: str, query: str) -> str:
    """The page's path at the origin, every part quoted anew: it leads nowhere else."""
    parts = [quote(part, safe="") for part in (plugin, *rest.split("/")) if part not in ("", ".", "..")]
    return "/".join(("/plugins", *parts)) + (f"?{query}" if query else "")


def _fronts(body: bytes) -> tuple[FrontPage, ...]:
    pages: list[dict[str, Any]] = json.loads(body)["pages"]
    return tuple(
        FrontPage(str(page["plugin"]), {str(code): str(title) for code, title in page["titles"].items()})
        for page in pages
        if page["path"] == "" and page["method"] == "GET"
    )
