"""A node's one line to control: events down, acknowledgements and heartbeats up, commands answered."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import ssl
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp

from edge.carrier import CarrierLost, carried
from edge.checkpoint import Checkpoint
from edge.journal import (
    BadJournal,
    Document,
    Event,
    Reader,
    Snapshot,
    parse,
    position_document,
    position_of,
)
from edge.position import Position

log = logging.getLogger("tepi.agent")

BEAT = 1.0  # seconds between heartbeats
SILENCE = 3.0  # without a word for so long, a line is cut and a node that slept is behind
MAX_UNSYNCED = 60.0
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
DIAL_SECONDS = 10.0
CARRIER_PATIENCE = 2.0
LARGEST_FRAME = 256 * 1024 * 1024
TOO_LONG = "the answer is too long: ask for less at once, or at the node's own admin listener"
LARGEST_REPLY = 3 * 1024 * 1024  # control hears frames of 4 MiB at most


class Applies(Protocol):
    """What a node does with what control says."""

    async def apply(self, event: Event) -> None:
        """Returns once `event` holds in everything that this node answers from now on.

        ValueError: this node can't take it in; it keeps what it had, and control is told.
        """
        ...

    async def load(self, snapshot: Snapshot, *, known: bool = False) -> None:
        """Replaces everything by `snapshot`; what was stored before must be revalidated before its use.

        `known`: it is what this node had applied when it stopped, so that what is stored is of it too.
        """
        ...

    async def health(self, nodes: dict[str, str]) -> None:
        """Control's view of each node's health, by name."""
        ...

    async def command(self, verb: str, body: Document) -> Document:
        """Carries out a command. ValueError: refused, with the reason."""
        ...

    def heartbeat(self) -> Document:
        """Cumulative counters and gauges, JSON-able."""
        ...


@dataclass(slots=True)
class Line:
    """The state of one connection to control."""

    heard: float
    busy: bool = False  # a frame is being taken in, so that not hearing the next one means nothing
    beat: int = 0
    sent: dict[int, float] = field(default_factory=dict)  # when each unanswered heartbeat left
    head: Position | None = None  # where the journal stood at the last answered heartbeat,
    asked: float = 0.0  # which left then
    carrier: asyncio.Task[None] | None = None  # brings events another way
    behind: float | None = None  # since when that has left this node behind


@dataclass(slots=True)
class Agent:
    """Keeps a node in step with control, for as long as `run` runs.

    `monotonic` and `jitter` (0 to 1) are handed in. `context` is the node's side of mutual TLS.
    """

    url: str
    context: ssl.SSLContext
    reader: Reader
    applies: Applies
    checkpoint: Checkpoint
    version: str
    monotonic: Callable[[], float]
    jitter: Callable[[], float]
    problems: dict[str, str] = field(default_factory=dict)
    connected: bool = False
    _position: Position | None = None
    _synced: bool = False
    _doubt: float = float("-inf")  # what control said to a heartbeat of before proves nothing
    _contact: float = float("-inf")
    _ticked: float = 0.0
    _commands: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._ticked = self.monotonic()

    @property
    def position(self) -> Position | None:
        """The last event that has been applied and kept."""
        return self._position

    @property
    def ready(self) -> bool:
        """Whether this node is in step: it knows a state, did not sleep, and heard control lately."""
        now = self.monotonic()
        return self._synced and now - self._ticked <= SILENCE and now - self._contact <= MAX_UNSYNCED

    async def restore(self, *, kept: bool = False) -> bool:
        """Takes up the state of the last run, if there was one.

        If its cache was `kept` too, purges may have been missed that concern it: the node is not ready before
        it has reached control's head. An empty cache is not old.
        """
        state = await asyncio.to_thread(self.checkpoint.load)
        self._contact = self.monotonic()
        if state is None:
            return False
        try:
            await self.applies.load(state.snapshot(), known=True)
        except ValueError as error:
            log.error("can't take in the kept state of %s: %s", state.position.number, error)
            self.problems["snapshot"] = str(error)
        self._position = state.position
        self._synced = True
        if kept:
            self._distrust(self.monotonic())
        return True

    async def run(self) -> None:
        """Stays connected until cancelled."""
        pause = FIRST_PAUSE
        ticking = asyncio.create_task(self._tick())
        try:
            timeout = aiohttp.ClientTimeout(total=DIAL_SECONDS)
            async with aiohttp.ClientSession(timeout=timeout) as session:
                while True:
                    began = self.monotonic()
                    try:
                        await self._connection(session)
                        reason = "control closed the line"
                    except (aiohttp.ClientError, OSError, TimeoutError, BadJournal) as error:
                        reason = str(error) or type(error).__name__
                    except Exception:
                        log.exception("the line to control was cut")
                        reason = "this node failed"
                    finally:
                        self.connected = False
                    if self.monotonic() - began > LONGEST_PAUSE:
                        pause = FIRST_PAUSE
                    log.warning("no line to control: %s", reason)
                    await asyncio.sleep(pause * (0.5 + self.jitter()))
                    pause = min(LONGEST_PAUSE, pause * 2)
        finally:
            ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ticking

    async def _tick(self) -> None:
        """Notices that this process slept: whatever was purged meanwhile, it has not heard of."""
        while True:
            now = self.monotonic()
            if now - self._ticked > SILENCE:
                log.warning("slept for %.1f s; not ready until control is heard again", now - self._ticked)
                self._distrust(now)
            self._ticked = now
            await asyncio.sleep(BEAT / 4)

    def _distrust(self, now: float) -> None:
        """Something may have been missed until `now`."""
        self._synced, self._doubt = False, now

    async def _connection(self, session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(
            f"{self.url}/node/v1/stream",
            ssl=self.context,
            max_msg_size=LARGEST_FRAME,
            timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
        ) as socket:
            line = Line(heard=self.monotonic())
            if line.heard - self._contact > SILENCE:
                self._distrust(line.heard)
            await socket.send_str(
                json.dumps(
                    {
                        "type": "hello",
                        "position": position_document(self._position),
                        "version": self.version,
                        "carriers": ["nats"],
                    }
                )
            )
            beating = asyncio.create_task(self._beat(socket, line))
            try:
                async for message in socket:
                    if message.type is not aiohttp.WSMsgType.TEXT:
                        break
                    line.heard, line.busy = self.monotonic(), True
                    await self._frame(socket, line, parse(message.data))
                    line.heard, line.busy = self.monotonic(), False
            finally:
                beating.cancel()
                with contextlib.suppress(asyncio.CancelledError, aiohttp.ClientError, OSError):
                    await beating
                for task in (*self._commands, *([line.carrier] if line.carrier else ())):
                    task.cancel()

    async def _beat(self, socket: aiohttp.ClientWebSocketResponse, line: Line) -> None:
        while line.busy or self.monotonic() - line.heard <= SILENCE:
            line.beat += 1
            line.sent[line.beat] = self.monotonic()
            await socket.send_str(
                json.dumps(
                    {
                        "type": "heartbeat",
                        "beat": line.beat,
                        "ready": self.ready,
                        "position": position_document(self._position),
                        "problems": self.problems,
                        "counters": self.applies.heartbeat(),
                    }
                )
            )
            await asyncio.sleep(BEAT)
        log.warning("control has been silent for %.0f s", SILENCE)
        await socket.close()

    async def _frame(
        self, socket: aiohttp.ClientWebSocketResponse, line: Line, frame: dict[str, Any]
    ) -> None:
        match frame.get("type"):
            case "event":
                await self._event(self.reader.event(frame))
                await self._acknowledge(socket, line)
            case "snapshot":
                await self._snapshot(self.reader.snapshot(frame))
                await self._acknowledge(socket, line)
            case "head":
                self._head(line, frame)
                await self._doubt_carrier(socket, line)
            case "carrier":
                line.carrier = asyncio.create_task(self._carried(socket, line, frame))
            case "waiting":
                pass  # control lives, and its database does not answer: nothing is known of the head
            case "health":
                await self.applies.health(dict(frame["nodes"]))
            case "command":
                task = asyncio.create_task(self._command(socket, frame))
                self._commands.add(task)
                task.add_done_callback(self._commands.discard)
            case kind:
                log.info("a frame of an unknown type: %r", kind)

    async def _carried(
        self, socket: aiohttp.ClientWebSocketResponse, line: Line, frame: dict[str, Any]
    ) -> None:
        """Takes events in as another carrier brings them; when it fails, control is asked for them."""
        where = str(frame["url"]), str(frame["stream"]), str(frame["subject"]), int(frame["after"])
        try:
            async with aclosing(carried(*where)) as frames:
                async for text in frames:
                    await self._event(self.reader.event(parse(text)))
                    await self._acknowledge(socket, line)
        except (CarrierLost, BadJournal) as error:
            await self._uncarried(socket, str(error))
        except (ConnectionError, RuntimeError, aiohttp.ClientError):
            return  # the line itself is cut
        except Exception:
            log.exception("the carrier was left")
            await self._uncarried(socket, "this node failed")

    async def _doubt_carrier(self, socket: aiohttp.ClientWebSocketResponse, line: Line) -> None:
        """A carrier that leaves this node behind control's head for a while is given up."""
        if line.carrier is None or line.carrier.done() or line.head is None:
            return
        if self._position is not None and self._position.reaches(line.head):
            line.behind = None
        elif line.behind is None:
            line.behind = self.monotonic()
        elif self.monotonic() - line.behind > CARRIER_PATIENCE:
            line.carrier.cancel()
            await asyncio.gather(line.carrier, return_exceptions=True)
            await self._uncarried(socket, "it leaves this node behind")

    async def _uncarried(self, socket: aiohttp.ClientWebSocketResponse, why: str) -> None:
        log.warning("control is asked for the journal itself: %s", why)
        with contextlib.suppress(ConnectionError, RuntimeError, aiohttp.ClientError):
            told = {"type": "uncarried", "position": position_document(self._position), "why": why}
            await socket.send_str(json.dumps(told))

    async def _event(self, event: Event) -> None:
        here = self._position
        if here is None or event.position.lineage != here.lineage:
            raise BadJournal(f"an event of {event.position} came before its lineage's snapshot")
        if event.position.number <= here.number:
            return
        if event.position.number != here.number + 1:
            raise BadJournal(f"event {event.position.number} came after {here.number}")
        try:
            await self.applies.apply(event)
            self.problems.pop(_subject(event), None)
        except ValueError as error:
            log.error("can't take in %s %s: %s", event.kind, event.position.number, error)
            self.problems[_subject(event)] = str(error)
        await asyncio.to_thread(self.checkpoint.record, event)
        self._position = event.position

    async def _snapshot(self, snapshot: Snapshot) -> None:
        try:
            await self.applies.load(snapshot)
            self.problems.clear()
        except ValueError as error:
            log.error("can't take in the snapshot at %s: %s", snapshot.position.number, error)
            self.problems["snapshot"] = str(error)
        await asyncio.to_thread(self.checkpoint.replace, snapshot)
        self._position = snapshot.position

    async def _acknowledge(self, socket: aiohttp.ClientWebSocketResponse, line: Line) -> None:
        self._settle(line)
        await socket.send_str(json.dumps({"type": "ack", "position": position_document(self._position)}))

    def _head(self, line: Line, frame: dict[str, Any]) -> None:
        sent = line.sent.pop(frame["beat"], None)
        if sent is not None:
            line.head, line.asked = position_of(frame), sent
            self._settle(line)

    def _settle(self, line: Line) -> None:
        """Whoever stands where the journal stood at a heartbeat has missed nothing before that heartbeat."""
        if line.head is None or self._position is None or not self._position.reaches(line.head):
            return
        self._contact = max(self._contact, line.asked)
        self.connected = True
        if line.asked > self._doubt:
            self._synced = True

    async def _command(self, socket: aiohttp.ClientWebSocketResponse, frame: dict[str, Any]) -> None:
        reply: dict[str, Any] = {"type": "reply", "id": frame.get("id")}
        try:
            reply["body"] = await self.applies.command(str(frame.get("verb")), frame.get("body") or {})
        except ValueError as error:
            reply["error"] = str(error)
        except Exception as error:
            log.exception("command %s failed", frame.get("verb"))
            reply["error"] = f"the node failed: {type(error).__name__}"
        said = json.dumps(reply)
        if len(said) > LARGEST_REPLY:
            said = json.dumps({"type": "reply", "id": frame.get("id"), "error": TOO_LONG})
        with contextlib.suppress(ConnectionError, RuntimeError):
            await socket.send_str(said)


def _subject(event: Event) -> str:
    return f"{event.kind.partition('.')[0]} {event.body.get('name', event.position.number)}"
