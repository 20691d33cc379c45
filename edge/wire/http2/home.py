"""The HTTP/2 connections of one listener, and the way of their streams to whoever answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from edge.config import Limits
from edge.guard.gate import Gate
from edge.guard.refusal import Refusal
from edge.incoming import Asked, Upload
from edge.reply import Writes
from edge.wire.http2.connection import Http2Connection
from edge.wire.http2.contract import Caller
from edge.wire.http2.heads import Head
from edge.wire.http2.streams import Stream, StreamReply
from edge.wire.versions import Stands

# RFC 9110 §15.5.20: a browser that joins names on one connection asks again on another.
MISDIRECTED = Refusal(421, "misdirected", "this connection's certificate is not for that host")


class Streams:
    """The connections of one listener that speak HTTP/2 (edge.wire.http2.contract.Home)."""

    def __init__(
        self,
        standing: set[Stands],
        gate: Gate,
        scheme: str,
        streams: int,
        answer: Callable[[Asked, Writes], Awaitable[bool]],
        vouches: Callable[[object, str], bool],
    ) -> None:
        """`standing` holds its connections as long as they stand; `vouches` says whether what a TLS client
        was shown is for a host.
        """
        self._standing = standing
        self._gate = gate
        self._scheme = scheme
        self._answer = answer
        self._vouches = vouches
        self.streams = streams

    def connection(self) -> Http2Connection:
        """A connection that has yet to be made."""
        return Http2Connection(self, self._scheme, self.serve)

    @property
    def limits(self) -> Limits:
        """As they are configured now."""
        return self._gate.limits

    def connected(self, peer: str) -> Refusal | None:
        """Counts a connection of `peer`; why it can't stay."""
        return self._gate.connected(peer)

    def joined(self, connection: Caller) -> None:
        """It stands."""
        self._standing.add(connection)

    def left(self, connection: Caller) -> None:
        """It has ended."""
        self._gate.disconnected(connection.peer)
        self._standing.discard(connection)

    async def serve(self, head: Head, stream: Stream, reply: StreamReply, connection: Caller) -> bool:
        """Answers one stream's request; False if not all of the answer could be sent."""

        def body(proceed: Callable[[], None] | None) -> bytes | Upload | None:
            if stream.uploaded:
                return stream.take() or None
            limits = self.limits
            return Upload(stream, limits.body, limits.idle, proceed)

        refusal = head.refusal
        if refusal is None and not self._is_for(connection, head):
            refusal = MISDIRECTED
        return await self._answer(
            Asked(
                head.method,
                head.target,
                head.fields,
                "2.0",
                self._scheme,
                connection.peer,
                connection.peer_port,
                body,
                refusal,
            ),
            reply,
        )

    def _is_for(self, connection: Caller, head: Head) -> bool:
        transport = connection.transport
        shown = None if transport is None else transport.get_extra_info("ssl_object")
        return shown is None or self._vouches(shown, head.fields.get("host") or "")
