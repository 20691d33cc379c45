"""Carts at the edge: what the origin did not sign for this site is refused, and the origin hears nothing."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.document.problems import Refused
from edge.guard.carts import is_signed
from edge.http.carts import LONGEST, Cart, CartLine, CartReason, NotBelieved, encoded, signed, verified
from tests.edge.nodes import Edge, config, node
from tests.edge.wires import Origin, origin, says

KEY, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
SESSIONS = "/commerce/checkout/sessions"


def cart(**changes: Any) -> Cart:
    now = int(time.time())
    lines = (CartLine("KOP-GAYO-250", 2, 8_500_000, "h1"), CartLine("Kopi ☕", 1, 1, "h2"))
    return replace(Cart("ct_1", "shop", "IDR", lines, now + 600, now, now + 600), **changes)


def written(name: str, key: Ed25519PrivateKey) -> str:
    return f"{name}:{encoded(key.public_key().public_bytes_raw())}"


@contextlib.asynccontextmanager
async def shop(*keys: str) -> AsyncIterator[tuple[Edge, Origin]]:
    async with origin(says(b"a session")) as there:
        commerce = {"prefix": "/commerce", "url": there.url, "cart_keys": list(keys)}
        async with node(there.url, site={"commerce": commerce}) as edge:
            yield edge, there


async def send(edge: Edge, *tokens: str, path: str = SESSIONS, method: str = "POST") -> Any:
    async with edge.visit() as visit:
        fields = dict(zip(("Cart_Token", "cart_token"), tokens, strict=False))
        visit.say(method, path, b"{}", **fields)
        return await visit.hear()


async def test_a_cart_of_the_origins_goes_on_to_it_by_either_key() -> None:
    async with shop(written("new", KEY), written("old", OTHER)) as (edge, there):
        for name, key in (("new", KEY), ("old", OTHER)):
            token = signed(cart(), name, key.sign)
            assert (await send(edge, token)).body == b"a session"
            assert there.heard[-1].fields["cart-token"] == token
        assert len(there.heard) == 2


async def test_a_forms_cookie_is_held_to_the_same_but_an_old_one_is_left_to_the_origin() -> None:
    true, foreign = signed(cart(), "k", KEY.sign), signed(cart(site="other"), "k", KEY.sign)
    old = signed(cart(expires=int(time.time()) - 1), "k", KEY.sign)
    forged = signed(cart(), "k", OTHER.sign)
    async with shop(written("k", KEY)) as (edge, there), edge.visit() as visit:
        for token, status in ((true, 200), (old, 200), (forged, 403), (foreign, 403), ("x", 422)):
            visit.say("POST", "/commerce/checkout/begin", b"line=A", Cookie=f"a=b; tepi_cart={token}")
            assert (await visit.hear()).status == status
        assert len(there.heard) == 2
        visit.say("POST", "/commerce/checkout/sessions", b"{}", Cookie=f"tepi_cart={forged}")
        assert (await visit.hear()).status == 200, "programs say it in a field"


def test_each_byte_that_is_changed_makes_it_none() -> None:
    token, keys = signed(cart(), "k", KEY.sign), {"k": KEY.public_key().public_bytes_raw()}
    for place in range(len(token)):
        for bit in range(7):
            changed = token[:place] + chr(ord(token[place]) ^ (1 << bit)) + token[place + 1 :]
            with pytest.raises(NotBelieved):
                verified(changed, keys, is_signed)
        with pytest.raises(NotBelieved):
            verified(token[:place], keys, is_signed)


async def test_each_changed_byte_is_refused_at_the_edge_and_the_origin_hears_nothing() -> None:
    token = signed(cart(), "k", KEY.sign)
    statuses = set()
    async with shop(written("k", KEY)) as (edge, there), edge.visit() as visit:
        for place, letter in enumerate(token):
            changed = token[:place] + ("B" if letter != "B" else "C") + token[place + 1 :]
            visit.say("POST", SESSIONS, **{"Cart-Token": changed, "Content-Length": "0"})
            reply = await visit.hear()
            assert json.loads(reply.body)["type"].startswith("urn:tepi:problem:cart-")
            statuses.add(reply.status)
        assert there.heard == []
        assert statuses == {403, 422}
        visit.say("POST", SESSIONS, **{"Cart-Token": token, "Content-Length": "0"})
        assert (await visit.hear()).body == b"a session"


now = int(time.time())
BAD = [
    (signed(cart(expires=now - 1), "k", KEY.sign), 403, CartReason.EXPIRED),
    (signed(cart(site="other"), "k", KEY.sign), 403, CartReason.SITE),
    (signed(cart(site=None), "k", KEY.sign), 403, CartReason.SITE),
    (signed(cart(), "unknown", KEY.sign), 403, CartReason.KEY),
    (signed(cart(), "k", OTHER.sign), 403, CartReason.SIGNATURE),
    ("", 422, CartReason.MALFORMED),
    ("a.b", 422, CartReason.MALFORMED),
    ("..", 422, CartReason.MALFORMED),
    ("é.é.é", 422, CartReason.MALFORMED),
    ("A" * LONGEST + "..", 422, CartReason.MALFORMED),
    (
        ".".join((encoded(b'{"alg":"none","kid":"k","typ":"tepi-cart"}'), encoded(b"{}"), "")),
        422,
        CartReason.MALFORMED,
    ),
]


@pytest.mark.parametrize(("token", "status", "reason"), BAD, ids=range(len(BAD)))
async def test_a_refusal_names_its_reason(token: str, status: int, reason: CartReason) -> None:
    async with shop(written("k", KEY)) as (edge, there):
        reply = await send(edge, token)
        assert reply.status == status
        assert reply.fields["content-type"] == "application/problem+json"
        assert reply.fields["cache-control"] == "no-store"
        said = json.loads(reply.body)
        assert (said["type"], said["status"]) == (f"urn:tepi:problem:{reason}", status)
        assert f"detail={reason}" in reply.fields["cache-status"]
        assert there.heard == []


async def test_two_tokens_are_none_and_another_spelling_of_the_path_is_the_same_path() -> None:
    good, bad = signed(cart(), "k", KEY.sign), signed(cart(), "k", OTHER.sign)
    async with shop(written("k", KEY)) as (edge, there):
        assert (await send(edge, good, good)).status == 422
        assert (await send(edge, bad, path="/commerce/checkout/%73essions")).status == 403
        assert there.heard == []


async def test_what_is_no_checkout_or_has_no_token_is_left_alone() -> None:
    bad = signed(cart(), "k", OTHER.sign)
    async with shop(written("k", KEY)) as (edge, there):
        assert (await send(edge)).status == 200
        assert (await send(edge, bad, path="/checkout/sessions")).status == 200
        assert (await send(edge, bad, path=SESSIONS + "/cs_1", method="GET")).status == 200
        assert len(there.heard) == 3
    async with shop() as (edge, there):
        assert (await send(edge, bad)).status == 200


@pytest.mark.parametrize(
    "keys", [["k"], ["k:AAAA"], [written("k", KEY), written("k", OTHER)], [written("ä", KEY)], ["k"] * 9]
)
def test_keys_that_are_none_are_refused_by_name(keys: list[str]) -> None:
    with pytest.raises(Refused) as refused:
        config("http://127.0.0.1:1", site={"commerce": {"url": "https://127.0.0.1:2", "cart_keys": keys}})
    assert [problem.field for problem in refused.value.problems] == ["sites.0.commerce.cart_keys"]
