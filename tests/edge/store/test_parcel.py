"""Parcels: what one node writes another reads, and nothing else is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.message import Fields
from edge.position import Position
from edge.store.parcel import NoParcel, Parcel, packed, unpacked

latin = st.text(st.characters(max_codepoint=255), max_size=20)
seconds = st.floats(0, 1e12)
parcels = st.builds(
    Parcel,
    key=st.text(st.characters(codec="utf-8"), max_size=40),
    names=st.lists(latin, max_size=3).map(tuple),
    status=st.integers(0, 599),
    fields=st.lists(st.tuples(latin, latin), max_size=5).map(Fields),
    position=st.builds(Position, latin, st.integers(0, 2**62)),
    began=seconds,
    born=seconds,
    expires=seconds,
    body=st.binary(max_size=200),
)


@given(parcels)
def test_what_is_packed_is_unpacked(parcel: Parcel) -> None:
    assert unpacked(packed(parcel)) == parcel


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda rest: b"TEPI\x01" + rest))
def test_anything_else_is_no_parcel(data: bytes) -> None:
    with pytest.raises(NoParcel):
        unpacked(data)


@given(parcels, st.data())
def test_one_that_was_cut_or_changed_is_no_parcel(parcel: Parcel, data: st.DataObject) -> None:
    whole = packed(parcel)
    at = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(NoParcel):
        unpacked(whole[:at])
    changed = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    with pytest.raises(NoParcel):
        unpacked(changed)


@pytest.mark.parametrize("version", [0, 2, 255])
def test_one_of_another_version_is_no_parcel(version: int) -> None:
    whole = bytearray(packed(Parcel("shop.test/\x00http")))
    whole[4] = version
    with pytest.raises(NoParcel, match="version"):
        unpacked(bytes(whole))
