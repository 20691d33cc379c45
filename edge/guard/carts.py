"""Checkouts that bear a cart's token: what the origin did not sign for this site is refused."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge.clock import Clock
from edge.http.carts import COOKIE, FIELD, REFUSALS, CartReason, NotBelieved, check, keys_of, verified
from edge.http.cookies import cookies
from edge.http.dates import format_date
from edge.http.message import Answer, Fields, Outcome, Request
from edge.policy.key import normal_escapes
from edge.sealing import sealed
from edge.sites import Sites

SESSIONS = "/checkout/sessions"  # for programs: the token is a field
BEGIN = "/checkout/begin"  # for forms: it is a cookie


@dataclass(frozen=True, slots=True)
class CartGuard:
    """Stands before the pipeline of the cache called `identity`."""

    sites: Sites
    clock: Clock
    identity: str

    def before(
        self, pipeline: Callable[[Request], Awaitable[Answer]]
    ) -> Callable[[Request], Awaitable[Answer]]:
        """What answers requests: bad carts here, everything else in `pipeline`."""

        async def answer(request: Request) -> Answer:
            if request.method == "POST":
                refused = self._refused(request)
                if refused is not None:
                    return refused
            return await pipeline(request)

        return answer

    def _refused(self, request: Request) -> Answer | None:
        """The refusal of a cart that is not believed; None where there is none, or no key to tell by."""
        field = request.fields.get(FIELD.lower())
        cookie = next((value for name, value in cookies(request.fields) if name == COOKIE), None)
        if field is None and cookie is None:
            return None
        served = self.sites.find(request.host)
        commerce = None if served is None else served.site.commerce
        if served is None or commerce is None or not commerce.cart_keys:
            return None
        begin = commerce.prefix + BEGIN
        place = normal_escapes(request.path)
        token = {commerce.prefix + SESSIONS: field, begin: cookie}.get(place)
        if token is None:
            return None
        began = self.clock.monotonic()
        try:
            cart = verified(token, keys_of(commerce.cart_keys), is_signed)
            check(cart, served.site.name, self.clock.wall())
        except NotBelieved as error:
            if error.reason is CartReason.EXPIRED and place == begin:
                return None  # the form has the basket's lines too, at the prices that were shown
            answer = self._answer(error.reason, served.site.name)
            return sealed(answer, request, self.identity, (self.clock.monotonic() - began) * 1000)
        return None

    def _answer(self, reason: CartReason, site: str) -> Answer:
        """A problem document (RFC 9457), as the origin would say it."""
        status, detail = REFUSALS[reason]
        body = {
            "type": f"urn:tepi:problem:{reason}",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
        }
        fields = Fields(
            [
                ("Date", format_date(int(self.clock.wall()))),
                ("Content-Type", "application/problem+json"),
                ("Cache-Control", "no-store"),
                ("X-Content-Type-Options", "nosniff"),
            ]
        )
        return Answer(status, fields, json.dumps(body).encode(), Outcome("refused", reason, site=site))


def is_signed(key: bytes, signature: bytes, said: bytes) -> bool:
    """Whether `signature` is that of `said` with the public `key`, which is raw (RFC 8032)."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, said)
    except InvalidSignature:
        return False
    return True
