"""Fetching from a site's origins: whom to ask, over which connection, how long, and when once more."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Self

from edge.document.origins import Timeouts
from edge.http.hops import end_to_end
from edge.http.message import Answer, Body, Fields, Grown, Line, OnInterim, Outcome, Request
from edge.upstream.backends import Backend, Backends
from edge.upstream.contract import Failure, Standing, UpstreamError
from edge.upstream.http1 import Connection, ExchangeError, Head
from edge.upstream.pool import IDLE_SECONDS

log = logging.getLogger("tepi.edge.health")

IDEMPOTENT = frozenset(
    {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "SEARCH", "PROPFIND", "REPORT", "QUERY"}
)
ATTEMPTS = 3
# An origin may not know that requests of other methods have a body, and take that for the next request.
KNOWN_TO_HAVE_A_BODY = frozenset({"POST", "PUT", "PATCH"})
# A request that can't be repeated is sent only where the origin was heard of this recently.
SURE_SECONDS = 1.0

_FAILURES: dict[str, Failure] = {
    "closed": "reset",
    "reset": "reset",
    "cut": "reset",
    "protocol": "protocol",
}


class Origins:
    """The origins of every site: edge.upstream.contract's Upstream over real connections."""

    def __init__(self, backends: Backends, monotonic: Callable[[], float]) -> None:
        self._backends = backends
        self._monotonic = monotonic
        self._exchanges = Exchanges(monotonic)

    @property
    def bytes_received(self) -> int:
        """Bytes of bodies, since the start."""
        return self._exchanges.bytes_received

    def standing(self, site: str, path: str) -> tuple[Standing, ...]:
        """The origins of `site` that answer for `path`."""
        backends = self._backends.of(site)
        return () if backends is None else backends.standing(path, self._monotonic())

    async def fetch(self, site: str, request: Request) -> Answer:
        """The answer of an origin of `site`; see the contract."""
        backends = self._backends.of(site)
        if backends is None:
            raise UpstreamError("no-healthy-origin", site, "no such site", sent=False)
        repeatable = request.method in IDEMPOTENT and not request.body
        tried: frozenset[Backend] = frozenset()
        last: UpstreamError | None = None
        for _ in range(ATTEMPTS):
            backend = backends.choose(request.path, self._monotonic(), tried, request.client.address)
            if backend is None:
                break
            try:
                return await self._exchanges.ask(backend, request, backends.site.timeouts, repeatable)
            except UpstreamError as error:
                last = error
                if is_its_fault(error):
                    _note_failure(site, backend, error, self._monotonic())
                if error.sent and not repeatable:
                    break
            tried |= {backend}
        raise last or UpstreamError("no-healthy-origin", site, "every origin is down", sent=False)


class Exchanges:
    """Requests to one server each, over its pool of connections."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.monotonic = monotonic
        self.bytes_received = 0  # bodies only, since the start

    async def ask(
        self,
        backend: Backend,
        request: Request,
        timeouts: Timeouts,
        repeatable: bool,
        patience: float | None = None,
    ) -> Answer:
        """A server's answer; a kept connection that proves dead is replaced by a new one.

        With `patience` it must say something within so many seconds, be it an interim answer.
        """
        began = self.monotonic()
        head = request_head(request, backend.pool.endpoint.authority)
        idle_at_most = IDLE_SECONDS if repeatable else SURE_SECONDS
        while True:
            lease = await backend.pool.lease(timeouts.connect, idle_at_most=idle_at_most)
            try:
                answered = await _exchange(lease.connection, head, request, timeouts, backend.url, patience)
            except BaseException as error:
                lease.connection.close()
                backend.pool.give_back(lease.connection)
                if isinstance(error, _ClosedBeforeAnswer) and not lease.fresh and repeatable:
                    idle_at_most = 0.0
                    continue
                raise
            backend.health.answered()
            return self._answer(answered, backend, lease.connection, timeouts, began)

    def _answer(
        self, head: Head, backend: Backend, connection: Connection, timeouts: Timeouts, began: float
    ) -> Answer:
        now = self.monotonic()
        outcome = Outcome("none", origin=backend.url, origin_status=head.status, origin_seconds=now - began)
        fields = _received(head.fields)
        whole = connection.whole_body()
        if whole is not None:
            self.bytes_received += len(whole)
            backend.pool.give_back(connection)
            return Answer(head.status, fields, whole, outcome)
        return Answer(head.status, fields, _Body(self, backend, connection, timeouts, began, head), outcome)


class _Body:
    """An answer's body as it comes. Ends the loan of its connection when it ends, is closed, or is let go."""

    def __init__(
        self,
        exchanges: Exchanges,
        backend: Backend,
        connection: Connection,
        timeouts: Timeouts,
        began: float,
        head: Head,
    ) -> None:
        self._exchanges = exchanges
        self._backend = backend
        self._connection: Connection | None = connection
        self._between = timeouts.between_bytes
        kind = head.fields.get("content-type") or ""
        self._deadline: float | None = began + timeouts.total
        if kind.startswith("text/event-stream"):
            self._between, self._deadline = timeouts.stream, None
        self._monotonic = exchanges.monotonic

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        connection = self._connection
        if connection is None:
            raise StopAsyncIteration
        try:
            chunk = await connection.next_chunk(self._patience())
        except TimeoutError:
            self._abandon()
            raise self._error("timeout", "the body stopped coming") from None
        except ExchangeError as error:
            self._abandon()
            raise self._error(_FAILURES[error.kind], error.detail) from None
        except BaseException:
            self._abandon()
            raise
        if chunk is None:
            self._connection = None
            self._backend.pool.give_back(connection)
            raise StopAsyncIteration
        self._exchanges.bytes_received += len(chunk)
        return chunk

    async def aclose(self) -> None:
        """Lets the rest of the body go, connection included."""
        self._abandon()

    def __del__(self) -> None:
        self._abandon()

    def _patience(self) -> float:
        if self._deadline is None:
            return self._between
        return max(0.001, min(self._between, self._deadline - self._monotonic()))

    def _abandon(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
            self._backend.pool.give_back(connection)

    def _error(self, failure: Failure, detail: str) -> UpstreamError:
        return UpstreamError(failure, self._backend.url, detail, sent=True)


class UploadFailed(UpstreamError):
    """The client's own body could not be read to its end."""


class _ClosedBeforeAnswer(UpstreamError):
    """The origin closed the connection without a word: a kept one may just have been too old."""


class Upload:
    """A request's streamed body on its way to an origin. `error` is what ended it early, if anything did."""

    def __init__(self, body: AsyncIterator[bytes], on_end: Callable[[], None]) -> None:
        self._body = body
        self._on_end = on_end
        self.error: Exception | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._body)
        except StopAsyncIteration:
            self._on_end()
            raise
        except Exception as error:
            self.error = error
            raise


async def _exchange(
    connection: Connection,
    head: bytes,
    request: Request,
    timeouts: Timeouts,
    url: str,
    patience: float | None,
) -> Head:
    """One exchange. The origin's patience with a long upload is its own: the clock starts at its end."""
    tell = request.on_interim
    now = asyncio.get_running_loop().time
    until = now() + timeouts.first_byte
    body = request.body
    streamed = body is not None and not isinstance(body, bytes)
    try:
        if patience is None and not streamed:
            return await connection.exchange(
                head,
                body,
                expects_no_body=request.method == "HEAD",
                last=_ends_the_connection(request),
                on_interim=None if tell is None else partial(_tell, tell),
                patience=timeouts.first_byte,
            )
        async with asyncio.timeout(timeouts.total if streamed else patience or timeouts.first_byte) as limit:

            def heard(early: Head) -> None:
                if patience is not None:
                    limit.reschedule(until)
                if tell is not None:
                    _tell(tell, early)

            if body is not None and not isinstance(body, bytes):
                body = Upload(body, lambda: limit.reschedule(now() + timeouts.first_byte))
            return await connection.exchange(
                head,
                body,
                chunked=streamed and "content-length" not in request.fields,
                expects_no_body=request.method == "HEAD",
                last=_ends_the_connection(request),
                on_interim=None if tell is None and patience is None else heard,
            )
    except TimeoutError:
        raise UpstreamError(
            "timeout", url, f"no answer within {patience or timeouts.first_byte:g} s", sent=True
        ) from None
    except ExchangeError as error:
        if isinstance(body, Upload) and body.error is not None:
            raise UploadFailed(
                "reset", url, f"the request's body ended early: {body.error}", sent=True
            ) from None
        kind = _ClosedBeforeAnswer if error.kind == "closed" else UpstreamError
        raise kind(_FAILURES[error.kind], url, error.detail, sent=True) from None


def _tell(tell: OnInterim, early: Head) -> None:
    tell(early.status, end_to_end(early.fields))


def _note_failure(site: str, backend: Backend, error: UpstreamError, now: float) -> None:
    before = backend.health.state(now)
    backend.health.failed(now)
    if backend.health.state(now) != before:
        log.warning("origin %s of %s is avoided for a while: %s", backend.url, site, error.detail)


def is_its_fault(error: UpstreamError) -> bool:
    """Whether `error` speaks against who was asked, and not against our limits or the client."""
    if isinstance(error, UploadFailed) or error.failure == "overloaded":
        return False
    return error.sent or error.failure != "protocol"


def request_head(request: Request, authority: str) -> bytes:
    """The request's head as sent. Host goes first and unchanged; framing is ours alone (RFC 9112 §6)."""
    fields = request.fields
    stem, added = (fields.stem, fields.added) if isinstance(fields, Grown) else (fields, ())
    host, text, count = stem.derived(_written)
    lines = [*added, *_framing(request.method, request.body, stem)]
    if _ends_the_connection(request):
        lines.append(("Connection", "close"))
    more = "".join([f"{name}: {value}\r\n" for name, value in lines])
    host = host or request.host or authority
    text = f"{request.method} {request.target} HTTP/1.1\r\nHost: {host}\r\n{text}{more}\r\n"
    try:
        head = text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise UpstreamError(
            "protocol", authority, f"a field that is not latin-1: {error}", sent=False
        ) from None
    ends = count + len(lines) + 3
    if text.count("\n") != ends or text.count("\r") != ends or "\0" in text:
        raise UpstreamError("protocol", authority, "a field with a line break in it", sent=False)
    return head


def _written(fields: Fields) -> tuple[str | None, str, int]:
    """Host, and the other lines that are an end's own to say, as they are sent; how many those are."""
    lines = [
        f"{name}: {value}\r\n"
        for name, value in fields.lines
        if name.lower() not in ("host", "content-length", "transfer-encoding", "expect")
    ]
    return fields.get("host"), "".join(lines), len(lines)


def _ends_the_connection(request: Request) -> bool:
    """Whether what follows on the connection could be mistaken for `request`'s, or the other way about."""
    return request.body is not None and request.method not in KNOWN_TO_HAVE_A_BODY


def _framing(method: str, body: Body | None, fields: Fields) -> list[Line]:
    if isinstance(body, bytes):
        return [("Content-Length", str(len(body)))]
    if body is None:
        counted = method in KNOWN_TO_HAVE_A_BODY or fields.get("content-length") == "0"
        return [("Content-Length", "0")] if counted else []
    length = fields.get("content-length")
    return [("Transfer-Encoding", "chunked") if length is None else ("Content-Length", length)]


def _received(fields: Fields) -> Fields:
    """An answer's fields less hop-by-hop ones. A strange transfer coding stays: it is still on the body."""
    coding = fields.get("transfer-encoding")
    kept = end_to_end(fields)
    if coding is None or coding.strip().lower() == "chunked":
        return kept
    return kept.replaced("Transfer-Encoding", coding)
