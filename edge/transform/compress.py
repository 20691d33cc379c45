"""Compression: gzip, Brotli, zstd, chosen by what the client accepts (RFC 9110 §12.5.3).

A whole body is encoded once per encoding and the result kept beside it: quickly for the first who asks, as
most are asked for only once, and well behind the back of the second. A stream is encoded as it passes, every
chunk flushed, so that nothing waits in a buffer.
"""

from __future__ import annotations

import asyncio
import sys
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import brotli  # type: ignore[import-untyped]

from edge.http.cache_control import parse_request
from edge.http.message import Fields
from edge.http.negotiation import acceptable, choose_encoding
from edge.policy.freshness import forbids_transforming
from edge.policy.rules import Compression
from edge.store.content import Stored

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

INLINE = 16 * 1024  # larger bodies are encoded on another thread
QUICKLY_INLINE = 64 * 1024  # the same, where it goes quickly
SMALL = 4 * 1024  # of so few bytes nothing is gained by encoding them twice
_WELL: Mapping[str, int] = {"gzip": 6, "br": 5, "zstd": 6}
_QUICKLY: Mapping[str, int] = {"gzip": 1, "br": 1, "zstd": 1}
_GZIP_WINDOW = 31  # zlib's way to say: gzip format, 32 KiB window
_NEVER = frozenset({204, 205, 206, 304})
# An answer that vouches for its bytes must keep them.
DIGESTS = ("content-md5", "content-digest", "repr-digest", "digest", "signature")


class Coder(Protocol):
    """Encodes one stream."""

    def chunk(self, data: bytes) -> bytes:
        """`data` encoded, nothing held back."""
        ...

    def end(self) -> bytes:
        """What closes the stream."""
        ...


class GzipCoder:
    """gzip (RFC 1952)."""

    def __init__(self, level: int) -> None:
        self._coder = zlib.compressobj(level, zlib.DEFLATED, _GZIP_WINDOW)

    def chunk(self, data: bytes) -> bytes:
        return self._coder.compress(data) + self._coder.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._coder.flush()


class BrotliCoder:
    """Brotli (RFC 7932)."""

    def __init__(self, level: int) -> None:
        self._coder = brotli.Compressor(quality=level)

    def chunk(self, data: bytes) -> bytes:
        return bytes(self._coder.process(data) + self._coder.flush())

    def end(self) -> bytes:
        return bytes(self._coder.finish())


class ZstdCoder:
    """Zstandard (RFC 8878)."""

    def __init__(self, level: int) -> None:
        self._coder = zstd.ZstdCompressor(level)

    def chunk(self, data: bytes) -> bytes:
        return self._coder.compress(data, zstd.ZstdCompressor.FLUSH_BLOCK)

    def end(self) -> bytes:
        return self._coder.flush()


def encode(coding: str, body: bytes) -> bytes:
    """`body` encoded whole, at the level for answers that are kept."""
    return _encoded(coding, body, _WELL)


def encode_quickly(coding: str, body: bytes) -> bytes:
    """The same at the level for who is the first to ask: some 15 % larger, six times as fast."""
    return _encoded(coding, body, _QUICKLY)


def _encoded(coding: str, body: bytes, levels: Mapping[str, int]) -> bytes:
    match coding:
        case "gzip":
            coder = zlib.compressobj(levels[coding], zlib.DEFLATED, _GZIP_WINDOW)
            return coder.compress(body) + coder.flush()
        case "br":
            return bytes(brotli.compress(body, quality=levels[coding]))
        case "zstd":
            return zstd.compress(body, levels[coding])
        case _:
            raise ValueError(f"coding: got {coding!r}, expected br, zstd or gzip")


def encode_once(coding: str, body: bytes) -> bytes:
    """`body` encoded whole, at the level for answers that nobody else gets."""
    coder = coder_for(coding)
    return coder.chunk(body) + coder.end()


def coder_for(coding: str) -> Coder:
    """A coder at the level for streams."""
    match coding:
        case "gzip":
            return GzipCoder(4)
        case "br":
            return BrotliCoder(3)
        case "zstd":
            return ZstdCoder(3)
        case _:
            raise ValueError(f"coding: got {coding!r}, expected br, zstd or gzip")


class Encoded(AsyncIterator[bytes]):
    """A stream, encoded as it passes."""

    __slots__ = ("_coder", "_ended", "_source")

    def __init__(self, source: AsyncIterator[bytes], coding: str) -> None:
        self._source = source
        self._coder = coder_for(coding)
        self._ended = False

    async def __anext__(self) -> bytes:
        while not self._ended:
            try:
                data = self._coder.chunk(await anext(self._source))
            except StopAsyncIteration:
                self._ended = True
                data = self._coder.end()
            if data:
                return data
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Want no more."""
        aclose = getattr(self._source, "aclose", None)
        if aclose is not None:
            await aclose()


def compressible(status: int, fields: Fields, size: int | None, rules: Compression) -> bool:
    """Whether the edge may encode an answer, for a client that wants it. `size` None: not known yet."""
    if status in _NEVER or "content-encoding" in fields or "content-range" in fields:
        return False
    if size is not None and size < rules.min_size:
        return False
    if not _is_listed(fields.get("content-type"), rules.types):
        return False
    if any(name in fields for name in DIGESTS):
        return False
    return not forbids_transforming(fields)


def choose(request: Fields, rules: Compression) -> str | None:
    """The encoding for a compressible answer to a request with these fields; None for none."""
    control = request.get("cache-control")
    if control is not None and parse_request(control).no_transform:
        return None
    return request.seen("accept-encoding", Chosen(rules.encodings))


@dataclass(frozen=True, slots=True)
class Chosen:
    """The one of `offers` that Accept-Encoding likes best, or None."""

    offers: tuple[str, ...]

    def __call__(self, lines: tuple[str, ...]) -> str | None:
        return choose_encoding(", ".join(lines), self.offers) if lines else None


def undecodable(request: Fields, fields: Fields) -> str | None:
    """The one coding of a stored answer that this client does not take, though we can undo it; or None."""
    coding = fields.get("content-encoding")
    if coding is None:
        return None
    coding = coding.strip(" \t").lower()
    if (
        coding not in ("gzip", "x-gzip", "br", "zstd")
        or acceptable(request.get("accept-encoding"), coding) > 0
    ):
        return None
    return coding


def decode(coding: str, body: bytes, limit: int) -> bytes | None:
    """`body` decoded; None if it is malformed, cut, or larger than `limit` bytes then."""
    try:
        match coding:
            case "br":
                return _decode_brotli(body, limit)
            case "zstd":
                undone = zstd.ZstdDecompressor()
                data = undone.decompress(body, limit + 1)
                return data if undone.eof and len(data) <= limit else None
            case _:
                ungzip = zlib.decompressobj(_GZIP_WINDOW)
                data = ungzip.decompress(body, limit + 1)
                return data if ungzip.eof and len(data) <= limit else None
    except (zlib.error, brotli.error, zstd.ZstdError):
        return None


def _decode_brotli(body: bytes, limit: int) -> bytes | None:
    decoder = brotli.Decompressor()
    data = bytes(decoder.process(body, output_buffer_limit=limit + 1))
    while not decoder.is_finished() and len(data) <= limit:
        more = bytes(decoder.process(b"", output_buffer_limit=limit + 1 - len(data)))
        if not more:
            return None
        data += more
    return data if len(data) <= limit else None


def _is_listed(content_type: str | None, types: tuple[str, ...]) -> bool:
    if content_type is None:
        return False
    media = content_type.partition(";")[0].strip(" \t").lower()
    return media != "text/event-stream" and (media in types or f"{media.partition('/')[0]}/*" in types)


class Compressor:
    """Encodes whole bodies: quickly at first, and well once they are asked for again."""

    async def encoded(self, content: Stored, coding: str) -> bytes | None:
        """The whole body of `content` in `coding`, made now at the latest; None if that is not smaller."""
        made = content.coded(coding)
        if made is None:
            made = await self._make(content, coding)
        return made or None

    async def _make(self, content: Stored, coding: str) -> bytes:
        body = content.plain
        assert body is not None
        if len(body) <= SMALL:
            made = encode(coding, body)
        elif len(body) <= QUICKLY_INLINE:
            made = encode_quickly(coding, body)
        else:
            job = content.making.get(coding)
            if job is None:
                job = asyncio.get_running_loop().run_in_executor(None, encode_quickly, coding, body)
                content.making[coding] = job
            made = await asyncio.shield(job)
            content.making.pop(coding, None)
        if len(made) >= len(body):
            made = b""
        if made and len(body) > SMALL:
            content.quick = {**(content.quick or {}), coding: made}
        else:
            content.encoded[coding] = made
        return made

    def improve(self, content: Stored, coding: str, then: Callable[[], None]) -> None:
        """Encode well, on another thread, what was encoded quickly; `then` is called once it is there."""
        body = content.plain
        if body is None or coding in content.making:
            return

        def made(job: asyncio.Future[bytes]) -> None:
            content.making.pop(coding, None)
            quick = None if content.quick is None else content.quick.pop(coding, None)
            if quick is None or job.cancelled() or job.exception() is not None:
                return
            content.encoded[coding] = min(job.result(), quick, key=len)
            then()

        content.making[coding] = job = asyncio.get_running_loop().run_in_executor(None, encode, coding, body)
        job.add_done_callback(made)
