"""Methods that aiohttp's parser refuses and HTTP allows (RFC 9110 §9.1: any token is one).

llhttp knows some forty methods by heart and answers every other with an error. Only the method is read here:
a well-formed one that the parser may not know is fed to it under a known stand-in, and given back to the
message that comes of it. How long a message is the parser alone decides; to it all methods but CONNECT are
alike.
"""

from __future__ import annotations

import re

LONGEST = 64  # characters of a method; the longest in IANA's registry has 17
STAND_IN = b"PUT"  # takes no part in RTSP or ICE, whose versions the parser would let pass under other names
# The parser surely knows these, or must see them itself: CONNECT frames otherwise, PRI is HTTP/2's preface.
_LEFT_ALONE = frozenset(
    {b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH", b"PRI"}
)
_USUAL = (b"GET ", b"POST ", b"HEAD ")
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]*")


class TooLong(Exception):
    """The method has more than LONGEST characters (RFC 9112 §3: to be answered 501)."""


class Methods:
    """The first word of each request on a connection. `method` is the true one where a stand-in was fed."""

    __slots__ = ("_held", "_settled", "method")

    def __init__(self) -> None:
        self.next_head()

    def next_head(self) -> None:
        """The head under way is over."""
        self._held = b""  # a method of which the end has not come yet
        self._settled = False
        self.method: str | None = None

    def read(self, piece: bytes) -> bytes:
        """What the parser gets of the head's next `piece`; nothing while the method is not whole.

        What is not surely a method is left to the parser's judgement. Raises TooLong.
        """
        if self._settled:
            return piece
        if not self._held and piece.startswith(_USUAL):
            self._settled = True
            return piece
        piece, self._held = self._held + piece, b""
        begin = len(piece) - len(piece.lstrip(b"\r\n"))  # RFC 9112 §2.2: empty lines before it are ignored
        if begin == len(piece):
            return piece
        match = _TOKEN.match(piece, begin)
        assert match is not None
        method, end = match.group(), match.end()
        if len(method) > LONGEST:
            raise TooLong
        if end == len(piece):
            self._held = piece
            return b""
        self._settled = True
        if not method or piece[end : end + 1] != b" " or method in _LEFT_ALONE:
            return piece
        self.method = method.decode("ascii")
        return piece[:begin] + STAND_IN + piece[end:]
