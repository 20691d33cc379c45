"""Payment codes: EMVCo's tags, with a checksum that any wallet accepts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from origin.checkout.qris import Merchant, NotQris, checksum, code, tags

SHOP = Merchant("Warung Nusantara", "Yogyakarta", "ID1020000000001")


def test_the_checksum_is_the_known_vectors() -> None:
    assert checksum("123456789") == "29B1"


@given(st.integers(1, 10**13))
def test_a_code_says_its_amount_in_rupiah(amount: int) -> None:
    found = tags(code(SHOP, amount, "order-1"))
    assert float(found["54"]) == amount / 100
    assert (found["53"], found["58"], found["59"]) == ("360", "ID", "Warung Nusantara")
    assert list(found) == ["00", "01", "51", "52", "53", "54", "58", "59", "60", "62", "63"]


@given(st.data())
def test_a_damaged_code_is_none(data: st.DataObject) -> None:
    text = code(SHOP, 8_500_000, "order-1")
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(
        st.characters(min_codepoint=48, max_codepoint=57).filter(lambda one: one != text[place])
    )
    with pytest.raises(NotQris):
        tags(text[:place] + other + text[place + 1 :])


@given(st.text(max_size=60))
def test_whatever_else_comes_is_no_code(text: str) -> None:
    with pytest.raises(NotQris):
        tags(text)
