"""The checkout's API under the commerce prefix: sessions, and what is done with them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from edge.http.carts import FIELD
from origin.checkout.accounts import Accounts
from origin.checkout.browser import Browser, device_of
from origin.checkout.carts import Carts, in_full, redeemed
from origin.checkout.order import (
    CartRequest,
    PaymentRequest,
    RedeemRequest,
    SessionRequest,
    idempotency_key,
    parsed,
)
from origin.checkout.payments import Payments
from origin.checkout.problems import Problem
from origin.checkout.providers.contract import Declined, Unanswered, Unavailable
from origin.checkout.records import Payment, Session, shown
from origin.checkout.sessions import Sessions
from origin.checkout.states import PAYABLE
from origin.contract import GET, POST, Answer, Call, Handler, Host, Route


class Api:
    """Routes that take and give JSON."""

    def __init__(self, host: Host, kept: Sessions, carts: Carts, paid: Payments, accounts: Accounts) -> None:
        self._host = host
        self._sessions = kept
        self._carts = carts
        self._payments = paid
        self._accounts = accounts

    def routes(self) -> Iterable[Route]:
        """Every address of it."""
        yield POST("/checkout/carts", refusing(self._cart))
        yield GET("/checkout/carts/keys", refusing(self._keys))
        yield POST("/checkout/sessions", refusing(self._open))
        yield GET("/checkout/sessions/{id}", refusing(self._show))
        yield POST("/checkout/sessions/{id}/payments", refusing(self._pay))
        yield POST("/checkout/sessions/{id}/cancel", refusing(self._cancel))

    async def _open(self, call: Call) -> Answer:
        key = idempotency_key(call.request.headers.get("Idempotency-Key"))
        body, tokens = await call.request.read(), call.request.headers.getall(FIELD, [])
        if not tokens:
            asked, fingerprint = parsed(SessionRequest, body)
            return await self._sessions.open(asked, call.visitor.site, key, fingerprint)
        said, fingerprint = parsed(RedeemRequest, body)
        cart = self._carts.read(", ".join(tokens), call.visitor.site)
        asked, fingerprint = in_full(said, cart), redeemed(fingerprint, cart)
        return await self._sessions.open(asked, cart.site, key, fingerprint, cart)

    async def _cart(self, call: Call) -> Answer:
        key = idempotency_key(call.request.headers.get("Idempotency-Key"))
        asked, fingerprint = parsed(CartRequest, await call.request.read())
        return await self._carts.issue(asked, call.visitor.site, key, fingerprint)

    async def _keys(self, call: Call) -> Answer:
        return Answer(self._carts.keys())

    async def _show(self, call: Call) -> Answer:
        return self._shown(*await self._sessions.find(call.match["id"]))

    async def _pay(self, call: Call) -> Answer:
        key = idempotency_key(call.request.headers.get("Idempotency-Key"))
        asked, fingerprint = parsed(PaymentRequest, await call.request.read())
        id = call.match["id"]
        back = f"{address_of(call)}{self._host.prefix}/checkout/{id}/return"
        browser = Browser(call.visitor, device_of(call.request.cookies))
        return await self._payments.begin(id, asked, browser, back, key, fingerprint)

    async def _cancel(self, call: Call) -> Answer:
        return self._shown(*await self.cancel(call.match["id"]))

    async def cancel(self, id: str) -> tuple[Session, Payment | None]:
        """Ends a session that is not paid; what is under way at a provider is ended there. Raises Problem."""
        session, payment = await self._sessions.find(id)
        if session.state in ("pending", "authorized") and payment is not None:
            try:
                await self._payments.let_go(payment)
            except (Unavailable, Unanswered, Declined):
                raise Problem(
                    409, "under-way", "the payment can't be ended now; ask again", retry_after=5
                ) from None
        async with self._host.write() as connection:
            session, payment = await self._sessions.read(connection, id, lock=True)
            if session.state == "cancelled":
                return session, payment
            if session.state not in PAYABLE:
                raise Problem(409, "state", f"the session is {session.state}, expected open or failed")
            ended = await self._sessions.end(connection, session, "cancelled", "order.cancelled")
        return ended, payment

    def _shown(self, session: Session, payment: Payment | None) -> Answer:
        said = shown(session, payment, self._host.prefix)
        if session.state in PAYABLE:
            said["methods"] = self._accounts.methods(session.currency)
        return Answer(said)


def address_of(call: Call) -> str:
    """The site's address as the visitor's browser knows it, without a path."""
    fields = call.request.headers
    scheme = fields.get("X-Forwarded-Proto", call.request.scheme)
    host = fields.get("X-Forwarded-Host") or fields.get("Host", "")
    return f"{'https' if scheme == 'https' else 'http'}://{host}"


def refusing(handler: Callable[[Call], Awaitable[Answer]]) -> Handler:
    """`handler`, its refusals answered as problem documents."""

    async def handle(call: Call) -> Answer:
        try:
            return await handler(call)
        except Problem as problem:
            return problem.answer()

    return handle
