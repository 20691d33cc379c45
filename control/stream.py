"""The node listener: joining, and the one line that each node keeps open."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import ssl
from collections.abc import Callable
from typing import Any

from aiohttp import WSMsgType, web

from control.authority import Authority, BadRequest
from control.fanout import Fanout
from control.health import SILENCE
from control.journal import Journal
from control.membership import Membership, TokenRefused
from control.purges import Purges
from control.sites import Sites
from edge.journal import BadJournal, parse, position_of, signed_frame
from edge.position import Position

log = logging.getLogger("tepi.control.stream")

LARGEST_BODY = 64 * 1024
LARGEST_FRAME = 4 * 1024 * 1024


class NoSuchNode(Exception):
    """The node is not connected."""


class CommandFailed(Exception):
    """The node refused the command, failed, or did not answer in time."""


class Line:
    """One node's open connection."""

    def __init__(
        self,
        name: str,
        role: str,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
    ) -> None:
        self.name = name
        self.role = role
        self.socket = socket
        self.transport = transport
        self.pending: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self.following: asyncio.Task[None] | None = None


class Stream:
    """Nodes' connections. `monotonic` gives seconds that only grow."""

    def __init__(
        self,
        *,
        journal: Journal,
        membership: Membership,
        sites: Sites,
        purges: Purges,
        fanout: Fanout,
        authority: Authority,
        journal_key: str,
        monotonic: Callable[[], float],
    ) -> None:
        self._journal = journal
        self._membership = membership
        self._sites = sites
        self._purges = purges
        self._fanout = fanout
        self._authority = authority
        self._journal_key = journal_key
        self._monotonic = monotonic
        self._lines: dict[str, Line] = {}
        self._head = Position("", 0)

    def application(self) -> web.Application:
        """The routes of the node listener."""
        application = web.Application(client_max_size=LARGEST_BODY)
        application.add_routes(
            [
                web.get("/node/v1/authority", self._show_authority),
                web.post("/node/v1/join", self._join),
                web.get("/node/v1/stream", self._stream),
                web.get("/node/v1/certificates/{name}", self._certificate),
            ]
        )
        return application

    async def command(self, name: str, verb: str, body: dict[str, Any], seconds: float = 5.0) -> Any:
        """Has the node called `name` carry out `verb`. Raises NoSuchNode, CommandFailed."""
        line = self._lines.get(name)
        if line is None:
            raise NoSuchNode(name)
        id = secrets.token_hex(8)
        line.pending[id] = asyncio.get_running_loop().create_future()
        try:
            await line.socket.send_str(json.dumps({"type": "command", "id": id, "verb": verb, "body": body}))
            async with asyncio.timeout(seconds):
                reply = await line.pending[id]
        except TimeoutError as error:
            raise CommandFailed(f"{name} did not answer within {seconds:g} s") from error
        except (ConnectionError, RuntimeError) as error:
            raise NoSuchNode(name) from error
        finally:
            line.pending.pop(id, None)
        if "error" in reply:
            raise CommandFailed(str(reply["error"]))
        return reply.get("body")

    async def revoked(self, name: str) -> None:
        """`name` is no member any more: its line ends now."""
        self._fanout.forget(name)
        line = self._lines.pop(name, None)
        if line is not None:
            await line.socket.close(code=4403, message=b"revoked")

    async def tell_health(self, nodes: dict[str, str]) -> None:
        """Every node hears of every node's health."""
        frame = json.dumps({"type": "health", "nodes": nodes})
        for line in list(self._lines.values()):
            with contextlib.suppress(ConnectionError, RuntimeError):
                await line.socket.send_str(frame)

    async def drop_silent(self) -> None:
        """Ends lines on which nothing was heard: the node will dial again when it wakes."""
        now = self._monotonic()
        for line in list(self._lines.values()):
            seen = self._fanout.get(line.name)
            if seen and seen.connected and seen.heard.beat and now - seen.heard.beat > SILENCE:
                log.warning("%s is silent; its line is dropped", line.name)
                self._fanout.disconnected(line.name)
                if line.transport is not None:
                    line.transport.abort()

    # Joining ------------------------------------------------------------------------------------

    async def _show_authority(self, _request: web.Request) -> web.Response:
        return web.Response(text=self._authority.pem, content_type="application/x-pem-file")

    async def _join(self, request: web.Request) -> web.Response:
        try:
            body = parse(await request.text())
            token, csr = body["token"], body["csr"]
            if not isinstance(token, str) or not isinstance(csr, str):
                raise BadJournal("token, csr: expected text")
        except (BadJournal, KeyError) as error:
            return _refusal(400, f"expected token and csr: {error}")
        try:
            admission = await self._membership.admit(token, csr)
        except TokenRefused as error:
            log.warning("a node at %s was refused: %s", request.remote, error)
            return _refusal(403, str(error))
        except BadRequest as error:
            return _refusal(400, str(error))
        log.info("%s joined from %s", admission.name, request.remote)
        return web.json_response(
            {
                "name": admission.name,
                "role": admission.role,
                "certificate": admission.certificate,
                "journal_key": self._journal_key,
            }
        )

    async def _member(self, request: web.Request) -> tuple[str, str]:
        """Name and role of the node behind this connection. Raises HTTPForbidden."""
        tls = request.transport.get_extra_info("ssl_object") if request.transport else None
        certificate = tls.getpeercert() if isinstance(tls, (ssl.SSLObject, ssl.SSLSocket)) else None
        if certificate:
            subject = _names(certificate.get("subject"))
            serial = str(certificate.get("serialNumber", "")).lower().lstrip("0")
            name = subject.get("commonName", "")
            role = await self._membership.by_certificate(name, serial)
            if role is not None:
                return name, role
        raise web.HTTPForbidden(text="no member of this fleet, or revoked")

    async def _certificate(self, request: web.Request) -> web.Response:
        await self._member(request)
        pair = await self._sites.certificate(request.match_info["name"])
        if pair is None:
            return _refusal(404, "no certificate of that name")
        return web.json_response(pair)

    # The line -----------------------------------------------------------------------------------

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        name, role = await self._member(request)
        socket = web.WebSocketResponse(max_msg_size=LARGEST_FRAME, timeout=1.0)
        await socket.prepare(request)
        line = Line(name, role, socket, request.transport)
        older = self._lines.pop(name, None)
        if older is not None:
            await older.socket.close(code=4409, message=b"the node has dialled again")
        self._lines[name] = line
        try:
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    break
                await self._frame(line, parse(message.data))
        except BadJournal as error:
            log.warning("%s sent a frame that can't be read: %s", name, error)
        finally:
            await self._hang_up(line)
        return socket

    async def _hang_up(self, line: Line) -> None:
        if line.following is not None:
            line.following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await line.following
        for waiting in line.pending.values():
            if not waiting.done():
                waiting.set_result({"error": f"the line to {line.name} was cut"})
        if self._lines.get(line.name) is line:
            del self._lines[line.name]
            self._fanout.disconnected(line.name)

    async def _frame(self, line: Line, frame: dict[str, Any]) -> None:
        match frame.get("type"):
            case "hello":
                if line.following is None:
                    self._fanout.connected(line.name, line.role, str(frame.get("version", "")))
                    position = position_of(frame["position"]) if frame.get("position") else None
                    line.following = asyncio.create_task(self._follow(line, position))
            case "ack":
                position = position_of(frame.get("position") or {})
                self._fanout.acknowledged(line.name, position)
                await self._purges.acknowledged(line.name, position)
            case "heartbeat":
                await self._heartbeat(line, frame)
            case "reply":
                waiting = line.pending.get(str(frame.get("id")))
                if waiting is not None and not waiting.done():
                    waiting.set_result(frame)
            case kind:
                log.info("%s sent a frame of an unknown type: %r", line.name, kind)

    async def _follow(self, line: Line, position: Position | None) -> None:
        """Sends what the node has missed, then every event as it comes."""
        try:
            if position is None or not await self._journal.reaches_back_to(position):
                position, signed = await self._journal.snapshot()
                await line.socket.send_str(signed_frame("snapshot", signed))
            else:
                await self._purges.acknowledged(line.name, position)
            async for _, signed in self._journal.follow(position):
                await line.socket.send_str(signed_frame("event", signed))
        except (ConnectionError, RuntimeError):
            return
        except Exception:
            log.exception("following for %s failed", line.name)
            await line.socket.close(code=1011)

    async def _heartbeat(self, line: Line, frame: dict[str, Any]) -> None:
        head = await self._journal.head()
        self._fanout.beat(
            line.name,
            now=self._monotonic(),
            ready=frame.get("ready") is True,
            position=position_of(frame["position"]) if frame.get("position") else None,
            head=head,
            counters=frame.get("counters") or {},
            problems=frame.get("problems") or {},
        )
        await line.socket.send_str(
            json.dumps(
                {"type": "head", "beat": frame.get("beat"), "lineage": head.lineage, "number": head.number}
            )
        )


def _names(subject: Any) -> dict[str, str]:
    """A certificate's subject, as `ssl` gives it, by attribute."""
    return {name: value for part in subject or () for name, value in part}


def _refusal(status: int, detail: str) -> web.Response:
    return web.json_response(
        {"title": "refused", "status": status, "detail": detail},
        status=status,
        content_type="application/problem+json",
    )
