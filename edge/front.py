"""Each request between its connection and the pipeline: who asks, may he, and what he was answered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, cast

from edge.clock import Clock
from edge.guard import head
from edge.guard.gate import Gate, too_large
from edge.guard.proxies import client_of, scheme_of
from edge.guard.refusal import Refusal
from edge.http.dates import format_date
from edge.http.lists import names
from edge.http.message import Answer, Client, Fields, Outcome, Request
from edge.incoming import Asked, Incoming, Upload, body_of, fields_of, target_of, version_of
from edge.memo import Ticket
from edge.reply import Reply, Sent, Writes
from edge.server import Connection
from edge.telemetry import CLIENT_GONE, Finished
from edge.wire.plain import Plain

log = logging.getLogger("tepi.edge")

IDENTITY = "tepi"
HEALTH_PATH = "/_tepi/health"
PROBED = Outcome("none", "health")
UNSPOKEN = Refusal(505, "version", "HTTP/1.0 and HTTP/1.1 are spoken here", close=True)
FAILED = Refusal(500, "internal", "something went wrong in this node", close=True)


class Relays(Protocol):
    """What carries an upgraded connection."""

    async def __call__(self, request: Request, connection: Connection) -> Answer | Sent:
        """Relays until either side ends: what was sent; or an answer, where the origin did not switch."""
        ...


# A peer's request as its visitor's, or why it goes no further.
Vouched = Callable[[Request, Connection], tuple[Request, Refusal | None]]


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
    keep: Callable[[Ticket, Request, Answer, bytes], object]  # a memo of an answer, for the lane
    vouched: Vouched | None = None  # of a listener for the fleet's own nodes
    draining: bool = False
    under_way: int = 0

    async def handle(self, incoming: Incoming, connection: Connection) -> bool:
        """Answers one request of HTTP/1.1; whether the connection may go on. What aiohttp calls."""
        transport = connection.transport
        if transport is None:
            return False
        message = incoming.message
        version = version_of(message)
        asked = Asked(
            message.method,
            target_of(message),
            fields_of(message),
            version,
            connection.scheme,
            connection.peer,
            connection.peer_port,
            lambda proceed: body_of(incoming.content, *self._body_limits(), proceed),
        )
        reply = Reply(
            transport,
            incoming.writer.drain,
            message.method,
            version or "1.1",
            not message.should_close,
            connection.outlet,
        )
        return await self._answered(asked, reply, connection)

    async def plain(self, asked: Plain, fields: Fields, connection: Connection) -> bool:
        """The same for one whose head needed no parser."""
        transport = connection.transport
        if transport is None:
            return False
        method, target = asked
        scheme, peer, port = connection.scheme, connection.peer, connection.peer_port
        reply = Reply(transport, connection.drained, method, "1.1", True, connection.outlet)
        return await self._answered(
            Asked(method, target, fields, "1.1", scheme, peer, port, _no_body), reply, connection
        )

    async def _answered(self, asked: Asked, reply: Reply, connection: Connection) -> bool:
        transport = reply.transport
        connection.began = asyncio.get_running_loop().time()
        ticket, connection.ticket = connection.ticket, None
        try:
            sent = await self._serve(asked, reply, connection, ticket)
            if sent is None:
                return False
            if not sent.whole:
                transport.abort()
            if reply.keep:
                connection.answered()
            return reply.keep
        finally:
            connection.began = None

    async def stream(self, asked: Asked, reply: Writes) -> bool:
        """Answers one request of a wire that carries many at a time; whether its client got all of it."""
        sent = await self._serve(asked, reply, None, None)
        return sent is not None and sent.whole

    async def _serve(
        self, asked: Asked, reply: Writes, connection: Connection | None, ticket: Ticket | None
    ) -> Sent | None:
        """Answers `asked`; None where its `connection` was another protocol's from then on."""
        began = self.clock.monotonic()
        self.under_way += 1
        request, refusal = self._read(asked, reply)
        if self.vouched is not None and connection is not None and refusal is None:
            request, refusal = self.vouched(request, connection)
        if ticket is not None:
            request = ticket.watched(request)
        outcome, sent = Outcome("none"), Sent(CLIENT_GONE, whole=False)
        try:
            stopped = self._stopped(request, reply, refusal)
            answer: Answer | Sent
            if stopped is not None:
                answer = stopped
            elif connection is not None and _wants_websocket(request):
                answer = await self._upgrade(request, connection, reply)
            else:
                answer = await self._through(request, reply)
            if isinstance(answer, Sent):
                sent, outcome = answer, Outcome("pass", "upgrade", site=answer.site)
                return None
            outcome = answer.outcome
            reply.keep = reply.keep and not self.draining
            sent = await reply.send(answer)
            if sent.whole and ticket is not None and ticket.entry is not None and reply.keep:
                self.keep(ticket, request, answer, reply.head)
            return sent
        finally:
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

    def _read(self, asked: Asked, reply: Writes) -> tuple[Request, Refusal | None]:
        """The request that a head makes, and why it goes no further if it can't be trusted."""
        fields, raw, trusted = asked.fields, asked.target, self.gate.trusted
        scheme = scheme_of(asked.peer, asked.scheme, fields, trusted)
        refusal = asked.refusal or (None if asked.version else UNSPOKEN)
        refusal = refusal or head.framing(reply.version, fields)
        where = refusal or head.target(asked.method, scheme, reply.version, raw, fields)
        if isinstance(where, Refusal):
            client = Client(asked.peer, asked.port)
            request = Request(
                asked.method, scheme, "", raw, None, fields, client, None, self.new_id(), reply.version
            )
            return request, where
        address = client_of(asked.peer, fields, trusted)
        if not raw.startswith("/"):  # absolute: its authority replaces Host (RFC 9112 §3.2.2)
            fields = fields.replaced("Host", where.host)
        expects = reply.version != "1.0" and "100-continue" in (fields.get("expect") or "").lower()
        request = Request(
            asked.method,
            scheme,
            where.host,
            where.path,
            where.query,
            fields.without("expect") if expects else fields,
            self.locate(address, where.host, where.path) or Client(address, asked.port),
            cast("bytes | Upload | None", asked.body(reply.proceed if expects else None)),
            self.new_id(),
            reply.version,
            reply.interim,
        )
        return request, self._admitted(request)

    def _body_limits(self) -> tuple[int, float]:
        """Bytes that a request's body may have, and seconds between two pieces of it."""
        return self.gate.limits.body, self.gate.limits.idle

    def _admitted(self, request: Request) -> Refusal | None:
        if request.path == HEALTH_PATH:
            return None
        refusal = self.gate.admit(request.client.address, request.fields)
        if refusal is None and isinstance(request.body, bytes) and len(request.body) > self.gate.limits.body:
            return too_large(self.gate.limits.body)
        return refusal

    def _stopped(self, request: Request, reply: Writes, refusal: Refusal | None) -> Answer | None:
        """What is answered without the pipeline."""
        if refusal is not None:
            return self._stop(refusal, reply)
        if request.path == HEALTH_PATH:
            return self._health()
        if request.path == "*":
            return Answer(204, Fields([("Date", self._date())]), b"", Outcome("none", "options"))
        return None

    async def _through(self, request: Request, reply: Writes) -> Answer:
        """Into the pipeline, and out of it; a body that broke off on the way overrides its answer."""
        try:
            answer = await self.answer(request)
        except Exception:
            log.exception("request %s failed: %s %s", request.id, request.method, request.url)
            return self._stop(FAILED, reply)
        body = request.body
        if isinstance(body, Upload):
            if body.refusal is not None:
                return self._stop(body.refusal, reply)
            if body.awaited:
                reply.keep = False  # whether the body comes is the client's choice now (RFC 9110 §10.1.1)
        return answer

    async def _upgrade(self, request: Request, connection: Connection, reply: Writes) -> Answer | Sent:
        connection.began = None  # it may last; its own idle limit holds
        answer = await self.relay(request, connection)
        if isinstance(answer, Answer):
            reply.keep = False
        return answer

    def _stop(self, refusal: Refusal, reply: Writes) -> Answer:
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
    fields = request.fields
    upgrade = fields.get("upgrade")
    return (
        upgrade is not None
        and request.method == "GET"
        and request.version == "1.1"
        and "transfer-encoding" not in fields
        and fields.get("content-length") in (None, "0")
        and "websocket" in names(upgrade)
        and "upgrade" in names(fields.get("connection") or "")
    )


async def _no_wait() -> None:
    return None


def _no_body(proceed: Callable[[], None] | None) -> None:
    return None
