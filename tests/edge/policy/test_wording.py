"""Texts with variables: what is known is filled in, everything else is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.message import Client, Request
from edge.policy.wording import FACTS, facts_of, wording

KNOWN = {"1": "one", "host": "shop.test", "empty": ""}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ""),
        ("plain", "plain"),
        ("$1", "one"),
        ("/x/${1}0/$host", "/x/one0/shop.test"),
        ("$$1 costs 5$$", "$1 costs 5$"),
        ("[$empty]", "[]"),
    ],
)
def test_variables_are_filled_in(text: str, said: str) -> None:
    assert wording(text, KNOWN).said(KNOWN) == said


@pytest.mark.parametrize("text", ["$", "a$", "$2", "$cookie", "${host", "${}", "$-"])
def test_what_is_not_known_is_refused_and_what_is_gets_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"\$1, \$empty, \$host; a dollar is \$\$"):
        wording(text, KNOWN)


@given(st.text(max_size=30))
def test_any_text_can_be_said_literally(text: str) -> None:
    assert wording(text.replace("$", "$$"), ()).said({}) == text


def test_the_facts_of_a_request() -> None:
    request = Request(
        "GET", "https", "shop.test:8443", "/", client=Client("192.0.2.1", country="ID"), id="r-1"
    )
    assert facts_of(request) == {
        "client": "192.0.2.1", "country": "ID", "host": "shop.test", "id": "r-1", "scheme": "https",
    }  # fmt: skip
    assert facts_of(request).keys() == FACTS
