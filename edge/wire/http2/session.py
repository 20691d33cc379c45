"""One connection's state in HTTP/2: frames to events and back, on the library h2. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.errors import ErrorCodes
from h2.events import Event
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame

from edge.wire.http2.heads import RawLine

WINDOW = 256 * 1024  # bytes of a request's content that a client may send before anybody reads it
# What h2 has no name for (RFC 9218 §2.1): the older tree of priorities is not heeded.
_NO_RFC7540_PRIORITIES = 0x9
_CONFIG = H2Configuration(
    client_side=False,
    header_encoding=False,
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)


class _Connection(H2Connection):
    """h2's connection. A stream too many is the caller's to refuse: to h2 it ends the connection (§5.1.2)."""

    @property
    def open_inbound_streams(self) -> int:
        super().open_inbound_streams  # noqa: B018  forgets the closed ones
        return 0


class Session:
    """The frames of one connection. What is to be sent is in `output` after each call."""

    def __init__(self, streams: int, head: int) -> None:
        """`streams` a client may have at once, `head` bytes of a field section."""
        made = _Connection(_CONFIG)
        made.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: streams,
                SettingCodes.MAX_HEADER_LIST_SIZE: head,
                SettingCodes.INITIAL_WINDOW_SIZE: WINDOW,
                _NO_RFC7540_PRIORITIES: 1,  # type: ignore[dict-item]
            },
        )
        made.decoder.max_header_list_size = head
        made.initiate_connection()
        made.increment_flow_control_window(4 * WINDOW)
        self._h2 = made
        self._said = b""

    def receive(self, data: bytes) -> Sequence[Event]:
        """What `data` says. Raises ProtocolError: the connection must end, once `output` is sent."""
        events = self._h2.receive_data(data)
        machine = self._h2.state_machine
        if (
            machine.state is ConnectionState.CLOSED
        ):  # the client's GOAWAY, to h2 the end: what began is answered
            machine.state = ConnectionState.SERVER_OPEN
        return events

    def output(self) -> bytes:
        """What is to be sent now."""
        said, self._said = self._said, b""
        return self._h2.data_to_send() + said

    def head(self, stream: int, lines: list[RawLine], *, end: bool) -> None:
        """Sends a field section."""
        self._h2.send_headers(stream, lines, end_stream=end)

    def room(self, stream: int) -> int:
        """How many bytes of content may be sent in the stream's next frame."""
        return min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)

    def data(self, stream: int, piece: bytes | memoryview, *, end: bool) -> None:
        """Sends a frame of content, no more than there is `room` for."""
        self._h2.send_data(stream, piece, end_stream=end)

    def reset(self, stream: int, code: ErrorCodes) -> None:
        """Ends a stream at once."""
        self._h2.reset_stream(stream, code)

    def read(self, stream: int, size: int) -> None:
        """`size` bytes of what came have been read: as many more may come."""
        if size:
            self._h2.acknowledge_received_data(size, stream)

    def go_away(self, code: ErrorCodes, last: int) -> None:
        """Says that no stream after `last` will be answered (§6.8). Those before go on."""
        self._said += GoAwayFrame(last_stream_id=last, error_code=code).serialize()  # h2's own would end all


__all__ = ["ErrorCodes", "ProtocolError", "Session"]
