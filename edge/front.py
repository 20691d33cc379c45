"""Each request between its connection and the pipeline: who asks, may he, and what he was answered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol, cast

from edge.clock import Clock
from edge.guard import head
from edge.guard.gate import Gate, too_large
from edge.guard.proxies import client_of, scheme_of
from edge.guard.refusal import Refusal
from edge.http.dates import format_date
from edge.http.lists import names
from edge.http.message import Answer, Client, Fields, Outcome, Request
from edge.incoming import Upload, body_of, fields_of, target_of, version_of
from edge.reply import Reply, Sent
from edge.server import Connection, Incoming
from edge.telemetry import CLIENT_GONE, Finished

log = logging.getLogger("tepi.edge")

IDENTITY = "tepi"
HEALTH_PATH = "/_tepi/health"
PROBED = Outcome("none", "health")
MISDIRECTED = Refusal(505, "version", "HTTP/1.0 and HTTP/1.1 are spoken here", close=True)
FAILED = Refusal(500, "internal", "something went wrong in this node", close=True)


class Relays(Protocol):
    """What carries an upgraded connection."""

    async def __call__(self, request: Request, connection: Connection) -> Answer | Sent:
        """Relays until either side ends: what was sent; or an answer, where the origin did not switch."""
        ...


@dataclass(slots=True)
class Front:
    """The way in and out of the pipeline, for every listener of a node."""

    gate: Gate
    answer: Callable[[Request], Awaitable[Answer]]
    relay: Relays
    finished: Callable[[Finished], None]
    clock: Clock
    new_id: Callable[[], str]
    locate: Callable[[str, str, str], Client | None]  # address, host, path
    ready: Callable[[], bool]
    draining: bool = False
    under_way: int = 0

    async def handle(self, incoming: Incoming) -> bool:
        """Answers one request; whether the connection may go on. What aiohttp calls."""
        connection, message = incoming.connection, incoming.message
        began = self.clock.monotonic()
        version = version_of(message)
        fields = fields_of(message)
        raw = target_of(message)
        scheme = scheme_of(connection.peer, connection.scheme, fields, self.gate.trusted)
        request = Request(
            message.method, scheme, "", raw, None, fields,
            Client(connection.peer, connection.peer_port), None, self.new_id(), version or "1.1",
        )  # fmt: skip
        transport = connection.transport
        if transport is None:
            return False
        reply = Reply(
            transport, incoming.writer.drain, request.method, request.version, not message.should_close
        )
        connection.began = asyncio.get_running_loop().time()
        self.under_way += 1
        outcome, sent = Outcome("none"), Sent(CLIENT_GONE, whole=False)
        try:
            request, answer = await self._respond(request, incoming, reply, version is not None)
            if isinstance(answer, Sent):
                sent, outcome = answer, Outcome("pass", "upgrade", site=answer.site)
                return False
            outcome = answer.outcome
            reply.keep = reply.keep and not self.draining
            sent = await reply.send(answer)
            if not sent.whole:
                transport.abort()
            return reply.keep
        finally:
            connection.began = None
            self.under_way -= 1
            if outcome is not PROBED:  # nobody's visit: it would drown the figures of a quiet node
                took = self.clock.monotonic() - began
                self.finished(Finished(request, sent.status, outcome, sent.bytes_sent, took))

    def refuse(self, connection: Connection, refusal: Refusal) -> None:
        """Answers what never became a request."""
        transport = connection.transport
        if transport is None:
            return
        client = Client(connection.peer, connection.peer_port)
        request = Request("-", connection.scheme, "", "-", client=client, id=self.new_id())
        answer = self._refused(refusal)
        assert isinstance(answer.body, bytes)
        sent = Reply(transport, _no_wait, "GET", "1.1", keep=False).send_whole(answer, answer.body)
        self.finished(Finished(request, sent.status, answer.outcome, sent.bytes_sent, 0.0))

    # The steps ----------------------------------------------------------------------------------

    async def _respond(
        self, request: Request, incoming: Incoming, reply: Reply, known_version: bool
    ) -> tuple[Request, Answer | Sent]:
        refusal = None if known_version else MISDIRECTED
        refusal = refusal or head.framing(request.version, request.fields)
        if refusal is not None:
            return request, self._stop(refusal, reply)
        where = head.target(request.method, request.scheme, request.version, request.path, request.fields)
        if isinstance(where, Refusal):
            return request, self._stop(where, reply)
        peer = request.client
        address = client_of(peer.address, request.fields, self.gate.trusted)
        client = self.locate(address, where.host, where.path) or Client(address, peer.port)
        fields = request.fields
        if not request.path.startswith("/"):  # absolute: its authority replaces Host (RFC 9112 §3.2.2)
            fields = fields.replaced("Host", where.host)
        request = replace(
            request, host=where.host, path=where.path, query=where.query, fields=fields, client=client
        )
        if where.path == HEALTH_PATH:
            return request, self._health()
        refusal = self.gate.admit(address, request.fields)
        if refusal is not None:
            return request, self._stop(refusal, reply)
        if where.path == "*":
            return request, Answer(204, Fields([("Date", self._date())]), b"", Outcome("none", "options"))
        if _wants_websocket(request):
            return request, await self._upgrade(request, incoming, reply)
        return await self._through(request, incoming, reply)

    async def _through(self, request: Request, incoming: Incoming, reply: Reply) -> tuple[Request, Answer]:
        """Into the pipeline, and out of it; a body that broke off on the way overrides its answer."""
        limits = self.gate.limits
        fields = request.fields
        expects = "100-continue" in (fields.get("expect") or "").lower()

        def proceed() -> None:
            if expects and reply.version == "1.1":
                reply.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

        body = body_of(incoming.content, limits.body, limits.idle, proceed)
        if isinstance(body, bytes) and len(body) > limits.body:
            return request, self._stop(too_large(limits.body), reply)
        request = replace(
            request,
            body=cast("bytes | Upload | None", body),
            fields=fields.without("expect") if expects else fields,
            on_interim=reply.interim,
        )
        try:
            answer = await self.answer(request)
        except Exception:
            log.exception("a request failed", extra={"request": request.id, "url": request.url})
            return request, self._stop(FAILED, reply)
        if isinstance(body, Upload):
            if body.refusal is not None:
                return request, self._stop(body.refusal, reply)
            if expects and body.untouched:
                reply.keep = False  # whether the body comes is the client's choice now (RFC 9110 §10.1.1)
        return request, answer

    async def _upgrade(self, request: Request, incoming: Incoming, reply: Reply) -> Answer | Sent:
        connection = incoming.connection
        connection.began = None  # it may last; its own idle limit holds
        answer = await self.relay(request, connection)
        if isinstance(answer, Answer):
            reply.keep = False
        return answer

    def _stop(self, refusal: Refusal, reply: Reply) -> Answer:
        if refusal.close:
            reply.keep = False
        return self._refused(refusal)

    def _refused(self, refusal: Refusal) -> Answer:
        return refusal.answer(IDENTITY, self._date())

    def _health(self) -> Answer:
        """What a DNS node asks when control is away."""
        fine = self.ready() and not self.draining
        lines = [("Date", self._date()), ("Content-Type", "text/plain"), ("Cache-Control", "no-store")]
        return Answer(
            200 if fine else 503,
            Fields(lines),
            b"ok\n" if fine else b"not ready\n",
            PROBED,
        )

    def _date(self) -> str:
        return format_date(int(self.clock.wall()))


def _wants_websocket(request: Request) -> bool:
    """RFC 6455 §4.1. Other upgrades are answered as if nobody had asked (RFC 9110 §7.8)."""
    upgrade = request.fields.get("upgrade")
    return (
        upgrade is not None
        and request.method == "GET"
        and request.version == "1.1"
        and "websocket" in names(upgrade)
        and "upgrade" in names(request.fields.get("connection") or "")
    )


async def _no_wait() -> None:
    return None
