"""Whatever becomes of a file, its whole records are found, and nothing else passes for one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.hooks.segments import FLAG, HEAD, framed, head, mark, marked, scan, unframed

SALT = b"0123456789abcdef"
contents = st.lists(st.binary(max_size=60) | st.just(FLAG * 3), max_size=8)


def segment(records: list[bytes], salt: bytes = SALT) -> bytes:
    data = head(salt)
    for content in records:
        data += framed(salt, len(data), content)
    return data


@given(contents)
def test_what_was_written_is_read(records: list[bytes]) -> None:
    data = segment(records)
    found = scan(data)
    assert found is not None
    assert [each.content for each in found.records] == records
    assert (found.end, found.damaged) == (len(data), 0)
    for each in found.records:
        assert unframed(SALT, each.place, data[each.place : each.end]) == each.content


@given(contents, st.data())
def test_of_a_torn_file_every_record_before_the_tear_is_there(
    records: list[bytes], draw: st.DataObject
) -> None:
    data = segment(records)
    torn = draw.draw(st.integers(HEAD, len(data)))
    tail = draw.draw(st.binary(max_size=20) | st.integers(0, 40).map(bytes))
    found = scan(data[:torn] + tail)
    assert found is not None
    whole = [content for at, content in enumerate(records) if len(segment(records[: at + 1])) <= torn]
    got = [each.content for each in found.records]
    assert got[: len(whole)] == whole
    if torn == len(data) or not data[torn:].startswith(tail):
        assert len(got) <= len(whole) + 1


@given(contents, st.data())
def test_a_damaged_record_costs_itself_alone(records: list[bytes], draw: st.DataObject) -> None:
    if not records:
        return
    data = bytearray(segment(records))
    at = draw.draw(st.integers(HEAD, len(data) - 1))
    data[at] ^= 1 << draw.draw(st.integers(0, 7))
    found = scan(bytes(data))
    assert found is not None
    hit = max(n for n in range(len(records)) if len(segment(records[:n])) <= at)
    assert [each.content for each in found.records] == [*records[:hit], *records[hit + 1 :]]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    found = scan(head(SALT) + data)
    assert found is not None
    assert found.end <= HEAD + len(data)
    assert scan(data) is None or data.startswith(head(SALT)[:8])


def test_a_body_that_holds_a_record_does_not_pass_for_one() -> None:
    """A stranger who knows the format does not know the salt."""
    forged = framed(b"a salt by guess!", HEAD + 40, b"forged")
    data = bytearray(segment([forged, b"after"]))
    data[HEAD + 13] ^= 1  # the record that holds it is damaged
    found = scan(bytes(data))
    assert found is not None
    assert [each.content for each in found.records] == [b"after"]


@given(st.lists(st.integers(0, 2**40), max_size=6), st.binary(max_size=11), st.integers(0, 100))
def test_marks_are_read_up_to_the_tear(places: list[int], tail: bytes, lost: int) -> None:
    data = b"".join(mark(SALT, place) for place in places)
    assert list(marked(SALT, data + tail)) == places
    assert list(marked(SALT, data[: max(0, len(data) - lost)])) == places[: max(0, len(data) - lost) // 12]
    assert list(marked(b"another salt....", data)) == []
