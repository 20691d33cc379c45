"""The origin's plugins as control sees them: which pages they have, and what those answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp

from control.rights import Principal, is_at_least
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
class PluginPage:
    """A page of a plugin, by its title in each language. `path` may have {parameters}, one part each."""

    plugin: str
    method: str
    path: str
    titles: Mapping[str, str]
    permission: str

    @property
    def is_front(self) -> bool:
        """Whether it is the plugin's first."""
        return self.path == "" and self.method == "GET"

    def is_at(self, method: str, parts: Sequence[str]) -> bool:
        """Whether it answers `method` at the path of these parts."""
        own = [part for part in self.path.split("/") if part]
        return (
            method == self.method
            and len(own) == len(parts)
            and all(one.startswith("{") or one == part for one, part in zip(own, parts, strict=True))
        )


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
        self._pages: tuple[PluginPage, ...] = ()

    def fronts(self, principal: Principal) -> Iterator[PluginPage]:
        """The first page of each plugin that `principal` may see."""
        return (page for page in self._pages if page.is_front and self.may(principal, page))

    def may(self, principal: Principal, page: PluginPage) -> bool:
        """Whether `principal` has the page's permission: by the settings, else by what the page does."""
        named = {} if self._settings is None else self._settings.permissions
        return is_at_least(
            principal, named.get(page.permission, "viewer" if page.method == "GET" else "operator")
        )

    async def page(self, method: str, plugin: str, rest: str) -> PluginPage | None:
        """The page at a path below the plugin, if there is one. Raises NotReached."""
        found = self._page(method, plugin, rest)
        if found is None:  # there may be a new one since the last look
            await self.look()
            found = self._page(method, plugin, rest)
        return found

    def _page(self, method: str, plugin: str, rest: str) -> PluginPage | None:
        parts, mine = parts_of(rest), [page for page in self._pages if page.plugin == plugin]
        fitting = (page for page in mine if page.is_at(method, parts))
        return min(fitting, key=lambda page: page.path.count("{"), default=None)

    async def watch(self) -> None:
        """Keeps up with which pages there are, for ever."""
        while self._settings is not None:
            with contextlib.suppress(NotReached, ValueError, KeyError, TypeError):
                await self.look()
            await asyncio.sleep(EVERY)

    async def look(self) -> None:
        """Reads which pages there are. Raises NotReached."""
        told = await self.ask("GET", "/plugins/", "", b"", "en")
        self._pages = _pages(told.body)

    async def ask(self, method: str, path: str, user: str, body: bytes, language: str) -> Told:
        """What the page at `path` (with its query) answers to `user`. Raises NotReached."""
        if self._settings is None:
            raise NotReached("no origin is set")
        fields = {"Accept": "text/html, */*;q=0.5", "Accept-Language": language}
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


def parts_of(rest: str) -> list[str]:
    """The parts of a path below a plugin: it leads nowhere else."""
    return [part for part in rest.split("/") if part not in ("", ".", "..")]


def path_of(plugin: str, rest: str, query: str) -> str:
    """The page's path at the origin, every part quoted anew."""
    parts = [quote(part, safe="") for part in parts_of(f"{plugin}/{rest}")]
    return "/".join(("/plugins", *parts)) + (f"?{query}" if query else "")


def _pages(body: bytes) -> tuple[PluginPage, ...]:
    pages: list[dict[str, Any]] = json.loads(body)["pages"]
    return tuple(
        PluginPage(
            str(page["plugin"]),
            str(page["method"]),
            str(page["path"]),
            {str(code): str(title) for code, title in page["titles"].items()},
            str(page["permission"]),
        )
        for page in pages
    )
