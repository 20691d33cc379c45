"""What was read of texts is remembered, but nobody fills the memory with long ones."""

from __future__ import annotations

import gc
import weakref

import pytest

from edge.http.remembered import LONGEST, remembered


class Made:
    """What a reader makes."""


@pytest.mark.parametrize(("length", "kept"), [(LONGEST, True), (LONGEST + 1, False)])
def test_only_what_short_texts_said_is_kept(length: int, kept: bool) -> None:
    @remembered(8)
    def read(text: str) -> Made:
        return Made()

    made = weakref.ref(read("x" * length))
    gc.collect()
    assert (made() is not None) is kept


def test_no_more_is_kept_than_asked_for() -> None:
    asked = []

    @remembered(2)
    def read(text: str | None, more: int) -> int:
        asked.append(text)
        return more

    assert [read(text, 7) for text in ("a", "a", None, None, "b", "a")] == [7] * 6
    assert asked == ["a", None, "b", "a"]
