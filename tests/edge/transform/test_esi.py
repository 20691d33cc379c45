"""ESI in a body as it arrives: tables of what is known, and properties that hold however it is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.transform.esi import LONGEST_TAG, LONGEST_VARIABLE, EsiParser
from edge.transform.template import Include, Piece, Text, Variable, merged

A = Include((b"/a",))
Q = Variable("QUERY_STRING", "q")


def parse(*chunks: bytes) -> tuple[Piece, ...]:
    parser = EsiParser()
    found = [piece for chunk in chunks for piece in parser.feed(chunk)]
    return merged([*found, *parser.end()])


def same(body: bytes) -> tuple[Piece, ...]:
    return (Text(body),)


@pytest.mark.parametrize(
    ("body", "pieces"),
    [
        pytest.param(b'<esi:include src="/a"/>', (A,), id="include"),
        pytest.param(b"<esi:include src='/a' />", (A,), id="single-quotes"),
        pytest.param(b'x<esi:include\n\tsrc = "/a"\n/>y', (Text(b"x"), A, Text(b"y")), id="white-space"),
        pytest.param(b'<esi:include src="/a"></esi:include>.', (A, Text(b".")), id="not-empty-element"),
        pytest.param(b'<esi:include src="/a">', (A,), id="never-closed"),
        pytest.param(b'<esi:include max-age="1" src="/a" maxwait="9"/>', (A,), id="unknown-attributes"),
        pytest.param(b'<esi:include src="/a?b=1>2"/>', (Include((b"/a?b=1>2",)),), id="greater-in-quotes"),
        pytest.param(
            b'<esi:include src="/a" alt="/b" onerror="continue"/>',
            (Include((b"/a",), (b"/b",), tolerant=True),),
            id="alt-and-onerror",
        ),
        pytest.param(b'<esi:include src="/a" alt="" onerror="x"/>', (A,), id="empty-alt-odd-onerror"),
        pytest.param(
            b'<esi:include src="/a?x=1&amp;y=&quot;&copy=3"/>',
            (Include((b'/a?x=1&y="&copy=3',)),),
            id="xmls-entities-only",
        ),
        pytest.param(
            b"""<esi:include src="/a?q=$(QUERY_STRING{q}|'d')&l=$(NAME|z)"/>""",
            (Include((b"/a?q=", Variable("QUERY_STRING", "q", b"d"), b"&l=", Variable("NAME", None, b"z"))),),
            id="variables-in-src",
        ),
        pytest.param(b"a<esi:remove>b</esi:remove>c", same(b"ac"), id="remove"),
        pytest.param(b'<esi:remove><esi:include src="/a"/>-->$(</esi:remove\n>', (), id="remove-removes-all"),
        pytest.param(b"a<esi:remove/>b</esi:remove>", same(b"ab"), id="empty-remove"),
        pytest.param(b"a<esi:remove>b", same(b"a"), id="endless-remove"),
        pytest.param(b'a<esi:comment text="x > y"/>b', same(b"ab"), id="comment"),
        pytest.param(b"a<!--esi b-->c-->d", same(b"a bc-->d"), id="unfolded"),
        pytest.param(
            b'<!--esi <esi:include src="/a"/>\n-->', (Text(b" "), A, Text(b"\n")), id="unfolded-include"
        ),
        pytest.param(b"<!--esi<p>--><!-- b -->", same(b"<p><!-- b -->"), id="unfolded-then-a-comment"),
        pytest.param(b"<esi:vars>$(QUERY_STRING{q})</esi:vars>$(X)", (Q, Text(b"$(X)")), id="vars"),
        pytest.param(
            b"<esi:vars><!--esi $(X|'a b')-->$(X</esi:vars>",
            (Text(b" "), Variable("X", None, b"a b"), Text(b"$(X")),
            id="vars-unfolded",
        ),
    ],
)
def test_what_is_known(body: bytes, pieces: tuple[Piece, ...]) -> None:
    assert parse(body) == pieces
    assert parse(*(body[at : at + 1] for at in range(len(body)))) == pieces


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><!-- <p> --></html>",
        b"<esi:try><esi:attempt>x</esi:attempt></esi:try>",
        b"<esi:include/>",
        b'<esi:include alt="/a"/>',
        b"<esi:include src=/a />",
        b'<esi:include src="/a"',
        b"<esi:include src='/a\"/>",
        b'<esi:include <p src="/a">',
        b'<ESI:include src="/a"/>',
        b'<esi:includes src="/a"/>',
        b'<esi: include src="/a"/>',
        b'< esi:include src="/a"/>',
        b'<esi:include2 src="/a"/>',
        b"<!--esix-->",
        b"<!--es",
        b"<!--esi",
        b"</esi:",
        b"$(HTTP_HOST) --> $(",
        b'<esi:include src="' + b"x" * LONGEST_TAG + b'"/>',
    ],
)
def test_what_is_not_known_stays_as_it_is(body: bytes) -> None:
    assert b"".join(piece.data for piece in parse(body) if isinstance(piece, Text)) == body
    assert len(parse(body)) <= 1
    assert parse(*(body[at : at + 1] for at in range(len(body)))) == parse(body)


@pytest.mark.parametrize(
    "body", [b"$(document).ready(x)", b"$()", b"$(X{a}b)", b"$(x)", b"$(X" + b"|y" * LONGEST_VARIABLE + b")"]
)
def test_what_is_no_variable_stays_as_it_is(body: bytes) -> None:
    assert parse(b"<esi:vars>" + body + b"</esi:vars>") == same(body)


WORDS = [
    b"<esi:include src='/a", b"'/>", b'<esi:include src="/b" alt="/c?$(HTTP_HOST)"', b"/>", b">",
    b"<esi:remove>", b"</esi:remove>", b"</esi:remove  >", b"<esi:vars>", b"</esi:vars>",
    b"$(QUERY_STRING{q}|'x')", b"$(X", b")", b"<!--esi", b" ", b"<!--esi ", b"-->", b"--",
    b"<esi:comment text='", b"<esi:", b"</", b"<", b"<!--", b"$", b"(", b"text", b"'", b'"', b"\n",
    b"\xc3\xa9", b"<esi:try>", b"<p>",
]  # fmt: skip
BODIES = st.lists(st.sampled_from(WORDS), max_size=25).map(b"".join)


@st.composite
def cut_bodies(draw: st.DrawFn) -> list[bytes]:
    body = draw(BODIES)
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=8)))
    return [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]


@given(cut_bodies())
def test_however_a_body_is_cut_its_pieces_are_the_same(chunks: list[bytes]) -> None:
    assert parse(*chunks) == parse(b"".join(chunks))


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_a_body_without_esi_comes_out_byte_for_byte(chunks: list[bytes]) -> None:
    body = b"".join(chunks)
    if b"esi" not in body:
        assert parse(*chunks) == (same(body) if body else ())


@given(cut_bodies())
def test_little_is_held_back_and_no_text_is_made_up(chunks: list[bytes]) -> None:
    parser, fed, come = EsiParser(), 0, 0
    for chunk in chunks:
        fed += len(chunk)
        come += sum(len(piece.data) for piece in parser.feed(chunk) if isinstance(piece, Text))
        assert len(parser._tail) < LONGEST_TAG
        assert come <= fed


def test_text_before_a_fragment_does_not_wait_for_what_follows() -> None:
    parser = EsiParser()
    assert parser.feed(b"<html><body>hello <") == (Text(b"<html><body>hello "),)
    assert parser.feed(b'esi:include src="/a"/><p') == (A, Text(b"<p"))


def test_a_body_full_of_beginnings_is_read_in_linear_time() -> None:
    for word in (b"<esi:", b"<esi:include ", b"<!--esi ", b"$(", b'<esi:include "', b"<esi:vars>$(X", b"--"):
        body = word * (200_000 // len(word))
        assert sum(map(len, _texts(parse(body)))) <= len(body)


def _texts(pieces: tuple[Piece, ...]) -> list[bytes]:
    return [piece.data for piece in pieces if isinstance(piece, Text)]
