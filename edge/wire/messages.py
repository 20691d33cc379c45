"""Where one message ends and the next begins in what a client sends (RFC 9112 §6.3)."""

from __future__ import annotations

from aiohttp import StreamReader
from aiohttp.http import RawRequestMessage

_END = b"\r\n\r\n"


class Messages:
    """Cuts input so that no piece holds parts of two messages.

    A body with a length is counted; every other message ends with an empty line, chunked ones included.
    A cut within a message does no harm: the parser joins what belongs together, and it alone says what a head
    means.
    """

    __slots__ = ("_chunked", "_last", "_left")

    def __init__(self) -> None:
        self._left = 0  # bytes of a body whose length is known
        self._chunked: StreamReader | None = None
        self._last = b""  # the piece before ended with this much of an empty line, perhaps

    @property
    def in_head(self) -> bool:
        """Whether the next piece belongs to a head, so far as the parser has been fed."""
        if self._chunked is not None and self._chunked.is_eof():
            self._chunked = None
        return self._left == 0 and self._chunked is None

    def cut(self, data: bytes, start: int) -> int:
        """Where the piece ends that begins at `start`."""
        if self._left:
            return min(start + self._left, len(data))
        if self._last:
            found = (self._last + data[start : start + 3]).find(_END)
            if found >= 0:
                return start + found + len(_END) - len(self._last)
        found = data.find(_END, start)
        return len(data) if found < 0 else found + len(_END)

    def passed(self, piece: bytes) -> None:
        """`piece` is behind us."""
        if self._left:
            self._left -= len(piece)
            return
        if piece.endswith(_END):
            self._last = b""
            return
        joined = self._last + piece[-len(_END) :]
        self._last = b"" if joined.endswith(_END) else joined[-3:]

    def began(self, message: RawRequestMessage, body: StreamReader) -> None:
        """A head has come to its end; `body` is what the parser will put its body in."""
        if body.is_eof():
            return
        if message.chunked:
            self._chunked = body
        else:
            self._left = int(message.headers["Content-Length"])
