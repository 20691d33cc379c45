"""Whose word is taken for who asks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.document.notation import parse_network
from edge.guard.networks import Networks, plain
from edge.guard.proxies import client_of, scheme_of
from edge.http.message import Fields

TRUSTED = Networks([parse_network("10.0.0.0/8"), parse_network("fd00::/8")])
PROXY = "10.0.0.1"


@pytest.mark.parametrize(
    ("said", "client"),
    [
        ([("X-Forwarded-For", "192.0.2.1")], "192.0.2.1"),
        ([("X-Forwarded-For", "203.0.113.66, 192.0.2.1")], "192.0.2.1"),
        ([("X-Forwarded-For", "203.0.113.66"), ("X-Forwarded-For", "192.0.2.1, 10.9.9.9")], "192.0.2.1"),
        ([("X-Forwarded-For", "10.1.1.1, 10.2.2.2")], "10.1.1.1"),
        ([("X-Forwarded-For", "192.0.2.1, unknown")], PROXY),
        ([("X-Forwarded-For", "192.0.2.1, bad, 10.2.2.2")], "10.2.2.2"),
        ([("X-Forwarded-For", "192.0.2.1:4711")], "192.0.2.1"),
        ([("X-Forwarded-For", "[2001:db8::1]:4711")], "2001:db8::1"),
        ([("X-Forwarded-For", "2001:db8::1")], "2001:db8::1"),
        ([("X-Forwarded-For", "::ffff:192.0.2.1")], "192.0.2.1"),
        ([("Forwarded", 'for="[2001:db8::1]:4711";proto=https')], "2001:db8::1"),
        ([("Forwarded", "for=203.0.113.66, For=192.0.2.1;by=10.0.0.1")], "192.0.2.1"),
        ([("Forwarded", "for=192.0.2.1, proto=https")], PROXY),
        ([("Forwarded", "for=203.0.113.66"), ("X-Forwarded-For", "192.0.2.1")], "192.0.2.1"),
        ([], PROXY),
        ([("X-Forwarded-For", "")], PROXY),
    ],
)
def test_the_last_hop_that_nobody_vouches_for_is_the_client(said: list[tuple[str, str]], client: str) -> None:
    assert client_of(PROXY, Fields(said), TRUSTED) == client


def test_a_stranger_is_himself_whatever_he_says() -> None:
    said = Fields([("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Proto", "https")])
    assert client_of("203.0.113.66", said, TRUSTED) == "203.0.113.66"
    assert scheme_of("203.0.113.66", "http", said, TRUSTED) == "http"


@pytest.mark.parametrize(
    ("said", "scheme"),
    [
        ([("X-Forwarded-Proto", "https")], "https"),
        ([("X-Forwarded-Proto", "HTTPS")], "https"),
        ([("X-Forwarded-Proto", "gopher")], "http"),
        ([("Forwarded", "for=192.0.2.1;proto=https")], "https"),
        ([], "http"),
    ],
)
def test_a_proxy_tells_the_scheme(said: list[tuple[str, str]], scheme: str) -> None:
    assert scheme_of(PROXY, "http", Fields(said), TRUSTED) == scheme


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["X-Forwarded-For", "Forwarded"]),
            st.text(st.characters(max_codepoint=255)) | st.from_regex(r'for="?\[?[0-9a-f.:]+\]?"?(;[a-z]=)?'),
        ),
        max_size=3,
    )
)
def test_whatever_is_said_the_client_is_an_address(said: list[tuple[str, str]]) -> None:
    client = client_of(PROXY, Fields(said), TRUSTED)
    assert plain(client) == client
