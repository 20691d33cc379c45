"""The first word of a request, and where messages end: held against the parser itself, whatever the cuts."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from unittest.mock import Mock

import pytest
from aiohttp import StreamReader
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser
from hypothesis import example, given
from hypothesis import strategies as st

from edge.wire.messages import Messages
from edge.wire.methods import LONGEST, STAND_IN, Methods, TooLong

TCHARS = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
STANDARD = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"]


@pytest.mark.parametrize("method", [*STANDARD, "CONNECT", "PRI"])
def test_the_parser_sees_standard_methods_as_they_came(method: str) -> None:
    head = f"{method} / HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    methods = Methods()
    assert methods.read(head) == head
    assert methods.method is None


@pytest.mark.parametrize(
    "method", ["FOO", "get", "GETX", "G", "VERSION-CONTROL", "M-SEARCH", "DESCRIBE", TCHARS[:64]]
)
def test_any_other_goes_under_a_stand_in_and_is_remembered(method: str) -> None:
    methods = Methods()
    assert methods.read(f"\r\n{method} /x HTTP/1.1\r\n".encode()) == b"\r\n" + STAND_IN + b" /x HTTP/1.1\r\n"
    assert methods.method == method
    assert methods.read(b"FOO: bar\r\n\r\n") == b"FOO: bar\r\n\r\n"  # later lines are none of its business
    methods.next_head()
    assert methods.method is None


@pytest.mark.parametrize(
    "start",
    [
        b" FOO / HTTP/1.1",
        b"FOO\t/ HTTP/1.1",
        b"FOO\r\n",
        b"F(O / HTTP/1.1",
        b"\xc3\x84 / ",
        b"\x16\x03\x01",
        b"FOO\x00 / ",
    ],
)
def test_what_is_no_method_is_left_to_the_parser_to_refuse(start: bytes) -> None:
    methods = Methods()
    assert methods.read(start) == start
    assert methods.method is None


@pytest.mark.parametrize("tail", [b"", b" / HTTP/1.1"])
def test_a_method_has_an_end(tail: bytes) -> None:
    assert Methods().read(b"x" * LONGEST + b" /") == STAND_IN + b" /"
    with pytest.raises(TooLong):
        Methods().read(b"x" * (LONGEST + 1) + tail)


def test_a_method_that_comes_letter_by_letter_is_held_until_it_is_whole() -> None:
    methods = Methods()
    assert [methods.read(bytes([byte])) for byte in b"\r\nFOO / "] == [
        b"\r", b"\n", b"", b"", b"", STAND_IN + b" ", b"/", b" ",
    ]  # fmt: skip


# Held against the parser ------------------------------------------------------------------------


@dataclass
class Wire:
    """What `edge.server` does with a segment, around a parser of aiohttp's."""

    parser: HttpRequestParser
    messages: Messages = field(default_factory=Messages)
    methods: Methods = field(default_factory=Methods)
    heard: list[tuple[RawRequestMessage, StreamReader]] = field(default_factory=list)

    def say(self, segment: bytes) -> None:
        at = 0
        while at < len(segment):
            end = self.messages.cut(segment, at)
            piece = segment[at:end]
            at = end
            in_head = self.messages.in_head
            self.messages.passed(piece)
            if in_head:
                piece = self.methods.read(piece)
            if not piece:
                continue
            found, _, _ = self.parser.feed_data(piece)
            assert len(found) <= 1
            for message, body in found:
                assert in_head
                method = self.methods.method or message.method
                self.heard.append((message._replace(method=method), body))
                self.messages.began(message, body)
                self.methods.next_head()


@dataclass(frozen=True)
class Said:
    method: str
    target: str
    body: bytes | None
    chunks: tuple[int, ...] | None
    before: bytes = b""

    def wire(self) -> bytes:
        head = f"{self.method} {self.target} HTTP/1.1\r\nHost: a\r\n"
        if self.body is None:
            return self.before + head.encode() + b"\r\n"
        if self.chunks is None:
            return self.before + f"{head}Content-Length: {len(self.body)}\r\n\r\n".encode() + self.body
        pieces, at = [f"{head}Transfer-Encoding: chunked\r\n\r\n".encode()], 0
        for size in (*self.chunks, len(self.body)):
            piece = self.body[at : at + size]
            at += len(piece)
            if piece:
                pieces.append(b"%x;e=1\r\n%b\r\n" % (len(piece), piece))
        return self.before + b"".join(pieces) + b"0\r\nTrailer: x\r\n\r\n"


# What a body may hold to confuse who looks for heads in it.
TRICKY = [b"\r\n\r\n", b"FOO / HTTP/1.1\r\n", b"0\r\n\r\n", b"\r", b"\n", b"GET ", b"a", b"Host: a\r\n\r\n"]
bodies = st.lists(st.sampled_from(TRICKY), max_size=6).map(b"".join)
said = st.builds(
    Said,
    st.one_of(st.sampled_from(["FOO", "get", "LINKED", *STANDARD]), st.text(TCHARS, min_size=1, max_size=12)),
    st.sampled_from(["/", "/a?b", "http://a/"]),
    st.none() | bodies,
    st.none() | st.lists(st.integers(1, 9), max_size=4).map(tuple),
    st.sampled_from([b"", b"\r\n", b"\r\n\r\n"]),
).filter(lambda one: one.method.upper() not in ("CONNECT", "PRI"))


async def _hear(segments: list[bytes]) -> list[tuple[str, str, bytes]]:
    wire = Wire(HttpRequestParser(Mock(_reading_paused=False), asyncio.get_running_loop(), 2**16))
    for segment in segments:
        wire.say(segment)
    assert wire.messages.in_head
    return [(message.method, message.path, await body.read()) for message, body in wire.heard]


@given(st.lists(said, min_size=1, max_size=4), st.lists(st.integers(1, 400), max_size=12))
@example(
    [Said("FOO", "/", b"\r\n\r\nFOO / HTTP/1.1\r\n\r\n", None), Said("FOO", "/", b"0\r\n\r\n", (1, 2))], []
)
def test_every_message_is_heard_as_it_was_said_wherever_it_is_cut(
    messages: list[Said], cuts: list[int]
) -> None:
    whole = b"".join(one.wire() for one in messages)
    edges = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    segments = [whole[start:end] for start, end in itertools.pairwise(edges)]
    expected = [(one.method, one.target, one.body or b"") for one in messages]
    assert asyncio.run(_hear(segments)) == expected
    assert asyncio.run(_hear([bytes([byte]) for byte in whole])) == expected


@given(
    st.text(TCHARS, min_size=1, max_size=12).filter(lambda text: text.upper() not in ("CONNECT", "PRI")),
    st.binary(max_size=40) | st.text("GET /:HostTransfer-Encodingchunked\r\n ", max_size=60).map(str.encode),
)
def test_a_stranger_is_judged_as_the_stand_in_would_be(method: str, rest: bytes) -> None:
    async def outcome(name: str) -> list[tuple[str, object]] | str:
        wire = Wire(HttpRequestParser(Mock(_reading_paused=False), asyncio.get_running_loop(), 2**16))
        try:
            wire.say(name.encode() + b" / HTTP/1.1\r\nHost: a\r\n" + rest + b"\r\n\r\n")
        except HttpProcessingError as error:
            return type(error).__name__
        return [(message.path, message.raw_headers) for message, _ in wire.heard]

    assert asyncio.run(outcome(method)) == asyncio.run(outcome("PUT"))
