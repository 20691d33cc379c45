"""Which version of HTTP a connection speaks: by TLS (RFC 7301), or by how it begins (RFC 9113 §3.3, §3.4)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Protocol

PREFACE_HEAD = b"PRI * HTTP/2.0\r\n\r\n"  # what of HTTP/2's preface looks like a request of HTTP/1.1


class Stands(Protocol):
    """A connection, whatever it speaks."""

    def sweep(self, now: float) -> None:
        """Ends what takes too long."""
        ...

    def leave(self) -> None:
        """This node goes away: ends the connection as soon as what is under way is answered."""
        ...

    async def shutdown(self, timeout: float | None = None) -> None:
        """Ends the connection, what is under way within `timeout` seconds."""
        ...


class TakesOver(asyncio.Protocol):
    """A protocol to which a connection may go over after it was made."""

    def take_over(self, transport: asyncio.Transport, peer: str, port: int) -> None:
        """The connection is this one's from now on; it was counted already."""
        raise NotImplementedError


class Greeting:
    """The first bytes of a connection, as long as they may be HTTP/2's preface. Pure."""

    __slots__ = ("_held", "heard")

    def __init__(self) -> None:
        self._held = b""
        self.heard = b""  # the preface's head, once it is whole

    @property
    def going_on(self) -> bool:
        """Whether it may be, and is not whole."""
        return bool(self._held)

    def read(self, piece: bytes) -> bytes:
        """What of all that came is a request's after all: nothing, while it may be the preface."""
        held, self._held = self._held + piece, b""
        if not PREFACE_HEAD.startswith(held):
            return held
        if held == PREFACE_HEAD:
            self.heard = held
        else:
            self._held = held
        return b""


class Chooser(asyncio.Protocol):
    """Stands at a TLS connection until its handshake has told what the client speaks (RFC 7301)."""

    def __init__(self, http1: Callable[[], asyncio.Protocol], http2: Callable[[], asyncio.Protocol]) -> None:
        self._http1 = http1
        self._http2 = http2

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        shaken = transport.get_extra_info("ssl_object")
        spoken = shaken.selected_alpn_protocol() if isinstance(shaken, ssl.SSLObject) else None
        chosen = self._http2() if spoken == "h2" else self._http1()
        transport.set_protocol(chosen)
        chosen.connection_made(transport)
