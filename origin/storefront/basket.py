"""The basket: a signed cookie. Nothing of a visitor is kept at the origin until he orders."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping

COOKIE = "warung_basket"
COUNT_COOKIE = "warung_count"  # for the page's script alone: it shows a number on shared pages
DAYS = 14
MOST_OF_ONE = 99
MOST_LINES = 50

Basket = dict[str, int]  # quantity by SKU


def sealed(basket: Mapping[str, int], secret: bytes) -> str:
    """The cookie's value."""
    text = base64.urlsafe_b64encode(json.dumps(basket, separators=(",", ":")).encode()).decode()
    return f"{text}.{_signature(text, secret)}"


def opened(value: str | None, secret: bytes) -> Basket:
    """The basket in a cookie; an empty one where it is missing or not ours."""
    text, _, signature = (value or "").rpartition(".")
    if not text or not hmac.compare_digest(_bytes(signature), _bytes(_signature(text, secret))):
        return {}
    try:
        document = json.loads(base64.urlsafe_b64decode(text))
    except (ValueError, binascii.Error):
        return {}
    return {
        sku: count
        for sku, count in document.items()
        if isinstance(sku, str) and isinstance(count, int) and 0 < count <= MOST_OF_ONE
    }


def changed(basket: Mapping[str, int], sku: str, quantity: int) -> Basket:
    """`basket` with `quantity` of `sku`; none of it for 0. ValueError: too much."""
    if not 0 <= quantity <= MOST_OF_ONE:
        raise ValueError(f"quantity: got {quantity}, expected 0 to {MOST_OF_ONE}")
    rest = {known: count for known, count in basket.items() if known != sku}
    if quantity and len(rest) >= MOST_LINES:
        raise ValueError(f"basket: expected at most {MOST_LINES} different products")
    return {**rest, sku: quantity} if quantity else rest


def cookies(basket: Mapping[str, int], secret: bytes, *, secure: bool) -> tuple[str, ...]:
    """The Set-Cookie values that keep `basket` with the visitor."""
    life = DAYS * 86_400 if basket else 0
    attributes = f"Path=/; Max-Age={life}; SameSite=Lax" + ("; Secure" if secure else "")
    return (
        f"{COOKIE}={sealed(basket, secret)}; HttpOnly; {attributes}",
        f"{COUNT_COOKIE}={sum(basket.values())}; {attributes}",
    )


def _signature(text: str, secret: bytes) -> str:
    return hmac.new(secret, _bytes(text), hashlib.sha256).hexdigest()[:32]


def _bytes(text: str) -> bytes:
    """As it came: a field of a request may hold bytes that are no UTF-8."""
    return text.encode("utf-8", "surrogateescape")
