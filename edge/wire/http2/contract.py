"""What a connection of HTTP/2 needs of the listener that it belongs to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Protocol

from edge.config import Limits
from edge.guard.refusal import Refusal
from edge.wire.http2 import heads
from edge.wire.http2.streams import Stream, StreamReply
from edge.wire.versions import Stands


class Caller(Stands, Protocol):
    """A connection, to who answers its streams. `transport` is None once it has ended."""

    transport: asyncio.Transport | None
    peer: str
    peer_port: int


class Serves(Protocol):
    """What answers a stream's request."""

    def __call__(
        self, head: heads.Head, stream: Stream, reply: StreamReply, connection: Caller
    ) -> Awaitable[bool]:
        """Answers it; False if not all of the answer could be sent."""
        ...


class Home(Protocol):
    """The listener that a connection belongs to."""

    @property
    def limits(self) -> Limits:
        """As they are configured now."""
        ...

    @property
    def streams(self) -> int:
        """How many a client may have at once."""
        ...

    def connected(self, peer: str) -> Refusal | None:
        """Counts a connection of `peer`; why it can't stay."""
        ...

    def joined(self, connection: Caller) -> None:
        """It stands."""
        ...

    def left(self, connection: Caller) -> None:
        """It has ended."""
        ...
