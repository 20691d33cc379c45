"""Pages of a site's own that must be at hand when its origins are not: for errors and for maintenance."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace

from edge.clock import Clock
from edge.http.message import Answer, Fields, Request
from edge.policy.key import key_of
from edge.policy.rules import SiteRules
from edge.purge import Mark, Names
from edge.store.fill import Cut
from edge.upstream.collapse import close
from edge.upstream.contract import UpstreamError

logger = logging.getLogger("tepi.edge")

LARGEST = 256 * 1024  # bytes; a larger page is not kept
REFRESH = 60.0  # seconds after which a page is fetched anew
RETRY = 5.0  # seconds after which one that could not be had is tried again
PATIENCE = 2.0  # seconds that a visitor waits for a page that is not at hand
# What speaks of the page as an answer of its own, rather than of what it shows.
_OF_THE_ANSWER = (
    "accept-ranges", "age", "cache-control", "cdn-cache-control", "content-length", "date", "etag", "expires",
    "last-modified", "pragma", "set-cookie", "set-cookie2", "vary", "x-request-id",
)  # fmt: skip

Ask = Callable[[Request, SiteRules], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Kept:
    """A page as it was last had; `page` None where it never was. `due` is when it is wanted anew."""

    request: Request
    page: Answer | None
    due: float


class KeptPages:
    """A copy of each page, fetched through the pipeline itself and so from the cache where it may be.

    What a purge strikes is dropped at once; a purge by tag has it fetched anew, for a tag is not known of it.
    """

    def __init__(self, ask: Ask, clock: Clock) -> None:
        self._ask = ask
        self._clock = clock
        self._kept: dict[tuple[str, str], Kept] = {}
        self._tending = False

    async def page(self, path: str, request: Request, rules: SiteRules) -> Answer | None:
        """The page at `path` for whoever asked `request`; None where it can't be had in time."""
        kept = self._kept.get((rules.name, path))
        if kept is not None and (kept.page is not None or self._clock.monotonic() < kept.due):
            return kept.page
        return await self._fetch(path, request.scheme, request.host, rules)

    async def tend(self, sites: Iterable[tuple[str | None, SiteRules]]) -> None:
        """Fetch what is due of each site's pages; forget what no rule names any more.

        A page that was never asked for is fetched at the host given, if there is one.
        """
        if self._tending:
            return
        self._tending = True
        try:
            await self._tend(tuple(sites))
        finally:
            self._tending = False

    def strike(self, mark: Mark) -> None:
        """A purge came."""
        now = self._clock.monotonic()
        for (site, path), kept in tuple(self._kept.items()):
            if mark.strikes(Names(key_of(kept.request), site)) and not mark.soft:
                del self._kept[site, path]
            else:
                self._kept[site, path] = replace(kept, due=now)

    async def _tend(self, sites: tuple[tuple[str | None, SiteRules], ...]) -> None:
        now = self._clock.monotonic()
        named = set()
        for host, rules in sites:
            for path in () if rules.traffic is None else rules.traffic.pages:
                named.add((rules.name, path))
                kept = self._kept.get((rules.name, path))
                if kept is not None and kept.due <= now:
                    await self._fetch(path, kept.request.scheme, kept.request.host, rules)
                elif kept is None and host is not None:
                    await self._fetch(path, "https", host, rules)
        for gone in self._kept.keys() - named:
            del self._kept[gone]

    async def _fetch(self, path: str, scheme: str, host: str, rules: SiteRules) -> Answer | None:
        """Ask for the page as nobody in particular, and keep it; what was kept before, if it can't be had."""
        lines = [
            ("Host", host),
            ("User-Agent", "Tepi"),
            ("Accept", "text/html"),
            ("Accept-Encoding", "identity"),
        ]
        request = Request("GET", scheme, host, path, fields=Fields(lines))
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await self._ask(request, rules)
                page = await _whole(answer)
        except (TimeoutError, UpstreamError, Cut) as error:
            logger.warning(
                "page %s of %s could not be had: %s", path, rules.name, error or "no answer in time"
            )
            page = None
        now = self._clock.monotonic()
        if page is not None:
            self._kept[rules.name, path] = Kept(request, page, now + REFRESH)
            return page
        before = self._kept.get((rules.name, path))
        page = None if before is None else before.page
        self._kept[rules.name, path] = Kept(request, page, now + RETRY)
        return page


async def _whole(answer: Answer) -> Answer | None:
    """`answer` with its body in one piece, less what speaks of this one answer; None if it is no page."""
    body = answer.body
    if answer.status != 200:
        await close(body)
        logger.warning("a page for errors was itself answered with %d", answer.status)
        return None
    if not isinstance(body, bytes):
        pieces, size = [], 0
        async for piece in body:
            pieces.append(piece)
            size += len(piece)
            if size > LARGEST:
                await close(body)
                break
        body = b"".join(pieces)
    if len(body) > LARGEST or "content-encoding" in answer.fields:
        logger.warning("a page of more than %d bytes, or with an encoding of its own, is not kept", LARGEST)
        return None
    return Answer(200, answer.fields.without(*_OF_THE_ANSWER), body)
