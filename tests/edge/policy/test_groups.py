"""Cache groups (RFC 9875): which an answer belongs to, which it outdates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.message import Fields
from edge.policy.groups import groups_of, invalidated_groups
from tests.edge.stage import make_request

NAMES = st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40), max_size=40)


def written(names: list[str]) -> str:
    """A List of Strings (RFC 9651 §4.1)."""
    return ", ".join('"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' for name in names)


@given(NAMES, st.integers(0, 40))
def test_a_list_of_strings_is_read_each_once_and_in_order_over_any_lines(names: list[str], cut: int) -> None:
    lines = [("Cache-Groups", written(part)) for part in (names[:cut], names[cut:]) if part]
    assert groups_of(Fields(lines)) == tuple(dict.fromkeys(names))


def test_at_least_32_groups_of_32_characters_are_kept() -> None:
    names = [f"{number:032}" for number in range(500)]
    assert groups_of(Fields([("Cache-Groups", written(names))])) == tuple(names)


def test_as_many_can_be_outdated_at_once() -> None:
    names = [f"{number:032}" for number in range(500)]
    fields = Fields([("Cache-Group-Invalidation", written(names))])
    assert invalidated_groups(make_request(method="POST"), 200, fields) == tuple(names)


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ('"a";x=1, "b";y="z"', ("a", "b")),  # parameters are ignored
        ('"A", "a"', ("A", "a")),  # case matters
        ("", ()),
        ("a", ()),  # a Token is no String
        ('"a", b', ()),
        ('"a", ("b" "c")', ()),
        ('"a", 1', ()),
        ('"a",', ()),
        ('"a" "b"', ()),
        ('"a', ()),
        ('"\xe4"', ()),
        ('"a", %"b"', ()),
    ],
)
def test_anything_else_is_ignored_whole(value: str, names: tuple[str, ...]) -> None:
    assert groups_of(Fields([("Cache-Groups", value)])) == names


@given(st.text(st.characters(max_codepoint=255)))
def test_no_field_is_too_odd_to_be_read(value: str) -> None:
    groups_of(Fields([("Cache-Groups", value)]))


@pytest.mark.parametrize(
    ("method", "status", "names"),
    [
        ("POST", 200, ("a", "b")),
        ("PUT", 204, ("a", "b")),
        ("FOO", 303, ("a", "b")),
        ("POST", 404, ()),
        ("POST", 500, ()),
        ("GET", 200, ()),  # §3: MUST be ignored
        ("HEAD", 200, ()),
        ("OPTIONS", 200, ()),
        ("QUERY", 200, ()),
    ],
)
def test_only_an_unsafe_request_that_did_not_fail_outdates_groups(
    method: str, status: int, names: tuple[str, ...]
) -> None:
    fields = Fields([("Cache-Group-Invalidation", '"a", "b"')])
    assert invalidated_groups(make_request(method=method), status, fields) == names
