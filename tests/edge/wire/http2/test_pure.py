"""What of HTTP/2 is decided without I/O: heads, priorities, and how much is borne."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.message import Fields
from edge.wire.http2.floods import Allowance
from edge.wire.http2.heads import read, write
from edge.wire.http2.priorities import Priority, next_of, parse, parse_update
from edge.wire.versions import PREFACE_HEAD, Greeting

GET = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"Shop.test"), (b":path", b"/a?b")]


def test_a_head_becomes_what_the_pipeline_reads() -> None:
    head = read([*GET, (b"cookie", b"a=1"), (b"accept", b" text/html "), (b"cookie", b"b=2")])
    assert head.refusal is None
    assert (head.method, head.target) == ("GET", "/a?b")
    assert head.fields.lines == (("host", "Shop.test"), ("accept", "text/html"), ("cookie", "a=1; b=2"))


@pytest.mark.parametrize(
    ("lines", "refused"),
    [
        ([*GET, (b"host", b"shop.test")], False),
        ([*GET, (b"host", b"other.test")], True),
        ([*GET[:3], (b":path", b"a")], True),
        ([*GET[:3], (b":path", b"")], True),
        ([*GET[:3], (b":path", b"*")], True),
        ([(b":method", b"OPTIONS"), *GET[1:3], (b":path", b"*")], False),
        ([*GET[:2], GET[3], (b"host", b"shop.test")], False),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(lines: list[tuple[bytes, bytes]], refused: bool) -> None:
    assert (read(lines).refusal is not None) is refused


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=9), st.binary(max_size=20))))
def test_any_lines_are_read(lines: list[tuple[bytes, bytes]]) -> None:
    read(lines)


def test_an_answers_head_has_lower_case_names_and_nothing_of_the_connection() -> None:
    lines = [("Content-Type", "text/html"), ("Connection", "close"), ("Transfer-Encoding", "chunked")]
    assert write(200, Fields(lines), 3) == [
        (b":status", b"200"),
        (b"content-type", b"text/html"),
        (b"content-length", b"3"),
    ]


@pytest.mark.parametrize(
    "line",
    [("x", "a\r\nset-cookie: b=1"), ("x", "a\nb"), ("x", "a\x00b"), ("x", "€"), ("x y", ""), ("X-É", "")],
)
def test_no_field_breaks_out_of_its_line(line: tuple[str, str]) -> None:
    assert write(200, Fields([line]), None) is None


@pytest.mark.parametrize(
    ("value", "priority"),
    [
        (None, Priority()),
        ("u=1", Priority(1)),
        ("i", Priority(3, True)),
        ("u=7, i", Priority(7, True)),
        ("i=?0;x, u=0", Priority(0)),
        ("u=8", Priority()),
        ("u=-1, i", Priority(3, True)),
        ("u=high", Priority()),
        ("u=?1", Priority()),
        ('x="u=1"', Priority()),
        ("garbage,,", Priority()),
    ],
)
def test_priorities_are_read_as_the_rfc_says(value: str | None, priority: Priority) -> None:
    assert parse(value) == priority


@given(st.binary(max_size=40))
def test_any_update_is_read(payload: bytes) -> None:
    update = parse_update(payload)
    assert update is None or (0 <= update[0] < 2**31 and 0 <= update[1].urgency <= 7)


@dataclass
class Waiting:
    number: int
    priority: Priority
    turn: int = 0


def test_the_urgent_go_first_the_rest_one_by_one_and_what_is_incremental_takes_turns() -> None:
    streams = {
        one.number: one
        for one in (
            Waiting(1, Priority(3, True)),
            Waiting(3, Priority(3)),
            Waiting(5, Priority(1)),
            Waiting(7, Priority(3, True)),
            Waiting(9, Priority(3)),
        )
    }
    left = dict.fromkeys(streams, 2)
    order = []
    while streams:
        chosen = next_of(streams.values())
        chosen.turn += 1
        order.append(chosen.number)
        left[chosen.number] -= 1
        if not left[chosen.number]:
            del streams[chosen.number]
    assert order == [5, 5, 3, 3, 9, 9, 1, 7, 1, 7]


def test_an_allowance_is_spent_and_comes_back() -> None:
    allowance = Allowance(3, 2.0, 100.0)
    assert [allowance.spend(100.0) for _ in range(4)] == [True, True, True, False]
    assert [allowance.spend(101.0) for _ in range(3)] == [True, True, False]
    assert sum(allowance.spend(1e6) for _ in range(10)) == 3


@given(st.lists(st.integers(1, 5), min_size=1, max_size=20), st.booleans())
def test_a_preface_is_known_however_it_is_cut_and_nothing_else_is_swallowed(
    cuts: list[int], whole: bool
) -> None:
    said = PREFACE_HEAD if whole else PREFACE_HEAD[:-3] + b"X: "
    greeting, passed, at = Greeting(), b"", 0
    for size in [*cuts, len(said)]:
        if at < len(said) and not passed:
            passed += greeting.read(said[at : at + size])
            at += size
    assert (bool(greeting.heard), passed + said[at:]) == ((True, b"") if whole else (False, said))
