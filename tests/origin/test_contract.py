"""Money, cache policies and answers: the values that plugins speak in."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.cache_control import parse_response
from edge.http.message import Fields
from edge.policy.tags import tags_of
from origin.contract import PRIVATE, Answer, CachePolicy, Money, OutOfStock, PluginDefaults
from origin.registry import MEMBERS
from tests.origin.standing import Bare

amounts = st.integers(-(10**15), 10**15)


@given(amounts, amounts, st.integers(0, 1000))
def test_money_adds_and_multiplies_without_losing_a_sen(one: int, other: int, count: int) -> None:
    assert Money(one, "IDR") + Money(other, "IDR") == Money(one + other, "IDR")
    total = Money(0, "IDR")
    for _ in range(min(count, 20)):
        total += Money(one, "IDR")
    assert total == Money(one, "IDR").times(min(count, 20))


def test_two_currencies_are_not_added() -> None:
    with pytest.raises(ValueError, match="IDR and USD"):
        Money(1, "IDR") + Money(1, "USD")


@pytest.mark.parametrize(
    ("policy", "fields"),
    [
        pytest.param(PRIVATE, {"Cache-Control": "private, no-store"}, id="private"),
        pytest.param(
            CachePolicy(seconds=60, tags=("a",), vary=("Cookie",), private=True),
            {"Cache-Control": "private, no-store"},
            id="private-beats-all",
        ),
        pytest.param(CachePolicy(60), {"Cache-Control": "public, max-age=0, s-maxage=60"}, id="edge-only"),
        pytest.param(
            CachePolicy(600, 30, 60, 86_400, ("p-1", "c-2"), ("Accept-Language", "Origin")),
            {
                "Cache-Control": "public, max-age=30, s-maxage=600, stale-while-revalidate=60, "
                "stale-if-error=86400",
                "Cache-Tag": "p-1, c-2",
                "Vary": "Accept-Language, Origin",
            },
            id="everything",
        ),
        pytest.param(
            CachePolicy(31_536_000, 31_536_000, immutable=True),
            {"Cache-Control": "public, max-age=31536000, s-maxage=31536000, immutable"},
            id="immutable",
        ),
    ],
)
def test_a_cache_policy_travels_as_response_fields_only(policy: CachePolicy, fields: dict[str, str]) -> None:
    assert policy.fields() == fields


@given(
    st.integers(0, 2**31),
    st.integers(0, 2**31),
    st.lists(st.from_regex(r"[a-z0-9-]{1,20}", fullmatch=True), unique=True),
)
def test_what_a_policy_says_the_edge_reads(seconds: int, browser: int, tags: list[str]) -> None:
    said = Fields(CachePolicy(seconds, browser, tags=tuple(tags)).fields().items())
    directives = parse_response(said.get("cache-control") or "")
    assert (directives.s_maxage, directives.max_age) == (seconds, browser)
    assert tags_of(said) == tuple(tags)


@pytest.mark.parametrize(
    ("answer", "body", "content_type"),
    [
        (Answer("<p>é"), "<p>é".encode(), "text/html; charset=utf-8"),
        (Answer(b"\x00"), b"\x00", "application/octet-stream"),
        (Answer({"harga": "Rp 85.000", "é": 1}), '{"harga":"Rp 85.000","é":1}'.encode(), "application/json"),
        (Answer([1, 2]), b"[1,2]", "application/json"),
        (Answer(b"x", content_type="image/svg+xml"), b"x", "image/svg+xml"),
    ],
)
def test_an_answer_knows_its_bytes_and_their_type(answer: Answer, body: bytes, content_type: str) -> None:
    assert answer.encoded() == (body, content_type)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=10))
def test_json_comes_out_as_it_went_in(value: object) -> None:
    assert json.loads(Answer({"value": value}).encoded()[0]) == {"value": value}


def test_an_answer_is_private_unless_it_says_otherwise() -> None:
    assert Answer("a basket").policy.fields() == {"Cache-Control": "private, no-store"}


def test_out_of_stock_says_how_many_are_left() -> None:
    error = OutOfStock("KOP-1", 3)
    assert (error.sku, error.left, str(error)) == ("KOP-1", 3, "KOP-1: 3 left")


async def test_a_plugin_with_nothing_but_a_name_is_whole() -> None:
    bare = Bare()
    assert [name for name in MEMBERS if not hasattr(bare, name)] == []
    assert [*bare.routes(), *bare.webhooks(), *bare.tasks(), *bare.commands(), *bare.pages()] == []
    assert [bare.migrations(), bare.translations(), dict(bare.hears())] == [None, None, {}]
    assert issubclass(Bare, PluginDefaults)
