"""Server cookies as RFC 9018 has them, its examples among them."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.dns.cookies import Cookies
from geo.dns.siphash import siphash24

CLIENT = bytes.fromhex("2464c4abcf10c957")
SECRET = bytes.fromhex("e5e973e5a6b2a43f48e7dc849e37bfcf")
LEARNT = bytes.fromhex("2464c4abcf10c957010000005cf79f111f8130c3eee29480")
MADE_AT = 1559731985
ADDRESS = ip_address("198.51.100.100").packed


def test_the_reference_vectors_of_siphash() -> None:
    key = bytes(range(16))
    assert siphash24(key, b"").hex() == "310e0edd47db6f72"
    assert siphash24(key, bytes(range(7))).hex() == "37d1018bf50002ab"
    assert siphash24(key, bytes(range(15))).hex() == "e545be4961ca29a1"
    assert siphash24(key, bytes(range(63))).hex() == "724506eb4c328a95"


def test_a_cookie_is_made_as_in_the_standards_example() -> None:  # RFC 9018 A.1
    assert Cookies((SECRET,)).make(CLIENT, ADDRESS, MADE_AT) == LEARNT


def test_the_older_secret_still_proves_while_the_newer_makes() -> None:
    newer = bytes.fromhex("445536bcd2513298075a5d379663c962")
    cookies = Cookies((newer, SECRET))
    answered, good = cookies.answer(LEARNT, ADDRESS, MADE_AT + 2000)
    assert good
    assert answered == cookies.make(CLIENT, ADDRESS, MADE_AT + 2000)


@pytest.mark.parametrize(
    ("later", "good", "same"),
    [
        (0, True, True), (1700, True, True), (1900, True, False), (3601, False, False),
        (-299, True, True), (-301, False, False),
    ],
)  # fmt: skip
def test_a_cookie_ages(later: int, good: bool, same: bool) -> None:
    answered, proven = Cookies((SECRET,)).answer(LEARNT, ADDRESS, MADE_AT + later)
    assert proven is good
    assert (answered == LEARNT) is same
    assert answered[:8] == CLIENT


def test_a_cookie_proves_no_other_address() -> None:
    assert not Cookies((SECRET,)).answer(LEARNT, ip_address("198.51.100.101").packed, MADE_AT)[1]


def test_a_client_cookie_alone_proves_nothing_and_learns_the_servers() -> None:
    assert Cookies((SECRET,)).answer(CLIENT, ADDRESS, MADE_AT) == (LEARNT, False)


@given(st.binary(min_size=8, max_size=32), st.integers(0, 2**33))
def test_no_octets_but_ours_prove_an_address(server: bytes, now: int) -> None:
    answered, good = Cookies((SECRET,)).answer(CLIENT + server, ADDRESS, now)
    assert not good
    assert len(answered) == 24


@given(st.binary(min_size=8, max_size=8), st.ip_addresses(), st.integers(0, 2**33), st.integers(0, 1799))
def test_what_is_made_proves_its_client(client: bytes, address: object, now: int, later: int) -> None:
    packed = address.packed  # type: ignore[attr-defined]
    cookies = Cookies((SECRET,))
    made = cookies.make(client, packed, now)
    assert cookies.answer(made, packed, now + later) == (made, True)


def test_a_secret_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="16 octets, this one 3"):
        Cookies((b"abc",))
