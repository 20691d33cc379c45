"""Byte ranges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.ranges import MAX_RANGES, Part, content_range, multipart, satisfiable


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("bytes=0-0", (Part(0, 0),)),
        ("bytes=0-", (Part(0, 9),)),
        ("bytes=-3", (Part(7, 9),)),
        ("bytes=-30", (Part(0, 9),)),
        ("bytes=8-100", (Part(8, 9),)),
        ("BYTES=1-2, 4-5", (Part(1, 2), Part(4, 5))),
        ("bytes=20-30, 0-1", (Part(0, 1),)),
        ("bytes=10-", ()),
        ("bytes=-0", ()),
    ],
)
def test_parts_of_ten_bytes(value: str, parts: tuple[Part, ...]) -> None:
    assert satisfiable(value, 10) == parts


@pytest.mark.parametrize(
    "value",
    ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-4", "bytes=1-2,x", "lines=1-2", "bytes=0-9,0-9",
     "bytes=1", "bytes=١-٢", "bytes=" + ",".join(["1-1"] * (MAX_RANGES + 1)), "bytes=" + "9" * 30 + "-"],
)  # fmt: skip
def test_what_is_malformed_or_greedy_is_ignored(value: str) -> None:
    assert satisfiable(value, 10) is None


@given(st.text(), st.integers(0, 100))
def test_parts_always_lie_within(value: str, total: int) -> None:
    for part in satisfiable(f"bytes={value}", total) or ():
        assert 0 <= part.first <= part.last < total


@given(st.integers(0, 50), st.integers(1, 50), st.integers(0, 50))
def test_content_range_round_trips(first: int, size: int, more: int) -> None:
    part = Part(first, first + size - 1)
    total = first + size + more
    assert content_range(part.of(total)) == (part, total)


@pytest.mark.parametrize(
    "value", [None, "", "bytes 0-4", "bytes 4-0/10", "bytes 4-9/9", "bytes */10", "lines 0-1/2"]
)
def test_a_malformed_content_range_is_none(value: str | None) -> None:
    assert content_range(value) is None


@given(st.text())
def test_no_content_range_makes_the_parser_raise(value: str) -> None:
    content_range(value)


def test_multipart_names_each_part() -> None:
    made = multipart(b"0123456789", [Part(0, 1), Part(8, 9)], "text/plain", "sep")
    assert made == (
        b"\r\n--sep\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n01"
        b"\r\n--sep\r\nContent-Type: text/plain\r\nContent-Range: bytes 8-9/10\r\n\r\n89"
        b"\r\n--sep--\r\n"
    )
