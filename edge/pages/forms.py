"""Forms on their way to the shop: stand-ins become tokens, and who has no session yet gets one first.

Only a visitor's own stand-ins count, and never in a request that another site's page has made: the shop's
protection against forged requests stays as strong as without the edge.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import quote_from_bytes, unquote_to_bytes, urljoin

from edge.clock import Clock
from edge.http.cookies import cookies
from edge.http.message import Fields, Line, Request
from edge.intake import Exchange, Heard
from edge.pages.shared import Resumed, read
from edge.policy.freshness import response_date
from edge.policy.invalidation import is_unsafe
from edge.policy.jar import Cookie, parse, with_cookies
from edge.policy.rules import TokenRule
from edge.policy.standins import (
    Provenance,
    StandIn,
    is_stand_in,
    page_before,
    provenance,
    rule_id,
    secrets_of,
    stand_ins,
    target_of,
)
from edge.policy.tokens import find
from edge.policy.validation import PRECONDITIONS
from edge.telemetry import Gauge
from edge.upstream.collapse import close
from edge.upstream.contract import UpstreamError

logger = logging.getLogger("tepi.edge")

SEARCHED = 1024 * 1024  # bytes of a form in which stand-ins are looked for; the rest passes as it is
SECONDS = 10.0  # that a visitor's session may take
HOPS = 3  # pages asked for a session: redirects, and the way back to the front page
TOKEN_FIELDS = ("x-csrf-token", "x-xsrf-token", "x-csrftoken")  # where scripts send tokens
REMEMBERED = 30.0  # seconds that requests sent at once find the session of the first of them
MOST_VISITORS = 4096
_OF_THE_FORM = (
    *PRECONDITIONS, "range", "content-length", "content-type", "content-encoding", "transfer-encoding",
    "origin", "x-requested-with", "expect", "te", "accept", "sec-fetch-mode", "sec-fetch-dest",
    "sec-fetch-user", *TOKEN_FIELDS,
)  # fmt: skip

Ask = Callable[[Exchange, Request], Awaitable[Heard]]


# A request as it goes on, and the lines that its visitor gets with the answer.
Prepared = tuple[Exchange, tuple[Line, ...]]


@dataclass(slots=True)
class _Session:
    """What has been fetched for a visitor: his cookies so far, and the tokens found on the way."""

    set_by: dict[str, Cookie] = field(default_factory=dict)
    lines: dict[str, Line] = field(default_factory=dict)
    tokens: dict[tuple[str, int], bytes] = field(default_factory=dict)  # by rule's id and ordinal

    def take(self, asked: Request, heard: Heard) -> None:
        """Take the cookies in that an answer sets."""
        date = response_date(heard.answer.fields, heard.timing)
        for line in heard.answer.fields.all("set-cookie"):
            cookie = parse(line, asked.path, date)
            if cookie is not None:
                self.set_by[cookie.name] = cookie
                self.lines[cookie.name] = ("Set-Cookie", line)


@dataclass(slots=True)
class _Visitor:
    """One whose first forms came at once. `cookies` are those of the session that the first of them got."""

    until: float
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    session: _Session | None = None


class Forms:
    """Prepares unsafe requests. `done` counts, by site, what was: `token`, `session`, `foreign`, `failed`."""

    def __init__(self, ask: Ask, clock: Clock) -> None:
        self._ask = ask
        self._clock = clock
        self._visitors: OrderedDict[tuple[str, bytes], _Visitor] = OrderedDict()
        self.done: Counter[tuple[str, str]] = Counter()

    def counts(self) -> Iterator[Gauge]:
        """For metrics."""
        for (site, result), count in self.done.items():
            text = "Forms on shared pages, by what the edge did to them."
            yield Gauge("forms", text, count, {"site": site, "result": result})

    async def prepared(self, x: Exchange) -> Prepared:
        """`x` as the shop must get it. Without need of anything it is as it was, its body unread."""
        pages = x.rules.classes.pages
        if pages is None or not pages.tokens or not is_unsafe(x.asked.method):
            return x, ()
        rules = tuple(rule for rule in pages.tokens if rule.source == "session")
        if not rules:
            return x, ()
        own = cookies(x.asked.fields)
        secrets = secrets_of(own, secure=x.asked.scheme == "https")
        came_from = provenance(x.asked)
        if came_from is Provenance.ELSEWHERE:
            if secrets:
                self.done[x.rules.name, "foreign"] += 1
            return x, ()
        had = {name for name, value in own if not is_stand_in(value)}
        lacks = came_from is Provenance.HERE and any(rule.cookie not in had for rule in rules)
        if not secrets:
            return await self._with_session(x, rules) if lacks else (x, ())
        x, start = await _opened(x)
        names = (*TOKEN_FIELDS, *(name for rule in rules for name in rule.fields))
        said = "\n".join(value for name in dict.fromkeys(names) for value in x.asked.fields.all(name))
        mine = [
            one
            for one in stand_ins(said.encode("latin-1", "replace") + b"\n" + start)
            if one.secret in secrets and hmac.compare_digest(one.claimed, secrets[one.secret].value)
        ]
        if not mine and not lacks:
            return x, ()
        visitor = self._visitor(x, next(iter(secrets.values())).value)
        async with visitor.lock:
            known = visitor.session if any(rule.cookie not in had for rule in rules) else None
            session = await self._fetched(x, rules, mine, known)
            visitor.session = session
        return self._sent_on(x, rules, mine, session, names)

    async def _with_session(self, x: Exchange, rules: Sequence[TokenRule]) -> Prepared:
        return self._sent_on(x, rules, (), await self._fetched(x, rules, (), None), ())

    def _visitor(self, x: Exchange, secret: bytes) -> _Visitor:
        now = self._clock.monotonic()
        key = x.rules.name, secret
        while self._visitors and next(iter(self._visitors.values())).until < now:
            self._visitors.popitem(last=False)
        visitor = self._visitors.get(key)
        if visitor is None or visitor.until < now:
            visitor = self._visitors[key] = _Visitor(now + REMEMBERED)
        self._visitors.move_to_end(key)
        while len(self._visitors) > MOST_VISITORS:
            self._visitors.popitem(last=False)
        return visitor

    def _sent_on(
        self,
        x: Exchange,
        rules: Sequence[TokenRule],
        mine: Sequence[StandIn],
        session: _Session,
        names: Sequence[str],
    ) -> Prepared:
        """The form with what was fetched for it."""
        values = {
            one.written: value
            for one in mine
            if (value := _token(session, rules, one, x.asked.fields)) is not None
        }
        site = x.rules.name
        if mine:
            self.done[site, "token" if len(values) == len(mine) else "failed"] += 1
        if session.lines:
            self.done[site, "session"] += 1
        return _swapped(x, values, names, session), tuple(session.lines.values())

    # Fetching -----------------------------------------------------------------------------------

    async def _fetched(
        self, x: Exchange, rules: Sequence[TokenRule], mine: Sequence[StandIn], known: _Session | None
    ) -> _Session:
        """A session for the visitor, and the tokens wanted; what can't be had is left out."""
        session = known or _Session()
        wanted = {(one.rule, one.ordinal) for one in mine}
        by_id = {rule_id(rule.name): rule for rule in rules}
        of_pages = {key for key in wanted if key[0] in by_id and by_id[key[0]].find}
        if known is not None and of_pages <= known.tokens.keys():
            return session
        pages = [by_id[rule].page for rule, _ in sorted(of_pages)] or [rule.page for rule in rules]
        places = _places(x.asked, next((page for page in pages if page), None))
        try:
            async with asyncio.timeout(SECONDS):
                for _ in range(HOPS):
                    if not places:
                        break
                    await self._one(x, rules, session, places)
                    if of_pages <= session.tokens.keys() and (of_pages or session.lines):
                        break
        except (UpstreamError, TimeoutError) as error:
            logger.warning(
                "no session for a form", extra={"id": x.asked.id, "site": x.rules.name, "why": str(error)}
            )
        return session

    async def _one(
        self,
        x: Exchange,
        rules: Sequence[TokenRule],
        session: _Session,
        places: list[tuple[str, str | None]],
    ) -> None:
        """Ask for the first of `places`; a redirect within the site takes its place."""
        path, query = places.pop(0)
        asked = replace(
            x.asked,
            method="GET",
            path=path,
            query=query,
            fields=with_cookies(
                x.asked.fields.without(*_OF_THE_FORM), session.set_by.values(), path
            ).plus(("Accept", "text/html,application/xhtml+xml")),
            body=None,
            on_interim=None,
        )  # fmt: skip
        heard = await self._ask(replace(x, asked=asked), asked)
        answer = heard.answer
        session.take(asked, heard)
        location = answer.fields.get("location") if 300 <= answer.status < 400 else None
        if location is not None:
            await close(answer.body)
            url = urljoin(asked.url, location)
            target = target_of(url) if url.startswith(f"{asked.scheme}://{asked.host}/") else None
            if target is not None:
                places.insert(0, target)
            return
        got = await read(answer)
        if got.why is not None or not isinstance(got.body, bytes):
            await close(got.body)
        else:
            for token in find(got.body, rules):
                session.tokens.setdefault((rule_id(token.hole.rule), token.hole.ordinal), token.value)


def _places(asked: Request, page: str | None) -> list[tuple[str, str | None]]:
    """Where a visitor's own token may be, the most likely place first."""
    likely = (None if page is None else target_of(page), page_before(asked), ("/", None))
    return list(dict.fromkeys(place for place in likely if place is not None))


def _token(session: _Session, rules: Sequence[TokenRule], one: StandIn, fields: Fields) -> bytes | None:
    """What takes a stand-in's place. A page with fewer tokens than the one it stood on has one for all."""
    rule = next((rule for rule in rules if rule_id(rule.name) == one.rule), None)
    if rule is None:
        return None
    if rule.find:
        return session.tokens.get((one.rule, one.ordinal)) or session.tokens.get((one.rule, 0))
    cookie = session.set_by.get(rule.cookie)
    had = next((value for name, value in cookies(fields) if name == rule.cookie), None)
    value = cookie.value if cookie is not None else had
    return None if value is None or is_stand_in(value) else unquote_to_bytes(value)


# The request as it goes on --------------------------------------------------------------------------


async def _opened(x: Exchange) -> tuple[Exchange, bytes]:
    """`x`, and as much of its body as is searched; a longer one goes on as a stream."""
    body = x.asked.body
    if body is None or isinstance(body, bytes):
        return x, (body or b"")[:SEARCHED]
    start = bytearray()
    try:
        async for chunk in body:
            start += chunk
            if len(start) >= SEARCHED:
                return _with_body(x, Resumed(bytes(start), body)), bytes(start)
    except Exception as error:
        raise UpstreamError("reset", x.rules.name, f"the form broke off: {error}", sent=False) from error
    return _with_body(x, bytes(start)), bytes(start)


def _with_body(x: Exchange, body: bytes | AsyncIterator[bytes]) -> Exchange:
    return replace(x, asked=replace(x.asked, body=body), request=replace(x.request, body=body))


def _swapped(x: Exchange, values: dict[bytes, bytes], names: Sequence[str], session: _Session) -> Exchange:
    asked = x.asked
    fields = with_cookies(asked.fields, session.set_by.values(), asked.path)
    if values:
        fields = Fields(
            (name, _in_field(value, values) if name.lower() in names else value)
            for name, value in fields.lines
        )
        kind = (fields.get("content-type") or "").partition(";")[0].strip().lower()
        body = asked.body
        if isinstance(body, bytes):
            x = _with_body(x, _in_body(body, values, kind))
        elif isinstance(body, Resumed):
            before = len(body.start)
            body.start = _in_body(body.start, values, kind)
            length = fields.get("content-length")
            if length is not None and length.isdigit():
                fields = fields.replaced("Content-Length", str(int(length) + len(body.start) - before))
    return replace(x, asked=replace(x.asked, fields=fields))


def _in_field(value: str, values: dict[bytes, bytes]) -> str:
    said = value.encode("latin-1", "replace")
    for stand_in, token in values.items():
        said = said.replace(stand_in, b"".join(token.splitlines()))
    return said.decode("latin-1")


def _in_body(body: bytes, values: dict[bytes, bytes], kind: str) -> bytes:
    """`body` with tokens for stand-ins, escaped as its media type wants it."""
    for stand_in, token in values.items():
        if kind == "application/x-www-form-urlencoded":
            token = quote_from_bytes(token, safe="").encode()
        elif kind == "application/json" or kind.endswith("+json"):
            token = json.dumps(token.decode("utf-8", "replace"))[1:-1].encode()
        body = body.replace(stand_in, token)
    return body
