"""Carts that the commerce origin signed: JWS in compact form (RFC 7515 §7.1) with Ed25519 (RFC 8037).

Who has the public keys knows without the origin what a cart costs and until when. A cart has one spelling
only: whatever is changed in a token, be it a bit that base64 ignores, makes it none.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

FIELD = "Cart-Token"
COOKIE = "tepi_cart"  # what a form brings a token with, which no form can put into a field
LONGEST = 6000  # bytes of a token: servers take fields of 8 KiB
_HEADER = re.compile(rb'\{"alg":"EdDSA","kid":"([A-Za-z0-9_-]{1,43})","typ":"tepi-cart"\}')
_KEY = re.compile(r"([A-Za-z0-9_-]{1,43}):([A-Za-z0-9_-]{43})")


class CartReason(StrEnum):
    """Why a token is not believed."""

    MALFORMED = "cart-malformed"
    KEY = "cart-key"
    SIGNATURE = "cart-signature"
    SITE = "cart-site"
    EXPIRED = "cart-expired"


REFUSALS: Mapping[CartReason, tuple[int, str]] = {
    CartReason.MALFORMED: (422, f"{FIELD}: this is no cart's token"),
    CartReason.KEY: (403, f"{FIELD}: signed with a key that is not known here"),
    CartReason.SIGNATURE: (403, f"{FIELD}: the signature is not right"),
    CartReason.SITE: (403, f"{FIELD}: this is another site's cart"),
    CartReason.EXPIRED: (403, f"{FIELD}: this cart's time is over; ask for a new one"),
}


class NotBelieved(Exception):
    """A token that is not believed, for a named reason."""

    def __init__(self, reason: CartReason) -> None:
        super().__init__(REFUSALS[reason][1])
        self.reason = reason


@dataclass(frozen=True, slots=True)
class CartLine:
    """So many of one product at `price` minor units each, kept back under the name `hold`."""

    sku: str
    quantity: int
    price: int
    hold: str


@dataclass(frozen=True, slots=True)
class Cart:
    """What the origin promised to whom: times are whole seconds since 1970."""

    id: str
    site: str | None
    currency: str
    lines: tuple[CartLine, ...]
    held_until: int
    issued: int
    expires: int


def signed(cart: Cart, key_id: str, sign: Callable[[bytes], bytes]) -> str:
    """The token of `cart`, by what signs with that key."""
    payload = {
        "cur": cart.currency,
        "exp": cart.expires,
        "held": cart.held_until,
        "iat": cart.issued,
        "jti": cart.id,
        "lines": [[one.sku, one.quantity, one.price, one.hold] for one in cart.lines],
        "site": cart.site,
    }
    header = f'{{"alg":"EdDSA","kid":"{key_id}","typ":"tepi-cart"}}'
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"))
    said = f"{encoded(header.encode())}.{encoded(text.encode())}"
    return f"{said}.{encoded(sign(said.encode()))}"


def verified(token: str, keys: Mapping[str, bytes], is_signed: Callable[[bytes, bytes, bytes], bool]) -> Cart:
    """The cart that `token` is of, whosever and however old. Raises NotBelieved.

    `keys` are raw, by id; `is_signed` tells by a key and a signature whether that is what it is of.
    """
    parts = token.split(".")
    if len(parts) != 3 or len(token) > LONGEST or not token.isascii():
        raise NotBelieved(CartReason.MALFORMED)
    try:
        header, payload, signature = (_decoded(part) for part in parts)
    except ValueError:
        raise NotBelieved(CartReason.MALFORMED) from None
    match = _HEADER.fullmatch(header)
    if match is None:
        raise NotBelieved(CartReason.MALFORMED)
    key = keys.get(match[1].decode())
    if key is None:
        raise NotBelieved(CartReason.KEY)
    if not is_signed(key, signature, token.rpartition(".")[0].encode()):
        raise NotBelieved(CartReason.SIGNATURE)
    try:
        return _cart(json.loads(payload))
    except (ValueError, KeyError, TypeError):  # signed, and by an origin of another version
        raise NotBelieved(CartReason.MALFORMED) from None


def check(cart: Cart, site: str | None, now: float) -> None:
    """Whether `cart` is good for `site` at `now` (seconds since 1970). Raises NotBelieved."""
    if cart.site != site:
        raise NotBelieved(CartReason.SITE)
    if now >= cart.expires:
        raise NotBelieved(CartReason.EXPIRED)


def keys_of(written: Iterable[str]) -> dict[str, bytes]:
    """Public keys, raw, by their ids, as an operator writes them. Raises ValueError."""
    keys: dict[str, bytes] = {}
    for text in written:
        match = _KEY.fullmatch(text)
        if match is None:
            raise ValueError("ID:KEY as GET …/checkout/carts/keys says them, KEY in 43 letters of base64url")
        if match[1] in keys:
            raise ValueError(f"one key for each id; {match[1]} is there twice")
        keys[match[1]] = _decoded(match[2])
    return keys


def encoded(raw: bytes) -> str:
    """`raw` in base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    """What `text` stands for, if that is how it would be written. Raises ValueError."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise ValueError("base64url without padding") from None
    if encoded(raw) != text:
        raise ValueError("base64url in its shortest spelling")
    return raw


def _cart(said: Any) -> Cart:
    lines = tuple(CartLine(sku, quantity, price, hold) for sku, quantity, price, hold in said["lines"])
    return Cart(
        said["jti"], said["site"], said["cur"], lines, int(said["held"]), int(said["iat"]), int(said["exp"])
    )
