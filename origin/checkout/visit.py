"""What visitors do on the checkout's pages: come with a basket, choose how to pay, come back, look."""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from edge.http.carts import COOKIE, Cart
from origin.checkout.accounts import Accounts
from origin.checkout.api import address_of
from origin.checkout.browser import Browser, device_cookie, device_of, page_viewed
from origin.checkout.carts import Carts, in_full, redeemed
from origin.checkout.order import (
    CartRequest,
    ContactRequest,
    PaymentRequest,
    RedeemRequest,
    SessionRequest,
    parsed,
)
from origin.checkout.pages import LANGUAGES, OPTIONAL, Pages
from origin.checkout.payments import Payments
from origin.checkout.problems import Problem
from origin.checkout.providers.contract import Declined, Unanswered, Unavailable
from origin.checkout.records import Payment, Session
from origin.checkout.sessions import Sessions
from origin.contract import GET, POST, Answer, Call, Host, Route
from origin.exchange import from_our_pages

MOST_PROMISED = 30  # lines of a basket whose cart surely fits into a cookie
ASK_AFTER = 2.0  # seconds: a visitor who looks again sooner is told what is known


class Visit:
    """Routes that take forms and give pages."""

    def __init__(
        self, host: Host, kept: Sessions, carts: Carts, paid: Payments, accounts: Accounts, pages: Pages
    ) -> None:
        self._host = host
        self._sessions = kept
        self._carts = carts
        self._payments = paid
        self._accounts = accounts
        self._pages = pages

    def routes(self) -> Iterable[Route]:
        """Every page, and the files that they need."""
        yield GET("/checkout/static/{name}", self._file)
        yield POST("/checkout/basket", self._promise)
        yield POST("/checkout/begin", self._begin)
        yield GET("/checkout/{id}", self._show)
        yield POST("/checkout/{id}/pay", self._pay)
        yield GET("/checkout/{id}/return", self._return)

    async def _file(self, call: Call) -> Answer:
        return self._pages.file(call.match["name"]) or Answer("no such file\n", status=404)

    async def _begin(self, call: Call) -> Answer:
        """A basket's form: `cart` is a cart's token; without one, `line` is SKU, quantity and the price that
        was shown, apart by colons."""
        pairs = parse_qsl((await call.request.read()).decode("utf-8", "replace"))
        form = dict(pairs)
        language = _language(form.get("language"))
        back = form.get("back", "/") if form.get("back", "/").startswith("/") else "/"
        if not from_our_pages(call):
            return self._pages.message(language, "refused", "refused_text", back, 403)
        try:
            asked, fingerprint, cart, attempt = self._asked(call, pairs, language)
            key = f"page {attempt or fingerprint}"[:255]
            opened = await self._sessions.open(asked, call.visitor.site, key, fingerprint, cart)
        except Problem as problem:
            return self._pages.problem(language, problem, back)
        body = opened.body
        assert isinstance(body, Mapping)
        return _go(str(body["page"]))

    async def _promise(self, call: Call) -> Answer:
        """A basket's form goes on to `begin` as it came (307), with a cart's token if it can be kept."""
        pairs = parse_qsl((await call.request.read()).decode("utf-8", "replace"))
        begin = f"{self._host.prefix}/checkout/begin"
        cookie = await self._cart(call, pairs, begin) if from_our_pages(call) else None
        cookies = () if cookie is None else (cookie,)
        return Answer("", status=307, fields={"Location": begin}, cookies=cookies)

    async def _cart(self, call: Call, form: Sequence[tuple[str, str]], begin: str) -> str | None:
        """The cookie that brings the cart of a form; none where it can't be one, as `begin` will say."""
        basket = _basket(form)
        if len(basket["lines"]) > MOST_PROMISED:
            return None
        try:
            asked, fingerprint = parsed(CartRequest, json.dumps(basket).encode())
            key = f"page {fingerprint} {dict(form).get('attempt', '')}"[:255]
            issued = await self._carts.issue(asked, call.visitor.site, key, fingerprint)
        except Problem:
            return None
        said = issued.body
        assert isinstance(said, Mapping)
        return self._carts.cookie(said, begin, secure=address_of(call).startswith("https:"))

    def _asked(
        self, call: Call, pairs: Sequence[tuple[str, str]], language: str
    ) -> tuple[SessionRequest, str, Cart | None, str | None]:
        """The session that a basket's form is for, by a cart's token or by its lines, and what the attempt is
        called. Raises Problem."""
        form, site = dict(pairs), call.visitor.site
        about = {name: form[name] for name in ("return_path",) if name in form} | {"language": language}
        attempt = form.get("attempt")
        if "cart" in form:
            said, fingerprint = parsed(RedeemRequest, json.dumps(about).encode())
            cart = self._carts.read(form["cart"], site)
            return in_full(said, cart), redeemed(fingerprint, cart), cart, attempt
        asked, fingerprint = parsed(SessionRequest, json.dumps({**_basket(pairs), **about}).encode())
        kept = self._carts.kept(call.request.cookies.get(COOKIE), site, asked)
        if kept is None:
            return asked, fingerprint, None, attempt
        return (
            asked,
            redeemed(fingerprint, kept),
            kept,
            kept.id,
        )  # which makes one session, as an attempt does

    async def _show(self, call: Call) -> Answer:
        found = await self._find(call)
        if isinstance(found, Answer):
            return found
        session, payment = found
        query = call.request.query
        if session.state == "pending" and payment is not None:
            if "again" in query:
                session, payment = await self._freed(session, payment)
            elif "check" in query or payment.reference is None:
                session, payment = await self._looked(session, payment, None)
        methods, fields = self._accounts.methods(session.currency), "page" not in query
        page = self._pages.show(session, payment, methods, fields=fields)
        if device_of(call.request.cookies):
            return page
        secure = address_of(call).startswith("https:")
        cookie = device_cookie(secrets.token_hex(16), f"{self._host.prefix}/checkout", secure=secure)
        return replace(page, cookies=(cookie,))

    async def _return(self, call: Call) -> Answer:
        found = await self._find(call)
        if isinstance(found, Answer):
            return found
        session, payment = found
        if session.state in ("pending", "open", "failed") and payment is not None:
            await self._looked(session, payment, dict(call.request.query))
        return _go(f"{self._host.prefix}/checkout/{session.id}")

    async def _pay(self, call: Call) -> Answer:
        found = await self._find(call)
        if isinstance(found, Answer):
            return found
        session, payment = found
        here = f"{self._host.prefix}/checkout/{session.id}"
        if not from_our_pages(call):
            return self._pages.message(session.language, "refused", "refused_text", here, 403)
        form = dict(parse_qsl((await call.request.read()).decode("utf-8", "replace")))
        method, _, channel = form.get("method", "").partition(":")
        try:
            said, _ = parsed(ContactRequest, json.dumps(_contact(form)).encode())
            await self._sessions.describe(session.id, said)
            wish: dict[str, Any] = {"method": method, **({"channel": channel} if channel else {})}
            if form.get("fields"):
                wish["fields"] = True
            asked, fingerprint = parsed(PaymentRequest, json.dumps(wish).encode())
            key = hashlib.sha256(f"{form.get('attempt', '')} {fingerprint}".encode()).hexdigest()
            back = f"{address_of(call)}{here}/return"
            seen = page_viewed(self._host.secret, session.id, form.get("seen", ""))
            browser = Browser(call.visitor, device_of(call.request.cookies), seen)
            await self._payments.begin(session.id, asked, browser, back, key, fingerprint)
        except Problem as problem:
            session, payment = await self._sessions.find(session.id)
            note = self._pages.said(session.language, problem)
            methods = self._accounts.methods(session.currency)
            return self._pages.show(session, payment, methods, note, problem.status)
        session, payment = await self._sessions.find(session.id)
        action = payment.action if payment is not None and session.state == "pending" else None
        return _go(str(action["url"]) if action is not None and action["kind"] == "redirect" else here)

    async def _find(self, call: Call) -> tuple[Session, Payment | None] | Answer:
        try:
            return await self._sessions.find(call.match["id"])
        except Problem:
            return self._pages.message("id", "missing", "missing_text", "/", 404)

    async def _looked(
        self, session: Session, payment: Payment, returned: Mapping[str, str] | None
    ) -> tuple[Session, Payment | None]:
        """Asks the provider, unless that was done just now; what is known if it does not answer."""
        if returned is None and self._host.now() - payment.changed_at < ASK_AFTER:
            return session, payment
        try:
            if payment.reference is None:
                await self._payments.ask(session, payment)
            else:
                await self._payments.look(payment, returned)
        except (Unavailable, Unanswered, Declined):
            pass
        return await self._sessions.find(session.id)

    async def _freed(self, session: Session, payment: Payment) -> tuple[Session, Payment | None]:
        """The payment that was begun is ended, so that another may be chosen."""
        with contextlib.suppress(Unavailable, Unanswered, Declined):
            await self._payments.let_go(payment)
        return await self._sessions.find(session.id)


def _language(text: str | None) -> str:
    return text if text in LANGUAGES else LANGUAGES[0]


def _basket(form: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The lines and the currency of a basket's form."""
    lines = [_line(value) for name, value in form if name == "line"]
    return {"lines": lines, "currency": dict(form).get("currency", "")}


def _line(text: str) -> dict[str, Any]:
    sku, _, rest = text.partition(":")
    quantity, _, price = rest.partition(":")
    line: dict[str, Any] = {"sku": sku, "quantity": _number(quantity)}
    return line | ({"price": _number(price)} if price else {})


def _number(text: str) -> int | str:
    """The number, or the text itself, which will be refused by name."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else text


def _contact(form: Mapping[str, str]) -> dict[str, Any]:
    """What a form says of who gets the goods, as a session request has it."""
    said = {name: value.strip() for name, value in form.items() if value.strip()}
    address = {name: said[name] for name in ("name", "line1", "city", "country", *OPTIONAL) if name in said}
    found: dict[str, Any] = {"shipping_address": address}
    return found | {name: said[name] for name in ("email", "shipping") if name in said}


def _go(url: str) -> Answer:
    return Answer("", status=303, fields={"Location": url})
