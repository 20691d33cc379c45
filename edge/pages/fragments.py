"""A page's fragments: each a request of its own through the pipeline, bounded, never the page's failure."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from edge.access_log import without_secrets
from edge.http.cache_control import parse_request
from edge.http.message import Answer, Fields, Request
from edge.intake import Budget, Exchange, Within
from edge.policy.reasons import FragmentReason
from edge.policy.rules import EsiRules
from edge.policy.validation import PRECONDITIONS
from edge.store.fill import Cut
from edge.telemetry import Gauge
from edge.transform.compress import decode
from edge.transform.template import Include, Reference, written
from edge.transform.variables import in_reference
from edge.upstream.collapse import close
from edge.upstream.contract import UpstreamError

logger = logging.getLogger("tepi.edge")

DEFAULTS = EsiRules()  # where a page was stored before its site gave ESI up
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]")
_SAFE = "!#$%&'()*+,/:;=?@[]~"  # what quote leaves alone of a reference, so that it stays the same
# What speaks of the page's own body, or of its connection, and not of the fragment.
_NOT_HANDED_DOWN = (
    *PRECONDITIONS, "range", "host", "accept-encoding", "content-length", "content-type",
    "content-encoding", "content-language", "content-location", "transfer-encoding", "expect", "te",
    "trailer", "upgrade", "origin",
)  # fmt: skip
_CREDENTIALS = ("cookie", "authorization")

Ask = Callable[[Request, Within], Awaitable[Answer]]


class Unfit(Exception):
    """The fragment may not be asked for here."""

    def __init__(self, reason: FragmentReason) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class Fragments:
    """Asks for fragments. `asked` counts, by site, what became of each; `cookies` those that were dropped."""

    ask: Ask  # raises Unfit
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    cookies: Counter[str] = field(default_factory=Counter)

    def counts(self) -> Iterator[Gauge]:
        """For metrics."""
        for (site, result), count in self.asked.items():
            labels = {"site": site, "result": result}
            yield Gauge("fragments", "Fragments of pages, by what became of them.", count, labels)
        for site, count in self.cookies.items():
            text = "Cookies that came with fragments, and went nowhere."
            yield Gauge("fragment_cookies_dropped", text, count, {"site": site})

    def begin(self, x: Exchange, include: Include, within: Within) -> Coroutine[Any, Any, bytes] | None:
        """What stands in `include`'s place on the page of `x`; None if the page has had enough of them."""
        budget = within.budget
        if budget.left > 0:
            budget.left -= 1
            return self._body(x, include, within)
        self.asked[x.rules.name, FragmentReason.NUMBER] += 1
        if not budget.overdrawn:  # of a page with thousands more this is told once
            budget.overdrawn = True
            self._tell(x, include, [FragmentReason.NUMBER])
        return None

    async def _body(self, x: Exchange, include: Include, within: Within) -> bytes:
        """The fragment, its alternative, or nothing."""
        failed: list[str] = []
        for reference in (include.src, include.alt):
            if reference is None:
                continue
            got = await self._one(x, reference, within)
            if isinstance(got, bytes):
                return got
            failed.append(got)
        self._tell(x, include, failed)
        return b""

    async def _one(self, x: Exchange, reference: Reference, within: Within) -> bytes | FragmentReason:
        rules = x.rules.esi or DEFAULTS
        try:
            request = request_for(x, reference, within)
            async with asyncio.timeout(rules.seconds):
                answer = await self.ask(request, within)
                body = await self._taken(answer, rules.size)
        except Unfit as unfit:
            result: str = unfit.reason
            got: bytes | FragmentReason = unfit.reason
        except TimeoutError:
            result = got = FragmentReason.TIME
        except Exception:
            logger.exception("a fragment ended unexpectedly", extra={"id": x.asked.id})
            result = got = FragmentReason.FAULT
        else:
            result, got = answer.outcome.verdict, body
            dropped = len(answer.fields.all("set-cookie"))
            if dropped:
                self.cookies[x.rules.name] += dropped
        self.asked[x.rules.name, result] += 1
        return got

    async def _taken(self, answer: Answer, limit: int) -> bytes:
        """The whole body of a good answer. Raises Unfit."""
        try:
            if not 200 <= answer.status < 300 or answer.status in (205, 206):
                raise Unfit(FragmentReason.STATUS)
            body = await _gathered(answer, limit)
        finally:
            await close(answer.body)
        if len(body) > limit:
            raise Unfit(FragmentReason.SIZE)
        coding = (answer.fields.get("content-encoding") or "identity").strip().lower()
        if coding == "identity":
            return body
        plain = decode(coding, body, limit) if coding in ("gzip", "x-gzip", "br", "zstd") else None
        if plain is None:
            raise Unfit(FragmentReason.CODING)
        return plain

    def _tell(self, x: Exchange, include: Include, failed: list[str]) -> None:
        logger.log(
            logging.INFO if include.tolerant else logging.WARNING,
            "a page goes without a fragment",
            extra={
                "id": x.asked.id,
                "page": without_secrets(x.asked.url),
                "fragment": without_secrets(written(include.src)),
                "why": ", ".join(failed),
            },
        )


def within_page(x: Exchange) -> Within:
    """What fragments of the page of `x` are within."""
    outer = x.within
    if outer is None:
        budget = Budget((x.rules.esi or DEFAULTS).number)
        return Within(x.rules.name, (x.key,), budget)
    return replace(outer, keys=(*outer.keys, x.key))


def request_for(x: Exchange, reference: Reference, within: Within) -> Request:
    """The request for a fragment of the page of `x`, one level deeper than it is. Raises Unfit."""
    rules = x.rules.esi or DEFAULTS
    if len(within.keys) > rules.depth:
        raise Unfit(FragmentReason.DEPTH)
    return resolved(x.asked, in_reference(reference, x.asked, rules.cookies))


def resolved(page: Request, reference: str) -> Request:
    """The request for a fragment that the page answering `page` refers to. Raises Unfit.

    It is the visitor's own, as if his browser had asked; credentials go to the page's host alone.
    """
    escaped = quote(reference.strip(), safe=_SAFE, encoding="latin-1")
    try:
        url = urlsplit(urljoin(page.url, escaped))
        port = url.port
    except ValueError:
        raise Unfit(FragmentReason.URL) from None
    name = url.hostname or ""
    name = f"[{name}]" if ":" in name else name
    if url.scheme not in _DEFAULT_PORTS or "@" in url.netloc or not _HOST.fullmatch(name):
        raise Unfit(FragmentReason.URL)
    host = name if port is None or port == _DEFAULT_PORTS[url.scheme] else f"{name}:{port}"
    fields = page.fields.without(*_NOT_HANDED_DOWN)
    if parse_request(fields.get("cache-control") or "").only_if_cached:
        fields = fields.without("cache-control")  # the page is there; its parts are to be, too
    if host != page.host:
        fields = fields.without(*_CREDENTIALS)
    fields = Fields((("Host", host), *fields.lines, ("Accept-Encoding", "identity")))
    query = url.query if url.query or "?" in escaped.partition("#")[0] else None
    return Request(  # made anew: whoever watches the page's request does not watch this one
        "GET",
        url.scheme,
        host,
        url.path or "/",
        query,
        fields,
        page.client,
        id=page.id,
        version=page.version,
    )


async def _gathered(answer: Answer, limit: int) -> bytes:
    """The body, or as much of it as tells that it is longer than `limit`. Raises Unfit if it breaks off."""
    body = answer.body
    if isinstance(body, bytes):
        return body
    pieces: list[bytes] = []
    size = 0
    try:
        async for piece in body:
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                break
    except (UpstreamError, Cut):
        raise Unfit(FragmentReason.BROKEN) from None
    return b"".join(pieces)
