"""Webhooks at the edge: verified, written durably, then acknowledged, whether or not the origin is there."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import assert_never
from urllib.parse import parse_qsl

from edge.clock import Clock
from edge.http.dates import format_date
from edge.http.message import Answer, Fields, Line, Outcome, Request
from edge.incoming import BodyRefused
from edge.policy.reasons import HookReason
from edge.sealing import sealed
from edge.sites import Served, Sites
from edge.spool import Entry, Full, Spool
from edge.telemetry import Gauge
from edge.webhooks.accounts import Accounts
from edge.webhooks.contract import Hook, Provider, Reply, Unverified, Verified, Wants
from edge.webhooks.events import digest, plain
from edge.webhooks.record import Record
from edge.webhooks.standard import MARK

log = logging.getLogger("tepi.edge.webhooks")

PLACE = "/hooks/"
REMEMBERED = 50_000  # events by which repetitions are told without asking the origin
RETRY_AFTER = 10
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_FAULTS = {"signature": HookReason.SIGNATURE, "time": HookReason.TIME, "malformed": HookReason.MALFORMED}
_STATUS = {
    HookReason.UNKNOWN_PROVIDER: (404, "no such provider is known here"),
    HookReason.NO_SECRET: (403, "this provider has no secret here, so nothing of it is believed"),
    HookReason.METHOD: (405, "webhooks come by POST"),
    HookReason.SIZE: (413, "this is too long for a webhook"),
    HookReason.CODING: (415, "a webhook comes without a content coding"),
    HookReason.MALFORMED: (400, "this is no webhook"),
    HookReason.SIGNATURE: (401, "the signature is not right"),
    HookReason.TIME: (400, "this was signed too long ago, or ahead of time"),
    HookReason.FULL: (503, "no more webhooks can be kept now"),
    HookReason.UNPROVEN: (503, "the certificate to verify this with can't be had now"),
}


class Refused(Exception):
    """It is not taken, for a named reason."""

    def __init__(self, reason: HookReason, detail: str = "") -> None:
        super().__init__(detail or _STATUS[reason][1])
        self.reason = reason


@dataclass(slots=True)
class Settings:
    """What may change while a node runs."""

    accounts: Accounts
    max_body: int


@dataclass(slots=True)
class Gateway:
    """Takes webhooks in. `fetch` gets what lies at a provider's own address; `token` makes ids unique.

    `queue` is told of each new entry; `waiting` says whether an entry with a key is there and not on its way.
    """

    sites: Sites
    spool: Spool
    settings: Settings
    clock: Clock
    identity: str
    fetch: Callable[[str], Awaitable[bytes | None]]
    token: Callable[[], str]
    queue: Callable[[Entry], None]
    waiting: Callable[[bytes], bool]
    counted: Counter[tuple[str, str]] = field(default_factory=Counter)
    _recent: OrderedDict[bytes, None] = field(default_factory=OrderedDict)
    _coming: dict[bytes, asyncio.Task[bool]] = field(default_factory=dict)

    def remember(self, keys: Iterable[bytes]) -> None:
        """Events that were taken in before a restart."""
        for key in keys:
            self._recent[key] = None

    async def answer(self, request: Request) -> Answer | None:
        """What a webhook's sender is told, or None where `request` is no webhook."""
        served = self.sites.find(request.host)
        prefix = None if served is None else served.rules.commerce_prefix
        if served is None or prefix is None or not request.path.startswith(prefix + PLACE):
            return None
        began = self.clock.monotonic()
        name = request.path[len(prefix) + len(PLACE) :]
        try:
            provider = self._provider(served, name)
            reply, word = await self._take(request, served.site.name, name, provider)
            answer = self._taken(reply, served, word)
        except Refused as refused:
            word = str(refused.reason)
            if refused.reason is HookReason.UNKNOWN_PROVIDER:
                name = "-"  # whoever asks must not make up series
            answer = self._refused(refused, served, name)
        self.counted[name, word] += 1
        return sealed(answer, request, self.identity, (self.clock.monotonic() - began) * 1000)

    def counts(self) -> Iterable[Gauge]:
        """What came, by provider and what became of it."""
        for (provider, result), count in self.counted.items():
            labels = {"provider": provider, "result": result}
            yield Gauge("webhooks", "Webhooks that came, by what became of them.", count, labels)

    # The steps ----------------------------------------------------------------------------------

    def _provider(self, served: Served, name: str) -> Provider:
        accounts = self.settings.accounts
        if not _NAME.fullmatch(name):
            raise Refused(HookReason.UNKNOWN_PROVIDER)
        provider = accounts.find(served.site.name, name)
        if provider is None:
            raise Refused(HookReason.NO_SECRET if accounts.known(name) else HookReason.UNKNOWN_PROVIDER)
        return provider

    async def _take(self, request: Request, site: str, name: str, provider: Provider) -> tuple[Reply, str]:
        """What to reply, and a word for the count. Raises Refused."""
        query = dict(parse_qsl(request.query or "", keep_blank_values=True, max_num_fields=64))
        if request.method == "GET":
            challenge = provider.challenge(query)
            if challenge is None:
                raise Refused(HookReason.METHOD)
            return challenge, "challenge"
        if request.method != "POST":
            raise Refused(HookReason.METHOD)
        body = await self._body(request)
        fields = {each: request.fields.get(each) or "" for each in request.fields.names()}
        verified = await self._verified(provider, Hook(body, fields, request.path, query))
        event = plain(verified.event)
        if event.startswith(MARK):
            event = digest(event)
        content_type = request.fields.get("content-type") or "application/json"
        id = f"{MARK}{event}_{self.token()}" if verified.hint else event
        record = Record(site, name, event, id, self.clock.wall(), body, verified.hint, content_type[:100])
        return verified.reply, "accepted" if await self._kept(record) else "repeated"

    async def _body(self, request: Request) -> bytes:
        limit, body = self.settings.max_body, request.body
        if request.fields.get("content-encoding") not in (None, "identity"):
            raise Refused(HookReason.CODING)
        length = request.fields.get("content-length")
        if length is not None and int(length) > limit:
            raise Refused(HookReason.SIZE)
        if body is None or isinstance(body, bytes):
            found = body or b""
        else:
            pieces, size = [], 0
            try:
                async for piece in body:
                    size += len(piece)
                    if size > limit:
                        raise Refused(HookReason.SIZE)
                    pieces.append(piece)
            except BodyRefused as refused:
                raise Refused(HookReason.MALFORMED, "the body broke off") from refused
            found = b"".join(pieces)
        if len(found) > limit:
            raise Refused(HookReason.SIZE)
        return found

    async def _verified(self, provider: Provider, hook: Hook) -> Verified:
        try:
            verdict = provider.verify(hook, self.clock.wall())
            if isinstance(verdict, Wants):
                material = await self.fetch(verdict.url)
                if material is None:
                    raise Refused(HookReason.UNPROVEN)
                hook = Hook(hook.body, hook.fields, hook.path, hook.query, {verdict.url: material})
                verdict = provider.verify(hook, self.clock.wall())
        except Unverified as error:
            raise Refused(_FAULTS[error.fault], str(error)) from None
        match verdict:
            case Verified():
                return verdict
            case Wants():
                raise Refused(HookReason.UNPROVEN)
            case unreachable:
                assert_never(unreachable)

    async def _kept(self, record: Record) -> bool:
        """Whether it is new. It is durable when this returns. Raises Refused.

        A hint is asked about when it is delivered, so one that waits stands for those that come meanwhile; a
        later one may tell more.
        """
        key = record.key
        coming, new = self._coming.get(key), False
        if coming is None:
            if self.waiting(key) if record.hint else key in self._recent:
                return False
            coming = self._coming[key] = asyncio.create_task(self._written(record))
            new = True
        if not await asyncio.shield(coming):
            raise Refused(HookReason.FULL)
        return new

    async def _written(self, record: Record) -> bool:
        """Whether it could be kept. Goes on though its sender hangs up: what is written must be delivered."""
        try:
            entry = await self.spool.append(record.encoded())
        except Full:
            return False
        finally:
            del self._coming[record.key]
        if not record.hint:
            self._recent[record.key] = None
            if len(self._recent) > REMEMBERED:
                self._recent.popitem(last=False)
        self.queue(entry)
        return True

    # What is said -------------------------------------------------------------------------------

    def _taken(self, reply: Reply, served: Served, word: str) -> Answer:
        outcome = Outcome("webhook", None if word == "accepted" else word, site=served.site.name)
        return Answer(200, self._fields(reply.content_type), reply.body, outcome)

    def _refused(self, refused: Refused, served: Served, provider: str) -> Answer:
        status, sentence = _STATUS[refused.reason]
        log.warning("a webhook of %s is refused (%s): %s", provider, refused.reason, refused)
        more: list[Line] = []
        if status == 503:
            more = [("Retry-After", str(RETRY_AFTER))]
        elif status == 405:
            more = [("Allow", "POST")]
        fields = self._fields("text/plain; charset=utf-8").plus(*more)
        outcome = Outcome("refused", refused.reason, site=served.site.name)
        return Answer(status, fields, f"{sentence}\n".encode(), outcome)

    def _fields(self, content_type: str) -> Fields:
        return Fields(
            [
                ("Date", format_date(int(self.clock.wall()))),
                ("Content-Type", content_type),
                ("Cache-Control", "no-store"),
                ("X-Content-Type-Options", "nosniff"),
            ]
        )
