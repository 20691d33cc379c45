"""A client of HTTP/2 that says what a test wants, on h2, and in bare frames where h2 would not."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from h2 import events
from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hyperframe.frame import Frame

from tests.edge.nodes import HOST, Edge

HEAD = 9  # bytes before each frame's payload (RFC 9113 §4.1)


@dataclass(slots=True)
class Heard:
    """An answer, so far as it has come."""

    status: int = 0
    fields: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    interim: list[dict[str, str]] = field(default_factory=list)
    ended: bool = False
    reset: ErrorCodes | int | None = None

    @property
    def hit(self) -> bool:
        return "; hit" in self.fields.get("cache-status", "")

    @property
    def over(self) -> bool:
        return self.ended or self.reset is not None


class Visitor:
    """One connection. What comes is read while an answer is awaited."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, window: int, reads: bool
    ) -> None:
        config = H2Configuration(client_side=True, header_encoding="latin-1", validate_outbound_headers=False)
        self.reader, self.writer = reader, writer
        self.h2 = H2Connection(config)
        self.h2.initiate_connection()
        self.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: window, SettingCodes.ENABLE_PUSH: 0})
        self.answers: dict[int, Heard] = {}
        self.order: list[int] = []  # the stream of each frame of content
        self.goodbye: ErrorCodes | int | None = None
        self.closed = False
        self._came = b""  # of a frame that is not whole
        self._reads = reads  # whether it opens the window again for what came
        self.flush()

    def flush(self) -> None:
        self.writer.write(self.h2.data_to_send())

    def begin(self, path: str = "/", method: str = "GET", *, end: bool = True, **fields: str) -> int:
        """Sends a request's head."""
        number = self.h2.get_next_available_stream_id()
        host = fields.pop("host_", HOST)
        lines = [(":method", method), (":scheme", "http"), (":authority", host), (":path", path)]
        lines += [(name.replace("_", "-"), value) for name, value in fields.items()]
        self.h2.send_headers(number, lines, end_stream=end)
        self.answers[number] = Heard()
        self.flush()
        return number

    async def send(self, number: int, body: bytes) -> None:
        """Sends a request's content, as the windows allow."""
        at = 0
        while at < len(body) and not self.answers[number].over and not self.closed:
            room = min(self.h2.local_flow_control_window(number), self.h2.max_outbound_frame_size)
            if room:
                self.h2.send_data(number, body[at : at + room])
                at += room
                self.flush()
            else:
                await self.read()
        if not self.answers[number].over and not self.closed:
            self.h2.end_stream(number)
            self.flush()

    def say_unknown(self, kind: int, payload: bytes, times: int = 1) -> None:
        """Sends frames of a type that h2 does not know."""
        self.writer.write((len(payload).to_bytes(3, "big") + bytes([kind, 0, 0, 0, 0, 0]) + payload) * times)

    def say(self, *frames: Frame) -> None:
        """Sends bare frames."""
        self.writer.write(b"".join(frame.serialize() for frame in frames))

    async def hear(self, number: int, seconds: float = 10.0) -> Heard:
        """The whole answer to a request."""
        async with asyncio.timeout(seconds):
            while not self.answers[number].over and not self.closed:
                await self.read()
        return self.answers[number]

    async def get(self, path: str = "/", **fields: str) -> Heard:
        return await self.hear(self.begin(path, **fields))

    async def post(self, path: str, body: bytes, **fields: str) -> Heard:
        number = self.begin(path, "POST", end=False, **fields)
        await self.send(number, body)
        return await self.hear(number)

    async def bye(self, seconds: float = 10.0) -> ErrorCodes | int | None:
        """Reads until the node has closed; the code that it gave, if it could."""
        async with asyncio.timeout(seconds):
            while not self.closed:
                await self.read()
        return self.goodbye

    async def read(self) -> None:
        try:
            data = await self.reader.read(65536)
        except ConnectionError:
            data = b""
        if not data:
            self.closed = True
            return
        self._came += data
        while len(self._came) >= HEAD and len(self._came) >= (
            size := HEAD + int.from_bytes(self._came[:3], "big")
        ):
            frame, self._came = self._came[:size], self._came[size:]
            for event in self.h2.receive_data(frame):
                self._take(event)
            if self.h2.state_machine.state is ConnectionState.CLOSED:  # to h2; what began is still answered
                self.h2.state_machine.state = ConnectionState.CLIENT_OPEN
            with contextlib.suppress(ConnectionError):
                self.flush()  # frame by frame: on GOAWAY h2 forgets what it has not been asked for yet

    def _take(self, event: events.Event) -> None:
        answer = self.answers.setdefault(getattr(event, "stream_id", None) or 0, Heard())
        match event:
            case events.ResponseReceived():
                fields = {str(name): str(value) for name, value in event.headers or ()}
                answer.status, answer.fields = int(fields.pop(":status")), fields
            case events.InformationalResponseReceived():
                answer.interim.append({str(name): str(value) for name, value in event.headers or ()})
            case events.DataReceived():
                answer.body += event.data or b""
                self.order.append(event.stream_id or 0)
                if self._reads:
                    self.h2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
            case events.StreamEnded():
                answer.ended = True
            case events.StreamReset():
                answer.reset = event.error_code
            case events.ConnectionTerminated():
                self.goodbye = event.error_code
            case _:
                pass


@contextlib.asynccontextmanager
async def calling(
    port: int,
    tls: ssl.SSLContext | None = None,
    *,
    window: int = 65_535,
    reads: bool = True,
    name: str = HOST,
) -> AsyncIterator[Visitor]:
    """A connection with prior knowledge, or over TLS."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=tls, server_hostname=None if tls is None else name
    )
    try:
        yield Visitor(reader, writer, window=window, reads=reads)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def visit(
    edge: Edge,
    tls: ssl.SSLContext | None = None,
    *,
    window: int = 65_535,
    reads: bool = True,
    name: str = HOST,
) -> AsyncIterator[Visitor]:
    """The same, to a node in this process."""
    port = edge.port("http" if tls is None else "https")
    async with calling(port, tls, window=window, reads=reads, name=name) as visitor:
        yield visitor
