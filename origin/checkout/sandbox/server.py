"""The sandbox's API and the page on which its visitors decide."""

from __future__ import annotations

import asyncio
import hmac
import html
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, fields, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from aiohttp import web

from origin.checkout.qris import Merchant, code
from origin.checkout.sandbox.book import Book, Wrong
from origin.checkout.sandbox.deliveries import Behaviour

METHODS = ("card", "bank_transfer", "e_wallet", "qris")
LARGEST = 10**15
SHOP = Merchant("Warung Nusantara", "Yogyakarta", "ID1020000000001")
BANKS = {"bca": "1268", "bni": "8808", "mandiri": "8902"}

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Sandbox: {title}</title>
<style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:30rem;margin:3rem auto;padding:0 1rem}}
button{{font:inherit;padding:.7rem 1.2rem;margin:.3rem .3rem 0 0}}</style></head>
<body><main><h1>{title}</h1><p>{text}</p><form method="post">{buttons}</form>
<p>No money moves here: this is a provider for trying things out.</p></main></body></html>"""


class Sandbox:
    """One provider account, whose API key is `key`; `url` is where browsers reach it."""

    def __init__(self, book: Book, behaviour: Behaviour, key: str) -> None:
        self._book = book
        self.behaviour = behaviour
        self._key = key
        self.url = ""

    def application(self) -> web.Application:
        """The API under /v1, and visitors' pages under /pay."""
        app = web.Application(middlewares=[_explaining])
        app.add_routes(
            [
                web.get("/healthz", self._alive),
                web.post("/v1/payments", self._doing(self._create)),
                web.get("/v1/payments", self._api(self._named)),
                web.get("/v1/payments/{id}", self._api(self._show)),
                web.post("/v1/payments/{id}/capture", self._doing(self._capture)),
                web.post("/v1/payments/{id}/cancel", self._doing(self._cancel)),
                web.post("/v1/payments/{id}/refunds", self._doing(self._refund)),
                web.post("/v1/payments/{id}/pay", self._api(self._pay)),
                web.post("/v1/payments/{id}/disputes", self._api(self._dispute)),
                web.post("/v1/payouts", self._api(self._pay_out)),
                web.get("/v1/totals", self._api(self._totals)),
                web.put("/v1/behaviour", self._api(self._behave)),
                web.get("/pay/{id}", self._page),
                web.post("/pay/{id}", self._decided),
            ]
        )
        return app

    # Doors ----------------------------------------------------------------------------------------

    def _api(
        self, handler: Callable[[web.Request], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            said = request.headers.get("Authorization", "")
            if not hmac.compare_digest(said.encode(), f"Bearer {self._key}".encode()):
                raise Wrong(401, "Authorization: expected Bearer and the account's key")
            return await handler(request)

        return handle

    def _doing(
        self, handler: Callable[[web.Request, Mapping[str, Any]], dict[str, Any]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        """What changes something: once for each key, and as badly as it is told to behave."""

        async def handle(request: web.Request) -> web.Response:
            behaviour = self.behaviour
            if behaviour.refuse > 0:
                behaviour.refuse -= 1
                raise Wrong(503, "out of order")
            key = request.headers.get("Idempotency-Key", "")
            if not key:
                raise Wrong(400, "Idempotency-Key: got nothing")
            body = await request.read()
            asked = f"{request.path} {body.decode()}"
            answer = self._book.answered(key, asked)
            if answer is None:
                answer = handler(request, _document(body))
                self._book.remember(key, asked, answer)
            if behaviour.delay:
                await asyncio.sleep(behaviour.delay)
            if behaviour.lose > 0:
                behaviour.lose -= 1
                assert request.transport is not None
                request.transport.abort()
            return web.json_response(answer)

        return self._api(handle)

    # The API --------------------------------------------------------------------------------------

    async def _alive(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    def _create(self, _request: web.Request, asked: Mapping[str, Any]) -> dict[str, Any]:
        amount = asked.get("amount")
        if not isinstance(amount, int) or isinstance(amount, bool) or not 0 < amount <= LARGEST:
            raise Wrong(422, f"amount: got {amount!r}, expected 1 to {LARGEST}")
        if asked.get("method") not in METHODS:
            raise Wrong(422, f"method: got {asked.get('method')!r}, expected one of {', '.join(METHODS)}")
        if self.behaviour.decline > 0:
            self.behaviour.decline -= 1
            raise Wrong(402, "the account can't take this payment")
        return self._with_action(self._book.create(asked, time.time()))

    def _with_action(self, payment: dict[str, Any]) -> dict[str, Any]:
        match payment["method"]:
            case "qris":
                action = {"kind": "code", "text": code(SHOP, payment["amount"], payment["id"])}
            case "bank_transfer":
                bank = payment.get("channel") or "bca"
                number = int(payment["id"][3:], 16) % 10**12
                action = {
                    "kind": "transfer",
                    "bank": bank,
                    "account": f"{BANKS.get(bank, '9999')}{number:012d}",
                }
            case _:
                action = {"kind": "redirect", "url": f"{self.url}/pay/{payment['id']}"}
        return {**payment, "action": action}

    async def _show(self, request: web.Request) -> web.Response:
        return web.json_response(self._with_action(self._book.find(request.match_info["id"], time.time())))

    async def _named(self, request: web.Request) -> web.Response:
        found = self._book.named(request.query.get("payment", ""), time.time())
        return web.json_response({"payments": [self._with_action(one) for one in found]})

    def _capture(self, request: web.Request, asked: Mapping[str, Any]) -> dict[str, Any]:
        return self._book.capture(request.match_info["id"], int(asked["amount"]), *self._moments())

    def _cancel(self, request: web.Request, _asked: Mapping[str, Any]) -> dict[str, Any]:
        return self._book.finish(request.match_info["id"], "cancelled", *self._moments())

    def _refund(self, request: web.Request, asked: Mapping[str, Any]) -> dict[str, Any]:
        return self._book.refund(request.match_info["id"], int(asked["amount"]), *self._moments())

    async def _pay(self, request: web.Request) -> web.Response:
        """What a bank does when somebody transferred or scanned: paid, or failed."""
        said = _document(await request.read())
        outcome, id = str(said.get("outcome", "paid")), request.match_info["id"]
        self._book.note(id, {name: said[name] for name in ("card", "fee") if name in said})
        paid = self._book.finish(id, outcome, *self._moments())
        return web.json_response(paid)

    async def _dispute(self, request: web.Request) -> web.Response:
        """What a buyer's bank says: {"id", "state", "amount", "fee"}."""
        said = _document(await request.read())
        told = self._book.tell(request.match_info["id"], {"dispute": said}, *self._moments())
        return web.json_response(told)

    async def _pay_out(self, request: web.Request) -> web.Response:
        """What reaches the shop's bank: {"id", "state", "amount", "currency"}."""
        said = {"payout": _document(await request.read())}
        self._book.announce("payout", said, *self._moments())
        return web.json_response(said)

    async def _totals(self, _request: web.Request) -> web.Response:
        return web.json_response({**self._book.totals(), "waiting_hooks": self._book.waiting()})

    async def _behave(self, request: web.Request) -> web.Response:
        known = {one.name for one in fields(Behaviour)}
        asked = _document(await request.read())
        if set(asked) - known:
            raise Wrong(422, f"expected some of {', '.join(sorted(known))}")
        changed = replace(Behaviour(), **asked)
        for one in fields(Behaviour):
            setattr(self.behaviour, one.name, getattr(changed, one.name))
        return web.json_response(asdict(self.behaviour))

    def _moments(self) -> tuple[float, float]:
        now = time.time()
        return now, now + self.behaviour.hook_delay

    # The visitor's page ---------------------------------------------------------------------------

    async def _page(self, request: web.Request) -> web.Response:
        payment = self._book.find(request.match_info["id"], time.time())
        text = f"{payment['description']}: {payment['currency']} {payment['amount'] / 100:,.2f}"
        if payment["state"] != "pending":
            raise web.HTTPSeeOther(_back(payment))
        if payment["method"] == "card" and "challenge" not in request.query:
            buttons = _button("challenge", "Pay by card") + _button("failed", "Decline")
            return _html("Pay", text, buttons)
        if payment["method"] == "card":
            return _html(
                "3-D Secure",
                "Your bank asks: is it you?",
                _button("paid", "It is me") + _button("failed", "No"),
            )
        return _html("Pay", text, _button("paid", "Pay") + _button("failed", "Decline"))

    async def _decided(self, request: web.Request) -> web.Response:
        id = request.match_info["id"]
        choice = dict(parse_qsl((await request.read()).decode())).get("choice", "")
        if choice == "challenge":
            raise web.HTTPSeeOther(f"/pay/{id}?challenge=1")
        if choice not in ("paid", "failed"):
            raise Wrong(422, "choice: expected paid or failed")
        raise web.HTTPSeeOther(_back(self._book.finish(id, choice, *self._moments())))


@web.middleware
async def _explaining(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except Wrong as error:
        return web.json_response({"error": str(error)}, status=error.status)
    except (KeyError, TypeError, ValueError) as error:
        return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=422)


def _document(body: bytes) -> dict[str, Any]:
    document = json.loads(body or b"{}")
    if not isinstance(document, dict):
        raise Wrong(422, "expected a JSON object")
    return document


def _back(payment: Mapping[str, Any]) -> str:
    scheme, host, path, query, _ = urlsplit(payment["return_url"])
    query = urlencode([*parse_qsl(query), ("sandbox", payment["id"])])
    return str(urlunsplit((scheme, host, path, query, "")))


def _button(choice: str, label: str) -> str:
    return f'<button name="choice" value="{choice}">{html.escape(label)}</button>'


def _html(title: str, text: str, buttons: str) -> web.Response:
    page = PAGE.format(title=html.escape(title), text=html.escape(text), buttons=buttons)
    return web.Response(text=page, content_type="text/html")
