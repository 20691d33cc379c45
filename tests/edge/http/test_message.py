"""Fields, requests and answers as values."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.http.message import Answer, Fields
from tests.edge.stage import make_request

NAMES = st.sampled_from(["A", "a", "B", "Set-Cookie"])
LINES = st.lists(st.tuples(NAMES, st.text("xyz", max_size=3)))


@given(LINES)
def test_lines_keep_their_order_and_are_found_whatever_their_case(lines: list[tuple[str, str]]) -> None:
    fields = Fields(lines)
    assert list(fields) == lines
    for name in {name.lower() for name, _ in lines}:
        values = tuple(value for line, value in lines if line.lower() == name)
        assert fields.all(name) == values
        assert fields.get(name) == ", ".join(values)
        assert name in fields


@given(LINES)
def test_changing_fields_makes_others(lines: list[tuple[str, str]]) -> None:
    fields = Fields(lines)
    assert "a" not in fields.without("a")
    assert fields.replaced("A", "new").all("a") == ("new",)
    assert fields.plus(("C", "1")).lines[:-1] == fields.lines
    assert fields == Fields(lines) and hash(fields) == hash(Fields(lines))
    assert list(fields) == lines


def test_a_request_knows_its_target_and_url() -> None:
    assert make_request("/a?b=c").url == "http://shop.test/a?b=c"
    assert make_request("/a?").target == "/a?"
    assert make_request("/a").target == "/a"


def test_an_answer_can_be_had_with_changes() -> None:
    assert Answer(200).but(status=404) == Answer(404)
