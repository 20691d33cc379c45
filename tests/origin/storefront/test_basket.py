"""The basket is a signed cookie: what we sealed opens, and nothing else does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from origin.storefront.basket import MOST_LINES, MOST_OF_ONE, changed, cookies, opened, sealed

SECRET, OTHER = b"a" * 32, b"b" * 32
baskets = st.dictionaries(
    st.from_regex(r"[A-Z0-9-]{1,12}", fullmatch=True), st.integers(1, MOST_OF_ONE), max_size=10
)


@given(baskets)
def test_what_was_sealed_opens(basket: dict[str, int]) -> None:
    assert opened(sealed(basket, SECRET), SECRET) == basket


@given(baskets.filter(bool))
def test_another_shops_seal_opens_nothing(basket: dict[str, int]) -> None:
    assert opened(sealed(basket, OTHER), SECRET) == {}


@given(st.text() | st.text(st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF)))
def test_whatever_else_a_visitor_sends_is_an_empty_basket(value: str) -> None:
    assert opened(value, SECRET) == {}
    assert opened(value + "." + value, SECRET) == {}


def test_no_cookie_is_an_empty_basket() -> None:
    assert opened(None, SECRET) == {}


@given(baskets.filter(bool), st.data())
def test_a_seal_does_not_fit_a_changed_basket(basket: dict[str, int], data: st.DataObject) -> None:
    value = sealed(basket, SECRET)
    at = data.draw(st.integers(0, len(value) - 1))
    other = data.draw(st.characters(min_codepoint=33, max_codepoint=126).filter(lambda one: one != value[at]))
    assert opened(value[:at] + other + value[at + 1 :], SECRET) == {}


def test_quantities_are_set_and_none_takes_the_line_away() -> None:
    assert changed({}, "A", 2) == {"A": 2}
    assert changed({"A": 2, "B": 1}, "A", 5) == {"A": 5, "B": 1}
    assert changed({"A": 2, "B": 1}, "A", 0) == {"B": 1}
    assert changed({}, "A", 0) == {}


@pytest.mark.parametrize("quantity", [-1, MOST_OF_ONE + 1])
def test_too_many_or_less_than_none_is_refused(quantity: int) -> None:
    with pytest.raises(ValueError, match=str(MOST_OF_ONE)):
        changed({}, "A", quantity)


def test_a_basket_has_a_last_line() -> None:
    full = {str(number): 1 for number in range(MOST_LINES)}
    with pytest.raises(ValueError, match=str(MOST_LINES)):
        changed(full, "more", 1)
    assert changed(full, "0", 2)["0"] == 2
    assert len(sealed({f"SKU-{number:012}": 99 for number in range(MOST_LINES)}, SECRET)) < 4096 - 200


def test_cookies_live_as_long_as_the_basket_and_only_the_count_is_readable() -> None:
    basket, count = cookies({"A": 2, "B": 3}, SECRET, secure=True)
    assert "HttpOnly" in basket
    assert count.startswith("warung_count=5; ")
    assert "HttpOnly" not in count
    for cookie in (basket, count):
        assert "SameSite=Lax" in cookie
        assert cookie.endswith("; Secure")
        assert "Max-Age=1209600" in cookie
    assert all(
        "Max-Age=0" in cookie and "Secure" not in cookie for cookie in cookies({}, SECRET, secure=False)
    )
