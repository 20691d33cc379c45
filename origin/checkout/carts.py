"""Carts: a basket's prices and goods, promised for a while under this origin's signature.

Keys are made of a secret and a number: nothing is kept of them. The one before the current one is still good,
and the next is published already, so that nodes know it when its time comes.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy.exc import IntegrityError

from edge.http.carts import (
    COOKIE,
    FIELD,
    LONGEST,
    REFUSALS,
    Cart,
    CartLine,
    CartReason,
    NotBelieved,
    check,
    encoded,
    signed,
    verified,
)
from origin.checkout.answered import in_flight
from origin.checkout.order import CartRequest, RedeemRequest, SessionRequest, WantedLine
from origin.checkout.problems import Problem
from origin.checkout.sessions import Sessions
from origin.checkout.settings import CheckoutSettings
from origin.contract import Answer, Host

SHORTEST_SECRET = 32
LONGEST_COOKIE = 4_000  # bytes of its value: browsers drop those of more than 4,096 with its name


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys around the current one: what signs, what is believed, and what is published, raw and by id."""

    id: str
    private: Ed25519PrivateKey
    believed: Mapping[str, bytes]
    published: Mapping[str, bytes]

    @classmethod
    def of(cls, settings: CheckoutSettings, host: Host) -> Self:
        """The keys by the settings. ValueError: the secret can't be had, or is too short."""
        secret = host.secret if settings.cart_secret is None else host.reveal(settings.cart_secret).encode()
        return cls.made_of(secret, settings.cart_key)

    @classmethod
    def made_of(cls, secret: bytes, now: int) -> Self:
        """The keys around number `now`. ValueError: the secret is too short."""
        if len(secret) < SHORTEST_SECRET:
            raise ValueError(
                f"cart_secret: got {len(secret)} bytes, expected {SHORTEST_SECRET} or more of chance"
            )
        private = {number: _private(secret, number) for number in (now - 1, now, now + 1) if number}
        public = {number: key.public_key().public_bytes_raw() for number, key in private.items()}
        named = {number: (key_id(raw), raw) for number, raw in public.items()}
        return cls(
            named[now][0],
            private[now],
            dict(one for number, one in named.items() if number <= now),
            dict(named.values()),
        )

    def written(self) -> list[str]:
        """Those that are published, as a site's document has them."""
        return [f"{id}:{encoded(raw)}" for id, raw in self.published.items()]


class Carts:
    """The carts of this origin. They are nowhere but in their tokens, until one makes a session."""

    def __init__(self, host: Host, settings: CheckoutSettings, kept: Sessions, keys: Keys) -> None:
        self._host = host
        self._seconds = settings.cart_seconds
        self._sessions = kept
        self._keys = keys

    async def issue(self, asked: CartRequest, site: str | None, key: str, fingerprint: str) -> Answer:
        """A cart and its token, or what was answered under `key` before. Raises Problem."""
        scope, answered = f"cart {site or ''}", self._sessions.answered
        before = await answered.before(scope, key, fingerprint)
        if before is not None:
            return before
        with answered.under_way(scope, key):
            wanted = await self._sessions.wanted(asked)
            async with self._sessions.held(asked, self._seconds) as holds:
                now = int(self._host.now())
                lines = tuple(
                    CartLine(one.sku, one.quantity, one.price.minor, hold.id)
                    for one, hold in zip(wanted, holds, strict=True)
                )
                cart = Cart(
                    id=f"ct_{secrets.token_hex(16)}",
                    site=site,
                    currency=asked.currency,
                    lines=lines,
                    held_until=min(int(hold.until) for hold in holds),
                    issued=now,
                    expires=now + self._seconds,
                )
                said = self._shown(cart)
                try:
                    async with self._host.write() as connection:
                        await answered.record(connection, scope, key, fingerprint, 201, said)
                except IntegrityError:
                    raise in_flight() from None
        return Answer(said, status=201)

    def _shown(self, cart: Cart) -> dict[str, Any]:
        """What the client is told. Raises Problem where that is more than a field can carry."""
        token = signed(cart, self._keys.id, self._keys.private.sign)
        if len(token) > LONGEST:
            raise Problem(422, "cart-size", f"lines: got {len(cart.lines)}, too many for one {FIELD}")
        return {
            "id": cart.id,
            "token": token,
            "currency": cart.currency,
            "lines": [{"sku": one.sku, "quantity": one.quantity, "price": one.price} for one in cart.lines],
            "issued_at": cart.issued,
            "expires_at": cart.expires,
            "held_until": cart.held_until,
        }

    def read(self, token: str, site: str | None) -> Cart:
        """The cart of `token`, if it is `site`'s; it may be over. Raises Problem."""
        try:
            cart = verified(token, self._keys.believed, _is_signed)
            check(cart, site, self._host.now())
        except NotBelieved as error:
            if error.reason is CartReason.EXPIRED:
                return cart
            status, detail = REFUSALS[error.reason]
            raise Problem(status, error.reason, detail) from None
        return cart

    def kept(self, token: str | None, site: str | None, asked: CartRequest) -> Cart | None:
        """The cart of a cookie, while it is good and if it is of the very basket that is `asked` for.

        Raises Problem where it is no cart of ours.
        """
        if token is None:
            return None
        cart = self.read(token, site)
        basket = [(line.sku, line.quantity, line.price) for line in asked.lines]
        same = cart.currency == asked.currency and basket == [
            (one.sku, one.quantity, one.price) for one in cart.lines
        ]
        return cart if same and self._host.now() < cart.expires else None

    def cookie(self, said: Mapping[str, Any], path: str, *, secure: bool) -> str | None:
        """The Set-Cookie that brings an issued cart to `path`; none if it is over, or too long."""
        left = int(said["expires_at"] - self._host.now())
        if left <= 0 or len(said["token"]) > LONGEST_COOKIE:
            return None
        attributes = f"Path={path}; Max-Age={left}; HttpOnly; SameSite=Strict" + (
            "; Secure" if secure else ""
        )
        return f"{COOKIE}={said['token']}; {attributes}"

    def keys(self) -> Mapping[str, Any]:
        """The public keys, for programs (RFC 7517, RFC 8037) and as a site's document has them."""
        return {
            "keys": [
                {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": id, "x": encoded(raw)}
                for id, raw in self._keys.published.items()
            ],
            "cart_keys": self._keys.written(),
            "current": self._keys.id,
        }


def in_full(said: RedeemRequest, cart: Cart) -> SessionRequest:
    """What is asked for with the token of `cart`."""
    lines = [WantedLine(sku=one.sku, quantity=one.quantity, price=one.price) for one in cart.lines]
    return SessionRequest(lines=lines, currency=cart.currency, **dict(said))


def redeemed(fingerprint: str, cart: Cart) -> str:
    """The fingerprint of a request that comes with the token of `cart`."""
    return hashlib.sha256(f"{fingerprint} {cart.id}".encode()).hexdigest()


def key_id(public: bytes) -> str:
    """The name of a key: the same wherever it is made."""
    return hashlib.sha256(public).hexdigest()[:12]


def _private(secret: bytes, number: int) -> Ed25519PrivateKey:
    seed = hmac.digest(secret, f"tepi cart key {number}".encode(), hashlib.sha256)
    return Ed25519PrivateKey.from_private_bytes(seed)


def _is_signed(key: bytes, signature: bytes, said: bytes) -> bool:
    """Whether `signature` is that of `said` with the public `key`, which is raw (RFC 8032)."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, said)
    except InvalidSignature:
        return False
    return True
