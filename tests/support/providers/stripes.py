"""A local server that speaks as much of Stripe's API as the checkout uses, and keeps its keys."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(slots=True)
class StripeStandIn:
    """Hosted pages and what was paid there. `lose` answers are done and never sent."""

    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    intents: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: dict[str, tuple[str, Any]] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    lose: int = 0
    fail: int = 0

    def application(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.post("/v1/checkout/sessions", self._keyed(self._create)),
                web.get("/v1/checkout/sessions/{id}", self._retrieve),
                web.post("/v1/checkout/sessions/{id}/expire", self._keyed(self._expire)),
                web.post("/v1/payment_intents/{id}/capture", self._keyed(self._capture)),
                web.post("/v1/payment_intents/{id}/cancel", self._keyed(self._cancel)),
                web.post("/v1/refunds", self._keyed(self._refund)),
            ]
        )
        return app

    def pay(self, id: str) -> None:
        """The visitor paid on the hosted page."""
        session = self.sessions[id]
        manual = session["capture"] == "manual"
        amount = session["amount_total"]
        intent = {
            "id": f"pi_{id[3:]}",
            "object": "payment_intent",
            "status": "requires_capture" if manual else "succeeded",
            "amount": amount,
            "amount_received": 0 if manual else amount,
            "metadata": session["metadata"],
            "latest_charge": {
                "id": f"ch_{id[3:]}",
                "object": "charge",
                "amount_refunded": 0,
                "payment_method_details": {"card": {"fingerprint": "Xt5EWLLDS7FJjR1c", "country": "US"}},
            },
        }
        self.intents[intent["id"]] = intent
        session |= {"status": "complete", "payment_intent": intent["id"]}

    def _keyed(self, handler: Any) -> Any:
        async def handle(request: web.Request) -> web.Response:
            if self.fail > 0:
                self.fail -= 1
                return web.json_response({"error": {"message": "broken", "type": "api_error"}}, status=500)
            form = dict(await request.post())
            key, said = request.headers["Idempotency-Key"], json.dumps(form, sort_keys=True, default=str)
            if key in self.answers and self.answers[key][0] != said:
                return _error(400, "idempotency_error", "the key was used with other parameters")
            if key not in self.answers:
                self.asked.append({name: str(value) for name, value in form.items()})
                self.answers[key] = said, handler(request, form)
            if self.lose > 0:
                self.lose -= 1
                assert request.transport is not None
                request.transport.abort()
                await asyncio.sleep(0)
            answer = self.answers[key][1]
            return answer if isinstance(answer, web.Response) else web.json_response(answer)

        return handle

    def _create(self, _request: web.Request, form: Any) -> Any:
        id = f"cs_{len(self.sessions) + 1}"
        on_ours = form.get("ui_mode") == "elements"
        if on_ours and ("success_url" in form or "cancel_url" in form or "locale" in form):
            return _error(400, "invalid_request_error", "not allowed if ui_mode is elements")
        self.sessions[id] = {
            "id": id,
            "object": "checkout.session",
            "status": "open",
            "url": None if on_ours else f"https://checkout.stripe.test/{id}",
            "client_secret": f"{id}_secret_1" if on_ours else None,
            "currency": form["line_items[0][price_data][currency]"],
            "amount_total": int(form["line_items[0][price_data][unit_amount]"]),
            "payment_intent": None,
            "metadata": {"tepi": form["metadata[tepi]"]},
            "capture": form["payment_intent_data[capture_method]"],
        }
        return self.sessions[id]

    async def _retrieve(self, request: web.Request) -> web.Response:
        session = self.sessions.get(request.match_info["id"])
        if session is None:
            return _error(404, "invalid_request_error", "No such checkout.session")
        expanded = {**session, "payment_intent": self.intents.get(session["payment_intent"] or "")}
        return web.json_response(expanded)

    def _expire(self, request: web.Request, _form: Any) -> Any:
        session = self.sessions[request.match_info["id"]]
        if session["status"] != "open":
            return _error(400, "invalid_request_error", "Only open sessions can be expired")
        session["status"] = "expired"
        return session

    def _capture(self, request: web.Request, form: Any) -> Any:
        intent = self.intents[request.match_info["id"]]
        intent |= {"status": "succeeded", "amount_received": int(form["amount_to_capture"])}
        return intent

    def _cancel(self, request: web.Request, _form: Any) -> Any:
        intent = self.intents[request.match_info["id"]]
        intent["status"] = "canceled"
        return intent

    def _refund(self, _request: web.Request, form: Any) -> Any:
        intent = self.intents[str(form["payment_intent"])]
        amount = int(form["amount"])
        if intent["latest_charge"]["amount_refunded"] + amount > intent["amount_received"]:
            return _error(400, "invalid_request_error", "Refund amount is greater than charge amount")
        intent["latest_charge"]["amount_refunded"] += amount
        return {"id": "re_1", "object": "refund", "amount": amount}


def _error(status: int, kind: str, message: str) -> web.Response:
    return web.json_response({"error": {"type": kind, "message": message}}, status=status)
