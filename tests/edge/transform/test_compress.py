"""Compression: what is encoded, how, and that it comes out as it went in."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator

import brotli
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.http.message import Fields
from edge.policy.rules import Compression
from edge.store.content import Stored
from edge.transform.compress import (
    INLINE,
    Compressor,
    Encoded,
    choose,
    coder_for,
    compressible,
    decode,
    encode,
    undecodable,
)
from tests.edge.policy.made import fields

CODINGS = ["br", "gzip", "zstd"]
RULES = Compression()
PAGE = b"".join(b"<p>kopi %d gayo %d</p>" % (n * 7919 % 1000, n) for n in range(1_000))
HTML = fields(content_type="text/html; charset=utf-8")


@pytest.mark.parametrize("coding", CODINGS)
@given(body=st.binary(max_size=2000))
@settings(max_examples=30)
def test_what_is_encoded_whole_decodes_to_the_same(coding: str, body: bytes) -> None:
    assert decode(coding, encode(coding, body), len(body)) == body


@pytest.mark.parametrize("coding", CODINGS)
@given(chunks=st.lists(st.binary(max_size=200), max_size=8))
@settings(max_examples=30)
def test_what_is_encoded_as_it_passes_decodes_to_the_same(coding: str, chunks: list[bytes]) -> None:
    coder = coder_for(coding)
    encoded = b"".join([*map(coder.chunk, chunks), coder.end()])
    assert decode(coding, encoded, 10_000) == b"".join(chunks)


@pytest.mark.parametrize("coding", CODINGS)
@given(body=st.binary(max_size=300))
@settings(max_examples=30)
def test_no_bytes_make_decoding_raise(coding: str, body: bytes) -> None:
    decode(coding, body, 1000)


@pytest.mark.parametrize("coding", CODINGS)
def test_a_bomb_is_not_unpacked(coding: str) -> None:
    bomb = encode(coding, bytes(50_000_000))
    assert decode(coding, bomb, 1_000_000) is None


@pytest.mark.parametrize("coding", CODINGS)
def test_a_body_cut_short_is_not_decoded(coding: str) -> None:
    assert decode(coding, encode(coding, b"kopi gayo " * 100)[:-4], 10_000) is None


def test_an_encoding_that_nobody_knows_is_refused() -> None:
    for make in (lambda: encode("lzma", b""), lambda: coder_for("lzma")):
        with pytest.raises(ValueError, match="coding: got 'lzma', expected br, zstd or gzip"):
            make()


async def test_every_chunk_comes_through_at_once() -> None:
    async def source() -> AsyncIterator[bytes]:
        for chunk in (b"data: 1\n\n", b"data: 2\n\n"):
            yield chunk

    unpack = zlib.decompressobj(31)
    stream = Encoded(source(), "gzip")
    assert unpack.decompress(await anext(stream)) == b"data: 1\n\n"
    assert unpack.decompress(await anext(stream)) == b"data: 2\n\n"
    await anext(stream)
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    await stream.aclose()


@pytest.mark.parametrize(
    ("status", "answer", "size", "yes"),
    [
        (200, HTML, 1000, True),
        (200, HTML, None, True),
        (404, HTML, 1000, True),
        (200, HTML, 255, False),
        (206, HTML, 1000, False),
        (200, fields(), 1000, False),
        (200, fields(content_type="image/png"), 1000, False),
        (200, fields(content_type="IMAGE/SVG+XML"), 1000, True),
        (200, fields(content_type="text/event-stream"), None, False),
        (200, HTML.plus(("Content-Encoding", "gzip")), 1000, False),
        (200, HTML.plus(("Content-Range", "bytes 0-1/2")), 1000, False),
        (200, HTML.plus(("Cache-Control", "no-transform")), 1000, False),
        (200, HTML.plus(("Repr-Digest", "x")), 1000, False),
    ],
)
def test_only_what_gains_and_may_be_changed_is_encoded(
    status: int, answer: Fields, size: int | None, yes: bool
) -> None:
    assert compressible(status, answer, size, RULES) is yes


def test_the_site_chooses_encodings_and_types() -> None:
    rules = Compression(encodings=("gzip",), types=("application/json",), min_size=0)
    assert choose(fields(accept_encoding="br, gzip"), rules) == "gzip"
    assert compressible(200, fields(content_type="application/json"), 0, rules)
    assert not compressible(200, HTML, 1000, rules)
    assert choose(fields(accept_encoding="br"), Compression(encodings=())) is None


def test_what_a_client_cannot_read_is_told_only_if_it_can_be_undone() -> None:
    zipped, odd = fields(content_encoding="GZIP"), fields(content_encoding="exi")
    assert undecodable(fields(accept_encoding="br"), zipped) == "gzip"
    assert undecodable(fields(accept_encoding="gzip"), zipped) is None
    assert undecodable(fields(accept_encoding="br"), odd) is None
    assert undecodable(fields(), fields()) is None


@pytest.mark.parametrize("size", [INLINE // 2, INLINE * 4])
async def test_each_encoding_is_made_once_however_many_ask(size: int) -> None:
    content = Stored(b"abcdefgh" * (size // 8))
    made = await asyncio.gather(*[Compressor().encoded(content, "br") for _ in range(10)])
    assert len({id(body) for body in made}) == 1
    assert made[0] is not None and brotli.decompress(made[0]) == content.identity
    assert content.making == {}


async def test_an_encoding_that_is_not_smaller_is_not_used() -> None:
    content = Stored(gzip.compress(bytes(range(256)) * 2))
    assert await Compressor().encoded(content, "gzip") is None
    assert content.encoded == {"gzip": b""}


@pytest.mark.parametrize("coding", CODINGS)
async def test_who_is_first_waits_for_a_quick_one_and_who_comes_later_gets_a_good_one(coding: str) -> None:
    content, compressor, there = Stored(PAGE), Compressor(), asyncio.Event()
    quick = await compressor.encoded(content, coding)
    assert quick is not None and decode(coding, quick, len(PAGE)) == PAGE
    assert (content.encoded, content.weight) == ({}, len(PAGE) + len(quick))
    for _ in range(2):  # the second time nothing more is begun
        compressor.improve(content, coding, there.set)
        assert await compressor.encoded(content, coding) is quick
    async with asyncio.timeout(10):
        await there.wait()
    good = await compressor.encoded(content, coding)
    assert good is not None and decode(coding, good, len(PAGE)) == PAGE
    assert len(good) < len(quick) and good == encode(coding, PAGE)
    assert (content.making, content.weight) == ({}, len(PAGE) + len(good))


async def test_a_good_one_of_a_body_that_has_gone_is_not_made() -> None:
    content = Stored(PAGE)
    await Compressor().encoded(content, "br")
    content.identity = None
    Compressor().improve(content, "br", lambda: pytest.fail("of nothing"))
    assert content.making == {}
