"""From aiohttp's parsed message to the pipeline's Request, and back to aiohttp that it was answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal, Protocol, Self

from aiohttp import StreamReader, http_exceptions, web
from aiohttp.http import RawRequestMessage
from aiohttp.web_protocol import RequestHandler, RequestPayloadError

from edge.guard.gate import too_large
from edge.guard.refusal import Refusal
from edge.http.message import Body, Fields
from edge.http.values import dataclass


class Incoming(web.BaseRequest):
    """A parsed head."""

    @property
    def message(self) -> RawRequestMessage:
        """The parser's own words."""
        return self._message

    @property
    def protocol(self) -> RequestHandler:
        """The connection that it came by."""
        return self._protocol


class Written(web.StreamResponse):
    """Tells aiohttp that the answer is on the wire already, and whether the connection stays."""

    def __init__(self, keep: bool) -> None:
        super().__init__()
        self._keep = keep

    @property
    def keep_alive(self) -> bool:
        return self._keep

    async def prepare(self, request: web.BaseRequest) -> None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return None


KEEP, CLOSE = Written(True), Written(False)

SLOW_BODY = Refusal(408, "slow-body", "the body stopped coming", close=True)
BROKEN_BODY = Refusal(400, "malformed", "the body's framing is broken", close=True)


def fields_of(message: RawRequestMessage) -> Fields:
    """The field lines as they came, in latin-1."""
    return Fields(
        [
            (name.decode("latin-1"), value.decode("latin-1").strip(" \t"))
            for name, value in message.raw_headers
        ]
    )


def target_of(message: RawRequestMessage) -> str:
    """The raw request target, a byte a character."""
    raw = message.path
    return raw if raw.isascii() else raw.encode("utf-8", "surrogateescape").decode("latin-1")


def version_of(message: RawRequestMessage) -> Version | None:
    """HTTP's version, or None where it is one that this server does not speak."""
    major, minor = message.version
    if major != 1:
        return None
    return "1.1" if minor >= 1 else "1.0"


class Content(Protocol):
    """A body as its wire has it."""

    async def readany(self) -> bytes:
        """What has come and was not read yet, waiting for it; empty at the end."""
        ...


Version = Literal["1.0", "1.1", "2.0"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as its wire read it: `target` is the raw one, `version` None where nobody here speaks it.

    `body` makes its body, given what tells a client to go on that waits for that. `refusal`: why the wire
    itself would have it refused.
    """

    method: str
    target: str
    fields: Fields
    version: Version | None
    scheme: str
    peer: str
    port: int
    body: Callable[[Callable[[], None] | None], Body | Upload | None]
    refusal: Refusal | None = None


class BodyRefused(Exception):
    """The client's body can't be read to its end."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.sentence)
        self.refusal = refusal


class Upload:
    """A request's body as it comes: counted, timed, and asked for only when somebody wants it."""

    def __init__(
        self, content: Content, limit: int, patience: float, proceed: Callable[[], None] | None
    ) -> None:
        """`proceed` tells a client to go on that waits for it (RFC 9110 §10.1.1)."""
        self._content = content
        self._limit = limit
        self._patience = patience
        self._proceed = proceed
        self._size = 0
        self.refusal: Refusal | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._proceed is not None:
            self._proceed()
            self._proceed = None
        try:
            async with asyncio.timeout(self._patience):
                chunk = await self._content.readany()
        except TimeoutError:
            raise self._refuse(SLOW_BODY) from None
        except (RequestPayloadError, http_exceptions.HttpProcessingError, RuntimeError, OSError) as error:
            raise self._refuse(BROKEN_BODY) from error
        if not chunk:
            raise StopAsyncIteration
        self._size += len(chunk)
        if self._size > self._limit:
            raise self._refuse(too_large(self._limit))
        return chunk

    @property
    def awaited(self) -> bool:
        """Whether the client still waits to be told to send it."""
        return self._proceed is not None

    def _refuse(self, refusal: Refusal) -> BodyRefused:
        self.refusal = refusal
        return BodyRefused(refusal)


def body_of(
    content: StreamReader, limit: int, patience: float, proceed: Callable[[], None] | None
) -> Body | Upload | None:
    """A body that has come whole as bytes, one under way as a stream, None where there is none."""
    if not content.is_eof() or content.exception() is not None:
        return Upload(content, limit, patience, proceed)
    return None if content.at_eof() else content.read_nowait()
