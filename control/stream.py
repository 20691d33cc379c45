"""The node listener: joining, and the one line that each node keeps open."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web
from sqlalchemy.exc import SQLAlchemyError

from control.api.problem import problem
from control.audit import Actor, acting
from control.authority import Authority, BadRequest
from control.carriers import offer
from control.fanout import Fanout
from control.health import SILENCE
from control.journal import Journal
from control.lines import TELL_SECONDS, Line, Member
from control.membership import Membership, TokenRefused
from control.purges import Purges
from control.sites import Sites
from edge.journal import BadJournal, parse, position_of, signed_frame
from edge.position import Position

log = logging.getLogger("tepi.control.stream")

LARGEST_BODY = 64 * 1024
LARGEST_FRAME = 4 * 1024 * 1024
COMPLAIN_SECONDS = 10.0
RETRY_SECONDS = 0.5
REVOKED, DIALLED_AGAIN = 4403, 4409  # WebSocket close codes (RFC 6455 §7.4.2)


class NoSuchNode(Exception):
    """The node is not connected."""


class CommandFailed(Exception):
    """The node refused the command, failed, or did not answer in time."""


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
        nats: str = "",
    ) -> None:
        """`nats` is where else the journal can be had; empty: nowhere."""
        self._journal = journal
        self._membership = membership
        self._sites = sites
        self._purges = purges
        self._fanout = fanout
        self._authority = authority
        self._journal_key = journal_key
        self._monotonic = monotonic
        self._nats = nats
        self._lines: dict[str, Line] = {}
        self._complained = float("-inf")

    def application(self) -> web.Application:
        """The routes of the node listener."""
        application = web.Application(client_max_size=LARGEST_BODY)
        application.on_shutdown.append(self._end_all)
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
        """`name` is no member any more: its line ends now, and no purge waits for it."""
        self._fanout.forget(name)
        line = self._lines.pop(name, None)
        if line is not None:
            await line.end(REVOKED, "revoked")
        await self._purges.forget(name)

    async def only(self, serials: Mapping[str, str]) -> None:
        """Ends the lines of who is none of `serials` (certificates' serials by name): revoked elsewhere."""
        for line in list(self._lines.values()):
            known = serials.get(line.name)
            if known == line.serial or await self._membership.by_certificate(line.name, line.serial):
                continue
            if known is None:
                await self.revoked(line.name)
            else:
                await line.end(REVOKED, "another certificate is valid now")

    async def tell_health(self, nodes: dict[str, str]) -> None:
        """Every node hears of every node's health."""
        frame = json.dumps({"type": "health", "nodes": nodes})
        await asyncio.gather(*(line.tell(frame) for line in self._lines.values()))

    def drop_silent(self) -> None:
        """Ends lines on which nothing was heard: the node will dial again when it wakes."""
        now = self._monotonic()
        for line in self._lines.values():
            if now - line.heard > SILENCE:
                log.warning("%s is silent; its line is dropped", line.name)
                self._fanout.disconnected(line.name)
                if line.transport is not None:
                    line.transport.abort()

    def slept(self, seconds: float) -> None:
        """Control itself did not run for `seconds`: that nothing was heard then means nothing."""
        for line in self._lines.values():
            line.heard += seconds

    async def _end_all(self, _application: web.Application) -> None:
        lines = list(self._lines.values())
        await asyncio.gather(*(line.end(WSCloseCode.GOING_AWAY, "control stops") for line in lines))

    # Joining ------------------------------------------------------------------------------------

    async def _show_authority(self, _request: web.Request) -> web.Response:
        return web.Response(text=self._authority.pem, content_type="application/x-pem-file")

    async def _join(self, request: web.Request) -> web.Response:
        try:
            body = parse((await request.read()).decode())
        except ValueError as error:
            return problem(400, str(error))
        token, csr = body.get("token"), body.get("csr")
        if not isinstance(token, str) or not isinstance(csr, str):
            return problem(400, "expected an object with the texts token and csr")
        acting.set(Actor("a joining node", "system", request.remote or ""))
        try:
            admission = await self._membership.admit(token, csr)
        except TokenRefused as error:
            log.warning("a node at %s was refused: %s", request.remote, error)
            return problem(403, str(error))
        except BadRequest as error:
            return problem(400, str(error))
        log.info("%s joined from %s", admission.name, request.remote)
        return web.json_response(
            {
                "name": admission.name,
                "role": admission.role,
                "certificate": admission.certificate,
                "journal_key": self._journal_key,
            }
        )

    async def _member(self, request: web.Request) -> Member:
        """The node behind this connection. Raises HTTPForbidden."""
        tls = request.transport.get_extra_info("ssl_object") if request.transport else None
        certificate = tls.getpeercert() if isinstance(tls, (ssl.SSLObject, ssl.SSLSocket)) else None
        if certificate:
            subject = _names(certificate.get("subject"))
            serial = str(certificate.get("serialNumber", "")).lower().lstrip("0")
            name = subject.get("commonName", "")
            try:
                role = await self._membership.by_certificate(name, serial)
            except SQLAlchemyError:
                raise web.HTTPServiceUnavailable(text="the database does not answer") from None
            if role is not None:
                return Member(name, role, serial)
        raise web.HTTPForbidden(text="no member of this fleet, or revoked")

    async def _certificate(self, request: web.Request) -> web.Response:
        await self._member(request)
        pair = await self._sites.certificate(request.match_info["name"])
        if pair is None:
            return problem(404, "no certificate of that name")
        return web.json_response(pair)

    # The line -----------------------------------------------------------------------------------

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        member = await self._member(request)
        socket = web.WebSocketResponse(max_msg_size=LARGEST_FRAME, timeout=TELL_SECONDS)
        await socket.prepare(request)
        line = Line(member.name, member.role, member.serial, socket, request.transport, self._monotonic())
        older = self._lines.get(member.name)
        self._lines[member.name] = line
        try:
            if older is not None:
                await older.end(DIALLED_AGAIN, "the node has dialled again")
            if await self._membership.by_certificate(member.name, member.serial) is None:
                await line.end(REVOKED, "revoked")  # while the line was opened
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    break
                line.heard = self._monotonic()
                await self._frame(line, parse(message.data))
        except BadJournal as error:
            log.warning("%s sent a frame that can't be read: %s", line.name, error)
        except ConnectionError:
            log.info("the line to %s was cut", line.name)
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
                    position = _position(frame)
                    line.carriers = tuple(str(each) for each in frame.get("carriers") or ())
                    line.following = asyncio.create_task(self._follow(line, position))
            case "ack":
                position = position_of(frame.get("position"))
                self._fanout.acknowledged(line.name, position)
                line.owed = position
                with contextlib.suppress(SQLAlchemyError):  # the next heartbeat tries again
                    await self._write_receipts(line)
            case "uncarried":
                log.info("%s gets the journal by its line: %s", line.name, str(frame.get("why"))[:200])
                line.uncarried.set()
            case "heartbeat":
                await self._heartbeat(line, frame)
            case "reply":
                waiting = line.pending.get(str(frame.get("id")))
                if waiting is not None and not waiting.done():
                    waiting.set_result(frame)
            case kind:
                log.info("%s sent a frame of an unknown type: %r", line.name, kind)

    async def _write_receipts(self, line: Line) -> None:
        """Every purge up to where the node stands has its receipt."""
        position = line.owed
        if position is not None:
            await self._purges.acknowledged(line.name, position)
            if line.owed is position:
                line.owed = None

    async def _follow(self, line: Line, position: Position | None) -> None:
        """Sends what the node has missed, then every event as it comes; goes on when the database is back."""
        try:
            while True:
                try:
                    async for at in self._sending(line, position):
                        position = at
                    break
                except SQLAlchemyError as error:
                    log.warning("%s has to wait for the database: %s", line.name, type(error).__name__)
                    await asyncio.sleep(RETRY_SECONDS)
            await line.socket.close(code=WSCloseCode.SERVICE_RESTART, message=b"a new lineage has begun")
        except (ConnectionError, RuntimeError):
            return
        except Exception:
            log.exception("following for %s failed", line.name)
            await line.socket.close(code=WSCloseCode.INTERNAL_ERROR)

    async def _sending(self, line: Line, position: Position | None) -> AsyncIterator[Position]:
        """Sends what comes after `position`, a snapshot where it must; each position that was sent."""
        if position is not None and await self._journal.is_behind(position):
            log.error("%s is ahead of the journal: a restored backup; a new lineage begins", line.name)
            await self._journal.new_lineage()
        if position is None or not await self._journal.reaches_back_to(position):
            position, signed = await self._journal.snapshot()
            await line.socket.send_str(signed_frame("snapshot", signed))
            yield position
        else:
            await self._purges.acknowledged(line.name, position)
        if self._nats and "nats" in line.carriers:
            line.carriers = ()
            await line.socket.send_str(json.dumps(offer(self._nats, position)))
            if not await self._is_back(line, position.lineage):
                return
            here = self._fanout.get(line.name)
            position = position if here is None or here.position is None else here.position
            if not await self._journal.reaches_back_to(position):
                async for at in self._sending(line, position):
                    yield at
                return
        async for at, signed in self._journal.follow(position):
            await line.socket.send_str(signed_frame("event", signed))
            yield at

    async def _is_back(self, line: Line, lineage: str) -> bool:
        """Waits until the node wants events by its line again; False if its lineage ended before."""
        ended = asyncio.ensure_future(self._journal.outlived(lineage))
        back = asyncio.ensure_future(line.uncarried.wait())
        try:
            await asyncio.wait({ended, back}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                ended.result()
            return back.done() and not ended.done()
        finally:
            for waiting in (ended, back):
                waiting.cancel()
            await asyncio.gather(ended, back, return_exceptions=True)

    async def _heartbeat(self, line: Line, frame: dict[str, Any]) -> None:
        """While the database is away the node is heard all the same, and told of no head."""
        try:
            head = await self._journal.head()
            await self._write_receipts(line)
        except SQLAlchemyError as error:
            if line.heard - self._complained > COMPLAIN_SECONDS:
                log.warning("the journal can't be read: %s", type(error).__name__)
                self._complained = line.heard
            self._fanout.beat_unread(line.name, self._monotonic(), ready=frame.get("ready") is True)
            await line.socket.send_str(json.dumps({"type": "waiting", "beat": frame.get("beat")}))
            return
        self._fanout.beat(
            line.name,
            now=self._monotonic(),
            ready=frame.get("ready") is True,
            position=_position(frame),
            head=head,
            counters=_object(frame, "counters"),
            problems=_object(frame, "problems"),
        )
        await line.socket.send_str(
            json.dumps(
                {"type": "head", "beat": frame.get("beat"), "lineage": head.lineage, "number": head.number}
            )
        )


def _names(subject: Any) -> dict[str, str]:
    """A certificate's subject, as `ssl` gives it, by attribute."""
    return {name: value for part in subject or () for name, value in part}


def _position(frame: dict[str, Any]) -> Position | None:
    """The position in `frame`, None for a node that has none yet. Raises BadJournal."""
    return None if frame.get("position") is None else position_of(frame["position"])


def _object(frame: dict[str, Any], name: str) -> dict[str, Any]:
    value = frame.get(name, {})
    if not isinstance(value, dict):
        raise BadJournal(f"{name}: got {type(value).__name__}, expected an object")
    return value
